package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// latencies makes edits one at a time and measures how long each takes, from the
// writing to the first query that finds it. The quiet time is taken out, since it is
// a choice.
func (h *htdag) latencies(ctx context.Context, t *tree) (*table, error) {
	conn, err := pgx.Connect(ctx, h.url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	stop, err := h.watch(ctx, t)
	if err != nil {
		return nil, err
	}
	defer stop()

	out := newTable("one edit, seen and ingested", "edits", "p50 ms", "p95 ms", "max ms")
	for _, sort := range []struct {
		name  string
		write func(int) (edit, error)
		query string
	}{
		{"a comment, found by its words", t.newText, "select exists (select from code.chunks where words @@ plainto_tsquery('simple', $1))"},
		{"a function, found by its name", t.newFunction, "select exists (select from report.symbols where name = $1)"},
		{"a type with a method Close, and a call", t.newCall, "select exists (select from report.calls where caller = $1 and callee_path is not null)"},
	} {
		var took []time.Duration
		for n := range h.edits {
			e, err := sort.write(1000 + n)
			if err != nil {
				return nil, err
			}
			d, err := until(ctx, conn, sort.query, e)
			if err != nil {
				return nil, err
			}
			took = append(took, d-h.debounce)
			time.Sleep(300 * time.Millisecond) // the rest of the run ends in peace
		}
		slices.Sort(took)
		out.add(sort.name, fmt.Sprint(len(took)), milliseconds(quantile(took, 0.5)), milliseconds(quantile(took, 0.95)), milliseconds(took[len(took)-1]))
	}
	return out, nil
}

// until polls until the edit is found.
func until(ctx context.Context, conn *pgx.Conn, query string, e edit) (time.Duration, error) {
	began := time.Now()
	for {
		var found bool
		if err := conn.QueryRow(ctx, query, e.find).Scan(&found); err != nil {
			return 0, err
		}
		if found {
			return time.Since(began), nil
		}
		if time.Since(began) > time.Minute {
			return 0, fmt.Errorf("%s in %s is not found after a minute", e.find, e.path)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// quantile of sorted durations: the smallest that at least a share q does not exceed.
func quantile(sorted []time.Duration, q float64) time.Duration {
	i := int(q*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%.0f", d.Seconds()*1000) }

// waitFor reads until a line begins with prefix, and leaves the rest to a reader that
// throws it away, so that the writer does not wait.
func waitFor(r io.Reader, prefix string) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), prefix) {
			go io.Copy(io.Discard, r)
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}
