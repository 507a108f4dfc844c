package db_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/db/dbtest"
)

const (
	stressRunners = 10
	stressTime    = 3 * time.Second
	stressMap     = 5000 // elements of the longest map
)

// stressFlows are shapes whose verbs get in each other's way: joins, bundles, maps,
// failures that end runs, queues that depend on the input, limits.
var stressFlows = []string{
	`{"flow": "chain", "steps": [{"name": "a", "bundle": "x"}, {"name": "b", "bundle": "x", "needs": ["a"]}, {"name": "c", "needs": ["b"]}, {"name": "d", "needs": ["c"]}]}`,
	`{"flow": "diamond", "timeout": "3 s", "steps": [{"name": "a", "queue": "q-{q}"}, {"name": "b", "needs": ["a"], "on_failure": "skip"}, {"name": "c", "needs": ["a"], "on_failure": "continue"},
		{"name": "d", "needs": ["a"]}, {"name": "e", "needs": ["b", "c", "d"]}, {"name": "f", "needs": ["b", "c", "d"], "run_on": "failure"}, {"name": "g", "needs": ["e", "f"], "run_on": "always"}]}`,
	`{"flow": "each", "steps": [{"name": "a"}, {"name": "b", "map": "input.items", "needs": ["a"], "on_failure": "continue"}, {"name": "c", "map": "b", "needs": ["b"], "wants_needs": true}, {"name": "d", "needs": ["c"]}]}`,
	`{"flow": "long", "steps": [{"name": "b", "map": "input.items", "max_retries": 1000}, {"name": "d", "needs": ["b"], "max_retries": 1000}]}`,
	`{"flow": "limited", "steps": [{"name": "a"}, {"name": "b", "needs": ["a"]}]}`,
}

// stress is one attempt to bring the engine out of step.
type stress struct {
	t         *testing.T
	pool      *pgxpool.Pool
	calm      atomic.Bool // only succeed, and start nothing new
	over      atomic.Bool
	exchanges atomic.Int64
}

// Everything at once, for real: no deadlock, nothing lost, everything ends.
func TestStress(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	s := &stress{t: t, pool: pool}
	for _, spec := range stressFlows {
		dbtest.Exec(t, pool, "select htdag.define_flow($1)", strings.ReplaceAll(spec, `"name"`, `"kind": "k", "max_retries": 3, "initial_delay": "20 ms", "max_delay": "100 ms", "name"`))
	}
	dbtest.Exec(t, pool, "select htdag.set_limits('limited', p_max_concurrent_runs => 5)")
	long := dbtest.Value[int64](t, pool, "select htdag.start_flow('long', jsonb_build_object('items', (select jsonb_agg(i) from generate_series(1, $1::int) i)))", stressMap)

	var wg sync.WaitGroup
	for i := range stressRunners {
		wg.Go(func() { s.runner(rand.New(rand.NewPCG(uint64(i), 1))) })
	}
	for i := range 2 {
		wg.Go(func() { s.client(rand.New(rand.NewPCG(uint64(i), 2)), long) })
	}
	time.AfterFunc(stressTime, func() { s.calm.Store(true) })
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		left := dbtest.Column[string](t, pool, "select w from htdag.runs r, htdag.why(r.run_id) w where r.finished_at is null limit 10")
		if s.calm.Load() && len(left) == 0 || t.Failed() {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("not finished after two minutes:\n%s", strings.Join(left, "\n"))
			break
		}
	}
	s.over.Store(true)
	wg.Wait()
	s.check(long)
}

func (s *stress) fail(doing string, err error) {
	if db.Conflict(err) {
		doing = "DEADLOCK: " + doing
	}
	s.t.Errorf("%s: %v", doing, db.Error(err))
	s.over.Store(true)
}

