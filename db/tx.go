package db

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// maxTries bounds how often InTx repeats a transaction that met a deadlock or a
// serialization failure. Each repetition makes progress for somebody, so a handful
// is enough.
const maxTries = 5

// InTx runs f in a transaction and commits it, or rolls it back when f fails. When
// PostgreSQL reports a deadlock or a serialization failure the transaction is run
// again, so f must have no effects outside it.
func InTx(ctx context.Context, pool *pgxpool.Pool, f func(pgx.Tx) error) error {
	for try := 1; ; try++ {
		err := pgx.BeginFunc(ctx, pool, f)
		if err == nil {
			return nil
		}
		if !Conflict(err) {
			return Error(err)
		}
		if try == maxTries {
			return fmt.Errorf("gave up after %d tries: %w", try, err)
		}
	}
}
