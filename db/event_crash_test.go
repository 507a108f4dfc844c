package db_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/db/localpg"
)

// A server killed between a send and its commit shows nothing of it: a run, its event,
// the message of the event, its delivery and what was sent beside it are all there
// or none of them is. What was committed is there.
func TestServerKilledBetweenSendAndCommit(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a server of its own, several times")
	}
	s := newDurable(t)
	pool := s.start()
	if err := db.Up(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, pool, `select htdag.define_flow('{"flow": "job", "steps": [{"name": "a"}]}'), pgmq.create('beside'),
		htdag.subscribe('queue', '{}', 'pgmq:heard'), htdag.subscribe('hook', '{}', 'https://example.com/'), htdag.subscribe('channel', '{}', 'notify:heard')`)

	// One that has sent everything, and waits.
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var sent int
	err = tx.QueryRow(t.Context(), `select count(*) from (select htdag.send_with_notify('beside', to_jsonb(run)) from (select htdag.start_flow('job') as run) r) m`).Scan(&sent)
	if err == nil {
		err = tx.QueryRow(t.Context(), "select (select count(*) from htdag.events) + (select count(*) from pgmq.q_heard) + (select count(*) from htdag.deliveries)").Scan(&sent)
	}
	if err != nil || sent != 3 {
		t.Fatalf("%d of 3 are seen by the transaction itself (%v)", sent, err)
	}
	s.kill()
	_ = tx.Rollback(t.Context()) // its connection is dead; this gives it back
	pool = s.start()
	if left := dbtest.Value[int](t, pool, `select (select count(*) from htdag.runs) + (select count(*) from htdag.events) + (select count(*) from htdag.deliveries)
		+ (select count(*) from pgmq.q_heard) + (select count(*) from pgmq.q_beside)`); left != 0 {
		t.Errorf("%d rows of the transaction are left", left)
	}

	// Several at work when it is killed, wherever they are just then.
	committed := map[int64]bool{}
	for range 2 {
		var mu sync.Mutex
		var work sync.WaitGroup
		for range 4 {
			work.Go(func() {
				for {
					var run int64
					err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
						if err := tx.QueryRow(t.Context(), "select htdag.start_flow('job')").Scan(&run); err != nil {
							return err
						}
						if _, err := tx.Exec(t.Context(), "select htdag.cancel_run($1)", run); err != nil {
							return err
						}
						_, err := tx.Exec(t.Context(), "select htdag.send_with_notify('beside', to_jsonb($1::bigint))", run)
						return err
					})
					if err != nil {
						return
					}
					mu.Lock()
					committed[run] = true
					mu.Unlock()
				}
			})
		}
		before := len(committed)
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			mu.Lock()
			n := len(committed)
			mu.Unlock()
			if n >= before+30 || time.Now().After(deadline) {
				break
			}
		}
		s.kill()
		work.Wait()
		pool = s.start()
	}
	if len(committed) < 60 {
		t.Errorf("only %d transactions were committed", len(committed))
	}
	runs := dbtest.Column[int64](t, pool, "select run_id from htdag.runs order by 1")
	there := map[int64]bool{}
	for _, run := range runs {
		there[run] = true
	}
	for run := range committed {
		if !there[run] {
			t.Errorf("run %d was committed and is gone", run)
		}
	}
	for what, query := range map[string]string{
		"events":          "select run_id from htdag.events where kind = 'run.started' order by 1",
		"second events":   "select run_id from htdag.events where kind = 'run.cancelled' order by 1",
		"deliveries":      "select run_id from (select run_id, count(*) as n from htdag.deliveries group by 1) d where n = 2 order by 1",
		"messages":        "select (message -> 'run')::bigint from pgmq.q_heard where message ->> 'kind' = 'run.started' order by 1",
		"second messages": "select (message -> 'run')::bigint from pgmq.q_heard where message ->> 'kind' = 'run.cancelled' order by 1",
		"sent beside":     "select message::bigint from pgmq.q_beside order by 1",
	} {
		if diff := cmp.Diff(runs, dbtest.Column[int64](t, pool, query)); diff != "" {
			t.Errorf("%s (-runs +found):\n%s", what, diff)
		}
	}
	dbtest.CheckInvariants(t, pool)
}

// durable is a server that keeps what was committed when it is killed.
type durable struct {
	t       *testing.T
	options localpg.Options
	server  *localpg.Server
}

func newDurable(t *testing.T) *durable {
	dir, err := os.MkdirTemp("", "htdag-durable-")
	if err == nil {
		err = os.Chmod(dir, 0o755) // the server may run as another user
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &durable{t: t, options: localpg.Options{Dir: filepath.Join(dir, "pg")}}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_, err := localpg.Stop(ctx, s.options)
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return s
}

func (s *durable) start() *pgxpool.Pool {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	var err error
	if s.server, err = localpg.Start(ctx, s.options); err != nil {
		s.t.Fatal(err)
	}
	if err := s.server.EnsureDatabase(ctx, "crash"); err != nil {
		s.t.Fatal(err)
	}
	pool, err := db.Open(ctx, s.server.URL("crash"), db.Options{MaxConns: 8})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(pool.Close)
	return pool
}

func (s *durable) kill() {
	s.t.Helper()
	if err := syscall.Kill(s.server.Status().PID, syscall.SIGKILL); err != nil {
		s.t.Fatal(err)
	}
}