// runner claims and answers like a runner that is not to be trusted: it fails, gives
// back, forgets, answers late and twice, and now and then falls silent for ever.
func (s *stress) runner(rnd *rand.Rand) {
	ctx := s.t.Context()
	for life := 0; !s.over.Load(); life++ {
		r := &testRunner{queries: dbsqlc.New(s.pool)}
		if err := r.register(ctx, fmt.Sprint("stress", life), "k"); err != nil {
			s.fail("register", err)
			return
		}
		if _, err := s.pool.Exec(ctx, "update htdag.runners set queues = '{default,q-a,q-b}', lease_expires_at = htdag.clock() + '1 s' where runner_id = $1", r.id); err != nil {
			s.fail("register", err)
			return
		}
		beat := time.Now()
		silent := time.Now().Add(time.Hour)
		if !s.calm.Load() {
			silent = time.Now().Add(time.Duration(rnd.IntN(3000)) * time.Millisecond)
		}
		var held []dbsqlc.HtdagClaim
		for !s.over.Load() && time.Now().Before(silent) {
			if time.Since(beat) > 150*time.Millisecond {
				beat = time.Now()
				_, err := r.queries.Heartbeat(ctx, dbsqlc.HeartbeatParams{Runner: r.id, Cpu: rnd.Float32(), Lease: time.Second})
				if errors.Is(db.Error(err), db.ErrNotFound) {
					break // too slow: found out
				} else if err != nil {
					s.fail("heartbeat", err)
					return
				}
			}
			rest := held[:0]
			for _, c := range held {
				if !s.calm.Load() && rnd.IntN(10) == 0 {
					rest = append(rest, c) // later, or twice
				}
				s.answer(rnd, r, c)
			}
			claims, err := r.exchange(ctx, rnd.IntN(40))
			s.exchanges.Add(1)
			if errors.Is(db.Error(err), db.ErrNotFound) {
				break
			} else if err != nil {
				s.fail("exchange", err)
				return
			}
			held = append(rest, claims...)
			if len(claims) == 0 {
				time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond)
			}
		}
	}
}

func (s *stress) answer(rnd *rand.Rand, r *testRunner, c dbsqlc.HtdagClaim) {
	if s.calm.Load() {
		r.succeed(c)
		return
	}
	switch n := rnd.IntN(200); {
	case n < 1:
		// Forgotten: only the reaper brings it back.
	case n < 8:
		r.answer(c.TaskID, *c.Token, c.StepNo, "failed", nil)
	case n < 10 && c.MapIndex == nil && c.Flow != "long":
		r.answer(c.TaskID, *c.Token, c.StepNo, "failed_permanently", nil)
	case n < 16:
		r.answer(c.TaskID, *c.Token, c.StepNo, "released", nil)
	case n < 20:
		r.answer(c.TaskID, *c.Token, c.StepNo, "succeeded", nil) // of a bundle only the first
	default:
		r.succeed(c)
	}
}

// client starts, cancels, retries, moves, limits and redefines.
func (s *stress) client(rnd *rand.Rand, long int64) {
	ctx := s.t.Context()
	names := []string{"chain", "chain", "diamond", "diamond", "each", "limited", "limited"}
	for i := 0; !s.calm.Load() && !s.over.Load(); i++ {
		var err error
		switch n := rnd.IntN(16); {
		case n < 6:
			inputs := make([]map[string]any, 1+rnd.IntN(8))
			for j := range inputs {
				inputs[j] = map[string]any{"q": string(rune('a' + rnd.IntN(2))), "items": sequence(rnd.IntN(40))}
			}
			_, err = s.pool.Exec(ctx, "select htdag.start_flows($1, array(select jsonb_array_elements($2::jsonb)), $3)", names[rnd.IntN(len(names))], inputs, rnd.IntN(3)-1)
		case n < 8:
			_, err = s.pool.Exec(ctx, `select htdag.cancel_run(run_id)
				from (select run_id from htdag.runs where finished_at is null and run_id <> $1 order by random() limit 3) r order by run_id`, long)
		case n < 9:
			_, err = s.pool.Exec(ctx, "select htdag.set_limits('limited', p_max_concurrent_runs => $1)", 1+rnd.IntN(10))
		case n < 10:
			spec := strings.Replace(stressFlows[rnd.IntN(2)], `"name": "a"`, fmt.Sprintf(`"timeout": "%d s", "kind": "k", "name": "a"`, 30+rnd.IntN(30)), 1)
			_, err = s.pool.Exec(ctx, "select htdag.define_flow($1)", strings.ReplaceAll(spec, `{"name"`, `{"kind": "k", "initial_delay": "20 ms", "max_delay": "100 ms", "name"`))
		case n < 11:
			_, err = s.pool.Exec(ctx, "select htdag.upkeep()")
		case n < 13:
			_, err = s.pool.Exec(ctx, `select htdag.retry_run(run_id, p_from => case when state = 'succeeded' then array[step] end, p_only_failed => $2)
				from (select r.run_id, r.state, (select name from htdag.steps s where s.flow_version_id = r.flow_version_id order by random() limit 1) as step
				        from htdag.runs r where r.finished_at is not null and r.run_id <> $1 order by random() limit 1) r`, long, rnd.IntN(2) == 0)
			if errors.Is(db.Error(err), db.ErrState) {
				err = nil // somebody else was faster
			}
		case n < 14:
			_, err = s.pool.Exec(ctx, "select htdag.retry_runs($1, p_limit => 5)", names[rnd.IntN(len(names))])
		case n < 15:
			_, err = s.pool.Exec(ctx, "select * from htdag.move_runs($1, p_dry_run => false)", names[rnd.IntN(len(names))])
		default:
			time.Sleep(time.Duration(rnd.IntN(40)) * time.Millisecond)
		}
		if err != nil {
			s.fail("client", err)
			return
		}
	}
}

