package runnertest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner"
	"github.com/htdag/htdag/runner/runnertest"
)

// A flow runs through in one call, maps included, and what it put out can be looked at.
func TestRunToIdle(t *testing.T) {
	t.Parallel()
	h := runnertest.New(t, dbtest.New(t))
	h.Define(`{"flow": "squares", "steps": [{"name": "numbers"}, {"name": "square", "needs": ["numbers"], "map": "numbers", "queue": "elsewhere"},
		{"name": "total", "needs": ["square"], "wants_needs": true}]}`)
	h.Handle("numbers", func(context.Context, *runner.Task) (any, error) { return []int{1, 2, 3}, nil })
	runner.Register(h.Registry, "square", func(_ context.Context, _ *runner.Task, n int) (int, error) { return n * n, nil })
	h.Handle("total", func(_ context.Context, task *runner.Task) (any, error) {
		needs, err := runner.Needs[struct{ Square []int }](task)
		sum := 0
		for _, n := range needs.Square {
			sum += n
		}
		return sum, err
	})
	run := h.Start("squares", nil)
	if n := h.RunToIdle(); n != 5 {
		t.Errorf("%d tasks were done, want 5", n)
	}
	if state := h.State(run); state != "succeeded" {
		t.Errorf("the run is %s: %s", state, h.Error(run))
	}
	if got := string(h.Output(run, "square")); got != "[1, 4, 9]" {
		t.Errorf("the squares are %s", got)
	}
	if got := string(h.Output(run, "total")); got != "14" {
		t.Errorf("the total is %s", got)
	}
	if n := h.RunToIdle(); n != 0 {
		t.Errorf("%d tasks were done when there was nothing to do", n)
	}
}

// A retry comes when the clock says so, and not before.
func TestAdvance(t *testing.T) {
	t.Parallel()
	h := runnertest.New(t, dbtest.New(t))
	h.Define(`{"flow": "f", "steps": [{"name": "flaky", "initial_delay": "1 min", "max_retries": 1}, {"name": "after", "needs": ["flaky"]}]}`)
	tries := 0
	h.Handle("flaky", func(_ context.Context, task *runner.Task) (any, error) {
		if tries++; tries != task.Attempt {
			t.Errorf("try %d calls itself %d", tries, task.Attempt)
		}
		if tries < 2 {
			return nil, errors.New("not yet")
		}
		return json.RawMessage(`{"tries":2}`), nil
	})
	h.Handle("after", func(context.Context, *runner.Task) (any, error) { return nil, nil })
	run := h.Start("f", map[string]int{"n": 1})
	h.RunToIdle()
	if got, want := h.Steps(run), map[string]string{"flaky": "waiting", "after": "waiting"}; !cmp.Equal(got, want) {
		t.Errorf("steps are %v, want %v", got, want)
	}
	h.Advance(59 * time.Second)
	if n := h.RunToIdle(); n != 0 {
		t.Errorf("%d tasks were done a second too early", n)
	}
	h.Advance(time.Second)
	if n := h.RunToIdle(); n != 2 {
		t.Errorf("%d tasks were done, want 2: %q", n, h.Why(run))
	}
	if got, want := h.Steps(run), map[string]string{"flaky": "succeeded", "after": "succeeded"}; !cmp.Equal(got, want) {
		t.Errorf("steps are %v, want %v", got, want)
	}
	if passed := h.Now().Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Truncate(time.Second); passed != time.Minute {
		t.Errorf("%s have passed on the clock, want 1m", passed)
	}
}

// Deadlines pass when the clock moves; what waits for nobody stays ready.
func TestDeadlineAndCancel(t *testing.T) {
	t.Parallel()
	h := runnertest.New(t, dbtest.New(t))
	h.Define(`{"flow": "f", "timeout": "1 h", "steps": [{"name": "a"}]}`)
	late, unwanted := h.Start("f", nil), h.Start("f", nil)
	h.Cancel(unwanted)
	h.RunToIdle()
	if got := h.Steps(late)["a"]; got != "ready" {
		t.Errorf("a step without handler is %s, want ready", got)
	}
	h.Advance(2 * time.Hour)
	if got := h.State(late) + " " + h.State(unwanted); got != "failed cancelled" {
		t.Errorf("the runs are %s, want failed cancelled", got)
	}
}

// The same flow does the same each time, whatever the handlers' own time.
func TestDeterministic(t *testing.T) {
	t.Parallel()
	var logs [2]string
	for i := range logs {
		h := runnertest.New(t, dbtest.New(t))
		h.Define(`{"flow": "f", "steps": [{"name": "a", "map": "input.n"}, {"name": "b", "initial_delay": "0", "max_retries": 2}, {"name": "c", "needs": ["a", "b"]}]}`)
		work := func(_ context.Context, task *runner.Task) (any, error) {
			logs[i] += fmt.Sprintf("%d %s %d %d %s\n", task.RunID, task.Step, task.MapIndex, task.Attempt, h.Now())
			if task.Step == "b" && task.Attempt < 3 {
				return nil, errors.New("again")
			}
			return nil, nil
		}
		for _, kind := range []string{"a", "b", "c"} {
			h.Handle(kind, work)
		}
		for range 3 {
			h.Start("f", map[string][]int{"n": {1, 2, 3}})
		}
		h.RunToIdle()
	}
	if diff := cmp.Diff(logs[0], logs[1]); diff != "" || logs[0] == "" {
		t.Errorf("two times, two stories (-first +second):\n%s", diff)
	}
}

// What a handler does to the runner is contained: a panic is an error like another.
func TestPanic(t *testing.T) {
	t.Parallel()
	h := runnertest.New(t, dbtest.New(t))
	h.Define(`{"flow": "f", "steps": [{"name": "a", "max_retries": 0}]}`)
	h.Handle("a", func(context.Context, *runner.Task) (any, error) { panic("dear me") })
	run := h.Start("f", nil)
	h.RunToIdle()
	if h.State(run) != "failed" || !cmp.Equal(h.Steps(run), map[string]string{"a": "failed"}) {
		t.Errorf("the run is %s, its steps are %v", h.State(run), h.Steps(run))
	}
	if got, want := h.Error(run), "step a: handler of kind a panicked: dear me\n"; len(got) < len(want) || got[:len(want)] != want {
		t.Errorf("the error is %q", got)
	}
}
