package db

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/htdag/htdag/sql"
)

// ourSchemas are those whose routines and views the installer owns.
const ourSchemas = "'htdag', 'code', 'report'"

// install replaces all routines and views with those of this binary, in one
// transaction, if they differ from what is installed.
//
// Files are applied as they are: create or replace. Where the shape of something
// changed, which PostgreSQL refuses to replace, everything of ours is dropped first.
// What is no longer in the files is dropped at the end.
func install(ctx context.Context, conn *pgx.Conn) error {
	hash, err := codeHash()
	if err != nil {
		return err
	}
	if installed, err := installedHash(ctx, conn); err != nil {
		return err
	} else if bytes.Equal(installed, hash) {
		return nil
	}
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := installQueue(ctx, tx); err != nil {
			return err
		}
		before, err := inventory(ctx, tx)
		if err != nil {
			return err
		}
		err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { return apply(ctx, tx, "functions", "reports") })
		if shapeChanged(err) {
			if err := dropAll(ctx, tx); err != nil {
				return err
			}
			before = nil
			err = apply(ctx, tx, "functions", "reports")
		}
		if err != nil {
			return err
		}
		if err := dropStale(ctx, tx, before); err != nil {
			return err
		}
		// Rights come last: they are given on what is there then.
		if err := applyFile(ctx, tx, "grants.sql"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "select code.define_flows()"); err != nil {
			return fmt.Errorf("define the built-in flows: %w", Error(err))
		}
		_, err = tx.Exec(ctx, `insert into htdag.installations (code_hash) values ($1)
			on conflict (singleton) do update set code_hash = excluded.code_hash, installed_at = now()`, hash)
		return err
	})
}

// uninstall drops everything of ours that install makes, except the message queue,
// which may hold messages.
func uninstall(ctx context.Context, conn *pgx.Conn) error {
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := dropAll(ctx, tx); err != nil {
			return err
		}
		var present bool
		err := tx.QueryRow(ctx, "select to_regclass('htdag.installations') is not null").Scan(&present)
		if err != nil || !present {
			return err
		}
		_, err = tx.Exec(ctx, "delete from htdag.installations")
		return err
	})
}

func codeFiles(dir string) ([]string, error) {
	return fs.Glob(sql.Code, path.Join(dir, "*.sql")) // sorted by name
}

// codeHash identifies the code that this binary carries.
func codeHash() ([]byte, error) {
	h := sha256.New()
	for _, dir := range []string{"pgmq", "functions", "reports", "."} {
		names, err := codeFiles(dir)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			text, err := fs.ReadFile(sql.Code, name)
			if err != nil {
				return nil, err
			}
			fmt.Fprintf(h, "%s %d\n", name, len(text))
			h.Write(text)
		}
	}
	return h.Sum(nil), nil
}

func installedHash(ctx context.Context, conn *pgx.Conn) ([]byte, error) {
	var present bool
	err := conn.QueryRow(ctx, "select to_regclass('htdag.installations') is not null").Scan(&present)
	if err != nil || !present {
		return nil, err
	}
	var hash []byte
	err = conn.QueryRow(ctx, "select code_hash from htdag.installations").Scan(&hash)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return hash, err
}

// apply runs the files of directories in name order.
func apply(ctx context.Context, tx pgx.Tx, dirs ...string) error {
	for _, dir := range dirs {
		names, err := codeFiles(dir)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := applyFile(ctx, tx, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func applyFile(ctx context.Context, tx pgx.Tx, name string) error {
	text, err := fs.ReadFile(sql.Code, name)
	if err != nil {
		return err
	}
	// Without arguments the text is sent as it is, all statements at once.
	if _, err := tx.Conn().PgConn().Exec(ctx, string(text)).ReadAll(); err != nil {
		return fmt.Errorf("sql/%s%s: %w", name, lineOf(text, err), err)
	}
	return nil
}

// lineOf turns the position in a server error into ":line".
func lineOf(text []byte, err error) string {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Position <= 0 {
		return ""
	}
	runes := []rune(string(text))
	end := min(int(pgErr.Position), len(runes))
	return fmt.Sprintf(":%d", 1+strings.Count(string(runes[:end]), "\n"))
}

// installQueue makes sure that the calls of PGMQ can be answered: by the extension
// where the server has it, else by our own functions.
func installQueue(ctx context.Context, tx pgx.Tx) error {
	var available, installed bool
	err := tx.QueryRow(ctx, `select exists (select from pg_available_extensions where name = 'pgmq'),
		exists (select from pg_extension where extname = 'pgmq')`).Scan(&available, &installed)
	if err != nil || installed {
		return err
	}
	var ours bool
	if err := tx.QueryRow(ctx, "select to_regprocedure('pgmq.htdag_version()') is not null").Scan(&ours); err != nil {
		return err
	}
	if available && !ours {
		_, err := tx.Exec(ctx, "create extension pgmq")
		return err
	}
	return apply(ctx, tx, "pgmq")
}

// shapeChanged recognises what create or replace cannot do: change a function's
// result or parameter names, or a view's columns.
func shapeChanged(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == "42P13" || pgErr.Code == "42P16")
}
