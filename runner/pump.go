package runner

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
)

const (
	// pumpTime is how long the functions of SQL steps may take, all of one call
	// together; the one that is at work then is cancelled and counts as timed out.
	pumpTime = time.Minute

	// pumpSteps is about how many steps one call does.
	pumpSteps = 100
)

// pumps lets the engine do its own steps (SQL, sub-flows, sleeps, signals): when an
// exchange says that there are some, and now and then in case that was missed. It
// has a connection of its own meanwhile, so that no handler waits for it.
func (s *session) pumps(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.pumpNow:
		case <-time.After(s.opts.Lease / 6):
			if s.idled.Swap(false) {
				continue // a claim that comes back empty has asked for the engine's steps too
			}
		}
		for moved := 1; moved > 0 && ctx.Err() == nil; {
			var err error
			if moved, err = s.pump(ctx); err != nil && ctx.Err() == nil {
				s.log.WarnContext(ctx, "the engine's own steps could not be done; trying again later", "error", err)
			}
			if moved > 0 {
				s.signal() // some of what follows may be for this runner
			}
		}
	}
}

// pump makes one call and returns how many steps it looked at.
func (s *session) pump(ctx context.Context) (moved int, err error) {
	err = db.InTx(ctx, s.pool, func(tx pgx.Tx) error {
		queries := dbsqlc.New(tx)
		if err := queries.SetStatementTimeout(ctx, fmt.Sprint(pumpTime.Milliseconds())); err != nil {
			return err
		}
		n, err := queries.Pump(ctx, pumpSteps)
		moved = int(n)
		return err
	})
	if err != nil {
		return 0, err
	}
	return moved, nil
}

// askPump asks for a call now.
func (s *session) askPump() {
	select {
	case s.pumpNow <- struct{}{}:
	default:
	}
}
