package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/runner"
)

// htdagRunner is what a program does that uses htdag: one runner.Runner with its pool,
// handlers in goroutines, woken by notifications when there is nothing to do.
type htdagRunner struct {
	shape Shape
	conns conns // of those who start runs
	pool  *pgxpool.Pool
}

// runnerConcurrency is how many handlers a runner has at work, and so how many steps
// it completes and claims in one call.
const runnerConcurrency = 100

func (e *htdagRunner) Name() string    { return "htdag runner" }
func (e *htdagRunner) Shapes() []Shape { return []Shape{Chain, Diamond, Map, Ingest, Jobs, Idle} }

func (e *htdagRunner) Open(ctx context.Context, url string, shape Shape) (err error) {
	e.shape, e.conns.url = shape, url
	if err := installHtdag(ctx, url, shape, false); err != nil {
		return err
	}
	e.pool, err = db.Open(ctx, url, db.Options{MaxConns: 16})
	return err
}

func (e *htdagRunner) Run(ctx context.Context, runs, workers int) (Sample, error) {
	if err := e.conns.atLeast(ctx, workers); err != nil {
		return Sample{}, err
	}
	starter := &htdagSQL{shape: e.shape, conns: e.conns}
	if e.shape == Idle {
		return e.idle(ctx, starter, runs)
	}
	began := time.Now()
	err := startAll(ctx, runs, workers, htdagStarts, func(ctx context.Context, w, n int) error {
		_, err := starter.start(ctx, w, n)
		return err
	})
	if err != nil {
		return Sample{}, err
	}
	started := time.Now()
	var ended time.Time
	err = e.serve(ctx, func(ctx context.Context) error {
		err := e.until(ctx, 5*time.Millisecond, "select not exists (select from htdag.runs where state in ('running', 'paused') and parent_run_id is null)")
		ended = time.Now()
		return err
	})
	return Sample{Wall: ended.Sub(began), Drain: ended.Sub(started)}, err
}

// idle starts a run, looks until it has ended, and starts the next.
func (e *htdagRunner) idle(ctx context.Context, starter *htdagSQL, runs int) (s Sample, err error) {
	began := time.Now()
	err = e.serve(ctx, func(ctx context.Context) error {
		for range runs {
			asked := time.Now()
			ids, err := starter.start(ctx, 0, 1)
			if err != nil {
				return err
			}
			if err := e.until(ctx, 500*time.Microsecond, "select state = 'succeeded' from htdag.runs where run_id = $1", ids[0]); err != nil {
				return err
			}
			s.Latencies = append(s.Latencies, time.Since(asked))
		}
		return nil
	})
	s.Wall = time.Since(began)
	return s, err
}

// serve has a runner at work while do is under way.
func (e *htdagRunner) serve(ctx context.Context, do func(context.Context) error) error {
	registry := runner.NewRegistry()
	registry.Register("noop", runner.HandlerFunc(func(_ context.Context, t *runner.Task) (any, error) {
		switch {
		case t.Item != nil:
			return t.Item, nil
		case t.Step == "list":
			return elements, nil
		}
		return nil, nil
	}))
	g, ctx := errgroup.WithContext(ctx)
	working, stop := context.WithCancel(ctx)
	g.Go(func() error {
		return runner.New(e.pool, registry, runner.Options{Name: "bench", Concurrency: runnerConcurrency}).Run(working)
	})
	g.Go(func() error {
		defer stop()
		return do(ctx)
	})
	return g.Wait()
}

// until asks again and again until the answer is true.
func (e *htdagRunner) until(ctx context.Context, every time.Duration, question string, args ...any) error {
	for {
		var yes bool
		if err := e.pool.QueryRow(ctx, question, args...).Scan(&yes); err != nil || yes {
			return err
		}
		time.Sleep(every)
	}
}

func (e *htdagRunner) Verify(ctx context.Context, runs int) error {
	return verifyHtdag(ctx, &e.conns, e.shape, runs)
}

func (e *htdagRunner) Close(ctx context.Context) error {
	if e.pool != nil {
		e.pool.Close()
	}
	return e.conns.close(ctx)
}
