package runner

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
)

// A session is one registration of a runner: it lasts until the runner stops or
// the engine no longer knows it.
type session struct {
	*Runner
	id      int32
	log     *slog.Logger
	queries *dbsqlc.Queries

	mu       sync.Mutex
	running  map[int64]*work // by task
	results  []result        // to be reported with the next exchange
	draining bool

	idled atomic.Bool // a claim has come back empty since the last regular pump

	changed chan struct{} // holds one element: running, results or draining changed
	beatNow chan struct{} // holds one element: send a heartbeat at once
	pumpNow chan struct{} // holds one element: the engine has steps of its own to do
}

// work is one claimed task in progress.
type work struct {
	claim  dbsqlc.HtdagClaim
	cancel context.CancelCauseFunc
}

// result is one finished step, as complete_steps takes it.
type result struct {
	taskID, token int64
	stepNo        int16
	outcome       string
	output        []byte
	err           string
	code          string // of the error, if it has one
	ran           time.Duration
	delay         time.Duration // for which it is snoozed
}

func (r *Runner) register(ctx context.Context, kinds []string) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	queries := dbsqlc.New(r.pool)
	r.mu.Lock() // whoever changes the queues meanwhile waits, and then tells the engine
	defer r.mu.Unlock()
	id, err := queries.RegisterRunner(ctx, dbsqlc.RegisterRunnerParams{
		Name: r.opts.Name, Queues: r.queues, Kinds: kinds, Concurrency: int32(r.opts.Concurrency), Lease: r.opts.Lease,
	})
	if err != nil {
		return nil, db.Error(err)
	}
	r.registered = id
	log := r.opts.Log.With("runner", id)
	log.InfoContext(ctx, "runner registered", "name", r.opts.Name, "queues", r.queues, "concurrency", r.opts.Concurrency)
	return &session{Runner: r, id: id, log: log, queries: queries, running: map[int64]*work{},
		changed: make(chan struct{}, 1), beatNow: make(chan struct{}, 1), pumpNow: make(chan struct{}, 1)}, nil
}

// run exchanges results for work until ctx ends and everything is handed in, until
// the lease is lost, or until the database has refused for too long, which is the
// only error.
func (s *session) run(ctx context.Context, refusal *refusal) error {
	// The session outlives ctx by the time it takes to drain.
	alive, lose := context.WithCancelCause(context.WithoutCancel(ctx))
	defer lose(nil)
	var beats sync.WaitGroup
	beats.Go(func() { s.heartbeats(alive, lose) })
	beats.Go(func() { s.pumps(alive) })
	stopDrain := context.AfterFunc(ctx, func() { s.drain(alive, lose) })
	defer stopDrain()

	err := s.exchanges(alive, refusal)
	if err != nil {
		lose(err)
	}

	lost := context.Cause(alive)
	lose(nil)
	beats.Wait()
	s.abandon(ErrLeaseLost)
	if lost != nil {
		s.log.WarnContext(ctx, "session lost; what was in progress is dropped", "cause", lost)
		return err
	}
	bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := s.queries.StopRunner(bye, s.id); err != nil {
		s.log.WarnContext(bye, "could not say goodbye; the lease will expire by itself", "error", err)
	}
	s.log.InfoContext(bye, "runner stopped")
	return nil
}

// lastWords is how long results may be handed in after the drain timeout. Where the
// database will not take them there is nothing to wait for.
const lastWords = 5 * time.Second

// drain stops claiming, and cancels what is still running after the drain timeout.
func (s *session) drain(alive context.Context, lose context.CancelCauseFunc) {
	s.mu.Lock()
	s.draining = true
	s.mu.Unlock()
	s.signal()
	pause(alive, s.opts.DrainTimeout)
	s.mu.Lock()
	for _, w := range s.running {
		w.cancel(ErrDraining)
	}
	s.mu.Unlock()
	pause(alive, lastWords)
	lose(ErrDraining)
}

// abandon cancels every handler and waits for none: their results are dropped.
func (s *session) abandon(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.running {
		w.cancel(cause)
	}
	s.results = nil
}
