package runner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
)

// Causes with which a handler's context ends before its time.
var (
	ErrLeaseLost = errors.New("lease lost")         // another runner has the task
	ErrAborted   = errors.New("aborted")            // its run was cancelled, or its time limit passed
	ErrTimeout   = errors.New("step timed out")     // the step's timeout passed
	ErrDraining  = errors.New("runner is stopping") // the drain timeout passed
)

// Options say what a runner works on and how. The zero value reads queue "default"
// with one handler per processor.
type Options struct {
	Name         string                       // shown in reports; host and process number when empty
	Queues       []string                     // queues to read; {"default"} when empty
	Concurrency  int                          // handlers at once; the number of processors when 0
	Lease        time.Duration                // silence after which its tasks go to others; 30 s when 0
	Poll         time.Duration                // longest wait between looks for work when idle; 5 s when 0
	DrainTimeout time.Duration                // how long handlers may finish after Run's context ended; 30 s when 0
	GiveUp       time.Duration                // how long the database may refuse before Run fails; never when 0
	PollOnly     bool                         // do not listen for wake-ups: for a pooler that lends connections by the transaction
	Load         func() (cpu, memory float64) // shares in use, 0 to 1, at each heartbeat; SystemLoad's when nil
	Log          *slog.Logger                 // nothing is logged when nil
}

// Runner claims steps and runs their handlers.
type Runner struct {
	pool     *pgxpool.Pool
	registry *Registry
	opts     Options
	steps    stepCache
	wake     chan struct{} // holds one element: "look for work now"

	mu         sync.Mutex
	queues     []string
	registered int32 // number of the last registration; 0 before the first
}

// New returns a runner that works on the database of a pool. The pool should have
// at least Concurrency + 3 connections: one per handler that writes through
// Task.Tx, one to exchange, one for heartbeats and one to listen.
//
// Behind a pooler that lends connections by the transaction (PgBouncer's pool_mode
// transaction) nothing lasts that a session was told: set Options.PollOnly, and add
// default_query_exec_mode=cache_describe to the URL, without which pgx prepares
// statements by name.
func New(pool *pgxpool.Pool, registry *Registry, opts Options) *Runner {
	if opts.Name == "" {
		host, _ := os.Hostname()
		opts.Name = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	if len(opts.Queues) == 0 {
		opts.Queues = []string{"default"}
	}
	if opts.Concurrency <= 0 {
		opts.Concurrency = runtime.GOMAXPROCS(0)
	}
	if opts.Lease <= 0 {
		opts.Lease = 30 * time.Second
	}
	if opts.Poll <= 0 {
		opts.Poll = 5 * time.Second
	}
	if opts.DrainTimeout <= 0 {
		opts.DrainTimeout = 30 * time.Second
	}
	if opts.Load == nil {
		opts.Load = SystemLoad
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	return &Runner{pool: pool, registry: registry, opts: opts, steps: stepCache{pool: pool}, wake: make(chan struct{}, 1), queues: opts.Queues}
}

// SetQueues has the runner read other queues from now on, also while it runs. What it
// is at work on stays its own.
func (r *Runner) SetQueues(ctx context.Context, queues []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(queues) == 0 {
		return errors.New("a runner needs at least one queue to read")
	}
	if r.registered != 0 {
		_, err := dbsqlc.New(r.pool).ReadQueues(ctx, r.registered, queues)
		// One that is not registered any more registers with the new queues.
		if err = db.Error(err); err != nil && !errors.Is(err, db.ErrNotFound) {
			return fmt.Errorf("have runner %d read queues %s: %w", r.registered, queues, err)
		}
	}
	r.queues = slices.Clone(queues)
	r.wakeUp()
	return nil
}

func (r *Runner) reads(queue string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Contains(r.queues, queue)
}

// Run works until ctx ends, then drains and returns nil. While the database cannot
// be reached, or refuses to store anything, it tries again with backoff, for ever
// unless Options.GiveUp says otherwise; handlers at work go on meanwhile, as long
// as the lease lasts.
func (r *Runner) Run(ctx context.Context) error {
	if len(r.registry.handlers) == 0 {
		return errors.New("runner has no handlers: register at least one kind")
	}
	listening, stop := context.WithCancel(ctx)
	defer stop()
	listenerDone := make(chan struct{})
	go func() {
		defer close(listenerDone)
		if r.opts.PollOnly {
			return
		}
		db.Listen(listening, r.pool, "htdag_wake", r.opts.Log, func(queue string) {
			if queue == "" || queue == "*" || r.reads(queue) {
				r.wakeUp()
			}
		})
	}()
	defer func() { stop(); <-listenerDone }()

	kinds := slices.Sorted(maps.Keys(r.registry.handlers))
	refusal := refusal{limit: r.opts.GiveUp}
	for wait := time.Duration(0); ctx.Err() == nil; {
		s, err := r.register(ctx, kinds)
		if err != nil {
			if ctx.Err() == nil && refusal.lasts() {
				return refusal.over(err)
			}
			wait = db.Backoff(wait)
			r.opts.Log.WarnContext(ctx, "cannot register; is the database reachable?", "error", err, "retry_in", wait)
			pause(ctx, wait)
			continue
		}
		wait = 0
		if err := s.run(ctx, &refusal); err != nil {
			return err
		}
	}
	return nil
}

// refusal measures for how long a database has been of no use.
type refusal struct {
	limit time.Duration // 0 means that it may last for ever
	since time.Time     // zero while there is none
}

// lasts notes one more failure and says whether the limit is reached.
func (r *refusal) lasts() bool {
	if r.since.IsZero() {
		r.since = time.Now()
	}
	return r.limit > 0 && time.Since(r.since) >= r.limit
}

func (r *refusal) over(err error) error {
	return fmt.Errorf("the database has been of no use for %s: %w", r.limit, err)
}

func (r *Runner) wakeUp() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// pause waits for a duration or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
