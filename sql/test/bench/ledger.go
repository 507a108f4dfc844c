package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// A ledger knows which runs have begun and how many of their tasks are done. It is how
// the client side of an engine sees the end of runs without asking the database.
type ledger[K comparable] struct {
	tasks int           // of each run
	ended chan struct{} // one element for each run that has ended
	over  chan struct{} // closed when all have

	mu        sync.Mutex
	runs      map[K]*entry
	left      int // runs that have not ended
	latencies []time.Duration
}

type entry struct {
	begun, ended time.Time // zero while it is not known
	left         int
}

func newLedger[K comparable](runs, tasks int) *ledger[K] {
	return &ledger[K]{tasks: tasks, left: runs, ended: make(chan struct{}, runs), over: make(chan struct{}), runs: make(map[K]*entry, runs)}
}

// begun notes runs that were asked for at a time. Their tasks may be done already.
func (l *ledger[K]) begun(at time.Time, runs ...K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, run := range runs {
		e := l.of(run)
		e.begun = at
		l.settle(run, e)
	}
}

// done notes one task of each of the runs, which may repeat.
func (l *ledger[K]) done(runs ...K) {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, run := range runs {
		e := l.of(run)
		if e.left--; e.left == 0 {
			e.ended = now
			l.settle(run, e)
		}
	}
}

func (l *ledger[K]) of(run K) *entry {
	e := l.runs[run]
	if e == nil {
		e = &entry{left: l.tasks}
		l.runs[run] = e
	}
	return e
}

func (l *ledger[K]) settle(run K, e *entry) {
	if e.begun.IsZero() || e.ended.IsZero() {
		return
	}
	delete(l.runs, run)
	l.latencies = append(l.latencies, e.ended.Sub(e.begun))
	l.ended <- struct{}{}
	if l.left--; l.left == 0 {
		close(l.over)
	}
}

func (l *ledger[K]) isOver() bool {
	select {
	case <-l.over:
		return true
	default:
		return false
	}
}

// A crew is how an engine of the kind "start here, work there" does things. Both
// functions are called by several goroutines at once, with a number of their own.
type crew[K comparable] struct {
	// start starts that many runs in one call and returns their ids.
	start func(ctx context.Context, worker, runs int) ([]K, error)

	// work works until the ledger is over.
	work func(ctx context.Context, worker int, l *ledger[K]) error

	starts int // runs started in one call
}

// run runs a shape: all runs are started by all workers, and then worked on by them.
func (c crew[K]) run(ctx context.Context, shape Shape, runs, workers int) (Sample, error) {
	if shape == Idle {
		return c.oneByOne(ctx, shape, runs)
	}
	l := newLedger[K](runs, shape.Tasks())
	began := time.Now()
	err := startAll(ctx, runs, workers, c.starts, func(ctx context.Context, w, n int) error {
		asked := time.Now()
		ids, err := c.start(ctx, w, n)
		l.begun(asked, ids...)
		return err
	})
	if err != nil {
		return Sample{}, err
	}
	started := time.Now()
	if shape == Storm {
		return Sample{Wall: started.Sub(began)}, nil
	}
	g, working := errgroup.WithContext(ctx)
	for w := range workers {
		g.Go(func() error { return c.work(working, w, l) })
	}
	if err := g.Wait(); err != nil {
		return Sample{}, err
	}
	return Sample{Wall: time.Since(began), Drain: time.Since(started), Latencies: l.latencies}, nil
}

// startAll starts runs from all workers, some number of them in a call.
func startAll(ctx context.Context, runs, workers, batch int, start func(ctx context.Context, worker, n int) error) error {
	batches := make(chan int, runs)
	for left := runs; left > 0; left -= batch {
		batches <- min(left, batch)
	}
	close(batches)
	g, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		g.Go(func() error {
			for n := range batches {
				if err := start(ctx, w, n); err != nil {
					return fmt.Errorf("start %d runs: %w", n, err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// oneByOne starts a run, waits for its end and starts the next. The one worker looks
// for work all the time, on a connection of its own; it is number 1 and who starts is
// number 0.
func (c crew[K]) oneByOne(ctx context.Context, shape Shape, runs int) (Sample, error) {
	l := newLedger[K](runs, shape.Tasks())
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return c.work(ctx, 1, l) })
	began := time.Now()
	g.Go(func() error {
		for range runs {
			asked := time.Now()
			ids, err := c.start(ctx, 0, 1)
			if err != nil {
				return err
			}
			l.begun(asked, ids...)
			select {
			case <-l.ended:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	err := g.Wait()
	return Sample{Wall: time.Since(began), Latencies: l.latencies}, err
}
