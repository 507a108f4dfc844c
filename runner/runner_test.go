package runner_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner"
)

func TestMain(m *testing.M) {
	// The server for tests is watched by goroutines that live as long as the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/htdag/htdag/db/localpg.(*ephemeral).watch"),
		goleak.IgnoreAnyFunction("os/exec.(*Cmd).Start.func2"), goleak.IgnoreAnyFunction("os/exec.(*Cmd).watchCtx.func1"))
}

func define(t *testing.T, pool *pgxpool.Pool, spec string) {
	t.Helper()
	dbtest.Exec(t, pool, "select htdag.define_flow($1)", json.RawMessage(spec))
}

func start(t *testing.T, pool *pgxpool.Pool, flow string) int64 {
	t.Helper()
	return dbtest.Value[int64](t, pool, "select htdag.start_flow($1)", flow)
}

func await(t *testing.T, pool *pgxpool.Pool, run int64, state string) {
	t.Helper()
	dbtest.WaitFor(t, pool, "select finished_at is not null from report.runs where run_id = $1", run)
	if got := dbtest.Value[string](t, pool, "select state from report.runs where run_id = $1", run); got != state {
		lines := dbtest.Column[string](t, pool, "select format('%s %s %s', step, state, error) from report.steps where run_id = $1", run)
		t.Errorf("run %d is %s, want %s: %q", run, got, state, lines)
	}
	dbtest.CheckInvariants(t, pool)
}

// launch runs a runner until the test ends and returns a function that stops it.
func launch(t *testing.T, pool *pgxpool.Pool, opts runner.Options, handlers map[string]runner.HandlerFunc) (stop func()) {
	t.Helper()
	registry := runner.NewRegistry()
	for kind, h := range handlers {
		registry.Register(kind, h)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := runner.New(pool, registry, opts).Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

func ok(context.Context, *runner.Task) (any, error) { return nil, nil }

func TestChainWithOutputs(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool, `{"flow": "sum", "steps": [
		{"name": "one"}, {"name": "two", "needs": ["one"]},
		{"name": "add", "needs": ["one", "two"], "wants_needs": true}]}`)
	launch(t, pool, runner.Options{}, map[string]runner.HandlerFunc{
		"one": func(context.Context, *runner.Task) (any, error) { return 1, nil },
		"two": func(context.Context, *runner.Task) (any, error) { return 2, nil },
		"add": func(_ context.Context, task *runner.Task) (any, error) {
			var needs struct{ One, Two int }
			if err := json.Unmarshal(task.Needs, &needs); err != nil {
				return nil, err
			}
			return needs.One + needs.Two, nil
		},
	})
	run := start(t, pool, "sum")
	await(t, pool, run, "succeeded")
	if got := dbtest.Value[int](t, pool, "select htdag.step_output($1, 2)::int", run); got != 3 {
		t.Errorf("1 + 2 = %d", got)
	}
}

func TestMapOverAStepsOutput(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool, `{"flow": "squares", "steps": [
		{"name": "numbers"}, {"name": "square", "needs": ["numbers"], "map": "numbers"},
		{"name": "total", "needs": ["square"], "wants_needs": true}]}`)
	const n = 2500
	launch(t, pool, runner.Options{Concurrency: 20}, map[string]runner.HandlerFunc{
		"numbers": func(context.Context, *runner.Task) (any, error) {
			numbers := make([]int, n)
			for i := range numbers {
				numbers[i] = i
			}
			return numbers, nil
		},
		"square": func(_ context.Context, task *runner.Task) (any, error) {
			var i int
			err := json.Unmarshal(task.Item, &i)
			return i * i, err
		},
		"total": func(_ context.Context, task *runner.Task) (any, error) {
			var needs struct{ Square []int }
			err := json.Unmarshal(task.Needs, &needs)
			sum := 0
			for i, sq := range needs.Square {
				if sq != i*i {
					return nil, fmt.Errorf("element %d is %d", i, sq)
				}
				sum += sq
			}
			return sum, err
		},
	})
	run := start(t, pool, "squares")
	await(t, pool, run, "succeeded")
	if got, want := dbtest.Value[int64](t, pool, "select htdag.step_output($1, 2)::bigint", run), int64(n-1)*n*(2*n-1)/6; got != want {
		t.Errorf("sum of squares is %d, want %d", got, want)
	}
}

