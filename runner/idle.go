package runner

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
)

// RunToIdle does what there is to do, one task after another in the calling
// goroutine, and returns how many tasks that were once there is none left that it
// could claim now. It does not wait: neither for the time of a retry, nor for tasks
// that other runners hold. Programs call it where Run is too much: in tests, or from
// a timer. The first error of the database ends it; what was claimed then goes to
// others at once.
func (r *Runner) RunToIdle(ctx context.Context) (tasks int, err error) {
	kinds := slices.AppendSeq([]string{}, maps.Keys(r.registry.handlers))
	slices.Sort(kinds)
	s, err := r.register(ctx, kinds)
	if err != nil {
		return 0, fmt.Errorf("register: %w", err)
	}
	alive, lose := context.WithCancelCause(ctx)
	var beats sync.WaitGroup
	beats.Go(func() { s.heartbeats(alive, lose) })
	defer func() {
		lost := context.Cause(alive)
		lose(nil)
		beats.Wait()
		if lost != nil && ctx.Err() == nil {
			err = fmt.Errorf("work until idle: %w", lost)
			return
		}
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, stopErr := s.queries.StopRunner(bye, s.id); stopErr != nil && err == nil {
			err = fmt.Errorf("say goodbye: %w", db.Error(stopErr))
		}
	}()

	for {
		answers, err := s.exchange(alive, nil, 1)
		if err != nil {
			return tasks, fmt.Errorf("claim: %w", err)
		}
		i := slices.IndexFunc(answers, func(a dbsqlc.HtdagClaim) bool { return a.Verdict == "claimed" })
		if i < 0 {
			// What the engine does itself may make more ready.
			if moved, err := s.pump(alive); err != nil {
				return tasks, fmt.Errorf("have the engine do its steps: %w", err)
			} else if moved == 0 {
				return tasks, nil
			}
			continue
		}
		if err := s.doNow(alive, answers[i]); err != nil {
			return tasks, err
		}
		tasks++
	}
}

// doNow works on a task and hands its results in.
func (s *session) doNow(ctx context.Context, claim dbsqlc.HtdagClaim) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.mu.Lock()
	s.running[claim.TaskID] = &work{claim: claim, cancel: cancel}
	s.mu.Unlock()
	results, answers := s.work(ctx, claim)
	s.mu.Lock()
	delete(s.running, claim.TaskID)
	s.mu.Unlock()
	if len(results) > 0 {
		var err error
		// A result that is ready is worth handing in even while ctx ends.
		if answers, err = s.exchange(context.WithoutCancel(ctx), results, 0); err != nil {
			return fmt.Errorf("complete task %d: %w", claim.TaskID, err)
		}
	}
	var queues []string
	for _, a := range answers {
		switch a.Verdict {
		case "stale":
			s.log.WarnContext(ctx, "late result dropped", "task", a.TaskID)
		case "wake":
			queues = append(queues, a.Queue)
		}
	}
	if len(queues) > 0 {
		if _, err := s.queries.Wake(ctx, queues); err != nil {
			return fmt.Errorf("wake other runners: %w", db.Error(err))
		}
	}
	return nil
}
