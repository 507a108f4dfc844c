package runner_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	osexec "os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner"
)

var (
	pooledRunners = flag.Int("pooler.runners", 40, "runners behind the pooler")
	pooledRuns    = flag.Int("pooler.runs", 600, "runs of three steps that they do")
	pooledURL     = flag.String("pooler.url", "", "database of a process that the test starts")
)

const (
	pooledProcesses  = 4
	serverConns      = 16
	pooledParameters = "?default_query_exec_mode=cache_describe"
)

// TestPooler has many runners, in several processes, share a few connections of the
// server, which PgBouncer lends to them by the transaction: none of them can count on
// anything that a session remembers. Each step is done once, and what it writes with
// its completion is written once.
func TestPooler(t *testing.T) {
	if testing.Short() {
		t.Skip("many processes")
	}
	pgbouncer, err := osexec.LookPath("pgbouncer")
	if err != nil {
		pgbouncer, err = osexec.LookPath("/usr/sbin/pgbouncer")
	}
	if err != nil {
		t.Skip("pgbouncer is not installed")
	}
	pool := dbtest.New(t)
	define(t, pool, `{"flow": "pooled", "steps": [{"name": "a", "kind": "pooled"}, {"name": "b", "kind": "pooled", "needs": ["a"]}, {"name": "c", "kind": "pooled", "needs": ["b"]}]}`)
	dbtest.Exec(t, pool, "create table public.effects (run_id bigint, step text)")
	url := startPooler(t, pgbouncer, pool)

	var logs [pooledProcesses]bytes.Buffer
	var processes sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	for i := range pooledProcesses {
		c := osexec.CommandContext(ctx, os.Args[0], "-test.run=^TestPooledProcess$", "-pooler.url="+url, fmt.Sprintf("-pooler.runners=%d", *pooledRunners/pooledProcesses))
		c.Stdout, c.Stderr = &logs[i], &logs[i]
		c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
		c.WaitDelay = 30 * time.Second
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		processes.Go(func() {
			if err := c.Wait(); err != nil && ctx.Err() == nil {
				t.Errorf("process %d: %v", i, err)
			}
		})
	}
	end := sync.OnceFunc(func() { stop(); processes.Wait() })
	defer end()
	dbtest.WaitFor(t, pool, "select count(*) = $1 from htdag.runners where stopped_at is null and runner_id <> 0", *pooledRunners/pooledProcesses*pooledProcesses)

	began := time.Now()
	dbtest.Exec(t, pool, "select from htdag.start_flows('pooled', array_fill('{}'::jsonb, array[$1::integer]))", *pooledRuns)
	most := 0
	for done := false; !done; time.Sleep(100 * time.Millisecond) {
		if time.Since(began) > 3*time.Minute {
			t.Fatalf("%d runs are not done after %s", dbtest.Value[int](t, pool, "select count(*) from htdag.runs where finished_at is null"), time.Since(began))
		}
		most = max(most, dbtest.Value[int](t, pool, "select count(*) from pg_stat_activity where application_name = 'pooled'"))
		done = dbtest.Value[bool](t, pool, "select not exists (select from htdag.runs where finished_at is null)")
	}
	steps := 3 * *pooledRuns
	t.Logf("%d runners on %d connections: %d steps in %s, %.0f a second", *pooledRunners, most, steps, time.Since(began).Round(time.Millisecond), float64(steps)/time.Since(began).Seconds())
	end()

	if most > serverConns {
		t.Errorf("the server saw %d connections, more than the pooler may have", most)
	}
	for what, query := range map[string]string{
		"steps that succeeded":                 "select count(*) from htdag.attempts where outcome = 'succeeded'",
		"tries":                                "select count(*) from htdag.attempts",
		"effects":                              "select count(*) from public.effects",
		"steps with an effect":                 "select count(distinct (run_id, step)) from public.effects",
		"steps in runs that ended as they are": "select 3 * count(*) from htdag.runs where state = 'succeeded'",
	} {
		if got := dbtest.Value[int](t, pool, query); got != steps {
			t.Errorf("%s: %d, want %d", what, got, steps)
		}
	}
	for i := range logs {
		if text := logs[i].String(); strings.Contains(text, "level=WARN") || strings.Contains(text, "SQLSTATE") {
			t.Errorf("process %d complained:\n%s", i, text)
		}
	}
	dbtest.CheckInvariants(t, pool)
}

// TestPooledProcess is one of the processes of TestPooler.
func TestPooledProcess(t *testing.T) {
	if *pooledURL == "" {
		t.Skip("started by TestPooler")
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	registry := runner.NewRegistry()
	registry.Register("pooled", runner.HandlerFunc(func(ctx context.Context, task *runner.Task) (any, error) {
		tx, err := task.Tx(ctx)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(ctx, "insert into public.effects values ($1, $2)", task.RunID, task.Step)
		return nil, err
	}))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var runners sync.WaitGroup
	for i := range *pooledRunners {
		pool, err := db.Open(ctx, *pooledURL, db.Options{ApplicationName: "pooled", MaxConns: 3})
		if err != nil {
			t.Fatal(err)
		}
		defer pool.Close()
		runners.Go(func() {
			opts := runner.Options{Name: fmt.Sprint("pooled", i), Concurrency: 1, Poll: time.Second, PollOnly: true, Log: log}
			if err := runner.New(pool, registry, opts).Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	runners.Wait()
}

// startPooler runs PgBouncer in front of the server of a pool and returns the URL of
// its database, as a runner should use it.
func startPooler(t *testing.T, pgbouncer string, pool *pgxpool.Pool) (url string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pooler") // PgBouncer's user cannot read t.TempDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, own, _ := net.SplitHostPort(free.Addr().String())
	free.Close()
	to := pool.Config().ConnConfig
	config := filepath.Join(dir, "pgbouncer.ini")
	text := fmt.Sprintf(`[databases]
pooled = host=%s port=%d dbname=%s user=%s password='%s'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = %d
max_client_conn = 1000
`, to.Host, to.Port, to.Database, to.User, to.Password, own, serverConns)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{config}
	if os.Geteuid() == 0 { // as which it refuses to run
		args = []string{"-u", "postgres", config}
	}
	var log bytes.Buffer
	c := osexec.Command(pgbouncer, args...)
	c.Stdout, c.Stderr = io.Discard, &log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	address := net.JoinHostPort("127.0.0.1", own)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return "postgres://pooled@" + address + "/pooled" + pooledParameters
		}
		if time.Now().After(deadline) {
			t.Fatal(errors.Join(errors.New("pgbouncer does not answer"), err, errors.New(log.String())))
		}
	}
}