func TestRetryTimeoutAndPermanentFailure(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool, `{"flow": "flaky", "steps": [{"name": "flaky", "max_retries": 2, "initial_delay": "10 ms"}]}`)
	define(t, pool, `{"flow": "slow", "steps": [{"name": "slow", "timeout": "50 ms", "max_retries": 1, "initial_delay": "0 s"}]}`)
	define(t, pool, `{"flow": "broken", "steps": [{"name": "broken"}, {"name": "after", "kind": "ok", "needs": ["broken"]},
		{"name": "alarm", "kind": "ok", "needs": ["broken", "after"], "run_on": "failure"}]}`)
	var tries atomic.Int64
	launch(t, pool, runner.Options{Poll: time.Second}, map[string]runner.HandlerFunc{
		"ok": ok,
		"flaky": func(_ context.Context, task *runner.Task) (any, error) {
			if tries.Add(1) < 3 {
				return nil, errors.New("not yet")
			}
			return task.Attempt, nil
		},
		"slow": func(ctx context.Context, _ *runner.Task) (any, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		},
		"broken": func(context.Context, *runner.Task) (any, error) {
			return nil, runner.Permanent(errors.New("beyond repair"))
		},
	})
	flaky, slow, broken := start(t, pool, "flaky"), start(t, pool, "slow"), start(t, pool, "broken")
	await(t, pool, flaky, "succeeded")
	if got := dbtest.Value[int](t, pool, "select htdag.step_output($1, 0)::int", flaky); got != 3 {
		t.Errorf("succeeded in try %d, want 3", got)
	}
	await(t, pool, slow, "failed")
	if got := dbtest.Value[int](t, pool, "select count(*) from htdag.attempts where run_id = $1 and outcome = 'timed_out'", slow); got != 2 {
		t.Errorf("%d tries timed out, want 2", got)
	}
	await(t, pool, broken, "failed")
	states := dbtest.Column[string](t, pool, "select step || ' ' || state from report.steps where run_id = $1", broken)
	if fmt.Sprint(states) != "[broken failed after skipped alarm succeeded]" {
		t.Errorf("got %v", states)
	}
}

// Steps of a bundle share a transaction with their completion: what a failed step
// wrote is gone, what the steps before it wrote stays, and nothing is done twice.
func TestBundleTransaction(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, "create table public.written (step text, attempt int)")
	define(t, pool, `{"flow": "bundled", "steps": [
		{"name": "a", "kind": "write", "bundle": "x"},
		{"name": "b", "kind": "fail_once", "bundle": "x", "needs": ["a"], "initial_delay": "10 ms"},
		{"name": "c", "kind": "write", "bundle": "x", "needs": ["b"]}]}`)
	write := func(ctx context.Context, task *runner.Task) (any, error) {
		tx, err := task.Tx(ctx)
		if err != nil {
			return nil, err
		}
		_, err = tx.Exec(ctx, "insert into public.written values ($1, $2)", task.Step, task.Attempt)
		return nil, err
	}
	launch(t, pool, runner.Options{Poll: time.Second}, map[string]runner.HandlerFunc{
		"write": write,
		"fail_once": func(ctx context.Context, task *runner.Task) (any, error) {
			if _, err := write(ctx, task); err != nil || task.Attempt > 1 {
				return nil, err
			}
			tx, err := task.Tx(ctx)
			if err != nil {
				return nil, err
			}
			_, err = tx.Exec(ctx, "select 1 / 0")
			return nil, err
		},
	})
	run := start(t, pool, "bundled")
	await(t, pool, run, "succeeded")
	written := dbtest.Column[string](t, pool, "select step || attempt from public.written order by 1")
	if fmt.Sprint(written) != "[a1 b2 c1]" {
		t.Errorf("got %v", written)
	}
}

