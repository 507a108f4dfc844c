//go:build linux

package main_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/htdag/htdag/db/dbtest"
)

var (
	figureFiles = flag.Int("figures.files", 2000, "files of the tree whose start-up TestFigures measures")
	figureDirs  = flag.Int("figures.dirs", 1000, "directories of the tree whose memory TestFigures measures")
	figureIdle  = flag.Duration("figures.idle", 5*time.Second, "how long TestFigures watches a process do nothing")
)

// TestFigures measures what a watching process costs: to start on a tree that is known
// and has not changed, in memory for each directory, and when nothing happens. What is
// asserted is what other work on the machine cannot change by much.
func TestFigures(t *testing.T) {
	t.Parallel()
	t.Run("start-up", func(t *testing.T) {
		pool := dbtest.New(t)
		root := filepath.Join(openDir(t), "known")
		for i := range *figureFiles {
			write(t, root, map[string]string{fmt.Sprintf("d%03d/f%05d.txt", i%(*figureFiles/20), i): fmt.Sprintf("text %d\n", i)})
		}
		// Files that were written a moment ago would have to be read again.
		past := time.Now().Add(-time.Hour)
		for _, path := range regularFiles(t, root) {
			if err := os.Chtimes(filepath.Join(root, path), past, past); err != nil {
				t.Fatal(err)
			}
		}
		succeed(t, upOnce(pool, root))
		var took, used []time.Duration
		for range 3 {
			began := time.Now()
			p := watchUp(t, pool, root)
			p.says("Watching " + root)
			took, used = append(took, time.Since(began)), append(used, p.processorTime())
			idle(t, pool)
			p.interrupt()
		}
		slices.Sort(took)
		slices.Sort(used)
		t.Logf("start on %d known files: %s from the command to watching, %s of processor time (medians of 3)", *figureFiles, took[1].Round(time.Millisecond), used[1])
		if used[0] > 2*time.Second {
			t.Errorf("starting takes %s of processor time, more than 2 s", used[0])
		}
		if n := dbtest.Value[int](t, pool, "select count(*) from report.ingestions where files_changed > 0"); n != 1 {
			t.Errorf("%d ingestions found something to do, want the first alone", n)
		}
	})
	t.Run("directories", func(t *testing.T) {
		pool := dbtest.New(t)
		root := filepath.Join(openDir(t), "wide")
		for i := range *figureDirs {
			if err := os.MkdirAll(filepath.Join(root, fmt.Sprintf("d%d/e%d", i%100, i)), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		write(t, root, map[string]string{"d0/f.txt": "text\n"})
		p := watchUp(t, pool, root)
		p.says("Watching " + root)
		edit(t, pool, root, fmt.Sprintf("d99/e%d/last.py", *figureDirs-1))
		idle(t, pool)
		time.Sleep(time.Second) // what the edit left to be collected
		least := 1.0
		for try := 0; try < 3 && least > soakIdleCPU; try++ {
			before := p.processorTime()
			time.Sleep(*figureIdle)
			least = min(least, (p.processorTime()-before).Seconds()/figureIdle.Seconds())
		}
		size := p.resident() >> 10
		t.Logf("%d watched directories: %d MB resident; idle: %.2f %% of a processor over %s", *figureDirs+100, size, 100*least, *figureIdle)
		if size > 100 {
			t.Errorf("the process holds %d MB, more than 100", size)
		}
		if least > soakIdleCPU {
			t.Errorf("the idle process uses %.2f %% of a processor, more than 1", 100*least)
		}
		p.interrupt()
	})
}
