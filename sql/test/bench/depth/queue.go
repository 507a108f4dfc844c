package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"
)

// waiting: tasks that wait are many.
func waiting(ctx context.Context, b *bench) error {
	for _, tasks := range []int{10_000, 1_000_000, 5_000_000} {
		if tasks > b.deepest {
			break
		}
		err := b.inWorld(ctx, func(w *world, c *client) error {
			if err := w.fill(ctx, tasks+200*b.calls); err != nil {
				return err
			}
			return w.probe(ctx, c, fmt.Sprintf("%d tasks wait", tasks))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// unvacuumed: nobody cleans up what was completed.
func unvacuumed(ctx context.Context, b *bench) error {
	return b.inWorld(ctx, func(w *world, c *client) error {
		_, err := w.conn.Exec(ctx, `
			do $$ declare r regclass; begin
			  for r in select oid::regclass from pg_class where relnamespace = 'htdag'::regnamespace and relkind = 'r' loop
			    execute format('alter table %s set (autovacuum_enabled = off)', r);
			  end loop;
			end $$`)
		if err != nil {
			return err
		}
		return w.age(ctx, c, "without vacuum", 0)
	})
}

// snapshot: a transaction is open for long, so that no row which it may see can be removed.
func snapshot(ctx context.Context, b *bench) error {
	return b.inWorld(ctx, func(w *world, c *client) error {
		holder, err := pgx.Connect(ctx, w.server.SocketURL(w.name))
		if err != nil {
			return err
		}
		defer holder.Close(context.Background())
		tx, err := holder.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "select"); err != nil {
			return err
		}
		if err := w.fill(ctx, 5000); err != nil {
			return err
		}
		if err := w.profile(ctx, c, "before"); err != nil {
			return err
		}
		if err := w.age(ctx, c, "behind a snapshot", b.hold); err != nil {
			return err
		}
		if err := w.profile(ctx, c, "after"); err != nil {
			return err
		}
		if err := tx.Rollback(ctx); err != nil {
			return err
		}
		return w.age(ctx, c, "when it has gone, and", 0)
	})
}

func (b *bench) inWorld(ctx context.Context, f func(*world, *client) error) error {
	w, err := b.newWorld(ctx)
	if err != nil {
		return err
	}
	defer w.drop()
	c, err := w.client(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	return f(w, c)
}

// age completes steps and probes four times on the way, with a connection that has been
// there from the start; the last time also with one that is new.
func (w *world) age(ctx context.Context, c *client, what string, hold time.Duration) error {
	since := time.Now()
	done := 0
	for quarter := 1; quarter <= 4; quarter++ {
		n, rate, err := w.churn(ctx, w.completed/4, since.Add(hold/4*time.Duration(quarter)))
		if err != nil {
			return err
		}
		done += n
		fmt.Printf("%-44s %.0f steps/s meanwhile\n", fmt.Sprintf("%s %d completed", what, done), rate)
		if err := w.probe(ctx, c, fmt.Sprintf("%s %d completed", what, done)); err != nil {
			return err
		}
	}
	c, err := w.client(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	return w.probe(ctx, c, fmt.Sprintf("%s %d completed, new connection", what, done))
}

// churn has four runners complete at least so many steps, and go on until a moment. As
// they start as many runs as they finish, the queue stays as deep as it is, and deep
// enough for two probes.
func (w *world) churn(ctx context.Context, steps int, until time.Time) (done int, rate float64, err error) {
	var total atomic.Int64
	began := time.Now()
	group, ctx := errgroup.WithContext(ctx)
	for range 4 {
		c, err := w.client(ctx)
		if err != nil {
			return 0, 0, err
		}
		group.Go(func() error {
			defer c.close()
			started := 0 // steps of the runs that this runner started, less those that it did
			for total.Load() < int64(steps) || time.Now().Before(until) {
				for started < max(6000, 10*w.calls) {
					if _, err := c.conn.Exec(ctx, "select from htdag.start_flows('chain', array_fill('{}'::jsonb, array[100]))"); err != nil {
						return fmt.Errorf("start: %w", err)
					}
					started += 300
				}
				n := len(c.held)
				if err := c.complete(ctx, 50); err != nil {
					return fmt.Errorf("complete: %w", err)
				}
				started -= n
				total.Add(int64(n))
			}
			return c.complete(ctx, 0)
		})
	}
	err = group.Wait()
	return int(total.Load()), float64(total.Load()) / time.Since(began).Seconds(), err
}
