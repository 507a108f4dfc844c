package runner

import (
	"context"
	"errors"
	"time"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
)

// heartbeats renews the lease six times within its length, until ctx ends or the
// lease is lost: because the engine says so, or because it could not be reached for
// as long as the lease lasts.
func (s *session) heartbeats(ctx context.Context, lose context.CancelCauseFunc) {
	interval := s.opts.Lease / 6
	renewed := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.beatNow:
		case <-time.After(interval):
		}
		began := time.Now()
		err := s.heartbeat(ctx, interval)
		switch {
		case err == nil:
			renewed = began
		case ctx.Err() != nil:
			return
		case errors.Is(err, db.ErrNotFound):
			lose(err)
			return
		case time.Since(renewed) > s.opts.Lease:
			lose(err)
			return
		default:
			s.log.WarnContext(ctx, "heartbeat failed", "error", err, "lease_left", s.opts.Lease-time.Since(renewed))
		}
	}
}

// beat asks for a heartbeat now.
func (s *session) beat() {
	select {
	case s.beatNow <- struct{}{}:
	default:
	}
}

func (s *session) heartbeat(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cpu, memory := s.opts.Load()
	p := dbsqlc.HeartbeatParams{Runner: s.id, Cpu: float32(cpu), Memory: float32(memory), Lease: s.opts.Lease}
	s.mu.Lock()
	for id, w := range s.running {
		p.TaskIds = append(p.TaskIds, id)
		p.Tokens = append(p.Tokens, *w.claim.Token)
	}
	s.mu.Unlock()

	gone, err := s.queries.Heartbeat(ctx, p)
	if err != nil {
		return db.Error(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range gone {
		// A task that was completed while the heartbeat was under way is gone too,
		// but then it is no longer among the running, or runs under another token.
		if w, ok := s.running[g.TaskID]; ok && *w.claim.Token == *g.Token {
			w.cancel(ErrAborted)
		}
	}
	return nil
}
