package embed

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/htdag/htdag/runner/ingest"
)

// failing is an embedder that fails while it has an error.
type failing struct {
	ingest.HashEmbedder
	err   error
	calls int
}

func (f *failing) Embed(ctx context.Context, texts []string) ([]ingest.Vector, error) {
	f.calls++
	if f.err != nil {
		return nil, f.err
	}
	return f.HashEmbedder.Embed(ctx, texts)
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	broken := errors.New("connection refused")
	f := &failing{err: broken}
	b := NewBreaker(f)
	b.now = func() time.Time { return now }
	ask := func() error {
		_, err := b.Embed(t.Context(), []string{"a"})
		return err
	}
	expect := func(what string, calls int, resting bool) {
		t.Helper()
		err := ask()
		if f.calls != calls || errors.Is(err, ingest.ErrResting) != resting || f.err != nil && !errors.Is(err, broken) {
			t.Fatalf("%s: %d calls, error %v; want %d calls, resting %v", what, f.calls, err, calls, resting)
		}
	}
	for i := range 5 {
		expect("a failure", i+1, false)
	}
	expect("after five", 5, true)
	now = now.Add(31 * time.Second)
	expect("let through", 6, false)
	now = now.Add(31 * time.Second)
	expect("rests twice as long", 6, true)
	now = now.Add(30 * time.Second)
	f.err = nil
	expect("mended", 7, false)
	f.err = broken
	for i := range 5 {
		expect("failures are counted anew", 8+i, false)
	}
	expect("and lead to a rest", 12, true)
}

// What the caller gives up says nothing about the provider.
func TestBreakerIgnoresCallsGivenUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := NewBreaker(&failing{err: context.Canceled})
	for range 10 {
		if _, err := b.Embed(ctx, []string{"a"}); errors.Is(err, ingest.ErrResting) {
			t.Fatal(err)
		}
	}
}
