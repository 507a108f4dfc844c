package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// mapped: one map of many elements, and sixteen connections that work on it.
func mapped(ctx context.Context, b *bench) error {
	return b.inWorld(ctx, func(w *world, _ *client) error {
		_, err := w.conn.Exec(ctx, "select htdag.start_flow('map', (select jsonb_agg(i) from generate_series(1, $1::integer) i))", b.elements)
		if err != nil {
			return err
		}
		var mu sync.Mutex
		var took []time.Duration
		began := time.Now()
		group, ctx := errgroup.WithContext(ctx)
		for range 16 {
			c, err := w.client(ctx)
			if err != nil {
				return err
			}
			group.Go(func() error {
				defer c.close()
				var own []time.Duration
				for {
					since := time.Now()
					if err := c.complete(ctx, 50); err != nil {
						return fmt.Errorf("complete: %w", err)
					}
					own = append(own, time.Since(since))
					if len(c.held) > 0 {
						continue
					}
					var ended bool
					if err := c.conn.QueryRow(ctx, "select not exists (select from htdag.runs where finished_at is null)").Scan(&ended); err != nil {
						return err
					}
					if ended {
						mu.Lock()
						took = append(took, own...)
						mu.Unlock()
						return nil
					}
					if err := sleep(ctx, time.Millisecond); err != nil {
						return err
					}
				}
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		rate := float64(b.elements) / time.Since(began).Seconds()
		w.print(fmt.Sprintf("map of %d, 16 connections: %.0f tasks/s", b.elements, rate), "complete 50", figureOf(took, 0))
		return nil
	})
}
