package db_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/db/dbtest"
)

// TestFloors has a task appear where a session no longer looks, since it has found
// nothing but dead rows there, while there is always other work for it. The session
// finds the task all the same, and at once if it is more urgent than what is there.
func TestFloors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		atOnce bool
		appear func(t *testing.T, w *floorWorld) // makes run w.late the one to look for
	}{
		{"a transaction that commits late", false, func(t *testing.T, w *floorWorld) {
			tx, err := w.pool.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if err := tx.QueryRow(t.Context(), "select htdag.start_flow('work')").Scan(&w.late); err != nil {
				t.Fatal(err)
			}
			w.raise(t)
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
		{"a retry", false, func(t *testing.T, w *floorWorld) {
			w.late = w.claim(t, 1)[0].RunID
			dbtest.Exec(t, w.pool, "select htdag.fail_step(task_id, token, 'once') from htdag.tasks where run_id = $1", w.late)
			w.raise(t)
			dbtest.Exec(t, w.pool, "update htdag.tasks set due_at = htdag.clock() where run_id = $1", w.late)
			dbtest.WaitFor(t, w.pool, "select htdag.upkeep() is not null and (select parked from htdag.tasks where run_id = $1) is null", w.late)
		}},
		{"a delay that is over", false, func(t *testing.T, w *floorWorld) {
			dbtest.Exec(t, w.pool, "select htdag.start_flow('later')")
			w.late = dbtest.Value[int64](t, w.pool, "select max(run_id) from htdag.runs")
			w.raise(t)
			dbtest.Exec(t, w.pool, "update htdag.tasks set due_at = htdag.clock() where run_id = $1", w.late)
			dbtest.WaitFor(t, w.pool, "select htdag.upkeep() is not null and (select parked from htdag.tasks where run_id = $1) is null", w.late)
		}},
		{"a runner that goes", false, func(t *testing.T, w *floorWorld) {
			w.late = w.claim(t, 1)[0].RunID
			w.raise(t)
			dbtest.Exec(t, w.pool, "update htdag.tasks set timeout_at = htdag.clock() where run_id = $1", w.late)
			dbtest.WaitFor(t, w.pool, "select htdag.upkeep() is not null and exists (select from htdag.tasks where run_id = $1 and runner_id is null)", w.late)
			dbtest.Exec(t, w.pool, "update htdag.tasks set parked = null, due_at = null where run_id = $1", w.late)
		}},
		{"a higher priority", true, func(t *testing.T, w *floorWorld) {
			w.raise(t)
			w.late = dbtest.Value[int64](t, w.pool, "select htdag.start_flow('work', p_priority => -1)")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newFloorWorld(t)
			w.work(t)
			c.appear(t, w)
			if below := w.isBelow(t); below == c.atOnce {
				t.Fatalf("whether the task lies below a floor: %t; floors are %s", below, w.floors(t))
			}
			since := time.Now()
			for calls := 1; ; calls++ {
				for _, claim := range w.claim(t, 10) {
					if claim.RunID != w.late {
						continue
					}
					if c.atOnce && calls > 1 {
						t.Errorf("found by call %d only", calls)
					}
					t.Logf("found by call %d, after %s", calls, time.Since(since))
					return
				}
				if time.Since(since) > 15*time.Second {
					t.Fatalf("not found after %s and %d calls; floors are %s", time.Since(since), calls, w.floors(t))
				}
				w.work(t)
			}
		})
	}
}

// A claim that comes back empty has looked everywhere, if not the first time then soon.
func TestFloorsOfAnEmptyQueue(t *testing.T) {
	t.Parallel()
	w := newFloorWorld(t)
	w.work(t)
	held := w.claim(t, 1)[0]
	w.raise(t)
	for len(w.claim(t, 1000)) > 0 {
	}
	dbtest.Exec(t, w.pool, "update htdag.tasks set runner_id = null, token = null, claimed_at = null, timeout_at = null where task_id = $1", held.TaskID)
	since := time.Now()
	for len(w.claim(t, 1)) == 0 {
		if time.Since(since) > 3*time.Second {
			t.Fatalf("not found after %s; floors are %s", time.Since(since), w.floors(t))
		}
	}
	t.Logf("found after %s", time.Since(since))
}

// A floorWorld is a database whose dead rows stay, with one session that claims.
type floorWorld struct {
	pool   *pgxpool.Pool
	conn   *pgx.Conn
	runner testRunner
	late   int64
}

func newFloorWorld(t *testing.T) *floorWorld {
	t.Helper()
	w := &floorWorld{pool: dbtest.New(t)}
	dbtest.Exec(t, w.pool, `select htdag.define_flow('{"flow": "work", "steps": [{"name": "work"}]}')`)
	dbtest.Exec(t, w.pool, `select htdag.define_flow('{"flow": "later", "steps": [{"name": "work", "delay": "1 hour"}]}')`)
	dbtest.Exec(t, w.pool, "alter table htdag.tasks set (autovacuum_enabled = off)") // it would only be in the way
	holder, err := w.pool.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := holder.Exec(t.Context(), "select"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { holder.Rollback(context.Background()) })
	if w.conn, err = pgx.ConnectConfig(t.Context(), w.pool.Config().ConnConfig); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.conn.Close(context.Background()) })
	w.runner.queries = dbsqlc.New(w.conn)
	if err := w.runner.register(t.Context(), "floors", "work"); err != nil {
		t.Fatal(err)
	}
	return w
}

// work keeps the queue deep.
func (w *floorWorld) work(t *testing.T) {
	t.Helper()
	dbtest.Exec(t, w.pool, "select from htdag.start_flows('work', array_fill('{}'::jsonb, array[20]))")
}

// raise takes so many tasks that the session remembers where it need not look, which is
// above all that were there before.
func (w *floorWorld) raise(t *testing.T) {
	t.Helper()
	for range 8 {
		dbtest.Exec(t, w.pool, "select from htdag.start_flows('work', array_fill('{}'::jsonb, array[1000]))")
	}
	for range 60 {
		if got := len(w.claim(t, 100)); got < 100 {
			t.Fatalf("%d tasks claimed where there were 100", got)
		}
	}
}

// isBelow tells whether the task to look for lies below a floor of its priority.
func (w *floorWorld) isBelow(t *testing.T) bool {
	t.Helper()
	return dbtest.Value[bool](t, w.pool, `select exists (select from htdag.tasks t, htdag.stretches(array[t.lane_id], $2::bigint[]) s
		where t.run_id = $1 and t.priority = s.after_priority and t.task_id < s.after_task)`, w.late, w.floors(t))
}

func (w *floorWorld) claim(t *testing.T, want int) []dbsqlc.HtdagClaim {
	t.Helper()
	claims, err := w.runner.exchange(t.Context(), want)
	if err != nil {
		t.Fatal(fmt.Errorf("claim %d: %w", want, err))
	}
	return claims
}

func (w *floorWorld) floors(t *testing.T) (floors string) {
	t.Helper()
	if err := w.conn.QueryRow(t.Context(), "select current_setting('htdag.floors', true)").Scan(&floors); err != nil {
		t.Fatal(err)
	}
	return floors
}
