package runner

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
)

// A bundle is what the steps of one task share: memory and, once one of them asks
// for it, a transaction with a savepoint per step.
type bundle struct {
	pool   *pgxpool.Pool
	limit  time.Duration // longer than any of its steps may take
	memory Memory
	tx     pgx.Tx // nil until a step asks
	first  int16  // the step that asked first; the next one while none has
	save   pgx.Tx // of the present step

	mu       sync.Mutex // a handler may tell its progress from several goroutines
	reported time.Time  // when progress was last stored
}

// step returns the savepoint of the present step, opening it on first use.
func (b *bundle) step(ctx context.Context) (pgx.Tx, error) {
	if b.save != nil {
		return b.save, nil
	}
	if b.tx == nil {
		tx, err := db.Begin(ctx, b.pool, b.limit)
		if err != nil {
			return nil, fmt.Errorf("begin the step's transaction: %w", err)
		}
		b.tx = tx
	}
	save, err := b.tx.Begin(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin the step's savepoint: %w", err)
	}
	b.save = save
	return save, nil
}

// end closes the present step's savepoint: keeps what it wrote, or takes it back.
// An error means that the whole transaction is gone.
func (b *bundle) end(ctx context.Context, no int16, ok bool) error {
	if b.tx == nil {
		b.first = no + 1
		return nil
	}
	if b.save == nil {
		return nil
	}
	save := b.save
	b.save = nil
	if ok {
		return save.Commit(ctx)
	}
	return save.Rollback(ctx)
}

// discard rolls the transaction back unless it was committed.
func (b *bundle) discard(ctx context.Context) {
	if b.tx != nil {
		_ = b.tx.Rollback(ctx)
	}
}
