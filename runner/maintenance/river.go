package maintenance

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
)

// queue is ours among those of whoever else uses River in this schema.
const queue = "htdag"

// shift is how long a process fires schedules on time before the duty goes round.
const shift = time.Minute

// longest is how long a chore may take.
const longest = 30 * time.Minute

// A chore is a job that is done now and then.
type chore struct {
	every time.Duration
	do    func(context.Context, *keeper) error
}

var chores = map[string]chore{
	"schedules": {shift, func(_ context.Context, k *keeper) error {
		k.takeDuty(shift + late)
		return nil
	}},
	// Leases, deadlines, limits, partitions, retention, statistics. Runners do it too,
	// with their heartbeats; this is for when none is left.
	"upkeep": {time.Minute, func(ctx context.Context, k *keeper) error {
		_, err := dbsqlc.New(k.pool).Upkeep(ctx)
		return err
	}},
	"pump": {time.Minute, func(ctx context.Context, k *keeper) error {
		_, err := dbsqlc.New(k.pool).Pump(ctx, 1000)
		return err
	}},
	// With archiving, which upkeep leaves out.
	"retention": {10 * time.Minute, func(ctx context.Context, k *keeper) error {
		for n := int32(1); n > 0; {
			var err error
			if n, err = dbsqlc.New(k.pool).DropExpired(ctx); err != nil {
				return err
			}
		}
		return nil
	}},
	"corpus": {10 * time.Minute, func(ctx context.Context, k *keeper) error {
		_, err := dbsqlc.New(k.pool).CodeUpkeep(ctx)
		return err
	}},
}

// choreArgs is what a job of River's says.
type choreArgs struct {
	Name string `json:"name"`
}

func (choreArgs) Kind() string { return "htdag_chore" }

type choreWorker struct {
	river.WorkerDefaults[choreArgs]
	keeper *keeper
}

// Timeout is longer than any chore should take; archiving may take its time.
func (w *choreWorker) Timeout(*river.Job[choreArgs]) time.Duration { return longest }

func (w *choreWorker) Work(ctx context.Context, job *river.Job[choreArgs]) error {
	c, ok := chores[job.Args.Name]
	if !ok {
		return fmt.Errorf("chore %q is not known to this version", job.Args.Name)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(w.keeper.stop, cancel)()
	err := c.do(ctx, w.keeper)
	if w.keeper.stop.Err() != nil || db.Conflict(err) {
		return nil // it comes again
	}
	if err != nil {
		return fmt.Errorf("%s: %w", job.Args.Name, db.Error(err))
	}
	return nil
}

// elect runs River until the process ends.
func (k *keeper) elect() error {
	if err := Migrate(k.stop, k.pool); err != nil {
		return err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &choreWorker{keeper: k})
	client, err := river.NewClient(riverpgxv5.New(k.pool), &river.Config{
		Schema:  schema,
		Logger:  slog.New(warnings{k.log.Handler()}),
		Workers: workers,
		Queues:  map[string]river.QueueConfig{queue: {MaxWorkers: len(chores)}},
		// Jobs are announced, and those that were not heard of come again.
		FetchPollInterval: time.Minute,
		PeriodicJobs:      periodic(),
		MaxAttempts:       1,
		SoftStopTimeout:   5 * time.Second,

		CompletedJobRetentionPeriod: 10 * time.Minute,
		CancelledJobRetentionPeriod: 24 * time.Hour,
		DiscardedJobRetentionPeriod: 24 * time.Hour,
		JobTimeout:                  longest,
		RescueStuckJobsAfter:        longest + 10*time.Minute,
		ReindexerIndexNames:         []string{}, // the tables are small, and not always ours to reindex
	})
	if err != nil {
		return fmt.Errorf("make a client of River: %w", err)
	}
	if err := client.Start(k.stop); err != nil {
		return fmt.Errorf("start River: %w", err)
	}
	<-client.Stopped()
	return nil
}

// warnings leaves out what River tells of its daily round.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }

func periodic() []*river.PeriodicJob {
	var jobs []*river.PeriodicJob
	for name, c := range chores {
		jobs = append(jobs, river.NewPeriodicJob(river.PeriodicInterval(c.every),
			func() (river.JobArgs, *river.InsertOpts) {
				return choreArgs{name}, &river.InsertOpts{Queue: queue}
			},
			&river.PeriodicJobOpts{ID: "htdag_" + name, RunOnStart: true}))
	}
	return jobs
}