func TestCancelReachesTheHandler(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool, `{"flow": "long", "steps": [{"name": "long", "timeout": "1 h"}]}`)
	cause := make(chan error, 1)
	launch(t, pool, runner.Options{Lease: time.Second}, map[string]runner.HandlerFunc{
		"long": func(ctx context.Context, _ *runner.Task) (any, error) {
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return nil, ctx.Err()
		},
	})
	run := start(t, pool, "long")
	dbtest.WaitFor(t, pool, "select exists (select from htdag.tasks where run_id = $1 and runner_id is not null)", run)
	dbtest.Exec(t, pool, "select htdag.cancel_run($1)", run)
	if err := <-cause; !errors.Is(err, runner.ErrAborted) {
		t.Errorf("the handler's context ended with %v", err)
	}
	await(t, pool, run, "cancelled")
}

// A runner that vanishes loses nothing: its tasks go to another.
func TestSilentRunnerIsReplaced(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool, `{"flow": "handed", "steps": [{"name": "ok"}]}`)
	ghost := dbtest.Value[int](t, pool, "select htdag.register_runner('ghost', '{default}', '{ok}', 1, '300 ms')")
	run := start(t, pool, "handed")
	if n := dbtest.Value[int](t, pool, "select count(*) from htdag.claim_steps($1)", ghost); n != 1 {
		t.Fatalf("the ghost claimed %d tasks", n)
	}
	launch(t, pool, runner.Options{Lease: time.Second}, map[string]runner.HandlerFunc{"ok": ok})
	await(t, pool, run, "succeeded")
	outcomes := dbtest.Column[string](t, pool, "select outcome from htdag.attempts where run_id = $1 order by attempt", run)
	if fmt.Sprint(outcomes) != "[lost succeeded]" {
		t.Errorf("got %v", outcomes)
	}
}

func TestDrainGivesBackWhatHasNotBegun(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool, `{"flow": "two", "steps": [{"name": "first", "bundle": "x"}, {"name": "second", "bundle": "x", "needs": ["first"]}]}`)
	begun, release := make(chan struct{}), make(chan struct{})
	stop := launch(t, pool, runner.Options{}, map[string]runner.HandlerFunc{
		"first": func(context.Context, *runner.Task) (any, error) {
			close(begun)
			<-release
			return nil, nil
		},
		"second": func(context.Context, *runner.Task) (any, error) { return nil, errors.New("must not run") },
	})
	run := start(t, pool, "two")
	<-begun
	stopped := make(chan struct{})
	go func() { stop(); close(stopped) }()
	dbtest.WaitFor(t, pool, "select not exists (select from pg_stat_activity where datname = current_database() and query like 'listen%')")
	close(release)
	<-stopped
	states := dbtest.Column[string](t, pool, "select step || ' ' || state from report.steps where run_id = $1", run)
	if fmt.Sprint(states) != "[first succeeded second ready]" {
		t.Errorf("got %v", states)
	}
	dbtest.CheckInvariants(t, pool)
	launch(t, pool, runner.Options{}, map[string]runner.HandlerFunc{"first": ok, "second": ok})
	await(t, pool, run, "succeeded")
}

func TestRunnerSurvivesLostConnections(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool, `{"flow": "many", "steps": [{"name": "ok", "map": "input.items"}]}`)
	launch(t, pool, runner.Options{Concurrency: 4}, map[string]runner.HandlerFunc{"ok": func(ctx context.Context, _ *runner.Task) (any, error) {
		return nil, nil
	}})
	run := dbtest.Value[int64](t, pool, `select htdag.start_flow('many', jsonb_build_object('items', (select jsonb_agg(i) from generate_series(1, 2000) i)))`)
	for range 5 {
		conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
		if err != nil {
			t.Fatal(err)
		}
		_, err = conn.Exec(t.Context(), "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()")
		if err != nil {
			t.Fatal(err)
		}
		conn.Close(t.Context())
		time.Sleep(50 * time.Millisecond) // let some work happen between the blows
	}
	pool.Reset() // the test's own idle connections are dead, too
	await(t, pool, run, "succeeded")
	if n := dbtest.Value[int](t, pool, "select count(*) from htdag.attempts where run_id = $1 and outcome = 'succeeded'", run); n != 2000 {
		t.Errorf("%d elements succeeded", n)
	}
}
