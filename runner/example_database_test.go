package runner_test

import (
	"context"
	"log"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/localpg"
)

// database starts a PostgreSQL that is gone when the example ends. A program opens
// its own by db.Open, and db.Up makes it ready.
func database(ctx context.Context) (pool *pgxpool.Pool, closeAll func()) {
	server, err := localpg.Start(ctx, localpg.Options{Ephemeral: true})
	if err != nil {
		log.Fatal(err)
	}
	if pool, err = db.Open(ctx, server.URL("postgres"), db.Options{}); err != nil {
		log.Fatal(err)
	}
	if err := db.Up(ctx, pool); err != nil {
		log.Fatal(err)
	}
	return pool, func() { pool.Close(); server.Close() }
}

func exec(ctx context.Context, pool *pgxpool.Pool, statement string, args ...any) {
	if _, err := pool.Exec(ctx, statement, args...); err != nil {
		log.Fatal(err)
	}
}

func text(ctx context.Context, pool *pgxpool.Pool, query string, args ...any) (answer string) {
	if err := pool.QueryRow(ctx, query, args...).Scan(&answer); err != nil {
		log.Fatal(err)
	}
	return answer
}
