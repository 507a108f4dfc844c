package db_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/db/dbtest"
)

// exceeded lists every limit of TestLimitsHold that is broken at this moment, as of one
// snapshot. A run of its own, started by a step, is no run of its flow's limit.
const exceeded = `
	select format('%s runs at once', count(*)) from htdag.runs where state in ('running', 'paused') and parent_run_id is null and flow_id = (select flow_id from htdag.flows where name = 'narrow') having count(*) > 6
	union all
	select format('%s runs of %s at once', count(*), limit_key) from htdag.runs where state in ('running', 'paused') and limit_key is not null group by limit_key having count(*) > 2
	union all
	select format('%s tasks of %s at once', count(*), limit_key) from htdag.tasks where parked is null and limit_key like 'tool:%' group by limit_key having count(*) > 2
	union all
	select format('%s tasks in the queue at once', count(*)) from htdag.tasks join htdag.steps s using (flow_version_id, step_no) where parked is null and s.queue = 'few' having count(*) > 3
	union all
	select format('key %s has %s runs under way', r.input ->> 'key', count(*)) from htdag.runs u join htdag.run_io r using (run_id)
	 where u.finished_at is null and r.input ? 'key' group by r.input ->> 'key' having count(*) > 1`

// With runners, clients, pauses, cancellations and upkeep all at once, no limit is
// exceeded at any moment, no key has two runs, and everything ends.
func TestLimitsHold(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	for _, spec := range []string{
		`{"flow": "narrow", "steps": [{"name": "a", "limit_key": "tool:{tenant}"}, {"name": "b", "queue": "few", "needs": ["a"]}, {"name": "c", "needs": ["b"]}]}`,
		`{"flow": "wide", "steps": [{"name": "a", "map": "input.items", "limit_key": "tool:{tenant}", "queue": "few"}, {"name": "b", "delay": "5 ms", "limit_key": "tool:all", "needs": ["a"]}]}`,
	} {
		dbtest.Exec(t, pool, "select htdag.define_flow($1)", strings.ReplaceAll(spec, `"name"`, `"kind": "k", "max_retries": 1000, "initial_delay": "5 ms", "max_delay": "20 ms", "name"`))
	}
	dbtest.Exec(t, pool, `select htdag.set_limits('narrow', p_max_concurrent_runs => 6, p_key => 'tenant', p_max_concurrent_per_key => 2),
		htdag.set_limit('tool:*', 2), htdag.set_queue_limit('few', 3)`)

	var calm, over atomic.Bool
	fail := func(doing string, err error) {
		if db.Conflict(err) {
			doing = "DEADLOCK: " + doing
		}
		t.Errorf("%s: %v", doing, db.Error(err))
		over.Store(true)
	}
	var wg sync.WaitGroup
	for i := range 6 {
		rnd := rand.New(rand.NewPCG(uint64(i), 3))
		wg.Go(func() {
			if err := limitedRunner(t.Context(), pool, rnd, &calm, &over); err != nil {
				fail("runner", err)
			}
		})
	}
	for i := range 2 {
		rnd := rand.New(rand.NewPCG(uint64(i), 4))
		wg.Go(func() {
			for !calm.Load() && !over.Load() {
				if err := disturb(t.Context(), pool, rnd); err != nil {
					fail("client", err)
				}
				time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
			}
		})
	}
	looks := 0
	wg.Go(func() {
		for ; !over.Load(); looks++ {
			rows, err := pool.Query(t.Context(), exceeded)
			if err != nil {
				fail("look", err)
				return
			}
			broken, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				fail("look", err)
			}
			for _, b := range broken {
				t.Error(b)
				over.Store(true)
			}
			time.Sleep(time.Millisecond)
		}
	})

	time.Sleep(stressTime)
	calm.Store(true)
	for began := time.Now(); !over.Load(); time.Sleep(50 * time.Millisecond) {
		// A client may have paused something after the last look.
		dbtest.Exec(t, pool, "select htdag.resume_queue('few'), htdag.resume_queue('default'), htdag.resume_flow('narrow')")
		dbtest.Exec(t, pool, "select htdag.resume_run(run_id) from htdag.runs where finished_at is null order by run_id")
		left := dbtest.Column[string](t, pool, "select format('run %s: %s', r.run_id, w) from htdag.runs r, htdag.why(r.run_id) w where r.finished_at is null limit 10")
		if len(left) == 0 {
			break
		}
		if time.Since(began) > 2*time.Minute {
			t.Errorf("not finished after two minutes:\n%s", strings.Join(left, "\n"))
			break
		}
	}
	over.Store(true)
	wg.Wait()
	dbtest.Exec(t, pool, "select htdag.upkeep()")
	dbtest.CheckInvariants(t, pool)
	if n := dbtest.Value[int](t, pool, "select count(*) from htdag.pauses where kind = 'run'"); n > 0 {
		t.Errorf("%d pauses of runs that have ended are left", n)
	}
	t.Logf("%d looks; runs: %s", looks, strings.Join(dbtest.Column[string](t, pool, "select state || ' ' || count(*) from htdag.runs group by state order by 1"), ", "))
}

