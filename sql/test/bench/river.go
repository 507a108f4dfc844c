package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"golang.org/x/sync/errgroup"
)

// riverEngine is River, a queue of jobs. It has no graphs in its free edition: a chain
// is a job that inserts the next one and completes itself in one transaction, which is
// what its documentation recommends and all that makes a chain exactly-once.
type riverEngine struct {
	url   string
	shape Shape

	// What the last Run used. The next keeps it if the number of workers is the same.
	workers int
	pool    *pgxpool.Pool
	client  *river.Client[pgx.Tx]
	ended   chan int // numbers of chains whose last job has been committed
}

func (*riverEngine) Name() string    { return "river" }
func (*riverEngine) Shapes() []Shape { return []Shape{Chain, Jobs, Storm, Idle} }

func (r *riverEngine) Open(ctx context.Context, url string, shape Shape) error {
	r.url, r.shape, r.ended = url, shape, make(chan int)
	pool, err := pgxpool.New(ctx, url)
	if err != nil {
		return fmt.Errorf("river: make a pool: %w", err)
	}
	defer pool.Close()
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return fmt.Errorf("river: read its migrations: %w", err)
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("river: migrate: %w", err)
	}
	return nil
}

// A River client is goroutines over a pool. Its own settings (a fetch at most every
// 100 ms) are for an application that has other things to do; those here are for
// throughput, and for latency where that is what counts. README.md has the reasons.
const (
	riverSessions  = 16  // that work, at least
	riverOwn       = 4   // beside them: it listens, fetches, completes and keeps house
	riverChains    = 200 // chains' jobs in hand
	riverJobs      = 2000
	riverBatch     = 500 // jobs in one insert
	riverInserters = 4
)

// fetchCooldown is the shortest time between two fetches.
func (r *riverEngine) fetchCooldown() time.Duration {
	switch r.shape {
	case Idle:
		return river.FetchCooldownMin
	case Chain:
		return 10 * time.Millisecond // a fetch takes many jobs, or it costs more than they do
	}
	return 2 * time.Millisecond
}

// launch connects, and starts a client that works, unless the shape is Storm.
func (r *riverEngine) launch(ctx context.Context, workers int) error {
	if r.workers == workers {
		return nil
	}
	ctx = context.WithoutCancel(ctx) // the client outlives this Run
	if err := r.Close(ctx); err != nil {
		return err
	}
	config, err := pgxpool.ParseConfig(r.url)
	if err != nil {
		return fmt.Errorf("river: parse %s: %w", r.url, err)
	}
	config.MaxConns = int32(max(workers, riverSessions) + riverOwn)
	if r.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return fmt.Errorf("river: make a pool: %w", err)
	}

	handlers := river.NewWorkers()
	river.AddWorker(handlers, &linkWorker{pool: r.pool, ended: r.ended})
	river.AddWorker(handlers, &jobWorker{})
	inHand := riverChains
	if r.shape == Jobs {
		inHand = riverJobs
	}
	r.client, err = river.NewClient(riverpgxv5.New(r.pool), &river.Config{
		FetchCooldown: r.fetchCooldown(),
		// A notification that falls into the cooldown of the one before is not sent, so
		// the poll is what finds the last jobs of a round. Its own second would show.
		FetchPollInterval: 20 * time.Millisecond,
		JobTimeout:        -1, // no timer for each job
		Logger:            slog.New(slog.DiscardHandler),
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: inHand}},
		Workers:           handlers,
	})
	if err != nil {
		return fmt.Errorf("river: make a client: %w", err)
	}
	if r.shape != Storm {
		if err := r.client.Start(ctx); err != nil {
			return fmt.Errorf("river: start: %w", err)
		}
	}
	r.workers = workers
	return nil
}

// link is a job of a chain.
type link struct {
	Run  int `json:"run"`
	Step int `json:"step"`
}

func (link) Kind() string { return "link" }

type linkWorker struct {
	river.WorkerDefaults[link]
	pool  *pgxpool.Pool
	ended chan<- int
}

func (w *linkWorker) Work(ctx context.Context, job *river.Job[link]) error {
	last := job.Args.Step == len(Chain.Graph())
	err := pgx.BeginFunc(ctx, w.pool, func(tx pgx.Tx) error {
		if !last {
			next := link{Run: job.Args.Run, Step: job.Args.Step + 1}
			if _, err := river.ClientFromContext[pgx.Tx](ctx).InsertTx(ctx, tx, next, nil); err != nil {
				return err
			}
		}
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		return err
	})
	if err == nil && last {
		w.ended <- job.Args.Run
	}
	return err
}

type job struct{}

