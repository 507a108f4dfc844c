package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/htdag/htdag/db/localpg"
)

// settings are those of the server that the benchmark starts: what somebody would
// set who has read one page about PostgreSQL, with durability as it is shipped.
// What is not named has the value that localpg gives to every server (README.md).
var settings = map[string]string{
	"fsync":              "on",
	"synchronous_commit": "on",
	"full_page_writes":   "on",
	"shared_buffers":     "1GB",
	"max_wal_size":       "16GB",  // no checkpoint within a round but by time
	"checkpoint_timeout": "30min", // nor by time
	"wal_compression":    "off",   // as shipped: bytes are compared
	"max_connections":    "200",
	"jit":                "off", // it would compile short statements again and again

	"shared_preload_libraries":      "pg_stat_statements",
	"pg_stat_statements.max":        "10000",
	"pg_stat_statements.track":      "none", // on in counting rounds only
	"track_io_timing":               "off",
	"log_min_messages":              "fatal",
	"log_min_error_statement":       "fatal",
	"pg_stat_statements.save":       "off",
	"default_transaction_isolation": "read committed",
}

// A server is where the benchmark runs.
type server struct {
	admin   *pgx.Conn // on the maintenance database
	url     string
	version string
	about   string // what a reader of the figures should know of it
	counts  bool   // pg_stat_statements is there
	local   *localpg.Server
}

// startServer starts a server in a temporary directory below dir, durable or not, or
// connects to the one at a URL.
func startServer(ctx context.Context, givenURL, dir string, durable bool, log *slog.Logger) (*server, error) {
	s := &server{url: givenURL, about: "a given server, configured by whoever gave it"}
	if givenURL == "" {
		settings := maps.Clone(settings)
		if !durable {
			settings["fsync"], settings["full_page_writes"] = "off", "off"
		}
		local, err := localpg.Start(ctx, localpg.Options{Ephemeral: true, Dir: dir, Settings: settings, Log: log})
		if err != nil {
			return nil, fmt.Errorf("start a PostgreSQL server for the benchmark: %w", err)
		}
		s.local, s.url = local, local.URL("postgres")
		s.about = "a server of its own, shared_buffers 1GB, fsync and full_page_writes on"
	}
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		s.close()
		return nil, fmt.Errorf("connect to the server of the benchmark: %w", err)
	}
	s.admin = conn
	if err := s.look(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *server) look(ctx context.Context) error {
	if err := s.admin.QueryRow(ctx, "select split_part(current_setting('server_version'), ' ', 1)").Scan(&s.version); err != nil {
		return err
	}
	// The library has to be loaded, not only there to be loaded.
	if err := s.admin.QueryRow(ctx, "select exists (select from pg_settings where name = 'pg_stat_statements.track')").Scan(&s.counts); err != nil {
		return err
	}
	if s.counts {
		if _, err := s.admin.Exec(ctx, "create extension if not exists pg_stat_statements"); err != nil {
			return fmt.Errorf("count statements: %w", err)
		}
	}
	return nil
}

func (s *server) close() {
	if s.admin != nil {
		s.admin.Close(context.Background())
	}
	if s.local != nil {
		s.local.Close()
	}
}

// database returns the URL of a database.
func (s *server) database(name string) (string, error) {
	if u, err := url.Parse(s.url); err == nil && u.Scheme != "" {
		u.Path = "/" + name
		return u.String(), nil
	}
	return "", fmt.Errorf("write the server's address as postgres://USER:PASSWORD@HOST:PORT/DATABASE")
}

// create makes a database, as a copy of another where one is named, and drops an old
// one of its name first.
func (s *server) create(ctx context.Context, name, template string, sync bool) (url string, err error) {
	if err := s.drop(ctx, name); err != nil {
		return "", err
	}
	statement := "create database " + name
	if template != "" {
		statement += " template " + template
	}
	statements := []string{statement}
	if !sync {
		statements = append(statements, "alter database "+name+" set synchronous_commit = off")
	}
	for _, statement := range statements {
		if _, err := s.admin.Exec(ctx, statement); err != nil {
			return "", fmt.Errorf("%s: %w", statement, err)
		}
	}
	return s.database(name)
}

func (s *server) drop(ctx context.Context, name string) error {
	if _, err := s.admin.Exec(ctx, "drop database if exists "+name+" with (force)"); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

// left waits until nobody is connected to a database any more. A session reports what
// it counted when it ends, at the latest.
func (s *server) left(ctx context.Context, name string) error {
	for deadline := time.Now().Add(30 * time.Second); ; {
		var n int
		err := s.admin.QueryRow(ctx, "select count(*) from pg_stat_activity where datname = $1 and backend_type = 'client backend'", name).Scan(&n)
		if err != nil || n == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d connections to database %s are still open 30 seconds after Close", n, name)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// count switches the counting of statements and functions in a database on or off.
func (s *server) count(ctx context.Context, name string, on bool) error {
	if !s.counts {
		return nil
	}
	track := "none"
	if on {
		track = "all"
	}
	for _, setting := range []string{"pg_stat_statements.track", "track_functions"} {
		if _, err := s.admin.Exec(ctx, "alter database "+name+" set "+setting+" = '"+track+"'"); err != nil {
			return err
		}
	}
	return nil
}
