package db_test

import (
	"context"
	"testing"
	"time"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbtest"
)

// A client that goes silent in a transaction loses it, and with it its locks.
func TestSilentTransaction(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := pool.Exec(ctx, "create table held (n integer); insert into held values (1)"); err != nil {
		t.Fatal(err)
	}
	tx, err := db.Begin(ctx, pool, 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(ctx)
	if _, err := tx.Exec(ctx, "update held set n = 2"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := pool.Exec(ctx, "update held set n = n + 10"); err != nil {
		t.Fatalf("the lock was never given back: %v", err)
	}
	if waited := time.Since(began); waited < 200*time.Millisecond {
		t.Errorf("the transaction lost its lock after %s, before its time", waited)
	}
	if err := tx.Commit(ctx); err == nil {
		t.Error("a transaction that was rolled back meanwhile could be committed")
	}
	if n := dbtest.Value[int](t, pool, "select n from held"); n != 11 {
		t.Errorf("n = %d, want 11", n)
	}
}
