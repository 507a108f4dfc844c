package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/watcher"
)

func (a *app) up() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "up [flags] DIR...",
		Short: "Ingest source trees and keep them current",
		Long:  "Starts what is needed (a local PostgreSQL when no database is named), brings the\ndatabase to this version, ingests the directories, and then watches them. Ctrl-C stops.",
		RunE: func(cmd *cobra.Command, dirs []string) error {
			dirs, err := a.configure(cmd.Flags(), &s, dirs)
			if err = cmp.Or(err, s.checkRunner()); err != nil {
				return err
			}
			if len(dirs) == 0 || slices.Contains(dirs, "") {
				return usagef("name the directory to ingest, as in: htdag up path/to/source")
			}
			if len(dirs) > 1 && s.codebase != "" {
				return usagef("--codebase names one codebase, but there are %d directories; leave it out and each is named after its directory", len(dirs))
			}
			roots, err := checkRoots(cmd.Context(), dirs, s)
			if err != nil {
				return err
			}
			pool, err := a.open(cmd.Context(), db.Options{ApplicationName: "htdag up", MaxConns: int32(s.concurrency) + spareConns}, true)
			if err != nil {
				return err
			}
			defer pool.Close()
			if err := nameRoots(cmd.Context(), pool, s, roots); err != nil {
				return err
			}
			if err := register(cmd.Context(), pool, roots, s.limits(cmd), s.policy(cmd)); err != nil {
				return err
			}
			return a.diagnose(cmd.Context(), a.serve(cmd.Context(), pool, s, roots))
		},
	}
	cmd.Flags().StringVar(&s.codebase, "codebase", "", "name of the codebase (default as detected)")
	cmd.Flags().BoolVar(&s.once, "once", false, "stop after the ingestion instead of watching")
	s.runnerFlags(cmd)
	s.watchFlags(cmd)
	return cmd
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

// register makes the roots known and sets the limits and the policy that were given:
// all of it or, if a name is taken, nothing.
func register(ctx context.Context, pool *pgxpool.Pool, roots []watcher.Root, limits dbsqlc.ChangeLimitsParams, policy dbsqlc.SetPolicyParams) error {
	err := db.InTx(ctx, pool, func(tx pgx.Tx) error {
		queries := dbsqlc.New(tx)
		for i, r := range roots {
			id, err := queries.RegisterCodebase(ctx, r.Name, r.Path)
			if err != nil {
				return err
			}
			roots[i].CodebaseID = id
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

// giveUp is how long the database may refuse everything while somebody waits.
const giveUp = 30 * time.Second

// serve runs a runner and a watcher for the roots until the ingestion is done or,
// when watching, until ctx ends.
func (a *app) serve(ctx context.Context, pool *pgxpool.Pool, s settings, roots []watcher.Root) error {
	queues := []string{"default"}
	d := &disk{filters: map[string]watcher.Filter{}, log: a.log}
	for _, r := range roots {
		queues = append(queues, "root:"+r.Name)
		d.filters[r.Path] = s.filterFor(r, roots)
	}

	watching := s.enabled && !s.once
	if !watching {
		s.giveUp = giveUp // somebody waits for the end
	}
	// Everything below ends with this context, with the first failure as its cause;
	// the runner drains before it returns.
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var group errgroup.Group
	together := func(f func() error) {
		group.Go(func() error {
			err := f()
			stop(err)
			return err
		})
	}
	together(func() error { return a.runner(pool, s, queues, d).Run(ctx) })
	defer a.sendEvents(ctx, pool, s)()
	if watching && s.maintenance {
		stop, err := a.maintain(ctx, pool)
		if err != nil {
			return err
		}
		defer stop()
	}

	scans := make(chan int64, 16*len(roots))
	rec := &recorder{pool: pool, burst: 50, log: a.log, scans: func(_ watcher.Root, run int64) {
		select {
		case scans <- run:
		default: // only the first ones are followed
		}
	}}
	var err error
	if watching {
		w := watcher.New(watcher.Options{DebounceDelay: s.debounce(), Filter: s.filter(), BurstSize: rec.burst, BatchSize: s.batchSize}, rec, a.log)
		together(func() error { return w.Run(ctx, roots...) })
	} else {
		for _, r := range roots {
			if err == nil {
				err = rec.RequestScan(ctx, r, "first ingestion")
			}
		}
	}
	if err == nil {
		err = a.follow(ctx, pool, roots, scans)
	}
	if err == nil && watching {
		fmt.Fprintf(a.stdout, "\nWatching %s. Ctrl-C stops.\n", list(roots))
		<-ctx.Done()
	}
	stop(nil)
	// What failed first has ended the rest, so its error is in err already.
	return cmp.Or(err, group.Wait())
}

// follow shows the progress of the first scan of each root, then what came of it.
func (a *app) follow(ctx context.Context, pool *pgxpool.Pool, roots []watcher.Root, scans <-chan int64) error {
	began := time.Now()
	for range roots {
		select {
		case run := <-scans:
			if err := a.progress(ctx, pool, run); err != nil {
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	names := make([]string, len(roots))
	for i, r := range roots {
		names[i] = r.Name
	}
	return a.summary(ctx, pool, names, time.Since(began))
}

// filterFor leaves roots that lie inside this one to themselves.
func (s settings) filterFor(root watcher.Root, roots []watcher.Root) watcher.Filter {
	f := s.filter()
	for _, r := range roots {
		if strings.HasPrefix(r.Path, strings.TrimSuffix(root.Path, "/")+"/") {
			f.Exclude = append(f.Exclude, r.Path)
		}
	}
	return f
}

func list(roots []watcher.Root) string {
	paths := make([]string, len(roots))
	for i, r := range roots {
		paths[i] = r.Path
	}
	return strings.Join(paths, ", ")
}
