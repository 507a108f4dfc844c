package runner_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner"
	"github.com/htdag/htdag/runner/runnertest"
)

// Progress can be seen while the handler works, and tells it when it works in vain.
func TestProgress(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	h := runnertest.New(t, pool)
	h.Define(`{"flow": "f", "steps": [{"name": "a", "bundle": "x"}, {"name": "b", "needs": ["a"], "bundle": "x"}]}`)
	var seen []string
	look := func() {
		seen = append(seen, dbtest.Column[string](t, pool, "select format('%s/%s %s', done, coalesce(total::text, '?'), coalesce(note, '-')) from htdag.progress")...)
	}
	say := func(task *runner.Task, done, total int64, note string) {
		if err := task.Progress(t.Context(), done, total, note); err != nil {
			t.Error(err)
		}
		look()
	}
	var run int64
	h.Handle("a", func(_ context.Context, task *runner.Task) (any, error) {
		say(task, 1, 0, "")
		say(task, 2, 10, "too soon after the first")
		say(task, 10, 10, "the last is never dropped")
		return nil, nil
	})
	h.Handle("b", func(_ context.Context, task *runner.Task) (any, error) {
		say(task, 1, 1, "the next step")
		h.Cancel(run)
		if err := task.Progress(t.Context(), 2, 2, ""); !errors.Is(err, runner.ErrLeaseLost) {
			t.Errorf("after the run was cancelled: %v, want that the lease is lost", err)
		}
		return nil, nil
	})
	run = h.Start("f", nil)
	h.RunToIdle()
	if diff := cmp.Diff([]string{"1/? -", "1/? -", "10/10 the last is never dropped", "1/1 the next step"}, seen); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}
