// Package pgmq_test states what callers of PGMQ's SQL interface rely on.
//
// It runs against our implementation, or, with -pgmq.url, against the extension
// on the server at that address.
package pgmq_test

import (
	"context"
	"flag"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/sql"
)

var extensionURL = flag.String("pgmq.url", "",
	"test the extension pgmq on the server at this `URL`, as a role that may create databases, instead of our implementation")

// ownOnly skips a test of what only our implementation promises.
func ownOnly(t *testing.T) {
	t.Helper()
	if *extensionURL != "" {
		t.Skip("about our implementation, not the extension")
	}
}

// newPool returns connections to a fresh database that has PGMQ's interface and
// nothing else.
func newPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	if *extensionURL != "" {
		return extensionPool(t)
	}
	pool := dbtest.Empty(t)
	if err := install(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return pool
}

// install runs our files as the installer does: in name order, in one transaction.
func install(ctx context.Context, pool *pgxpool.Pool) error {
	names, err := fs.Glob(sql.Code, "pgmq/*.sql")
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for _, name := range names {
			text, err := fs.ReadFile(sql.Code, name)
			if err != nil {
				return err
			}
			if _, err := tx.Conn().PgConn().Exec(ctx, string(text)).ReadAll(); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	})
}

var extensionDatabases atomic.Int64

func extensionPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	u, err := url.Parse(*extensionURL)
	if err != nil {
		t.Fatal(err)
	}
	server := u.String()
	name := fmt.Sprintf("pgmq_test_%d_%d", os.Getpid(), extensionDatabases.Add(1))
	execute(t, server, "create database "+name)
	t.Cleanup(func() { execute(t, server, "drop database "+name+" with (force)") })
	u.Path = "/" + name
	execute(t, u.String(), "create extension pgmq")
	pool, err := pgxpool.New(t.Context(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// execute runs a statement over a connection of its own.
func execute(t *testing.T, url, statement string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatalf("%s: %v", strings.SplitN(statement, "\n", 2)[0], err)
	}
}
