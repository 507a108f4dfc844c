package runner_test

import (
	"context"
	"testing"
	"time"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner"
)

// A transaction that starts a run while the only runner is busy, and commits after
// that runner has looked for more and come to rest, wakes nobody. The runner finds
// the work all the same, long before its poll interval of an hour is over.
func TestLateCommitIsFoundSoon(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool, `{"flow": "one", "steps": [{"name": "work"}]}`)
	working, goOn := make(chan struct{}, 2), make(chan struct{})
	launch(t, pool, runner.Options{Poll: time.Hour, Lease: 6 * time.Minute, Concurrency: 1}, map[string]runner.HandlerFunc{
		"work": func(context.Context, *runner.Task) (any, error) {
			working <- struct{}{}
			<-goOn
			return nil, nil
		},
	})
	start(t, pool, "one")
	<-working
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(context.WithoutCancel(t.Context()))
	var late int64
	if err := tx.QueryRow(t.Context(), "select htdag.start_flow('one', '{}')").Scan(&late); err != nil {
		t.Fatal(err)
	}
	close(goOn)
	dbtest.WaitFor(t, pool, "select exists (select from htdag.runners where idle)")
	time.Sleep(50 * time.Millisecond) // for the look that follows the rest
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, pool, late, "succeeded")
}
