package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// conns are connections, one for each worker, kept from one Run to the next.
type conns struct {
	url  string
	list []*pgx.Conn
}

// atLeast connects until there are n.
func (c *conns) atLeast(ctx context.Context, n int) error {
	for len(c.list) < n {
		conn, err := pgx.Connect(ctx, c.url)
		if err != nil {
			return err
		}
		c.list = append(c.list, conn)
	}
	return nil
}

func (c *conns) close(ctx context.Context) error {
	var errs []error
	for _, conn := range c.list {
		errs = append(errs, conn.Close(ctx))
	}
	c.list = nil
	return errors.Join(errs...)
}

// one returns the one value of the one row.
func one[T any](rows pgx.Rows) (T, error) { return pgx.CollectExactlyOneRow(rows, pgx.RowTo[T]) }

// A fact is a count in the database that has to be right.
type fact struct {
	what  string
	query string
	want  int
}

// check fails with the first fact that is not as it should be.
func check(ctx context.Context, conn *pgx.Conn, facts ...fact) error {
	for _, f := range facts {
		var got int
		if err := conn.QueryRow(ctx, f.query).Scan(&got); err != nil {
			return fmt.Errorf("count %s: %w", f.what, err)
		}
		if got != f.want {
			return fmt.Errorf("%d %s, want %d", got, f.what, f.want)
		}
	}
	return nil
}
