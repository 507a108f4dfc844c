package db_test

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbtest"
)

func TestUpIsRepeatableAndConcurrent(t *testing.T) {
	t.Parallel()
	pool := dbtest.Empty(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := db.Up(t.Context(), pool); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	status, err := db.GetStatus(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	if status.Migration != status.LatestMigration || !status.CodeCurrent {
		t.Errorf("after Up: %+v", status)
	}
}

func TestUpRefusesADatabaseOfANewerBinary(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, "update public.htdag_migrations set version = 999")
	if err := db.Up(t.Context(), pool); !errors.Is(err, db.ErrNewerDatabase) {
		t.Errorf("Up on migration 999: %v", err)
	}
}

// A process killed during a migration leaves golang-migrate's mark behind, and
// nothing else, since the migration is one transaction.
func TestUpRecoversFromAMigrationCutShort(t *testing.T) {
	t.Parallel()
	pool := dbtest.Empty(t)
	dbtest.Exec(t, pool, "create table public.htdag_migrations (version bigint not null primary key, dirty boolean not null)")
	dbtest.Exec(t, pool, "insert into public.htdag_migrations values (1, true)")
	if err := db.Up(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
}

func TestInstallKeepsTheUsersViews(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, "create view public.mine as select path from report.files")
	dbtest.Exec(t, pool, "update htdag.installations set code_hash = ''")
	dbtest.Exec(t, pool, "create function htdag.of_an_older_version() returns int language sql return 1")
	if err := db.Up(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, pool, "select from public.mine")
	if dbtest.Value[bool](t, pool, "select to_regprocedure('htdag.of_an_older_version()') is not null") {
		t.Error("a function that is no longer in the files survived")
	}

	// Where the columns of ours change, the user's view stands in the way and is named.
	dbtest.Exec(t, pool, "update htdag.installations set code_hash = ''")
	dbtest.Exec(t, pool, "alter view report.files rename column lines to line_count")
	if err := db.Up(t.Context(), pool); err == nil {
		t.Error("Up dropped or broke a view of the user's")
	} else {
		t.Log(err)
	}
}

func TestErrorsAreTranslated(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	_, err := pool.Exec(t.Context(), "select htdag.start_flow('nosuch')")
	if err = db.Error(err); !errors.Is(err, db.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) || pgErr.Code != "HT001" {
		t.Errorf("the server's error is lost: %v", err)
	}
	if db.Error(os.ErrClosed) != os.ErrClosed || db.Error(nil) != nil {
		t.Error("other errors must come back unchanged")
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := db.Open(context.Background(), "postgres://u:secret@127.0.0.1:1/x?connect_timeout=2", db.Options{})
	if err == nil {
		t.Fatal("connected to nothing")
	}
	t.Log(err)
}
