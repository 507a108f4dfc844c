package runner_test

import (
	"context"
	"testing"
	"time"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner"
)

// What the engine does itself is done as promptly as what handlers do: nothing of it
// waits for a poll or a heartbeat, which here are an hour and a minute apart.
func TestEngineStepsArePrompt(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, `create function public.stamp(p jsonb) returns jsonb language sql security definer set search_path = '' return p -> 'needs'`)
	define(t, pool, `{"flow": "leaf", "output": "stamp", "steps": [{"name": "work", "argument": "$.input"}, {"name": "stamp", "kind": "sql", "sql": "public.stamp", "needs": ["work"]}]}`)
	define(t, pool, `{"flow": "whole", "steps": [
		{"name": "each", "kind": "flow", "flow": "leaf", "map": "input.items"},
		{"name": "nap", "kind": "sleep", "delay": "10 ms", "needs": ["each"]},
		{"name": "go", "kind": "signal", "signal": "go", "needs": ["nap"]},
		{"name": "last", "kind": "work", "needs": ["go"]}]}`)
	launch(t, pool, runner.Options{Poll: time.Hour, Lease: 6 * time.Minute, Concurrency: 4}, map[string]runner.HandlerFunc{
		"work": func(_ context.Context, task *runner.Task) (any, error) { return task.Input, nil },
	})
	dbtest.WaitFor(t, pool, "select exists (select from htdag.runners where idle)")

	began := time.Now()
	run := dbtest.Value[int64](t, pool, `select htdag.start_flow('whole', '{"items": [1, 2, 3, 4, 5]}')`)
	dbtest.WaitFor(t, pool, "select exists (select from htdag.tasks where run_id = $1 and parked = 'signal')", run)
	dbtest.Exec(t, pool, "select htdag.send_signal($1, 'go', '{}')", run)
	await(t, pool, run, "succeeded")
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	if got := dbtest.Value[string](t, pool, "select output::text from htdag.attempts where run_id = $1 and step_no = 0 and map_index = 4", run); got != `{"work": 5}` {
		t.Errorf("the last element came to %s", got)
	}
}
