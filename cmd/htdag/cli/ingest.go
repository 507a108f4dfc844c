package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/db/localpg"
	"github.com/htdag/htdag/runner/steps"
	"github.com/htdag/htdag/watcher"
	"github.com/htdag/htdag/watcher/git"
)

func (a *app) ingest() *cobra.Command {
	var s settings
	var dryRun, list, asJSON bool
	var repository, ref string
	cmd := &cobra.Command{
		Use:   "ingest [flags] DIR...",
		Short: "Ingest source trees once, or say what that would do",
		Long: "Ingests directories and stops, as htdag up --once does. With --git it ingests what a ref of a git\n" +
			"repository, bare or not, holds, without a work tree; run again, what differs since, and removes\n" +
			"what is gone. With --dry-run it says what would be\n" +
			"ingested, in part or whole, what would be skipped or is left out, and why; and, where a database\n" +
			"is named or the local one runs, what of it is new to that. It then starts and writes nothing.",
		RunE: func(cmd *cobra.Command, given []string) error {
			dirs, err := a.configure(cmd.Flags(), &s, given)
			if err = cmp.Or(err, s.checkRunner()); err != nil {
				return err
			}
			if (list || asJSON) && !dryRun {
				return usagef("--list and --json are for --dry-run")
			}
			if repository == "" && cmd.Flags().Changed("ref") {
				return usagef("--ref is of a repository: name that with --git")
			}
			s.once = true
			var roots []watcher.Root
			switch {
			case repository != "" && len(given) > 0:
				return usagef("--git ingests from a repository, so there is no directory to name")
			case repository != "":
				roots, err = refRoot(cmd.Context(), repository, ref)
			case len(dirs) == 0 || slices.Contains(dirs, ""):
				return usagef("name the directory to ingest, as in: htdag ingest --dry-run path/to/source")
			default:
				roots, err = s.rootsOf(cmd.Context(), dirs)
			}
			if err != nil {
				return err
			}
			if dryRun {
				return a.dryRun(cmd.Context(), s, roots, list, asJSON)
			}
			return a.bringUpRoots(cmd, s, roots)
		},
	}
	cmd.Flags().StringVar(&s.codebase, "codebase", "", "name of the codebase (default as detected)")
	cmd.Flags().StringVar(&repository, "git", "", "ingest from this git repository instead of directories")
	cmd.Flags().StringVar(&ref, "ref", "HEAD", "with --git, the branch, tag or commit to ingest")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be ingested and skipped, and why")
	cmd.Flags().BoolVar(&list, "list", false, "with --dry-run, list the single files too")
	jsonFlag(cmd, &asJSON)
	s.runnerFlags(cmd)
	s.watchFlags(cmd)
	return cmd
}

// refRoot is the tree that a ref of a repository means.
func refRoot(ctx context.Context, repository, ref string) ([]watcher.Root, error) {
	path, err := watcher.CheckRoot(repository)
	if err != nil {
		return nil, err
	}
	if ref == "" || !utf8.ValidString(path+ref) {
		return nil, usagef("--git %q with --ref %q cannot be named in the database", path, ref)
	}
	if _, err := git.Resolve(ctx, path, ref); err != nil {
		return nil, err
	}
	return []watcher.Root{{Path: path, Ref: ref}}, nil
}

// dryRun says what an ingestion of directories would come to.
func (a *app) dryRun(ctx context.Context, s settings, roots []watcher.Root, list, asJSON bool) error {
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
		limits := steps.Limits{Gates: s.gates.asIngested()}
		seen, err := steps.Foresee(ctx, steps.Deps{Disk: d, Log: a.log, Limits: limits}, steps.Root{Path: r.Path, Ref: r.Ref}, files)
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
func (d *explorer) Scan(ctx context.Context, root steps.Root, yield func(steps.File) error) (unread []string, err error) {
	summary, err := d.explore(ctx, root, func(f watcher.File) error { return yield(file(f)) },
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
			case c.Root != r.Path || c.Ref != r.Ref:
				return fmt.Errorf("codebase '%s' is registered with root '%s', not '%s'; --codebase NAME gives it another name",
					r.Name, steps.Root{Path: c.Root, Ref: c.Ref}, steps.Root{Path: r.Path, Ref: r.Ref})
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
