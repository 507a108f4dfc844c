package runner_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner"
)

// statements counts what the connections of a pool send.
type statements struct{ n atomic.Int64 }

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	s.n.Add(1)
	return ctx
}
func (*statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// Ten runners with nothing to do cost the database less than five statements a second
// in all, with the settings that runners have by themselves.
func TestIdleRunnersAreQuiet(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector does not change how often runners look")
	}
	t.Parallel()
	const runners, window = 10, 20 * time.Second
	config := dbtest.New(t).Config()
	sent := new(statements)
	config.ConnConfig.Tracer = sent
	config.MaxConns = 3 * runners
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	define(t, pool, `{"flow": "one", "steps": [{"name": "work"}]}`)
	for range runners {
		launch(t, pool, runner.Options{}, map[string]runner.HandlerFunc{
			"work": func(context.Context, *runner.Task) (any, error) { return nil, nil },
		})
	}
	// Two polls later, what they do at first is over.
	dbtest.WaitFor(t, pool, "select count(*) = 10 from htdag.runners where idle")
	time.Sleep(12 * time.Second)
	before := sent.n.Load()
	time.Sleep(window)
	n := sent.n.Load() - before
	t.Logf("%d statements in %v", n, window)
	if limit := int64(5 * window.Seconds()); n >= limit {
		t.Errorf("%d runners with nothing to do sent %d statements in %v, want fewer than %d", runners, n, window, limit)
	}
	if n == 0 {
		t.Error("nobody looked for work")
	}
}
