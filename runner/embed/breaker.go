package embed

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/htdag/htdag/runner/ingest"
)

// Breaker is an embedder that stops asking another one which keeps failing: after some
// failures in a row it answers at once that it rests, which is ingest.ErrResting, and
// then lets one call through to see. Each time that fails it rests twice as long.
type Breaker struct {
	ingest.Embedder

	failures int           // in a row, after which it rests
	rest     time.Duration // for the first time
	mostRest time.Duration
	now      func() time.Time

	mu     sync.Mutex
	failed int // in a row
	until  time.Time
	trying bool // a call has been let through
	last   error
}

// NewBreaker guards an embedder: it rests after five failures in a row, from half a
// minute up to ten.
func NewBreaker(e ingest.Embedder) *Breaker {
	return &Breaker{Embedder: e, failures: 5, rest: 30 * time.Second, mostRest: 10 * time.Minute, now: time.Now}
}

// Embed asks the embedder, unless it is to be left alone.
func (b *Breaker) Embed(ctx context.Context, texts []string) ([]ingest.Vector, error) {
	if err := b.enter(); err != nil {
		return nil, err
	}
	vectors, err := b.Embedder.Embed(ctx, texts)
	b.leave(err, ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled))
	return vectors, err
}

func (b *Breaker) enter() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failed < b.failures {
		return nil
	}
	if b.trying || b.now().Before(b.until) {
		return fmt.Errorf("%w after %d failures, the last of them: %w", ingest.ErrResting, b.failed, b.last)
	}
	b.trying = true
	return nil
}

// leave notes how a call ended; one that was given up says nothing.
func (b *Breaker) leave(err error, givenUp bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
	switch {
	case err == nil:
		b.failed, b.last = 0, nil
	case givenUp:
	default:
		b.failed++
		b.last = err
		if b.failed >= b.failures {
			b.until = b.now().Add(min(b.rest<<min(b.failed-b.failures, 10), b.mostRest))
		}
	}
}
