package db

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/htdag/htdag/sql"
)

// ErrNewerDatabase is returned when a database was migrated by a newer htdag.
var ErrNewerDatabase = errors.New("the database belongs to a newer htdag")

const (
	migrationsTable = "htdag_migrations" // in schema public, where it outlives ours
	migrationLock   = 1213481298         // 'HTDR', as in sql/functions: one registry of advisory locks
)

// Status says how a database relates to this binary.
type Status struct {
	Migration       int  // the database's; 0 when it is empty
	LatestMigration int  // this binary's
	CodeCurrent     bool // whether the functions are this binary's
}

// Up migrates the database and installs this binary's functions. It does nothing
// when both are current. Processes that call it at once wait for one another.
func Up(ctx context.Context, pool *pgxpool.Pool) error {
	return Locked(ctx, pool, func(conn *pgx.Conn) error {
		if _, err := understood(ctx, conn); err != nil {
			return err
		}
		if err := withMigrate(pool, func(m *migrate.Migrate) error { return m.Up() }); err != nil {
			return fmt.Errorf("migrate the database: %w", err)
		}
		if err := install(ctx, conn); err != nil {
			return fmt.Errorf("install functions: %w", err)
		}
		return nil
	})
}

// understood returns the status of a database unless a newer binary made it.
func understood(ctx context.Context, conn *pgx.Conn) (Status, error) {
	status, err := statusOf(ctx, conn)
	if err == nil && status.Migration > status.LatestMigration {
		err = fmt.Errorf("%w: it is at migration %d, this binary knows %d; use the newer binary, or another database",
			ErrNewerDatabase, status.Migration, status.LatestMigration)
	}
	return status, err
}

// Down takes back n migrations, or all when n is 0 or more than there are, after
// removing the functions. It destroys what those migrations' tables hold.
func Down(ctx context.Context, pool *pgxpool.Pool, n int) error {
	if n < 0 {
		return fmt.Errorf("migrate down by %d: the number must not be negative", n)
	}
	return Locked(ctx, pool, func(conn *pgx.Conn) error {
		status, err := understood(ctx, conn)
		if err != nil {
			return err
		}
		if err := uninstall(ctx, conn); err != nil {
			return fmt.Errorf("remove functions: %w", err)
		}
		err = withMigrate(pool, func(m *migrate.Migrate) error {
			if n == 0 || n >= status.Migration { // they are numbered without gaps
				return m.Down()
			}
			return m.Steps(-n)
		})
		if err != nil {
			return fmt.Errorf("migrate down: %w", err)
		}
		return nil
	})
}

// GetStatus reports how the database relates to this binary, without changing it.
func GetStatus(ctx context.Context, pool *pgxpool.Pool) (Status, error) {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return Status{}, err
	}
	defer conn.Release()
	return statusOf(ctx, conn.Conn())
}

func statusOf(ctx context.Context, conn *pgx.Conn) (Status, error) {
	s := Status{LatestMigration: latestMigration()}
	var present bool
	err := conn.QueryRow(ctx, "select to_regclass('public."+migrationsTable+"') is not null").Scan(&present)
	if err != nil || !present {
		return s, err
	}
	err = conn.QueryRow(ctx, "select version from public."+migrationsTable).Scan(&s.Migration)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, nil
	} else if err != nil {
		return s, err
	}
	installed, err := installedHash(ctx, conn)
	if err != nil {
		return s, err
	}
	hash, err := codeHash()
	s.CodeCurrent = slices.Equal(installed, hash)
	return s, err
}

func latestMigration() int {
	latest := 0
	names, _ := fs.Glob(sql.Migrations, "migrations/*.up.sql")
	for _, name := range names {
		number, _, _ := strings.Cut(strings.TrimPrefix(name, "migrations/"), "_")
		n, _ := strconv.Atoi(number)
		latest = max(latest, n)
	}
	return latest
}

// Locked holds the advisory lock of migrations on one connection while f runs. The
// lock dies with the connection, so a killed process leaves nothing behind.
func Locked(ctx context.Context, pool *pgxpool.Pool, f func(*pgx.Conn) error) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "select pg_advisory_lock($1, -1)", migrationLock); err != nil {
		return err
	}
	defer func() {
		_, _ = conn.Exec(context.WithoutCancel(ctx), "select pg_advisory_unlock($1, -1)", migrationLock)
	}()
	return f(conn.Conn())
}

// withMigrate runs f with golang-migrate over the embedded migrations. Each of them
// is one transaction, so a "dirty" mark means that one was cut short and rolled
// back; it is taken off and the migration is run again.
func withMigrate(pool *pgxpool.Pool, f func(*migrate.Migrate) error) error {
	source, err := iofs.New(sql.Migrations, "migrations")
	if err != nil {
		return err
	}
	handle := stdlib.OpenDBFromPool(pool)
	defer handle.Close()
	driver, err := migratepgx.WithInstance(handle, &migratepgx.Config{
		MigrationsTable: migrationsTable, SchemaName: "public", MultiStatementEnabled: false,
	})
	if err != nil {
		return err
	}
	m, err := migrate.NewWithInstance("iofs", source, "pgx5", driver)
	if err != nil {
		return err
	}
	defer m.Close()
	if version, dirty, err := m.Version(); err == nil && dirty {
		before := int(version) - 1
		if before == 0 {
			before = database.NilVersion
		}
		if err := m.Force(before); err != nil {
			return err
		}
	}
	if err := f(m); err != nil && !errors.Is(err, migrate.ErrNoChange) {
		return err
	}
	return nil
}