// limitedRunner works until over, and while it is not calm sometimes fails or gives back.
func limitedRunner(ctx context.Context, pool *pgxpool.Pool, rnd *rand.Rand, calm, over *atomic.Bool) error {
	r := &testRunner{queries: dbsqlc.New(pool)}
	if err := r.register(ctx, "limited", "k"); err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, "update htdag.runners set queues = '{default,few}', lease_expires_at = 'infinity' where runner_id = $1", r.id); err != nil {
		return err
	}
	for !over.Load() {
		claims, err := r.exchange(ctx, 1+rnd.IntN(4))
		if err != nil {
			return err
		}
		for _, c := range claims {
			switch n := rnd.IntN(20); {
			case calm.Load() || n > 3:
				r.succeed(c)
			case n > 1:
				r.answer(c.TaskID, *c.Token, c.StepNo, "released", nil)
			default:
				r.answer(c.TaskID, *c.Token, c.StepNo, "failed", nil)
			}
		}
		time.Sleep(time.Duration(rnd.IntN(2000)) * time.Microsecond)
	}
	return nil
}

// disturb does one thing that a client may do.
func disturb(ctx context.Context, pool *pgxpool.Pool, rnd *rand.Rand) (err error) {
	one := "(select run_id from htdag.runs where finished_at is null order by random() limit 1)"
	switch n := rnd.IntN(16); {
	case n < 3:
		_, err = pool.Exec(ctx, "select htdag.start_flows('narrow', array(select jsonb_build_object('tenant', 't' || i % 5) from generate_series(1, $1::int) i), $2)", 1+rnd.IntN(5), rnd.IntN(2))
	case n < 5:
		_, err = pool.Exec(ctx, `select htdag.start_flow('wide', jsonb_build_object('tenant', 't' || $1::int, 'items', (select jsonb_agg(i) from generate_series(1, $2::int) i)))`, rnd.IntN(5), 1+rnd.IntN(5))
	case n < 8:
		key := fmt.Sprint("k", rnd.IntN(3))
		policy := []string{"return", "restart", "restart_failed", "replace"}[rnd.IntN(4)]
		_, err = pool.Exec(ctx, `select htdag.start_flow('wide', jsonb_build_object('key', $1::text, 'tenant', 'k', 'items', '[1, 2]'::jsonb), p_key => $1::text, p_on_duplicate => $2::text)`, key, policy)
	case n < 10:
		_, err = pool.Exec(ctx, "select htdag.pause_run(run_id) from "+one+" r")
	case n < 12:
		_, err = pool.Exec(ctx, "select htdag.resume_run(run_id) from "+one+" r")
	case n < 13:
		_, err = pool.Exec(ctx, "select htdag.cancel_run(run_id) from "+one+" r")
	case n < 14:
		_, err = pool.Exec(ctx, []string{"select htdag.pause_flow('narrow', p_running => true)", "select htdag.resume_flow('narrow')", "select htdag.resume_flow('narrow')"}[rnd.IntN(3)])
	case n < 15:
		_, err = pool.Exec(ctx, []string{"select htdag.pause_queue('few')", "select htdag.resume_queue('few')", "select htdag.resume_queue('few')"}[rnd.IntN(3)])
	default:
		_, err = pool.Exec(ctx, "select htdag.upkeep()")
	}
	return err
}
