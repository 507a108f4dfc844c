package treesitter_test

import (
	"context"
	"errors"
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

// Text that the grammar makes nothing of is given up long before the limit by the
// clock, and a scanner on its way through a long text does not delay that.
func TestParseGivesUp(t *testing.T) {
	l := javascriptLanguage(t)
	p := newParser(t, treesitter.Limits{Timeout: time.Hour, Busy: time.Millisecond})
	start := time.Now()
	_, err := p.Parse(context.Background(), l, []byte(strings.Repeat(`"`, 100_000)))
	if !errors.Is(err, treesitter.ErrTimeout) {
		t.Errorf("after %s: %v", time.Since(start), err)
	}
	// The processor time of one text is not counted against the next.
	if _, err := p.Parse(context.Background(), l, []byte("f(x)")); err != nil {
		t.Errorf("the next text: %v", err)
	}
}

// The runtime reads the text in pieces: characters and tokens that lie across the
// end of one are whole all the same.
func TestParseInPieces(t *testing.T) {
	l := javascriptLanguage(t)
	p := newParser(t, treesitter.Limits{})
	for shift := range 16 {
		text := strings.Repeat(" ", shift) + strings.Repeat("f(äöü, '€€', 𝒳); /* 𝒴 */\n", 4000)
		tree, err := p.Parse(context.Background(), l, []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		names := 0
		for i := range tree.Nodes {
			switch string(tree.Text(i)) {
			case "äöü", "'€€'", "𝒳", "/* 𝒴 */":
				names++
			}
		}
		if tree.Errors+tree.Missing > 0 || names != 4*4000 {
			t.Errorf("shifted by %d: %d errors, %d missing tokens, %d whole names and comments of %d",
				shift, tree.Errors, tree.Missing, names, 4*4000)
		}
	}
}
