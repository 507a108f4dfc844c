package maintenance

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
)

// MaxConns are the connections that a pool for Run needs: River's listener has one
// more of its own.
const MaxConns = 3

const (
	look  = 10 * time.Second // how often each process looks for schedules that are late or new
	late  = 2 * time.Second  // how late a schedule is when others than the one at work on it fire it
	again = time.Minute      // after which River is tried again where it could not be started
)

// Options say what a process does.
type Options struct {
	Log *slog.Logger // slog.Default() when nil
}

// Run keeps house until ctx ends. What fails is logged and tried again; where River
// cannot be run, because its schema is not there and may not be made, schedules are
// fired nevertheless, some seconds late.
func Run(ctx context.Context, pool *pgxpool.Pool, opts Options) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	k := &keeper{pool: pool, log: opts.Log, stop: ctx, called: make(chan struct{}, 1)}
	var group sync.WaitGroup
	group.Go(k.fire)
	group.Go(func() {
		for ctx.Err() == nil {
			if err := k.elect(); err != nil && ctx.Err() == nil {
				k.log.WarnContext(ctx, "River does not run; schedules are fired late and upkeep is left to runners", "error", err, "retry_in", again)
				sleep(ctx, again)
			}
		}
	})
	group.Wait()
}

// A keeper is maintenance in one process.
type keeper struct {
	pool *pgxpool.Pool
	log  *slog.Logger
	stop context.Context // ends with the process

	duty   atomic.Pointer[time.Time] // until when this process is the one that fires on time
	called chan struct{}             // to duty
}

// takeDuty makes this process the one that fires schedules on time, for a while.
func (k *keeper) takeDuty(d time.Duration) {
	until := time.Now().Add(d)
	k.duty.Store(&until)
	select {
	case k.called <- struct{}{}:
	default:
	}
}

// fire fires schedules: on time while this process is on duty; else those that are
// late, since the one that was on duty has gone.
func (k *keeper) fire() {
	for failed := time.Duration(0); k.stop.Err() == nil; {
		until := k.duty.Load()
		onDuty := until != nil && time.Now().Before(*until)
		ahead := -late
		if onDuty {
			ahead = look
		}
		_, wait, err := Tick(k.stop, k.pool, ahead)
		if k.stop.Err() != nil {
			return
		} else if err != nil {
			failed = db.Backoff(failed)
			k.log.WarnContext(k.stop, "schedules are not fired", "error", err, "retry_in", failed)
			sleep(k.stop, failed)
			continue
		}
		failed = 0
		if !onDuty {
			wait = look
		}
		timer := time.NewTimer(wait)
		select {
		case <-k.stop.Done():
		case <-k.called:
		case <-timer.C:
		}
		timer.Stop()
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
