package runner_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner"
	"github.com/htdag/htdag/runner/runnertest"
)

// A code that the definition lists ends the tries; another does not.
func TestCodedErrors(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	h := runnertest.New(t, pool)
	h.Define(`{"flow": "f", "steps": [{"name": "call", "max_retries": 5, "no_retry": ["not_found", "forbidden"]}]}`)
	codes := []string{"busy", "", "forbidden"}
	tries := 0
	h.Handle("call", func(context.Context, *runner.Task) (any, error) {
		tries++
		if code := codes[tries-1]; code != "" {
			return nil, runner.Coded(code, errors.New("no"))
		}
		return nil, errors.New("no")
	})
	run := h.Start("f", nil)
	for range 5 {
		h.RunToIdle()
		h.Advance(time.Hour)
	}
	if tries != 3 || h.State(run) != "failed" {
		t.Errorf("after %d tries the run is %s, want failed after 3", tries, h.State(run))
	}
	got := dbtest.Column[string](t, pool, "select coalesce(code, 'none') from htdag.attempts where run_id = $1 order by attempt", run)
	if diff := cmp.Diff([]string{"busy", "none", "forbidden"}, got); diff != "" {
		t.Errorf("codes of the attempts (-want +got):\n%s", diff)
	}
}

// A handler that is too early is asked again later, as often as it takes; no try is
// counted and nothing of what it wrote is kept.
func TestSnooze(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, "create table written (n int)")
	h := runnertest.New(t, pool)
	h.Define(`{"flow": "f", "steps": [{"name": "poll", "max_retries": 0}]}`)
	calls := 0
	h.Handle("poll", func(ctx context.Context, task *runner.Task) (any, error) {
		calls++
		if task.Attempt != 1 {
			t.Errorf("call %d is try %d", calls, task.Attempt)
		}
		tx, err := task.Tx(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, "insert into written values ($1)", calls); err != nil {
			return nil, err
		}
		if calls < 4 {
			return nil, runner.Snooze(time.Minute)
		}
		return calls, nil
	})
	run := h.Start("f", nil)
	for range 3 {
		h.RunToIdle()
		if got := h.Steps(run)["poll"]; got != "waiting" {
			t.Errorf("after call %d the step is %s, want waiting", calls, got)
		}
		h.Advance(59 * time.Second)
		if n := h.RunToIdle(); n != 0 {
			t.Errorf("it was called a second too early")
		}
		h.Advance(time.Second)
	}
	h.RunToIdle()
	if h.State(run) != "succeeded" || calls != 4 {
		t.Errorf("after %d calls the run is %s", calls, h.State(run))
	}
	if got := dbtest.Column[int](t, pool, "select n from written"); !cmp.Equal(got, []int{4}) {
		t.Errorf("written are %v, want the last alone", got)
	}
}

// A handler may answer with steps; its own succeeds with what they put out, and what
// it wrote is committed with their start.
func TestDecompose(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, "create table written (by text)")
	h := runnertest.New(t, pool)
	h.Define(`{"flow": "f", "steps": [{"name": "plan", "max_retries": 0}, {"name": "sum", "needs": ["plan"], "wants_needs": true}]}`)
	h.Handle("plan", func(ctx context.Context, task *runner.Task) (any, error) {
		tx, err := task.Tx(ctx)
		if err == nil {
			_, err = tx.Exec(ctx, "insert into written values ('plan')")
		}
		if err != nil {
			return nil, err
		}
		return nil, runner.Decompose(map[string]any{
			"input": map[string]any{"parts": []int{1, 2, 3}},
			"steps": []map[string]any{{"name": "part", "map": "input.parts"}},
		})
	})
	runner.Register(h.Registry, "part", func(_ context.Context, _ *runner.Task, n int) (int, error) { return 10 * n, nil })
	h.Handle("sum", func(_ context.Context, task *runner.Task) (any, error) { return task.Needs, nil })
	run := h.Start("f", nil)
	h.RunToIdle()
	if h.State(run) != "succeeded" {
		t.Fatalf("the run is %s: %s %q", h.State(run), h.Error(run), h.Why(run))
	}
	if got, want := string(h.Output(run, "plan")), string(h.Output(h.Children(run)[0], "part")); got != `{"part": [10, 20, 30]}` || want != "[10, 20, 30]" {
		t.Errorf("the step's output is %s, its part's %s", got, want)
	}
	if got := dbtest.Column[string](t, pool, "select by from written"); !cmp.Equal(got, []string{"plan"}) {
		t.Errorf("written by %q", got)
	}
}

