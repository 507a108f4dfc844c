package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// floor is the least that any engine has to write which keeps the state of a run and a
// record of each step: an update of a row and an insert, prepared, sent in one round
// trip, some number of steps to a commit. It knows no order, no claims and no graphs.
type floor struct {
	batch int // steps to a commit
	shape Shape
	conns conns
}

const (
	floorUpdate = "update floor.runs set steps = steps + 1 where run_id = any ($1::bigint[])"
	floorInsert = "insert into floor.steps (run_id) select unnest($1::bigint[])"
)

func (e *floor) Name() string { return fmt.Sprintf("floor x%d", e.batch) }

func (e *floor) Shapes() []Shape {
	if e.batch == 1 {
		return []Shape{Chain, Idle}
	}
	return []Shape{Chain}
}

func (e *floor) Open(ctx context.Context, url string, shape Shape) error {
	e.shape, e.conns.url = shape, url
	if err := e.conns.atLeast(ctx, 1); err != nil {
		return err
	}
	// Two columns of time, as every engine has; the row of a run stays on its page.
	_, err := e.conns.list[0].Exec(ctx, `
		create schema if not exists floor;
		create table if not exists floor.runs (run_id bigint primary key, steps bigint not null default 0) with (fillfactor = 70);
		create table if not exists floor.steps (run_id bigint not null, began_at timestamptz not null default now(), ended_at timestamptz not null default now());
		insert into floor.runs (run_id) select generate_series(1, 10000) on conflict do nothing;`)
	return err
}

func (e *floor) Run(ctx context.Context, runs, workers int) (Sample, error) {
	if e.shape == Idle {
		workers = 1
	}
	if err := e.conns.atLeast(ctx, workers); err != nil {
		return Sample{}, err
	}
	for _, conn := range e.conns.list {
		for _, statement := range []string{floorUpdate, floorInsert} {
			if _, err := conn.Prepare(ctx, statement, statement); err != nil {
				return Sample{}, err
			}
		}
	}
	began := time.Now()
	if e.shape == Idle {
		var latencies []time.Duration
		for range runs {
			run := time.Now()
			for range e.shape.Tasks() {
				if err := e.commit(ctx, 0, 1); err != nil {
					return Sample{}, err
				}
			}
			latencies = append(latencies, time.Since(run))
		}
		return Sample{Wall: time.Since(began), Latencies: latencies}, nil
	}
	var taken atomic.Int64
	total := int64(runs * e.shape.Tasks())
	g, ctx := errgroup.WithContext(ctx)
	for w := range workers {
		g.Go(func() error {
			for {
				before := taken.Add(int64(e.batch)) - int64(e.batch)
				if before >= total {
					return nil
				}
				if err := e.commit(ctx, w, int(min(int64(e.batch), total-before))); err != nil {
					return err
				}
			}
		})
	}
	err := g.Wait()
	return Sample{Wall: time.Since(began)}, err
}

// commit does that many steps, each of another run, all of them the worker's own.
func (e *floor) commit(ctx context.Context, worker, steps int) error {
	runs := make([]int64, steps)
	for i := range runs {
		runs[i] = int64(1 + worker*e.batch + i)
	}
	var batch pgx.Batch // one transaction
	batch.Queue(floorUpdate, runs)
	batch.Queue(floorInsert, runs)
	return e.conns.list[worker].SendBatch(ctx, &batch).Close()
}

func (e *floor) Verify(ctx context.Context, runs int) error {
	if err := e.conns.atLeast(ctx, 1); err != nil {
		return err
	}
	return check(ctx, e.conns.list[0],
		fact{"steps counted by their runs", "select sum(steps) from floor.runs", runs * e.shape.Tasks()},
		fact{"steps recorded", "select count(*) from floor.steps", runs * e.shape.Tasks()})
}

func (e *floor) Close(ctx context.Context) error { return e.conns.close(ctx) }
