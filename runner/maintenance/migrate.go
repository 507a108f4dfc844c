package maintenance

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/htdag/htdag/db"
)

// schema holds River's tables and nothing else.
const schema = "river"

// ours is the comment by which a schema that Migrate has made is known.
const ours = "Tables of River, by which htdag elects the process that does upkeep."

// rights are what a runner needs of River's tables, given where the role is there.
const rights = `do $$
begin
  if exists (select from pg_catalog.pg_roles where rolname = 'htdag_runner') then
    grant usage on schema river to htdag_runner;
    grant select, insert, update, delete on all tables in schema river to htdag_runner;
    grant usage on all sequences in schema river to htdag_runner;
  end if;
end;
$$`

// Migrate makes River's tables or brings them up to date. Where they are, no right to
// change anything is needed. Processes that call it at once wait for one another.
func Migrate(ctx context.Context, pool *pgxpool.Pool) error {
	migrator, err := newMigrator(pool)
	if err != nil {
		return err
	}
	if current, err := isCurrent(ctx, pool, migrator); err != nil || current {
		return err
	}
	err = db.Locked(ctx, pool, func(conn *pgx.Conn) error {
		if err := makeSchema(ctx, conn); err != nil {
			return err
		}
		// Each migration is a transaction; after a crash the next call goes on.
		if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return err
		}
		_, err := conn.Exec(ctx, rights)
		return err
	})
	if err != nil {
		return fmt.Errorf("make River's tables: %w", err)
	}
	return nil
}

// Remove drops River's tables, if it was Migrate that made their schema.
func Remove(ctx context.Context, pool *pgxpool.Pool) error {
	return db.Locked(ctx, pool, func(conn *pgx.Conn) error {
		var made bool
		err := conn.QueryRow(ctx, `select exists (select from pg_namespace
			where nspname = 'river' and obj_description(oid, 'pg_namespace') = $1)`, ours).Scan(&made)
		if err != nil || !made {
			return err
		}
		if _, err := conn.Exec(ctx, "drop schema river cascade"); err != nil {
			return fmt.Errorf("drop River's tables: %w", err)
		}
		return nil
	})
}

func newMigrator(pool *pgxpool.Pool) (*rivermigrate.Migrator[pgx.Tx], error) {
	m, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Schema: schema, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, fmt.Errorf("read River's migrations: %w", err)
	}
	return m, nil
}

// isCurrent says whether the last migration that is known here has been applied.
func isCurrent(ctx context.Context, pool *pgxpool.Pool, m *rivermigrate.Migrator[pgx.Tx]) (bool, error) {
	var present bool
	if err := pool.QueryRow(ctx, "select to_regclass('river.river_migration') is not null").Scan(&present); err != nil || !present {
		return false, err
	}
	result, err := m.Validate(ctx, nil)
	if err != nil {
		return false, fmt.Errorf("look at River's tables: %w", err)
	}
	return result.OK, nil
}

func makeSchema(ctx context.Context, conn *pgx.Conn) error {
	var present bool
	err := conn.QueryRow(ctx, "select to_regnamespace('river') is not null").Scan(&present)
	if err != nil || present {
		return err
	}
	_, err = conn.Exec(ctx, "create schema river; comment on schema river is '"+ours+"'")
	return err
}
