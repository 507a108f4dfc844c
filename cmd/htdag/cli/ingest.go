package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/db/localpg"
	"github.com/htdag/htdag/runner/steps"
	"github.com/htdag/htdag/watcher"
)

func (a *app) ingest() *cobra.Command {
	var s settings
	var dryRun, list, asJSON bool
	cmd := &cobra.Command{
		Use:   "ingest [flags] DIR...",
		Short: "Ingest source trees once, or say what that would do",
		Long: "Ingests directories and stops, as htdag up --once does. With --dry-run it says what would be\n" +
			"ingested, in part or whole, what would be skipped or is left out, and why; and, where a database\n" +
			"is named or the local one runs, what of it is new to that. It then starts and writes nothing.",
		RunE: func(cmd *cobra.Command, dirs []string) error {
			dirs, err := a.configure(cmd.Flags(), &s, dirs)
			if err = cmp.Or(err, s.checkRunner()); err != nil {
				return err
			}
			if len(dirs) == 0 || slices.Contains(dirs, "") {
				return usagef("name the directory to ingest, as in: htdag ingest --dry-run path/to/source")
			}
			if dryRun {
				return a.dryRun(cmd.Context(), s, dirs, list, asJSON)
			}
			if list || asJSON {
				return usagef("--list and --json are for --dry-run")
			}
			s.once = true
			return a.bringUp(cmd, s, dirs)
		},
	}
	cmd.Flags().StringVar(&s.codebase, "codebase", "", "name of the codebase (default as detected)")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be ingested and skipped, and why")
	cmd.Flags().BoolVar(&list, "list", false, "with --dry-run, list the single files too")
	jsonFlag(cmd, &asJSON)
	s.runnerFlags(cmd)
	s.watchFlags(cmd)
	return cmd
}

// dryRun says what an ingestion of directories would come to.
func (a *app) dryRun(ctx context.Context, s settings, dirs []string, list, asJSON bool) error {
	roots, err := s.rootsOf(ctx, dirs)
	if err != nil {
		return err
	}
	known, err := a.known(ctx, s, roots)
	if err != nil {
		return err
	}
	var all []foresight
	for i, r := range roots {
		d := &explorer{disk: disk{log: a.log}}
		d.setFilters(map[string]watcher.Filter{r.Path: s.filterFor(r, roots)})
		f := foresight{Root: r.Path, Codebase: given(r.Name), Compared: known != nil, LeftOut: []leftOut{}}
		var files map[string]dbsqlc.CodeKnownFile
		if f.Compared {
			files = known[i]
		}
		seen, err := steps.Foresee(ctx, steps.Deps{Disk: d, Log: a.log, Limits: steps.Limits{Gates: s.gates.asIngested()}}, r.Path, files)
		if err != nil {
			return err
		}
		f.count(seen, d.passed)
		if list {
			f.list(seen, d.passed)
		}
		all = append(all, f)
	}
	if asJSON {
		return a.printJSON(all)
	}
	for _, f := range all {
		if err := a.printForesight(f, list); err != nil {
			return err
		}
	}
	return nil
}

// explorer is a disk that remembers what its scan leaves out, and does not warn: it is
// all told.
type explorer struct {
	disk
	passed []watcher.Passed
}

// Scan implements steps.Disk.
func (d *explorer) Scan(ctx context.Context, root string, yield func(steps.File) error) (unread []string, err error) {
	summary, err := watcher.Explore(ctx, root, d.filter(root), func(f watcher.File) error { return yield(file(f)) },
		func(p watcher.Passed) { d.passed = append(d.passed, p) })
	for _, p := range summary.Problems {
		unread = append(unread, p.Path)
	}
	return unread, err
}

// known names the roots and reads what the database has of each, as of one moment and
// without writing. It is nil where there is no database to ask.
func (a *app) known(ctx context.Context, s settings, roots []watcher.Root) ([]map[string]dbsqlc.CodeKnownFile, error) {
	pool, err := a.openExisting(ctx)
	if pool == nil || err != nil {
		return nil, err
	}
	defer pool.Close()
	var known []map[string]dbsqlc.CodeKnownFile
	err = pgx.BeginTxFunc(ctx, pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		queries := dbsqlc.New(tx)
		if err := nameRoots(ctx, queries, s, roots); err != nil {
			return err
		}
		for _, r := range roots {
			c, err := queries.Codebase(ctx, r.Name)
			switch {
			case errors.Is(err, pgx.ErrNoRows):
				known = append(known, map[string]dbsqlc.CodeKnownFile{})
				continue
			case err != nil:
				return fmt.Errorf("look up codebase %s: %w", r.Name, db.Error(err))
			case c.Root != r.Path:
				return fmt.Errorf("codebase '%s' is registered with root '%s', not '%s'; --codebase NAME gives it another name", r.Name, c.Root, r.Path)
			}
			files, err := steps.Known(ctx, queries, c.CodebaseID)
			if err != nil {
				return err
			}
			known = append(known, files)
		}
		return nil
	})
	return known, err
}

// openExisting connects to the database that is named, or to the local one if that
// runs, and starts, makes and migrates none. It is nil where there is none, or one of
// another version, which is said.
func (a *app) openExisting(ctx context.Context) (*pgxpool.Pool, error) {
	nothing := func(why string) (*pgxpool.Pool, error) {
		fmt.Fprintf(a.stderr, "%s: every file counts as new\n", why)
		return nil, nil
	}
	address := a.databaseURL
	if address == "" {
		opts, err := a.localOptions()
		if err != nil {
			return nothing(err.Error())
		}
		st, err := localpg.Inspect(ctx, opts)
		if err != nil || st.State != localpg.Running || st.URL == "" {
			return nothing("no database is named, and the local PostgreSQL does not run")
		}
		u, err := url.Parse(st.URL)
		if err != nil {
			return nil, fmt.Errorf("read the address of the local PostgreSQL: %w", err)
		}
		u.Path = "/" + localDatabase
		address = u.String()
	}
	pool, err := db.Open(ctx, address, db.Options{ApplicationName: "htdag ingest --dry-run"})
	var pgErr *pgconn.PgError
	if a.databaseURL == "" && errors.As(err, &pgErr) && pgErr.Code == "3D000" {
		return nothing("the local PostgreSQL has no database yet")
	} else if err != nil {
		return nil, err
	}
	status, err := db.GetStatus(ctx, pool)
	if err == nil && status.CodeCurrent {
		return pool, nil
	}
	pool.Close()
	if err != nil {
		return nil, err
	}
	return nothing("the database is not at this version (htdag migrate up brings it there), so it is not compared")
}
