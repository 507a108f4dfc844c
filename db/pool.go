package db

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// MinServerVersion is the oldest PostgreSQL that the project runs on, as the
// server setting server_version_num gives it.
const MinServerVersion = 140000

// Options are what a program may choose about its connections.
type Options struct {
	ApplicationName string // shown in pg_stat_activity; "htdag" when empty
	MaxConns        int32  // of the pool; pgx's default (4 or the number of processors) when 0
}

// Open connects to the database at a URL (or keyword/value string) and checks that
// the server answers and is new enough. The error names the host and database but
// never the password.
func Open(ctx context.Context, databaseURL string, opts Options) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(databaseURL)
	if err != nil {
		return nil, unusable(databaseURL, err)
	}
	if opts.ApplicationName == "" {
		opts.ApplicationName = "htdag"
	}
	config.ConnConfig.RuntimeParams["application_name"] = opts.ApplicationName
	if opts.MaxConns > 0 {
		config.MaxConns = opts.MaxConns
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 10 * time.Second
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", Redact(databaseURL), err)
	}
	if err := checkServer(ctx, pool); err != nil {
		pool.Close()
		return nil, fmt.Errorf("connect to %s: %w", Redact(databaseURL), explain(err))
	}
	return pool, nil
}

func checkServer(ctx context.Context, pool *pgxpool.Pool) error {
	var version int
	var text string
	err := pool.QueryRow(ctx, "select current_setting('server_version_num')::int, current_setting('server_version')").Scan(&version, &text)
	if err != nil {
		return err
	}
	if version < MinServerVersion {
		return fmt.Errorf("the server is PostgreSQL %s; version %d or newer is needed", text, MinServerVersion/10000)
	}
	return nil
}

// unusable says what is wrong with a URL. The parser's message quotes the URL, with
// the password hidden where it finds one; it is left out in favour of ours.
func unusable(databaseURL string, err error) error {
	text := err.Error()
	if i := strings.LastIndex(text, "`: "); i >= 0 {
		text = text[i+len("`: "):]
	}
	return fmt.Errorf("database URL %s: %s (write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE)", Redact(databaseURL), text)
}

// explain reduces the tree of errors of a connection that failed, one branch for
// each address and way that was tried, to the one that says most, and adds what
// to do about the usual ones.
func explain(err error) error {
	var pgErr *pgconn.PgError
	var dnsErr *net.DNSError
	var opErr *net.OpError
	switch {
	case errors.As(err, &pgErr):
		hint := map[string]string{
			"28P01": " (check the password in the URL or in ~/.pgpass)",
			"28000": " (check the user in the URL, and the server's pg_hba.conf)",
			"3D000": " (create it first: createdb NAME)",
			"53300": " (close other connections, or raise max_connections)",
		}[pgErr.Code]
		return fmt.Errorf("%w%s", pgErr, hint)
	case errors.As(err, &dnsErr):
		return fmt.Errorf("%w (check the host in the URL)", dnsErr)
	case errors.As(err, &opErr):
		return fmt.Errorf("%w (is the server running, and reachable from here?)", opErr)
	}
	return err
}

var passwords = regexp.MustCompile(`(?i)(://[^:/?#@]*:).*@|\b((?:ssl)?password\s*=\s*)(?:'(?:[^'\\]|\\.)*'|[^\s&]*)`)

// Redact returns a database URL (or keyword/value string) without its passwords,
// for messages and logs. It may be malformed.
func Redact(databaseURL string) string {
	return passwords.ReplaceAllStringFunc(databaseURL, func(match string) string {
		parts := passwords.FindStringSubmatch(match)
		if parts[1] != "" {
			return parts[1] + "xxxxx@"
		}
		return parts[2] + "xxxxx"
	})
}
