package runner_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner"
)

// What a runner reads can be changed while it runs.
func TestSetQueues(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, `select htdag.define_flow('{"flow": "hop", "steps": [{"name": "work", "queue": "{to}"}]}')`)
	registry := runner.NewRegistry()
	registry.Register("work", runner.HandlerFunc(func(_ context.Context, t *runner.Task) (any, error) {
		var in struct{ To string }
		return in, json.Unmarshal(t.Input, &in)
	}))
	r := runner.New(pool, registry, runner.Options{Queues: []string{"one"}, Poll: 100 * time.Millisecond})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	state := func(run int64) string {
		return dbtest.Value[string](t, pool, "select state from report.runs where run_id = $1", run)
	}
	begin := func(queue string) int64 {
		return dbtest.Value[int64](t, pool, "select htdag.start_flow('hop', jsonb_build_object('to', $1::text))", queue)
	}
	ends := func(run int64) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); state(run) != "succeeded"; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("run %d is %s", run, state(run))
			}
		}
	}
	ends(begin("one"))
	waiting := begin("two")
	ends(begin("one"))
	if s := state(waiting); s == "succeeded" {
		t.Fatalf("a task of a queue that is not read was done")
	}
	if err := r.SetQueues(ctx, []string{"two"}); err != nil {
		t.Fatal(err)
	}
	ends(waiting)
	left := begin("one")
	ends(begin("two"))
	if s := state(left); s == "succeeded" {
		t.Fatalf("a task of a queue that is read no more was done")
	}
	if err := r.SetQueues(ctx, nil); err == nil {
		t.Error("a runner may read nothing at all")
	}
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
