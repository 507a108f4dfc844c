package treesitter_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

// A parse may be stopped at any moment, also in the runtime's last phase, while
// it balances the finished tree; the next parse of the same parser must not care.
// Where a parse is stopped is a matter of luck: this aims at the end, where that
// phase is.
func TestParseStoppedAnywhere(t *testing.T) {
	l := javascriptLanguage(t)
	p := newParser(t, treesitter.Limits{Timeout: time.Minute})
	text := []byte("[" + strings.Repeat("a, ", 50_000) + "]")
	var limit time.Duration
	for range 2 { // the first is slower than the rest
		start := time.Now()
		if _, err := p.Parse(context.Background(), l, text); err != nil {
			t.Fatal(err)
		}
		limit = time.Since(start)
	}
	stopped := 0
	for tries := 0; tries < 20 || stopped == 0 && tries < 1000; tries++ {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		if _, err := p.Parse(ctx, l, text); err != nil {
			stopped++
			limit += limit / 50
		} else {
			limit -= limit / 50
		}
		cancel()
		if _, err := p.Parse(context.Background(), l, []byte("f(x)")); err != nil {
			t.Fatalf("after a parse that was stopped: %v", err)
		}
	}
	if stopped == 0 {
		t.Error("no parse was stopped")
	}
}
