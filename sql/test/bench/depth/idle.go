package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/runner"
)

// idle: runners have nothing to do, and then one task.
func idle(ctx context.Context, b *bench) error {
	fmt.Printf("\n%-44s %12s %12s %14s %14s\n", "", "statements/s", "server CPU", "start to work", "p99 ms")
	for _, n := range b.runners {
		for _, pollOnly := range []bool{false, true} {
			err := b.inWorld(ctx, func(w *world, _ *client) error { return w.rest(ctx, n, pollOnly) })
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// rest runs n real runners, each with its own connection to listen on unless they only poll.
func (w *world) rest(ctx context.Context, n int, pollOnly bool) error {
	pool, err := db.Open(ctx, w.server.URL(w.name), db.Options{MaxConns: int32(n + 20)})
	if err != nil {
		return err
	}
	defer pool.Close()
	began := make(chan time.Time, 1)
	registry := runner.NewRegistry()
	registry.Register("noop", runner.HandlerFunc(func(context.Context, *runner.Task) (any, error) {
		began <- time.Now()
		return nil, nil
	}))
	if _, err := w.conn.Exec(ctx, "create extension if not exists pg_stat_statements"); err != nil {
		return err
	}

	running, stop := context.WithCancel(ctx)
	var runners sync.WaitGroup
	for i := range n {
		runners.Go(func() {
			runner.New(pool, registry, runner.Options{Name: fmt.Sprint("idle", i), Concurrency: 1, PollOnly: pollOnly}).Run(running)
		})
	}
	defer func() { stop(); runners.Wait() }()
	// Two polls, so that what they do at first is over.
	if err := sleep(ctx, 12*time.Second); err != nil {
		return err
	}

	const window = 20 * time.Second
	before, err := w.spent(ctx)
	if err != nil {
		return err
	}
	if err := sleep(ctx, window); err != nil {
		return err
	}
	after, err := w.spent(ctx)
	if err != nil {
		return err
	}
	starts := 40
	if pollOnly {
		starts = 8 // each waits for somebody's next poll, two seconds where runners are few
	}
	took, err := w.startOne(ctx, pool, began, starts)
	if err != nil {
		return err
	}
	slices.Sort(took)
	how := "listening"
	if pollOnly {
		how = "polling only"
	}
	fmt.Printf("%-44s %12.1f %10.1f %% %14.1f %14.1f\n", fmt.Sprintf("%d idle runners, %s", n, how),
		float64(after.statements-before.statements)/window.Seconds(), 100*(after.cpu-before.cpu).Seconds()/window.Seconds(),
		ms(took[len(took)/2]), ms(took[len(took)*99/100]))
	return nil
}

// startOne starts single runs and returns how long each took to be worked on.
func (w *world) startOne(ctx context.Context, pool *pgxpool.Pool, began <-chan time.Time, n int) ([]time.Duration, error) {
	var took []time.Duration
	for range n {
		since := time.Now()
		if _, err := w.conn.Exec(ctx, "select htdag.start_flow('chain')"); err != nil {
			return nil, err
		}
		for step := range 3 {
			select {
			case at := <-began:
				if step == 0 {
					took = append(took, at.Sub(since))
				}
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
	return took, nil
}

type spent struct {
	statements int64
	cpu        time.Duration
}

// spent reads how many statements clients have sent to this database, and how much
// processor time the server has used.
func (w *world) spent(ctx context.Context) (s spent, err error) {
	var pidFile string
	err = w.conn.QueryRow(ctx, `
		select (select sum(calls)::bigint from pg_stat_statements where dbid = (select oid from pg_database where datname = current_database())),
		       pg_read_file('postmaster.pid')`).Scan(&s.statements, &pidFile)
	if err != nil {
		return s, err
	}
	pid, _, _ := strings.Cut(pidFile, "\n")
	s.cpu, err = processorTime(pid)
	return s, err
}

// processorTime is that of a process, of the children that it has and of those it had.
func processorTime(pid string) (time.Duration, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return 0, err
	}
	ticks := 0
	for _, e := range entries {
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue // no process, or one that has just ended
		}
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		count := 0
		switch {
		case e.Name() == pid:
			count = 4 // its own user and system time, and that of children that have ended
		case fields[1] == pid:
			count = 2
		}
		for _, f := range fields[11 : 11+count] {
			n, _ := strconv.Atoi(f)
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / 100, nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
