package search_test

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// fataler is what helpers need of *testing.T and *rapid.T.
type fataler interface {
	Fatalf(string, ...any)
	Context() context.Context
}

// column runs a query that returns one column of text.
func column(t fataler, pool *pgxpool.Pool, query string, args ...any) []string {
	rows, err := pool.Query(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	if len(values) == 0 {
		return nil
	}
	return values
}
