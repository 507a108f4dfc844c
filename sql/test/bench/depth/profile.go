package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
)

// profile prints of which tables and indexes a call reads most pages, fifty steps each
// time: where dead rows are in the way, a call reads more than it did.
func (w *world) profile(ctx context.Context, c *client, what string) error {
	const calls = 10
	kinds := []string{"claim", "complete"}
	read := map[string]map[string]int64{}
	for range calls {
		for _, kind := range kinds {
			f := func() error { return c.claim(ctx, 50) }
			if kind == "complete" {
				f = func() error { return c.complete(ctx, 0) }
			}
			got, err := c.pagesOf(ctx, f)
			if err != nil {
				return fmt.Errorf("%s: %w", kind, err)
			}
			if read[kind] == nil {
				read[kind] = map[string]int64{}
			}
			for relation, n := range got {
				read[kind][relation] += n
			}
		}
	}
	for _, kind := range kinds {
		names := slices.SortedFunc(maps.Keys(read[kind]), func(a, b string) int { return cmp.Compare(read[kind][b], read[kind][a]) })
		fmt.Printf("%s, pages a %s of 50:", what, kind)
		for _, name := range names[:min(8, len(names))] {
			fmt.Printf(" %s %.0f", name, float64(read[kind][name])/calls)
		}
		fmt.Println()
	}
	return nil
}

// pagesOf returns how many pages of each table and index f reads.
func (c *client) pagesOf(ctx context.Context, f func() error) (map[string]int64, error) {
	tx, err := c.conn.Begin(ctx)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback(ctx)
	before, err := pages(ctx, tx)
	if err != nil {
		return nil, err
	}
	if err := f(); err != nil {
		return nil, err
	}
	after, err := pages(ctx, tx)
	if err != nil {
		return nil, err
	}
	for name := range after {
		after[name] -= before[name]
	}
	return after, tx.Commit(ctx)
}

func pages(ctx context.Context, tx pgx.Tx) (map[string]int64, error) {
	rows, err := tx.Query(ctx, `
		select relname::text, pg_stat_get_xact_blocks_fetched(oid)
		  from pg_class where relnamespace = 'htdag'::regnamespace and relkind in ('r', 'i')`)
	if err != nil {
		return nil, err
	}
	read := map[string]int64{}
	var name string
	var n int64
	_, err = pgx.ForEachRow(rows, []any{&name, &n}, func() error {
		read[name] = n
		return nil
	})
	return read, err
}