// check looks at what is left when everything has ended.
func (s *stress) check(long int64) {
	t, pool := s.t, s.pool
	dbtest.Exec(t, pool, "select htdag.upkeep()")
	dbtest.CheckInvariants(t, pool)
	for _, c := range []struct{ wrong, query string }{
		{"tasks are left", "select format('run %s step %s', run_id, step_no) from htdag.tasks"},
		{"runs are left", "select format('run %s %s', run_id, state) from htdag.runs where finished_at is null"},
		{"a step that succeeded did not do so once", `
			select format('run %s step %s: %s', r.run_id, s.step_no, count(a.*))
			  from htdag.runs r
			  join htdag.steps s using (flow_version_id)
			  left join htdag.attempts a on a.run_id = r.run_id and a.step_no = s.step_no and a.outcome = 'succeeded' and not a.superseded
			 where get_bit(r.succeeded, s.step_no) = 1 and not s.is_map
			 group by r.run_id, s.step_no having count(a.*) <> 1`},
		{"an element succeeded twice", `
			select format('run %s step %s element %s', run_id, step_no, map_index) from htdag.attempts where outcome = 'succeeded' and not superseded
			 group by run_id, step_no, map_index having count(*) > 1`},
		{"a step was tried too often", `
			select format('run %s step %s: %s tries', a.run_id, s.name, count(*))
			  from htdag.attempts a join htdag.runs r using (run_id) join htdag.steps s on s.flow_version_id = r.flow_version_id and s.step_no = a.step_no
			 where a.outcome <> 'cancelled'
			 group by a.run_id, s.name, a.map_index, a.epoch, s.max_retries having count(*) > s.max_retries + 1`},
		{"the server met deadlocks", "select deadlocks::text from pg_stat_database where datname = current_database() and deadlocks > 0"},
	} {
		for _, row := range dbtest.Column[string](t, pool, c.query+" limit 10") {
			t.Errorf("%s: %s", c.wrong, row)
		}
	}
	if state := dbtest.Value[string](t, pool, "select state from htdag.runs where run_id = $1", long); state == "succeeded" {
		if n := dbtest.Value[int](t, pool, "select count(*) from htdag.attempts where run_id = $1 and step_no = 0 and outcome = 'succeeded'", long); n != stressMap {
			t.Errorf("the long map succeeded with %d of %d elements", n, stressMap)
		}
	} else {
		t.Errorf("the run with the long map %s", state)
	}
	t.Logf("%d exchanges, %d runs, %d retries, %d attempts; outcomes: %s", s.exchanges.Load(), dbtest.Value[int](t, pool, "select count(*) from htdag.runs"),
		dbtest.Value[int](t, pool, "select count(*) from htdag.retries"),
		dbtest.Value[int](t, pool, "select count(*) from htdag.attempts"),
		strings.Join(dbtest.Column[string](t, pool, "select outcome || ' ' || count(*) from htdag.attempts group by outcome order by 1"), ", "))
}
