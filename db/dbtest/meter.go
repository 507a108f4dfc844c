package dbtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/localpg"
)

// A Meter counts what work costs a server: not time, which depends on the machine,
// but what does not. It has a server of its own, on which nothing happens that it
// did not ask for: no autovacuum, no full-page images, no other sessions.
type Meter struct {
	// Major is the server's version. Another one lays out pages, plans and writes
	// WAL differently.
	Major int

	server *localpg.Server
	watch  *pgx.Conn // on a database of its own, so that it does not count itself
	trips  atomic.Int64
	clones int
}

var meterServer = sync.OnceValues(func() (*localpg.Server, error) {
	return localpg.Start(context.Background(), localpg.Options{Ephemeral: true, Settings: map[string]string{
		"shared_preload_libraries":  "pg_stat_statements",
		"pg_stat_statements.track":  "all",
		"pg_stat_statements.max":    "20000",
		"autovacuum":                "off",
		"synchronous_commit":        "on", // or what a page is known to hold depends on when WAL was written
		"checkpoint_timeout":        "1h",
		"shared_buffers":            "256MB",
		"default_toast_compression": "pglz", // every build has it
	}})
})

// NewMeter returns a meter. Where the server lacks the module that counts, the test
// fails in CI and is skipped elsewhere.
func NewMeter(t *testing.T) *Meter {
	t.Helper()
	if !Value[bool](t, Empty(t), "select exists (select from pg_available_extensions where name = 'pg_stat_statements')") {
		if os.Getenv("CI") != "" {
			t.Fatal("the module pg_stat_statements is missing")
		}
		t.Skip("the module pg_stat_statements is missing")
	}
	s, err := meterServer()
	if err != nil {
		t.Fatal(err)
	}
	m := &Meter{server: s}
	if m.watch, err = pgx.Connect(t.Context(), s.URL("postgres")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.watch.Close(context.Background()) })
	m.admin(t, "create extension if not exists pg_stat_statements")
	if err := m.watch.QueryRow(t.Context(), "select current_setting('server_version_num')::int / 10000").Scan(&m.Major); err != nil {
		t.Fatal(err)
	}
	return m
}

// New returns a pool on a fresh database with everything installed.
func (m *Meter) New(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool := m.create(t, "")
	if err := db.Up(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	return pool
}

// Clone closes a pool and returns one on a copy of its database, which stays as it is.
func (m *Meter) Clone(t *testing.T, of *pgxpool.Pool) *pgxpool.Pool {
	t.Helper()
	of.Close()
	return m.create(t, " template "+of.Config().ConnConfig.Database)
}

func (m *Meter) create(t *testing.T, clause string) *pgxpool.Pool {
	t.Helper()
	m.clones++
	name := fmt.Sprintf("meter_%d", m.clones)
	m.admin(t, "drop database if exists "+name+" with (force)")
	m.admin(t, "create database "+name+clause)
	t.Cleanup(func() {
		if _, err := m.watch.Exec(context.Background(), "drop database if exists "+name+" with (force)"); err != nil {
			t.Error(err)
		}
	})
	config, err := pgxpool.ParseConfig(m.server.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	config.ConnConfig.Tracer = tripTracer{&m.trips}
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

func (m *Meter) admin(t *testing.T, statement string) {
	t.Helper()
	if _, err := m.watch.Exec(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// tripTracer counts how often a client waits for the server. Statements sent
// together are one wait.
type tripTracer struct{ n *atomic.Int64 }

func (c tripTracer) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}
func (tripTracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c tripTracer) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	c.n.Add(1)
	return ctx
}
func (tripTracer) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (tripTracer) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

func (c tripTracer) TraceCopyFromStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceCopyFromStartData) context.Context {
	c.n.Add(1)
	return ctx
}
func (tripTracer) TraceCopyFromEnd(context.Context, *pgx.Conn, pgx.TraceCopyFromEndData) {}