func (job) Kind() string { return "job" }

type jobWorker struct{ river.WorkerDefaults[job] }

func (*jobWorker) Work(context.Context, *river.Job[job]) error { return nil }

func (r *riverEngine) Run(ctx context.Context, runs, workers int) (Sample, error) {
	if err := r.launch(ctx, workers); err != nil {
		return Sample{}, err
	}
	switch r.shape {
	case Storm:
		begin := time.Now()
		err := r.insert(ctx, runs, func(i int) river.JobArgs { return link{Run: i, Step: 1} })
		return Sample{Wall: time.Since(begin)}, err
	case Jobs:
		return r.runJobs(ctx, runs)
	case Idle:
		return r.runIdle(ctx, runs)
	}
	return r.runChains(ctx, runs)
}

// insert inserts jobs by COPY, which is River's fastest way, from several sessions.
func (r *riverEngine) insert(ctx context.Context, n int, args func(i int) river.JobArgs) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(riverInserters)
	for first := 0; first < n; first += riverBatch {
		group.Go(func() error {
			var batch []river.InsertManyParams
			for i := first; i < min(first+riverBatch, n); i++ {
				batch = append(batch, river.InsertManyParams{Args: args(i)})
			}
			_, err := r.client.InsertManyFast(ctx, batch)
			return err
		})
	}
	return group.Wait()
}

// runJobs inserts jobs while a client works on them. The event of a job comes after
// the commit that completes it.
func (r *riverEngine) runJobs(ctx context.Context, runs int) (Sample, error) {
	completed, cancel := r.client.SubscribeConfig(&river.SubscribeConfig{
		ChanSize: runs, // what does not fit would be dropped
		Kinds:    []river.EventKind{river.EventKindJobCompleted},
	})
	defer cancel()
	begin := time.Now()
	if err := r.insert(ctx, runs, func(int) river.JobArgs { return job{} }); err != nil {
		return Sample{}, err
	}
	inserted := time.Now()
	for range runs {
		select {
		case <-completed:
		case <-ctx.Done():
			return Sample{}, ctx.Err()
		}
	}
	return Sample{Wall: time.Since(begin), Drain: time.Since(inserted)}, nil
}

func (r *riverEngine) runChains(ctx context.Context, runs int) (Sample, error) {
	begin := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return r.insert(ctx, runs, func(i int) river.JobArgs { return link{Run: i, Step: 1} })
	})
	for range runs {
		select {
		case <-r.ended:
		case <-ctx.Done():
			return Sample{}, errors.Join(ctx.Err(), group.Wait())
		}
	}
	end := time.Now()
	return Sample{Wall: end.Sub(begin)}, group.Wait()
}

func (r *riverEngine) runIdle(ctx context.Context, runs int) (Sample, error) {
	latencies := make([]time.Duration, runs)
	begin := time.Now()
	for i := range runs {
		start := time.Now()
		if _, err := r.client.Insert(ctx, link{Run: i, Step: 1}, nil); err != nil {
			return Sample{}, err
		}
		select {
		case <-r.ended:
		case <-ctx.Done():
			return Sample{}, ctx.Err()
		}
		latencies[i] = time.Since(start)
	}
	return Sample{Wall: time.Since(begin), Latencies: latencies}, nil
}

func (r *riverEngine) Verify(ctx context.Context, runs int) error {
	state, steps := "completed", r.shape.Tasks()
	if r.shape == Storm {
		state, steps = "available", 1
	}
	conn, err := pgx.Connect(ctx, r.url)
	if err != nil {
		return fmt.Errorf("river: connect to verify: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var jobs, expected, complete int
	err = conn.QueryRow(ctx, `
		select sum(n), sum(n) filter (where state = $1), count(*) filter (where state = $1 and n = $2)
		  from (select state::text, count(*) as n from river_job group by state, kind, args ->> 'step') s`,
		state, runs).Scan(&jobs, &expected, &complete)
	if err != nil {
		return fmt.Errorf("river: count jobs: %w", err)
	}
	if want := runs * steps; jobs != want || expected != want || complete != steps {
		return fmt.Errorf("river: %d jobs, %d of them %s, and %d steps that all runs have; want %d, %d and %d",
			jobs, expected, state, complete, want, want, steps)
	}
	return nil
}

func (r *riverEngine) Close(ctx context.Context) error {
	if r.pool == nil {
		return nil
	}
	var err error
	if r.client != nil && r.shape != Storm && r.workers != 0 {
		err = r.client.Stop(ctx)
	}
	r.pool.Close()
	r.pool, r.client, r.workers = nil, nil, 0
	return err
}
