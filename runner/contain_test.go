package runner_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner"
)

// badOutput panics while it is encoded.
type badOutput struct{}

func (badOutput) MarshalJSON() ([]byte, error) { panic("no JSON today") }

// A handler that panics, ends its goroutine or returns what cannot be encoded fails
// its step and nothing else. What it wrote is rolled back.
func TestHandlersAreContained(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, "create table written (by text)")
	write := func(ctx context.Context, task *runner.Task) {
		tx, err := task.Tx(ctx)
		if err == nil {
			_, err = tx.Exec(ctx, "insert into written values ($1)", task.Step)
		}
		if err != nil {
			t.Error(err)
		}
	}
	errors := map[string]string{
		"panics":   "handler of kind panics panicked: dear me",
		"nilcall":  "runtime error: invalid memory address",
		"exits":    "the handler ended its goroutine",
		"encodes":  "no JSON today",
		"channels": "encode the output of step channels: json: unsupported type: chan int",
	}
	define(t, pool, `{"flow": "bad", "steps": [
		{"name": "panics", "max_retries": 0, "on_failure": "continue"}, {"name": "nilcall", "max_retries": 0, "on_failure": "continue"},
		{"name": "exits", "max_retries": 0, "on_failure": "continue"}, {"name": "encodes", "max_retries": 0, "on_failure": "continue"},
		{"name": "channels", "max_retries": 3, "on_failure": "continue"},
		{"name": "good", "needs": ["panics", "nilcall", "exits", "encodes", "channels"]}]}`)
	launch(t, pool, runner.Options{Concurrency: 2}, map[string]runner.HandlerFunc{
		"panics":  func(ctx context.Context, task *runner.Task) (any, error) { write(ctx, task); panic("dear me") },
		"nilcall": func(context.Context, *runner.Task) (any, error) { var f func(); f(); return nil, nil },
		"exits": func(ctx context.Context, task *runner.Task) (any, error) {
			write(ctx, task)
			runtime.Goexit()
			return nil, nil
		},
		"encodes":  func(ctx context.Context, task *runner.Task) (any, error) { write(ctx, task); return badOutput{}, nil },
		"channels": func(context.Context, *runner.Task) (any, error) { return make(chan int), nil },
		"good":     func(ctx context.Context, task *runner.Task) (any, error) { write(ctx, task); return nil, nil },
	})
	run := start(t, pool, "bad")
	await(t, pool, run, "succeeded")
	for step, want := range errors {
		if got := dbtest.Value[string](t, pool, "select error from report.steps where run_id = $1 and step = $2", run, step); !strings.Contains(got, want) {
			t.Errorf("step %s failed with %q, want %q", step, got, want)
		}
		if n := dbtest.Value[int](t, pool, "select attempts from report.steps where run_id = $1 and step = $2", run, step); n != 1 {
			t.Errorf("step %s was tried %d times", step, n)
		}
	}
	if got := strings.Join(dbtest.Column[string](t, pool, "select by from written"), " "); got != "good" {
		t.Errorf("written by %q", got)
	}
}

// RunToIdle hands in what was written together with the success, and stops at the
// first error of the database.
func TestRunToIdle(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, "create table written (by text)")
	define(t, pool, `{"flow": "f", "steps": [{"name": "a", "bundle": "x"}, {"name": "b", "needs": ["a"], "bundle": "x"}, {"name": "c", "needs": ["b"], "max_retries": 0}]}`)
	registry := runner.NewRegistry()
	handle := func(ctx context.Context, task *runner.Task) (any, error) {
		tx, err := task.Tx(ctx)
		if err != nil {
			return nil, err
		}
		if _, err := tx.Exec(ctx, "insert into written values ($1)", task.Step); err != nil {
			return nil, err
		}
		if task.Step == "c" {
			return nil, errors.New("too late")
		}
		return json.RawMessage(`1`), nil
	}
	for _, kind := range []string{"a", "b", "c"} {
		registry.Register(kind, runner.HandlerFunc(handle))
	}
	run := start(t, pool, "f")
	r := runner.New(pool, registry, runner.Options{})
	if n, err := r.RunToIdle(t.Context()); n != 2 || err != nil {
		t.Errorf("%d tasks, %v; want 2", n, err)
	}
	await(t, pool, run, "failed")
	if got := strings.Join(dbtest.Column[string](t, pool, "select by from written order by 1"), " "); got != "a b" {
		t.Errorf("written by %q, want a b", got)
	}
	if n := dbtest.Value[int](t, pool, "select count(*) from htdag.runners where stopped_at is null and runner_id > 0"); n != 0 {
		t.Errorf("%d runners did not say goodbye", n)
	}

	start(t, pool, "f")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := r.RunToIdle(ctx); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("%d tasks, %v; want none and that the context was cancelled", n, err)
	}

	// Work that is stopped half-way goes to others at once.
	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	registry = runner.NewRegistry()
	registry.Register("a", runner.HandlerFunc(func(ctx context.Context, _ *runner.Task) (any, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	}))
	registry.Register("b", runner.HandlerFunc(handle))
	if _, err := runner.New(pool, registry, runner.Options{}).RunToIdle(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that the context was cancelled", err)
	}
	if n := dbtest.Value[int](t, pool, "select count(*) from htdag.tasks where runner_id is not null"); n != 0 {
		t.Error("somebody holds the task")
	}
	if n := dbtest.Value[int](t, pool, "select count(*) from htdag.runners where stopped_at is null and runner_id > 0"); n != 0 {
		t.Errorf("%d runners did not say goodbye", n)
	}
}
