package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/jackc/pgx/v5/pgxpool"
)

// dbosEngine is DBOS, as a library in this process: a workflow is a function, a step
// is a call in it whose answer is recorded, and there is no queue between them.
type dbosEngine struct {
	shape Shape
	url   string

	// What the last Run used. The next keeps it if the number of workers is the same.
	workers int
	pool    *pgxpool.Pool
	dbos    dbos.Context
}

func (*dbosEngine) Name() string    { return "dbos" }
func (*dbosEngine) Shapes() []Shape { return []Shape{Chain, Diamond, Map, Ingest, Idle} }

func (d *dbosEngine) Open(ctx context.Context, url string, shape Shape) error {
	d.url, d.shape = url, shape
	return d.launch(ctx, 1) // it installs itself
}

// dbosFlight is how many workflows are in flight. Most of the time they wait for a
// commit, so there are more of them than workers, up to 16: each with a session, for
// with fewer sessions than workflows they wait for one another as well.
func dbosFlight(workers int) int { return max(workers, min(4*workers, 16)) }

// launch connects and starts what DBOS has beside our workflows. It outlives ctx, which
// is that of one Run.
func (d *dbosEngine) launch(ctx context.Context, workers int) error {
	if d.workers == workers {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	if err := d.Close(ctx); err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(d.url)
	if err != nil {
		return fmt.Errorf("dbos: parse %s: %w", d.url, err)
	}
	config.MaxConns = int32(dbosFlight(workers) + 2) // it listens, and looks for queued workflows
	if d.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return fmt.Errorf("dbos: make a pool: %w", err)
	}
	d.dbos, err = dbos.NewContext(ctx, dbos.Config{
		AppName:            "bench",
		ApplicationVersion: "1",
		SystemDBPool:       d.pool,
		Logger:             slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return fmt.Errorf("dbos: make a context: %w", err)
	}
	dbos.RegisterWorkflow(d.dbos, layered)
	if err := dbos.Launch(d.dbos); err != nil {
		return fmt.Errorf("dbos: launch: %w", err)
	}
	d.workers = workers
	return nil
}

// layered runs a shape's graph. Steps at the same depth run at once.
func layered(ctx dbos.Context, shape Shape) (int, error) {
	var answers []int
	for _, layer := range shape.Layers() {
		var err error
		switch {
		case layer[0].Map || len(layer) > 1:
			answers, err = atOnce(ctx, layer, answers)
		case shape == Map && len(answers) == 0:
			answers, err = dbos.RunAsStep(ctx, numbers, dbos.WithStepName(layer[0].Name))
		default:
			_, err = dbos.RunAsStep(ctx, func(context.Context) (any, error) { return nil, nil }, dbos.WithStepName(layer[0].Name))
		}
		if err != nil {
			return 0, err
		}
	}
	return len(answers), nil
}

func numbers(context.Context) (list []int, err error) {
	return list, json.Unmarshal(elements, &list)
}

// atOnce runs the steps of a layer, and a map's once for each element. It returns the
// answers of these.
func atOnce(ctx dbos.Context, layer []Step, elements []int) ([]int, error) {
	var outcomes []<-chan dbos.StepOutcome[int]
	for _, step := range layer {
		given := []int{0}
		if step.Map {
			given = elements
		}
		for _, element := range given {
			answer := func(context.Context) (int, error) { return element, nil }
			outcome, err := dbos.Go(ctx, answer, dbos.WithStepName(step.Name))
			if err != nil {
				return nil, err
			}
			outcomes = append(outcomes, outcome)
		}
	}
	answers, errs := make([]int, len(outcomes)), error(nil)
	for i, outcome := range outcomes {
		o := <-outcome
		answers[i], errs = o.Result, errors.Join(errs, o.Err)
	}
	return answers, errs
}

func (d *dbosEngine) Run(ctx context.Context, runs, workers int) (Sample, error) {
	if err := d.launch(ctx, workers); err != nil {
		return Sample{}, err
	}
	flight := dbosFlight(workers)
	if d.shape == Idle {
		flight = 1
	}
	var (
		mu        sync.Mutex
		wg        sync.WaitGroup
		failed    error
		latencies = make([]time.Duration, runs)
		indexes   = make(chan int, runs)
	)
	for i := range runs {
		indexes <- i
	}
	close(indexes)
	begin := time.Now()
	for range flight {
		wg.Go(func() {
			for i := range indexes {
				start := time.Now()
				handle, err := dbos.RunWorkflow(d.dbos, layered, d.shape)
				if err == nil {
					_, err = handle.GetResult()
				}
				latencies[i] = time.Since(start)
				if err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return Sample{Wall: time.Since(begin), Latencies: latencies}, failed
}

func (d *dbosEngine) Verify(ctx context.Context, runs int) error {
	var succeeded, other, steps, failed int
	err := d.pool.QueryRow(ctx, `
		select count(*) filter (where status = 'SUCCESS'), count(*) filter (where status <> 'SUCCESS'),
		       (select count(*) from dbos.operation_outputs), (select count(*) from dbos.operation_outputs where error is not null)
		  from dbos.workflow_status`).Scan(&succeeded, &other, &steps, &failed)
	if err != nil {
		return fmt.Errorf("dbos: count what was done: %w", err)
	}
	if want := runs * d.shape.Tasks(); succeeded != runs || other != 0 || steps != want || failed != 0 {
		return fmt.Errorf("dbos: %d workflows succeeded and %d did not, of %d recorded steps %d failed; want %d, 0, %d and 0",
			succeeded, other, steps, failed, runs, want)
	}
	return nil
}

func (d *dbosEngine) Close(context.Context) error {
	if d.dbos == nil {
		return nil
	}
	err := dbos.Shutdown(d.dbos, 30*time.Second)
	d.pool.Close()
	d.dbos, d.workers = nil, 0
	return err
}
