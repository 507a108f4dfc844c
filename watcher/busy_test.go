//go:build linux

package watcher

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestSlowWriter is cases 3 and 20: a file that is written in many pieces is
// recorded once, when it has become quiet.
func TestSlowWriter(t *testing.T) {
	for name, o := range map[string]Options{"events": {}, "polled": {newNotifier: limited(0)}} {
		t.Run(name, func(t *testing.T) {
			o.DebounceDelay = 300 * time.Millisecond
			dir := oldTree(t)
			w := watch(t, dir, o)
			for try := 0; ; try++ {
				w.changes()
				path := in(dir, fmt.Sprintf("slow%d.go", try))
				f, err := os.Create(path)
				must(t, err)
				last, worst := time.Now(), time.Duration(0)
				for range 40 {
					time.Sleep(20 * time.Millisecond) // the writer's own slowness
					_, err := f.Write(make([]byte, 64<<10))
					must(t, err)
					worst = max(worst, time.Since(last))
					last = time.Now()
				}
				must(t, f.Close())
				w.agrees()
				facts, _ := w.changes()
				if worst > o.DebounceDelay/2 && try < 10 {
					continue // the machine was busy elsewhere: the pauses were real
				}
				if len(facts) != 1 || facts[0].File.Size != 40*64<<10 {
					t.Errorf("facts about the file: %d, want 1 with its final size", len(facts))
				}
				return
			}
		})
	}
}

// TestConstantWriter is case 29: a file that is never quiet is recorded every
// MaxWait, and nobody else waits for it.
func TestConstantWriter(t *testing.T) {
	dir := oldTree(t)
	w := watch(t, dir, Options{DebounceDelay: 100 * time.Millisecond, MaxWait: time.Second})
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		f, err := os.OpenFile(in(dir, "log.txt"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return
		}
		defer f.Close()
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				fmt.Fprintln(f, time.Now())
			}
		}
	}()
	count := func(path string) (n int) {
		w.set(func() {
			for _, c := range w.calls {
				n += len(slices.DeleteFunc(slices.Clone(c), func(c Change) bool { return c.Path != path }))
			}
		})
		return n
	}
	w.until(func() string { return "no second record of log.txt" }, func() bool { return count("log.txt") >= 2 })
	write(t, dir, "old.go", "package meanwhile")
	w.until(func() string { return "old.go was not recorded" }, func() bool { return count("old.go") == 1 })
	close(stop)
	<-done
	w.agrees()
}

// TestOneRecordPerQuietPeriod is case 3 for a set of files.
func TestOneRecordPerQuietPeriod(t *testing.T) {
	dir := oldTree(t)
	const delay = 400 * time.Millisecond
	w := watch(t, dir, Options{DebounceDelay: delay})
	for try := 0; ; try++ {
		w.changes()
		start := time.Now()
		for i := range 20 {
			write(t, dir, fmt.Sprintf("f%d.go", i), fmt.Sprint(try))
		}
		took := time.Since(start)
		w.agrees()
		if took > delay/2 && try < 10 {
			continue // the machine was busy elsewhere
		}
		w.set(func() {
			if len(w.calls) != 1 || len(w.calls[0]) != 20 {
				t.Errorf("%d calls, want one with 20 changes", len(w.calls))
			}
		})
		return
	}
}

// TestGitCheckout is case 11: a switch of branches is one scan, not a thousand
// changes, and is waited for while git holds its lock.
func TestGitCheckout(t *testing.T) {
	dir := t.TempDir()
	run(t, dir, "git", "init", "-q")
	for i := range 1000 {
		write(t, dir, fmt.Sprintf("d%d/f%d.go", i%20, i), fmt.Sprint("one", i))
	}
	run(t, dir, "git", "add", ".")
	run(t, dir, "git", "commit", "-qm", "one")
	run(t, dir, "git", "checkout", "-qb", "two")
	for i := range 1000 {
		switch i % 3 {
		case 0:
			write(t, dir, fmt.Sprintf("d%d/f%d.go", i%20, i), fmt.Sprint("two", i))
		case 1:
			must(t, os.Remove(in(dir, fmt.Sprintf("d%d/f%d.go", i%20, i))))
		}
	}
	run(t, dir, "git", "add", "-A")
	run(t, dir, "git", "commit", "-qm", "two")
	w := watch(t, dir, Options{DebounceDelay: 200 * time.Millisecond})
	w.changes()
	run(t, dir, "git", "checkout", "-q", "-")
	w.agrees()
	facts, scans := w.changes()
	if len(facts) > 50 || len(scans) != 1 || !strings.HasPrefix(scans[0], "burst of ") {
		t.Errorf("%d facts, scans %q; want one scan for the burst", len(facts), scans)
	}
}

func TestGitLock(t *testing.T) {
	dir := oldTree(t)
	minimalRepository(t, dir)
	w := watch(t, dir, Options{MaxWait: 1500 * time.Millisecond})
	w.changes()
	lock := in(dir, ".git/index.lock")
	must(t, os.WriteFile(lock, nil, 0o644))
	write(t, dir, "old.go", "package locked")
	start := time.Now()
	for time.Since(start) < 400*time.Millisecond { // ten times the delay
		if facts, _ := w.changes(); len(facts) > 0 && time.Since(start) < 700*time.Millisecond {
			t.Fatalf("recorded %v after git took its lock", time.Since(start))
		}
		time.Sleep(5 * time.Millisecond)
	}
	must(t, os.Remove(lock))
	w.agrees()
	if facts, _ := w.changes(); len(facts) != 1 {
		t.Errorf("%d facts, want 1", len(facts))
	}
	// One that nobody removes is waited for once, and not for ever.
	must(t, os.WriteFile(lock, nil, 0o644))
	write(t, dir, "old.go", "package abandoned")
	w.agrees()
	start = time.Now()
	write(t, dir, "old.go", "package at once")
	w.agrees()
	if took := time.Since(start); took > 1400*time.Millisecond {
		t.Errorf("an abandoned lock was waited for again: %v", took)
	}
}
