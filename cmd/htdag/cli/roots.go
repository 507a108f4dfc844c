package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/watcher"
)

// watches keeps what a process serves in step with the database, which says which
// process serves which root: it renews the process's lease on its roots, takes those
// that are free, and lets go of those that it is not told of any more. A notification
// has it look at once; it looks every few seconds anyway.
type watches struct {
	pool   *pgxpool.Pool
	log    *slog.Logger
	server string // as others are told
	host   string
	token  int64
	named  []int32 // codebases of the directories that the process was started for
	wake   chan struct{}

	begin func(watcher.Root) error         // serves a root
	end   func(watcher.Root, string)       // serves it no more; who does now, if anybody
	apply func(roots []watcher.Root) error // told of all roots before one is begun

	served, applied []watcher.Root
}

const (
	watchLease = 15 * time.Second
	watchPoll  = 5 * time.Second
)

func newWatches(pool *pgxpool.Pool, host string, roots []watcher.Root, log *slog.Logger) *watches {
	w := &watches{
		pool: pool, log: log, host: host, server: fmt.Sprintf("%s:%d", host, os.Getpid()),
		token: rand.Int64N(1<<62) + 1, wake: make(chan struct{}, 1),
	}
	for _, r := range roots {
		w.named = append(w.named, r.CodebaseID)
	}
	return w
}

// lookNow has run look at once.
func (w *watches) lookNow() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// ask renews and takes, and says what the process is to serve.
func (w *watches) ask(ctx context.Context) (mine []watcher.Root, others map[int32]string, err error) {
	ctx, cancel := context.WithTimeout(ctx, watchLease)
	defer cancel()
	rows, err := dbsqlc.New(w.pool).ServeWatches(ctx, dbsqlc.ServeWatchesParams{
		Server: w.server, Token: w.token, Host: w.host, Named: w.named, Lease: watchLease})
	if err != nil {
		return nil, nil, fmt.Errorf("ask what to watch: %w", db.Error(err))
	}
	others = map[int32]string{}
	for _, r := range rows {
		if r.Mine {
			mine = append(mine, watcher.Root{CodebaseID: r.CodebaseID, Name: r.Name, Path: r.Root})
		} else {
			others[r.CodebaseID] = r.Server
		}
	}
	return mine, others, nil
}

// run serves what there is to serve until ctx ends, and lets go of it then.
func (w *watches) run(ctx context.Context) error {
	listening, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		db.Listen(listening, w.pool, "htdag_watches", w.log, func(string) { w.lookNow() })
	}()
	defer func() { stop(); <-done }()
	for trouble := ""; ctx.Err() == nil; {
		mine, others, err := w.ask(ctx)
		if err == nil {
			err = w.follow(mine, others)
		}
		// While the database is away nothing can be recorded, and whether the roots are
		// still ours is found out when it is back.
		switch {
		case err == nil:
			trouble = ""
		case ctx.Err() == nil && err.Error() != trouble:
			trouble = err.Error()
			w.log.WarnContext(ctx, "what is watched is not as it should be; trying again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-w.wake:
		case <-time.After(watchPoll - time.Duration(rand.Int64N(int64(watchPoll)/5))):
		}
	}
	return nil
}

// release lets others take what was served; the lease does that too, later.
func (w *watches) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := dbsqlc.New(w.pool).ReleaseWatches(ctx, w.token); err != nil {
		w.log.WarnContext(ctx, "could not let go of the watched directories; the lease on them will expire", "error", err)
	}
}

// follow makes what is served what it should be.
func (w *watches) follow(mine []watcher.Root, others map[int32]string) error {
	kept := []watcher.Root{}
	for _, r := range w.served {
		if slices.Contains(mine, r) {
			kept = append(kept, r)
			continue
		}
		w.end(r, others[r.CodebaseID])
	}
	w.served = kept
	if !slices.Equal(w.applied, mine) {
		if err := w.apply(mine); err != nil {
			return err
		}
		w.applied = mine
	}
	for _, r := range mine {
		if !slices.Contains(w.served, r) {
			if err := w.begin(r); err != nil {
				return err
			}
			w.served = append(w.served, r)
		}
	}
	return nil
}

// first asks for the first time. Processes of this host that have gone without a word
// need not be waited for.
func (w *watches) first(ctx context.Context) (others map[int32]string, err error) {
	mine, others, err := w.ask(ctx)
	if err != nil {
		return nil, err
	}
	evicted := int32(0)
	for _, server := range others {
		if pid, ok := strings.CutPrefix(server, w.host+":"); ok && !alive(pid) {
			n, err := dbsqlc.New(w.pool).EvictServer(ctx, server)
			if err != nil {
				return nil, fmt.Errorf("take over from %s: %w", server, db.Error(err))
			}
			evicted += n
		}
	}
	if evicted > 0 {
		mine, others, err = w.ask(ctx)
	}
	w.served, w.applied = mine, mine
	return others, err
}

func alive(pid string) bool {
	n, err := strconv.Atoi(pid)
	return err == nil && n > 0 && !errors.Is(syscall.Kill(n, 0), syscall.ESRCH)
}
