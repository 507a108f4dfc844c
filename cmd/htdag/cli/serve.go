package cli

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/htdag/htdag/runner"
	"github.com/htdag/htdag/watcher"
)

// giveUp is how long the database may refuse everything while somebody waits.
const giveUp = 30 * time.Second

// serve runs a runner and a watcher for the roots until the ingestion is done or,
// when watching, until ctx ends.
func (a *app) serve(ctx context.Context, pool *pgxpool.Pool, s settings, roots []watcher.Root) error {
	var ws *watches
	if s.watching() {
		host, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("find the name of this host: %w", err)
		}
		ws = newWatches(pool, host, roots, a.log)
		others, err := ws.first(ctx)
		if err != nil {
			return err
		}
		defer ws.release(ctx)
		for _, r := range roots {
			if server, ok := others[r.CodebaseID]; ok {
				fmt.Fprintf(a.stdout, "%s is watched by %s; this process takes over when that one ends.\n", r.Path, server)
			}
		}
		roots = ws.served
	} else {
		s.giveUp = giveUp // somebody waits for the end
	}
	d := &disk{log: a.log}
	d.setFilters(s.filters(roots))
	scans := make(chan int64, 16*(len(roots)+1))
	rec := &recorder{pool: pool, version: s.gates.asIngested().Version(), burst: 50, log: a.log, scans: func(_ watcher.Root, run int64) {
		select {
		case scans <- run:
		default: // only the first ones are followed
		}
	}}
	var w *watcher.Watcher
	if ws != nil {
		rec.token, rec.lost = ws.token, ws.lookNow
		w = watcher.New(watcher.Options{DebounceDelay: s.debounce(), Filter: s.filter(), BurstSize: rec.burst, BatchSize: s.batchSize, KeepLimit: int64(s.gates.maxFileBytes)}, rec, a.log)
		d.saw = w.Saw
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
	worker, err := a.runner(ctx, pool, s, queuesOf(roots), d)
	if err != nil {
		return err
	}
	together(func() error { return worker.Run(ctx) })
	defer a.sendEvents(ctx, pool, s)()
	if s.watching() && s.maintenance {
		stop, err := a.maintain(ctx, pool)
		if err != nil {
			return err
		}
		defer stop()
	}

	if ws != nil {
		together(func() error { return w.Run(ctx, roots...) })
		a.attach(ctx, ws, s, w, worker, d)
		together(func() error { return ws.run(ctx) })
	} else {
		for _, r := range roots {
			if err == nil {
				err = rec.RequestScan(ctx, r, "first ingestion")
			}
		}
	}
	if err == nil && len(roots) > 0 {
		err = a.follow(ctx, pool, roots, scans)
	}
	if err == nil && ws != nil {
		if len(roots) > 0 {
			fmt.Fprintf(a.stdout, "\nWatching %s. Ctrl-C stops.\n", list(roots))
		}
		<-ctx.Done()
	}
	stop(nil)
	// What failed first has ended the rest, so its error is in err already.
	return cmp.Or(err, group.Wait())
}

// attach has the watcher and the runner do what the database says while they run.
func (a *app) attach(ctx context.Context, ws *watches, s settings, w *watcher.Watcher, r *runner.Runner, d *disk) {
	ws.apply = func(roots []watcher.Root) error {
		d.setFilters(s.filters(roots))
		return r.SetQueues(ctx, queuesOf(roots))
	}
	ws.begin = func(r watcher.Root) error {
		err := w.Add(r)
		if err == nil {
			fmt.Fprintf(a.stdout, "Watching %s as %s.\n", r.Path, r.Name)
		}
		return err
	}
	ws.end = func(r watcher.Root, server string) {
		why := "it was removed"
		if server != "" {
			why = server + " does"
		}
		if err := w.Remove(r.CodebaseID); err != nil {
			a.log.WarnContext(ctx, "root was not watched", "root", r.Name, "error", err)
		}
		fmt.Fprintf(a.stdout, "No longer watching %s: %s.\n", r.Path, why)
	}
}

// queuesOf are what the process that serves the roots reads.
func queuesOf(roots []watcher.Root) []string {
	queues := []string{"default"}
	for _, r := range roots {
		queues = append(queues, "root:"+r.Name)
	}
	return queues
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

// filters are those of the roots, by path.
func (s settings) filters(roots []watcher.Root) map[string]watcher.Filter {
	filters := map[string]watcher.Filter{}
	for _, r := range roots {
		filters[r.Path] = s.filterFor(r, roots)
	}
	return filters
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
