package db

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// Listen calls f with the payload of each notification on channel until ctx ends.
// It holds one connection of its own and reconnects for ever, with backoff; after
// each (re)connection it calls f with an empty payload, since what was sent while
// nobody listened is lost. A notification is a hint: whoever relies on one must
// also poll.
func Listen(ctx context.Context, pool *pgxpool.Pool, channel string, log *slog.Logger, f func(payload string)) {
	for wait := time.Duration(0); ; {
		err := listen(ctx, pool, channel, func(payload string) {
			wait = 0
			f(payload)
		})
		if ctx.Err() != nil {
			return
		}
		wait = Backoff(wait)
		log.WarnContext(ctx, "listening interrupted", "channel", channel, "error", err, "retry_in", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

func listen(ctx context.Context, pool *pgxpool.Pool, channel string, f func(string)) error {
	pooled, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	conn := pooled.Hijack() // a listening connection must not go back to the pool
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, `listen "`+channel+`"`); err != nil {
		return err
	}
	f("")
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			return err
		}
		f(n.Payload)
	}
}

// Backoff returns the wait after one of the given length: from 100 ms doubling to
// 10 s, with a fifth of jitter so that many processes do not return at once.
func Backoff(last time.Duration) time.Duration {
	next := min(max(2*last, 100*time.Millisecond), 10*time.Second)
	return next - time.Duration(rand.Int64N(int64(next)/5))
}
