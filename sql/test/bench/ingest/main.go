// Command ingest measures how fast a source tree gets into the database and how soon
// an edit can be found there, beside programs that index the same files. README.md
// says what each figure is.
//
// It runs the htdag program itself, with the settings that its users have, on a
// PostgreSQL server that it starts (fsync on) and a copy of the tree.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"
)

type options struct {
	dir      string
	program  string
	edits    int
	debounce time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", "", "source tree; it is copied, never written to")
	flag.StringVar(&o.program, "htdag", "", "program to measure")
	flag.IntVar(&o.edits, "edits", 30, "edits of each sort, one at a time")
	flag.DurationVar(&o.debounce, "debounce", 50*time.Millisecond, "quiet time that the watcher waits for; taken out of the figures")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench ingest:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, o options) (err error) {
	if o.dir == "" || o.program == "" {
		return errors.New("give -dir, a source tree, and -htdag, the program to measure")
	}
	work, err := os.MkdirTemp("", "htdag-bench-ingest-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	t, err := copyTree(ctx, o.dir, filepath.Join(work, "tree"))
	if err != nil {
		return err
	}
	fmt.Printf("%s: %d files, %.1f MB\n\n", o.dir, t.files, megabytes(t.bytes))

	s, err := startServer(ctx, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	defer s.close()
	h := htdag{options: o, server: s}
	if err := h.create(ctx); err != nil {
		return err
	}

	whole := newTable("whole tree", "seconds", "files/s", "MB/s", "CPU s, client", "CPU s, server", "peak MB, client", "WAL MB", "on disk MB")
	cold, err := h.ingest(ctx, t)
	if err != nil {
		return err
	}
	whole.add("htdag, empty database", cold.row(t)...)
	phases, err := h.phases(ctx)
	if err != nil {
		return err
	}
	warm, err := h.ingest(ctx, t)
	if err != nil {
		return err
	}
	whole.add("htdag, nothing changed", warm.row(t)...)
	scan, err := h.scanTime(ctx)
	if err != nil {
		return err
	}
	if _, err := t.newFunction(0); err != nil {
		return err
	}
	one, err := h.ingest(ctx, t)
	if err != nil {
		return err
	}
	whole.add("htdag, one file changed", one.row(t)...)
	for _, p := range others(work) {
		used, err := p.index(ctx, t)
		if err != nil {
			return err
		}
		whole.add(p.name, used.row(t)...)
	}
	whole.print()
	fmt.Printf("\nThe scan alone, nothing changed: %.2f s, which is %.2f s for 20,000 files.\n\n",
		scan.Seconds(), scan.Seconds()*20000/float64(t.files))
	phases.print()
	fmt.Println()

	latencies, err := h.latencies(ctx, t)
	if err != nil {
		return err
	}
	latencies.print()
	return nil
}

// others are the programs to compare with that are installed.
func others(work string) []indexer {
	var found []indexer
	for _, p := range []indexer{
		{name: "universal-ctags (symbols only)", program: "ctags", out: filepath.Join(work, "tags"), args: []string{"-R", "-f", filepath.Join(work, "tags")}},
		{name: "zoekt-index (text only)", program: "zoekt-index", out: filepath.Join(work, "zoekt"), args: []string{"-index", filepath.Join(work, "zoekt")}},
	} {
		if _, err := exec.LookPath(p.program); err == nil {
			found = append(found, p)
		} else {
			fmt.Printf("%s is not installed: left out.\n", p.program)
		}
	}
	return found
}
