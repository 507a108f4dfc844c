package db

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
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
		return nil, fmt.Errorf("database URL %s: %w", Redact(databaseURL), err)
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

// explain adds what to do about the usual reasons for which a connection fails.
func explain(err error) error {
	var pgErr *pgconn.PgError
	var opErr *net.OpError
	switch {
	case errors.As(err, &pgErr) && pgErr.Code == "28P01":
		return fmt.Errorf("%w (check the password in the URL or in ~/.pgpass)", err)
	case errors.As(err, &pgErr) && pgErr.Code == "3D000":
		return fmt.Errorf("%w (create it first: createdb NAME)", err)
	case errors.As(err, &opErr):
		return fmt.Errorf("%w (is the server running, and reachable from here?)", err)
	}
	return err
}

// Redact returns a database URL without its password, for messages and logs.
func Redact(databaseURL string) string {
	if u, err := url.Parse(databaseURL); err == nil && u.Scheme != "" {
		return u.Redacted()
	}
	fields := strings.Fields(databaseURL)
	for i, f := range fields {
		if strings.HasPrefix(strings.ToLower(f), "password=") {
			fields[i] = "password=xxxxx"
		}
	}
	return strings.Join(fields, " ")
}
