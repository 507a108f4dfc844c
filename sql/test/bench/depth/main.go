// Depth measures what a claim and a completion cost when the queue is deep or old: with
// millions of tasks waiting, with dead rows that nobody may remove, with hundreds of
// runners that have nothing to do. It prints a table with the ratio of each figure to
// that of a queue that is all but empty.
//
// Latencies depend on how busy the machine is. What does not is in the column of blocks:
// how many pages of the claim index a call reads.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

// options say how large the scenarios are.
type options struct {
	deepest   int           // most tasks that wait
	completed int           // steps completed behind a snapshot, or without vacuum
	hold      time.Duration // how long the snapshot is held at least
	elements  int           // of the map
	runners   []int         // how many are idle
	calls     int           // measured per figure
}

var (
	usual = options{deepest: 1_000_000, completed: 100_000, elements: 20_000, runners: []int{10, 100}, calls: 500}
	long  = options{deepest: 5_000_000, completed: 1_000_000, hold: 10 * time.Minute, elements: 100_000, runners: []int{10, 500}, calls: 2000}
)

var scenarios = []struct {
	name string
	run  func(context.Context, *bench) error
}{
	{"waiting", waiting}, {"unvacuumed", unvacuumed}, {"snapshot", snapshot}, {"map", mapped}, {"idle", idle},
}

func main() {
	var names []string
	for _, s := range scenarios {
		names = append(names, s.name)
	}
	only := flag.String("run", strings.Join(names, ","), "scenarios, with commas between them")
	isLong := flag.Bool("long", false, "full size: five million tasks, a million completions, a snapshot of ten minutes, 500 runners")
	hold := flag.Duration("hold", -1, "how long the snapshot is held; by default as long as the completions take, with -long ten minutes")
	flag.Parse()
	o := usual
	if *isLong {
		o = long
	}
	if *hold >= 0 {
		o.hold = *hold
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, o, strings.Split(*only, ","))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "depth:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, only []string) (err error) {
	b, err := start(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.measureEmpty(ctx); err != nil {
		return fmt.Errorf("an all but empty queue: %w", err)
	}
	for _, s := range scenarios {
		if slices.Contains(only, s.name) {
			if err := s.run(ctx, b); err != nil {
				return fmt.Errorf("scenario %s: %w", s.name, err)
			}
		}
	}
	return nil
}
