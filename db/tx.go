package db

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// maxTries bounds how often InTx repeats a transaction that met a deadlock or a
// serialization failure. Each repetition makes progress for somebody, so a handful
// is enough.
const maxTries = 5

// silence is how long a client may be silent in a transaction of ours that does
// nothing but SQL.
const silence = time.Minute

// Begin starts a transaction that the server rolls back, closing the connection,
// once the client has been silent in it for the given time. A process that hangs, or
// whose host has gone without a word, must not keep its locks from the others for ever.
func Begin(ctx context.Context, pool *pgxpool.Pool, silence time.Duration) (pgx.Tx, error) {
	return pool.BeginTx(ctx, impatient(silence))
}

func impatient(silence time.Duration) pgx.TxOptions {
	return pgx.TxOptions{BeginQuery: fmt.Sprintf("begin; set local idle_in_transaction_session_timeout = %d", silence.Milliseconds())}
}

// InTx runs f in a transaction and commits it, or rolls it back when f fails. When
// PostgreSQL reports a deadlock or a serialization failure the transaction is run
// again, so f must have no effects outside it. The server ends it when f leaves the
// connection silent for a minute.
func InTx(ctx context.Context, pool *pgxpool.Pool, f func(pgx.Tx) error) error {
	for try := 1; ; try++ {
		err := pgx.BeginTxFunc(ctx, pool, impatient(silence), f)
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
