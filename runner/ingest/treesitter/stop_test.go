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
func TestParseStoppedAnywhere(t *testing.T) {
	l := javascriptLanguage(t)
	p := newParser(t, treesitter.Limits{Timeout: time.Minute})
	text := []byte("[" + strings.Repeat("a, ", 300_000) + "]")
	start := time.Now()
	if _, err := p.Parse(context.Background(), l, text); err != nil {
		t.Fatal(err)
	}
	whole := time.Since(start)
	stopped := 0
	for i := range 60 {
		ctx, cancel := context.WithTimeout(context.Background(), whole*time.Duration(40+i)/100)
		if _, err := p.Parse(ctx, l, text); err != nil {
			stopped++
		}
		cancel()
		if _, err := p.Parse(context.Background(), l, []byte("f(x)")); err != nil {
			t.Fatalf("after a parse that was stopped: %v", err)
		}
	}
	if stopped == 0 {
		t.Error("no parse was stopped: the text is too small for the test to mean anything")
	}
}
