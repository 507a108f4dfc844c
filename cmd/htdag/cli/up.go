package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/watcher"
)

func (a *app) up() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "up [flags] [DIR...]",
		Short: "Ingest source trees and keep them current",
		Long:  "Starts what is needed (a local PostgreSQL when no database is named), brings the\ndatabase to this version, ingests the directories, and then watches them. Ctrl-C stops. Directories that were\ngiven to htdag watch add on this host are watched as well, by one process of it.",
		RunE: func(cmd *cobra.Command, dirs []string) error {
			dirs, err := a.configure(cmd.Flags(), &s, dirs)
			if err = cmp.Or(err, s.checkRunner()); err != nil {
				return err
			}
			return a.bringUp(cmd, s, dirs)
		},
	}
	cmd.Flags().StringVar(&s.codebase, "codebase", "", "name of the codebase (default as detected)")
	cmd.Flags().BoolVar(&s.once, "once", false, "stop after the ingestion instead of watching")
	s.runnerFlags(cmd)
	s.watchFlags(cmd)
	return cmd
}

var errNoneNamed = usagef("name the directory to ingest, as in: htdag up path/to/source; or have some watched always: htdag watch add DIR")

// bringUp ingests directories and, unless it is to be done once, goes on to watch.
func (a *app) bringUp(cmd *cobra.Command, s settings, dirs []string) error {
	if slices.Contains(dirs, "") || len(dirs) == 0 && (!s.watching() || !a.mayHoldWatches(cmd.Context())) {
		return errNoneNamed
	}
	roots, err := s.rootsOf(cmd.Context(), dirs)
	if err != nil {
		return err
	}
	return a.bringUpRoots(cmd, s, roots)
}

// bringUpRoots does so for roots that are checked, or for what is watched anyway.
func (a *app) bringUpRoots(cmd *cobra.Command, s settings, roots []watcher.Root) error {
	pool, err := a.open(cmd.Context(), db.Options{ApplicationName: "htdag " + cmd.Name(), MaxConns: int32(s.concurrency) + spareConns}, true)
	if err != nil {
		return err
	}
	defer pool.Close()
	if len(roots) == 0 {
		if some, err := standing(cmd.Context(), pool); err != nil {
			return err
		} else if !some {
			return errNoneNamed
		}
	}
	if err := nameRoots(cmd.Context(), dbsqlc.New(pool), s, roots); err != nil {
		return err
	}
	if err := register(cmd.Context(), pool, s, roots, s.limits(cmd), s.policy(cmd)); err != nil {
		return err
	}
	return a.diagnose(cmd.Context(), a.serve(cmd.Context(), pool, s, roots))
}

// rootsOf are the directories that were given, as roots without names.
func (s settings) rootsOf(ctx context.Context, dirs []string) ([]watcher.Root, error) {
	if len(dirs) > 1 && s.codebase != "" {
		return nil, usagef("--codebase names one codebase, but there are %d directories; leave it out and each is named after its directory", len(dirs))
	}
	return checkRoots(ctx, dirs, s)
}

// checkRoots looks at every directory before anything is started or written.
func checkRoots(ctx context.Context, dirs []string, s settings) ([]watcher.Root, error) {
	var roots []watcher.Root
	for _, dir := range dirs {
		path, err := watcher.CheckRoot(dir)
		if err != nil {
			return nil, err
		}
		if !utf8.ValidString(path) {
			return nil, fmt.Errorf("%q is not UTF-8, so the database cannot hold its name: rename it", path)
		}
		found := errors.New("found")
		_, err = watcher.Scan(ctx, path, s.filter(), func(watcher.File) error { return found })
		if err == nil {
			return nil, fmt.Errorf("%s holds no file that is not ignored: name another directory, or see --include-extensions and .gitignore", path)
		} else if !errors.Is(err, found) {
			return nil, err
		}
		if slices.ContainsFunc(roots, func(r watcher.Root) bool { return r.Path == path }) {
			return nil, usagef("%s is given twice", path)
		}
		roots = append(roots, watcher.Root{Path: path})
	}
	return roots, nil
}

// register makes the roots known, has them watched if that is asked for, and sets the limits and the policy that were given:
// all of it or, if a name is taken, nothing.
func register(ctx context.Context, pool *pgxpool.Pool, s settings, roots []watcher.Root, limits dbsqlc.ChangeLimitsParams, policy dbsqlc.SetPolicyParams) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find the name of this host: %w", err)
	}
	err = db.InTx(ctx, pool, func(tx pgx.Tx) (err error) {
		queries := dbsqlc.New(tx)
		for i, r := range roots {
			if s.watching() {
				roots[i].CodebaseID, err = queries.AddWatch(ctx, dbsqlc.AddWatchParams{Codebase: r.Name, Root: r.Path, Host: host})
			} else {
				roots[i].CodebaseID, err = queries.RegisterCodebase(ctx, r.Name, r.Path, given(r.Ref))
			}
			if err != nil {
				return err
			}
		}
		return store(ctx, queries, limits, policy)
	})
	if errors.Is(err, db.ErrState) {
		return fmt.Errorf("%w; --codebase NAME gives it another name", err)
	}
	return err
}

// store takes what was given of the settings that live in the database there.
func store(ctx context.Context, queries *dbsqlc.Queries, limits dbsqlc.ChangeLimitsParams, policy dbsqlc.SetPolicyParams) error {
	if limits != (dbsqlc.ChangeLimitsParams{Flow: limits.Flow}) {
		if _, err := queries.ChangeLimits(ctx, limits); err != nil {
			return err
		}
	}
	if policy != (dbsqlc.SetPolicyParams{}) {
		if _, err := queries.SetPolicy(ctx, policy); err != nil {
			return err
		}
	}
	return nil
}