// What is no definition fails the step for good, and leaves nothing behind.
func TestDecomposeIntoNonsense(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	h := runnertest.New(t, pool)
	h.Define(`{"flow": "f", "steps": [{"name": "plan", "max_retries": 3}]}`)
	h.Handle("plan", func(context.Context, *runner.Task) (any, error) {
		return nil, runner.Decompose(`{"steps": [{"name": "a", "needs": ["b"]}]}`)
	})
	run := h.Start("f", nil)
	h.RunToIdle()
	if got, want := h.Error(run), `step plan: flow "f:plan": step "a" needs "b", which is not defined`; h.State(run) != "failed" || got != want {
		t.Errorf("the run is %s: %s, want failed: %s", h.State(run), got, want)
	}
	if n := dbtest.Value[int](t, pool, "select count(*) from htdag.flows where name like 'f:%'"); n != 0 {
		t.Error("the definition was kept")
	}
}

// The engine's own steps need no handler: nested flows, SQL and sleeps come to their
// end too.
func TestRunToIdlePumps(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, `create function public.double(p jsonb) returns jsonb language sql immutable return to_jsonb(2 * (p ->> 'n')::int)`)
	h := runnertest.New(t, pool)
	h.Define(`{"flow": "inner", "steps": [{"name": "twice", "kind": "sql", "sql": "public.double", "argument": "$.input"}]}`)
	h.Define(`{"flow": "outer", "steps": [
		{"name": "nap", "kind": "sleep", "delay": "1 h"},
		{"name": "run", "kind": "flow", "flow": "inner", "needs": ["nap"]},
		{"name": "end", "needs": ["run"], "wants_needs": true}]}`)
	h.Handle("end", func(_ context.Context, task *runner.Task) (any, error) { return task.Needs, nil })
	run := h.Start("outer", map[string]int{"n": 21})
	if n := h.RunToIdle(); n != 0 {
		t.Errorf("%d tasks were done before the nap was over", n)
	}
	h.Advance(time.Hour)
	if n := h.RunToIdle(); n != 1 {
		t.Errorf("%d tasks were done, want 1", n)
	}
	if got := string(h.Output(run, "end")); h.State(run) != "succeeded" || got != `{"run": {"twice": 42}}` {
		t.Errorf("the run is %s with %s: %q", h.State(run), got, h.Why(run))
	}
}

// A typed handler gets what the step's argument says, be it of the input, of a need
// or of an element.
func TestArgument(t *testing.T) {
	t.Parallel()
	h := runnertest.New(t, dbtest.New(t))
	h.Define(`{"flow": "f", "steps": [
		{"name": "of_input", "kind": "double", "argument": "$.input.here.n"},
		{"name": "of_need", "kind": "double", "needs": ["of_input"], "argument": "$.needs.of_input"},
		{"name": "of_item", "kind": "double", "map": "input.list", "argument": "$.item.n"},
		{"name": "missing", "kind": "double", "argument": "$.input.there.n", "on_failure": "continue"}]}`)
	runner.Register(h.Registry, "double", func(_ context.Context, _ *runner.Task, n int) (int, error) { return 2 * n, nil })
	run := h.Start("f", map[string]any{"here": map[string]int{"n": 3}, "list": []map[string]int{{"n": 1}, {"n": 2}}})
	h.RunToIdle()
	for step, want := range map[string]string{"of_input": "6", "of_need": "12", "of_item": "[2, 4]"} {
		if got := string(h.Output(run, step)); got != want {
			t.Errorf("step %s puts out %s, want %s: %s", step, got, want, h.Error(run))
		}
	}
	if got := h.Steps(run)["missing"]; got != "failed" {
		t.Errorf("a step whose argument is not there %s, want failed", got)
	}
}
