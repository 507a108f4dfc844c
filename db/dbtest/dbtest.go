// Package dbtest gives each test a PostgreSQL database of its own.
//
// One ephemeral server is started for the test process. On it the migrations and
// functions are installed once, into a template; New clones that, which takes some
// tens of milliseconds, and drops the clone when the test ends. Tests may run in
// parallel. There is no mock: what passes here ran on PostgreSQL.
package dbtest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/localpg"
)

const template = "htdag_template"

var (
	server = sync.OnceValues(func() (*localpg.Server, error) {
		return localpg.Start(context.Background(), localpg.Options{Ephemeral: true, Settings: map[string]string{
			"max_connections": "200",
			"shared_buffers":  "256MB",
		}})
	})
	templated = sync.OnceValue(makeTemplate)
	clones    atomic.Int64
)

func makeTemplate() error {
	ctx := context.Background()
	s, err := server()
	if err != nil {
		return fmt.Errorf("start a PostgreSQL server for tests: %w", err)
	}
	if err := s.EnsureDatabase(ctx, template); err != nil {
		return err
	}
	pool, err := db.Open(ctx, s.URL(template), db.Options{})
	if err != nil {
		return err
	}
	defer pool.Close()
	return db.Up(ctx, pool)
}

// New returns a pool on a fresh database with everything installed.
func New(t testing.TB) *pgxpool.Pool {
	t.Helper()
	if err := templated(); err != nil {
		t.Fatal(err)
	}
	return create(t, " template "+template)
}

// Empty returns a pool on a fresh database with nothing of ours in it.
func Empty(t testing.TB) *pgxpool.Pool {
	t.Helper()
	if _, err := server(); err != nil {
		t.Fatal(err)
	}
	return create(t, "")
}

func create(t testing.TB, clause string) *pgxpool.Pool {
	t.Helper()
	s, err := server()
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("test_%d", clones.Add(1))
	admin(t, s, "create database "+name+clause)
	t.Cleanup(func() { admin(t, s, "drop database "+name+" with (force)") })
	pool, err := db.Open(t.Context(), s.URL(name), db.Options{ApplicationName: t.Name(), MaxConns: 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// admin runs one statement on the maintenance database. Cloning a template fails
// while another clone is being made from it, so statements take turns.
var adminTurn sync.Mutex

func admin(t testing.TB, s *localpg.Server, statement string) {
	t.Helper()
	adminTurn.Lock()
	defer adminTurn.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Errorf("%s: %v", statement, err)
	}
}

// URL returns a connection URL for the database of a pool.
func URL(pool *pgxpool.Pool) string { return pool.Config().ConnString() }

// Exec runs a statement and fails the test when it fails.
func Exec(t testing.TB, pool *pgxpool.Pool, statement string, args ...any) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Value runs a query that returns one value.
func Value[T any](t testing.TB, pool *pgxpool.Pool, query string, args ...any) T {
	t.Helper()
	var v T
	if err := pool.QueryRow(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// Column runs a query that returns one column.
func Column[T any](t testing.TB, pool *pgxpool.Pool, query string, args ...any) []T {
	t.Helper()
	rows, err := pool.Query(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[T])
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return values
}

// WaitFor polls a boolean query until it is true, for at most 30 seconds.
func WaitFor(t testing.TB, pool *pgxpool.Pool, query string, args ...any) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if Value[bool](t, pool, query, args...) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still false after 30 s: %s", query)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// CheckInvariants fails the test if the engine's tables contradict themselves.
func CheckInvariants(t testing.TB, pool *pgxpool.Pool) {
	t.Helper()
	for _, v := range Column[string](t, pool, "select format('run %s: %s: %s', run_id, invariant, detail) from htdag.invariant_violations") {
		t.Errorf("invariant violated: %s", v)
	}
}
