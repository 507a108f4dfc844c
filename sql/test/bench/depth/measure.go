package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// figure is what one kind of call costs.
type figure struct {
	p50, p99 time.Duration
	blocks   float64 // pages of the claim index a call
}

func figureOf(took []time.Duration, blocks int64) figure {
	slices.Sort(took)
	return figure{p50: took[len(took)/2], p99: took[len(took)*99/100], blocks: float64(blocks) / float64(len(took))}
}

// measureEmpty measures what the others are compared with, and prints the head of the table.
func (b *bench) measureEmpty(ctx context.Context) error {
	w, err := b.newWorld(ctx)
	if err != nil {
		return err
	}
	defer w.drop()
	fmt.Printf("%-44s %-12s %8s %8s %8s  %s\n", "", "call", "p50 ms", "p99 ms", "blocks", "times the empty queue's p50, p99 (target 2)")
	for range 2 { // the first time for the caches
		clear(b.empty)
		if err := w.fill(ctx, 200*b.calls); err != nil {
			return err
		}
		c, err := w.client(ctx)
		if err != nil {
			return err
		}
		if err := w.probe(ctx, c, "empty: what is claimed and little more"); err != nil {
			return err
		}
		c.close()
	}
	return nil
}

// probe claims and completes, ten and fifty at a time, and prints what that took.
func (w *world) probe(ctx context.Context, c *client, what string) error {
	for _, batch := range []int{10, 50} {
		calls := w.calls * 10 / (10 + batch)
		var claims, completions []time.Duration
		var claimBlocks, completionBlocks int64
		for range calls {
			took, blocks, err := c.timed(ctx, func() error { return c.claim(ctx, batch) })
			if err != nil {
				return fmt.Errorf("claim: %w", err)
			}
			if len(c.held) < batch {
				return fmt.Errorf("%s: %d tasks were claimed where %d were wanted", what, len(c.held), batch)
			}
			claims, claimBlocks = append(claims, took), claimBlocks+blocks
			if took, blocks, err = c.timed(ctx, func() error { return c.complete(ctx, batch) }); err != nil {
				return fmt.Errorf("complete: %w", err)
			}
			completions, completionBlocks = append(completions, took), completionBlocks+blocks
			if err := c.complete(ctx, 0); err != nil {
				return fmt.Errorf("complete: %w", err)
			}
		}
		w.print(what, fmt.Sprintf("claim %d", batch), figureOf(claims, claimBlocks))
		w.print(what, fmt.Sprintf("complete %d", batch), figureOf(completions, completionBlocks))
	}
	return nil
}

// timed calls f and returns how long that took and how many pages of the claim index it read.
func (c *client) timed(ctx context.Context, f func() error) (took time.Duration, blocks int64, err error) {
	const counter = "select pg_stat_get_xact_blocks_fetched('htdag.tasks_claim_idx'::regclass)"
	tx, err := c.conn.Begin(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer tx.Rollback(ctx)
	var before, after int64
	if err := tx.QueryRow(ctx, counter).Scan(&before); err != nil {
		return 0, 0, err
	}
	began := time.Now()
	if err := f(); err != nil {
		return 0, 0, err
	}
	took = time.Since(began)
	if err := tx.QueryRow(ctx, counter).Scan(&after); err != nil {
		return 0, 0, err
	}
	return took, after - before, tx.Commit(ctx)
}

func (b *bench) print(what, call string, f figure) {
	base, ok := b.empty[call]
	if !ok {
		b.empty[call], base = f, f
	}
	fmt.Printf("%-44s %-12s %8.2f %8.2f %8.1f  %5.1f %5.1f\n", what, call, ms(f.p50), ms(f.p99), f.blocks,
		float64(f.p50)/float64(base.p50), float64(f.p99)/float64(base.p99))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
