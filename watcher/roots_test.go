//go:build linux

package watcher

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func (w *watched) status(ok func(Status) bool) {
	w.t.Helper()
	w.until(func() string { return fmt.Sprintf("%+v", w.w.Status()) }, func() bool {
		s := w.w.Status()
		return len(s) == 1 && ok(s[0])
	})
}

// TestRootComesAndGoes is case 14.
func TestRootComesAndGoes(t *testing.T) {
	parent := t.TempDir()
	dir := in(parent, "root")
	w := prepare(t, dir, Options{})
	w.run()
	w.status(func(s Status) bool { return !s.Present && strings.Contains(s.Trouble, "root is missing") })
	if _, scans := w.changes(); len(scans) > 0 {
		t.Errorf("scans %q of a root that is missing", scans)
	}

	write(t, dir, "a/b.go", "package b") // appears
	w.agrees()
	write(t, dir, "a/c.go", "package c")
	w.agrees()

	rename(t, parent, "root", "elsewhere") // moves away: nothing is reported gone
	w.status(func(s Status) bool { return !s.Present })
	write(t, parent, "elsewhere/a/d.go", "not ours")
	if got := w.snapshot(); len(got) != 2 {
		t.Errorf("recorded %v, want what was there", got)
	}
	write(t, dir, "new.go", "package new") // and something else takes its place
	w.agrees()

	must(t, os.RemoveAll(dir)) // removed and made again at once
	write(t, dir, "again.go", "package again")
	w.agrees()

	must(t, os.RemoveAll(dir)) // replaced by a file
	must(t, os.WriteFile(dir, nil, 0o644))
	w.status(func(s Status) bool { return !s.Present && strings.Contains(s.Trouble, "not a directory") })
	must(t, os.Remove(dir))

	must(t, os.Symlink("elsewhere", dir)) // a link to a directory will do
	w.agrees()
	write(t, parent, "elsewhere/a/e.go", "ours now")
	w.agrees()
	write(t, parent, "third/z.go", "package z")
	must(t, os.Remove(dir))
	must(t, os.Symlink("third", dir)) // and may come to point elsewhere
	w.agrees()
	write(t, parent, "third/y.go", "package y")
	w.agrees()
	for path := range w.snapshot() {
		must(t, os.Remove(in(dir, path)))
	}
	w.agrees() // empty
}

// TestRulesChange is case 17.
func TestRulesChange(t *testing.T) {
	for name, o := range map[string]Options{"events": {}, "polled": {newNotifier: limited(0)}} {
		t.Run(name, func(t *testing.T) {
			dir := oldTree(t)
			write(t, dir, "out/x.go", "package x")
			write(t, dir, "out/in/y.go", "package y")
			write(t, dir, "a.log", "log")
			write(t, dir, ".gitignore", "out/\n")
			w := watch(t, dir, o)
			write(t, dir, ".gitignore", "*.log\n") // out is included, logs are not
			w.fence()
			write(t, dir, "out/in/y.go", "package y2")
			write(t, dir, "b.log", "log")
			w.fence()
			write(t, dir, "out/in/.gitignore", "*.go\n!keep.go\n")
			write(t, dir, "out/in/keep.go", "package keep")
			w.fence()
			write(t, dir, ".htdagignore", "!*.log\nsub/deep\n")
			w.fence()
			write(t, dir, "sub/deep/b.go", "package ignored")
			w.fence()
			must(t, os.Remove(in(dir, ".htdagignore")))
			must(t, os.Remove(in(dir, ".gitignore")))
			w.fence()
			write(t, dir, "sub/deep/b.go", "package known")
			w.fence()

			// Manifests and what they prove.
			write(t, dir, "target/debug/x.rs", "x")
			write(t, dir, "py/venv/lib/x.py", "x")
			w.fence()
			write(t, dir, "Cargo.toml", "[package]")
			write(t, dir, "py/venv/pyvenv.cfg", "home = /usr")
			w.fence()
			if got := w.snapshot(); got["target/debug/x.rs"] != (fact{}) || got["py/venv/lib/x.py"] != (fact{}) {
				t.Errorf("build output is still recorded")
			}

			// A touch changes no rule and asks for no scan.
			write(t, dir, ".gitignore", "*.tmp\n")
			w.fence()
			w.changes()
			write(t, dir, ".gitignore", "*.tmp\n")
			w.fence()
			if _, scans := w.changes(); len(scans) > 0 {
				t.Errorf("scans %q after a touch", scans)
			}
		})
	}
}

func TestExcludeFileChange(t *testing.T) {
	dir := oldTree(t)
	minimalRepository(t, dir)
	write(t, dir, ".git/info/exclude", "")
	w := watch(t, dir, Options{})
	write(t, dir, ".git/info/exclude", "deep/\n")
	w.fence()
	w.settled(func(s state) bool { return s["sub/deep/b.go"] == fact{} })
	write(t, dir, ".git/info/exclude", "")
	w.settled(func(s state) bool { return s["sub/deep/b.go"] != fact{} })
	write(t, dir, "sub/deep/c.go", "seen")
	w.agrees()
	must(t, os.RemoveAll(in(dir, ".git")))
	w.fence()
}

// TestExtensionsChange is the other half of case 17: settings change by a restart.
func TestExtensionsChange(t *testing.T) {
	dir := oldTree(t)
	write(t, dir, "b.py", "pass")
	w := watch(t, dir, Options{})
	w.stop()
	w.w = New(quick(Options{Filter: Filter{IncludeExtensions: []string{".py"}}}), w.keeper, slog.New(slog.NewTextHandler(w.logs, nil)))
	w.run()
	w.agrees()
	write(t, dir, "c.py", "pass")
	write(t, dir, "c.go", "package c")
	w.agrees()
	if got := w.snapshot(); len(got) != 2 {
		t.Errorf("recorded %v, want b.py and c.py", got)
	}
}

// several gives each root a keeper of its own.
type several map[int32]*keeper

func (s several) RecordChanges(ctx context.Context, root Root, changes []Change) error {
	return s[root.CodebaseID].RecordChanges(ctx, root, changes)
}

func (s several) RequestScan(ctx context.Context, root Root, reason string) error {
	return s[root.CodebaseID].RequestScan(ctx, root, reason)
}

// TestNestedRoots is case 18: a file belongs to the innermost root, once.
func TestNestedRoots(t *testing.T) {
	outer := oldTree(t)
	inner := in(outer, "sub/deep")
	logs := &logBuffer{}
	recorders := several{}
	w := New(quick(Options{}), recorders, slog.New(slog.NewTextHandler(logs, nil)))
	for id, dir := range map[int32]string{1: outer, 2: inner} {
		recorders[id] = &keeper{w: w, root: Root{CodebaseID: id, Name: fmt.Sprint("root", id), Path: dir}, facts: state{}, seen: map[string]time.Time{}}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx, recorders[1].root) }()
	wait := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("gave up waiting: %s\n%s", what, logs)
			}
		}
	}
	expect := func(id int32, want ...string) {
		t.Helper()
		var got []string
		wait(fmt.Sprintf("root %d should hold %q", id, want), func() bool {
			got = nil
			for p := range recorders[id].snapshot() {
				got = append(got, p)
			}
			slices.Sort(got)
			return cmp.Equal(want, got)
		})
	}
	expect(1, "old.go", "sub/a.go", "sub/deep/b.go")
	must(t, w.Add(recorders[2].root))
	expect(2, "b.go")
	expect(1, "old.go", "sub/a.go")
	write(t, inner, "in/c.go", "package c")
	expect(2, "b.go", "in/c.go")
	rename(t, outer, "old.go", "sub/deep/old.go")
	expect(2, "b.go", "in/c.go", "old.go")
	expect(1, "sub/a.go")

	if err := w.Add(Root{CodebaseID: 3, Name: "again", Path: inner + "/."}); err == nil || !strings.Contains(err.Error(), "watched already") {
		t.Errorf("adding a root twice: %v", err)
	}
	must(t, os.Symlink(inner, in(outer, "link")))
	if err := w.Add(Root{CodebaseID: 3, Name: "again", Path: in(outer, "link")}); err == nil || !strings.Contains(err.Error(), "watched already") {
		t.Errorf("adding a root by another name: %v", err)
	}
	if err := w.Add(Root{CodebaseID: 3, Name: "relative", Path: "sub"}); err == nil || !strings.Contains(err.Error(), "not absolute") {
		t.Errorf("adding a relative root: %v", err)
	}

	must(t, w.Remove(2))
	expect(1, "sub/a.go", "sub/deep/b.go", "sub/deep/in/c.go", "sub/deep/old.go")
	write(t, inner, "in/d.go", "package d")
	expect(1, "sub/a.go", "sub/deep/b.go", "sub/deep/in/c.go", "sub/deep/in/d.go", "sub/deep/old.go")
	if err := w.Remove(2); err == nil {
		t.Error("removed a root twice")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, k := range recorders {
		k.wg.Wait()
	}
	if err := w.Add(recorders[2].root); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("adding a root to a watcher that has stopped: %v", err)
	}
}

// TestRestart is case 23: what changed while nobody watched is found at start.
func TestRestart(t *testing.T) {
	dir := oldTree(t)
	w := watch(t, dir, Options{})
	w.stop()
	write(t, dir, "old.go", "package offline")
	write(t, dir, "new.go", "package offline")
	must(t, os.RemoveAll(in(dir, "sub/deep")))
	w.run()
	w.agrees()
}

// TestChangeWhileRecording is case 24: the file changes while its last change is
// being recorded; the last content holds, and is recorded once.
func TestChangeWhileRecording(t *testing.T) {
	dir := oldTree(t)
	w := watch(t, dir, Options{})
	w.changes()
	entered, release := make(chan struct{}), make(chan struct{})
	w.set(func() {
		w.gate = func() {
			w.set(func() { w.gate = nil })
			close(entered)
			<-release
		}
	})
	write(t, dir, "old.go", "package second")
	<-entered
	write(t, dir, "old.go", "package third")
	w.status(func(s Status) bool { return s.Dirty == 1 })
	close(release)
	w.agrees()
	var got []string
	facts, _ := w.changes()
	for _, c := range facts {
		got = append(got, string(c.Content))
	}
	if diff := cmp.Diff([]string{"package second", "package third"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestRecorderBlocks is case 31: while the Recorder hangs, events are still read.
func TestRecorderBlocks(t *testing.T) {
	dir := oldTree(t)
	w := watch(t, dir, Options{BurstSize: 10_000})
	entered, release := make(chan struct{}), make(chan struct{})
	w.set(func() {
		w.gate = func() {
			w.set(func() { w.gate = nil })
			close(entered)
			<-release
		}
	})
	write(t, dir, "old.go", "package blocks")
	<-entered
	for i := range 3000 {
		write(t, dir, fmt.Sprintf("d%d/f%d.go", i%30, i), "x")
	}
	w.status(func(s Status) bool { return s.Dirty == 3000 })
	close(release)
	w.agrees()
}

// TestRecorderAway is case 27: it fails for a while, for changes and for scans,
// and nothing is lost.
func TestRecorderAway(t *testing.T) {
	dir := oldTree(t)
	w := prepare(t, dir, Options{})
	down := errors.New("connection refused")
	w.down = down
	w.run()
	failures := func(n int) {
		t.Helper()
		w.until(func() string { return "the recorder is not tried again" }, func() (ok bool) {
			w.set(func() { ok = w.failed >= n })
			return ok
		})
		w.set(func() { w.failed = 0 })
	}
	failures(3) // the scan at start
	write(t, dir, "old.go", "package away")
	w.set(func() { w.down = nil })
	w.agrees()

	w.set(func() { w.down = down })
	write(t, dir, "old.go", "package again")
	rename(t, dir, "sub/a.go", "sub/c.go")
	failures(4)
	write(t, dir, "old.go", "package later")
	must(t, os.Remove(in(dir, "sub/c.go")))
	failures(4)
	w.set(func() { w.down = nil })
	w.agrees()

	w.set(func() { w.down = down })
	for i := range 200 { // more than a burst
		write(t, dir, fmt.Sprintf("f%d.go", i), "x")
	}
	failures(3)
	must(t, os.Remove(in(dir, "f0.go")))
	failures(2)
	w.set(func() { w.down = nil })
	w.agrees()
}

// TestRecorderRefusesOne: a fact that is never accepted holds up no other.
func TestRecorderRefusesOne(t *testing.T) {
	dir := oldTree(t)
	w := watch(t, dir, Options{})
	w.set(func() { w.refuse = "bad.go" })
	for _, n := range []string{"a.go", "bad.go", "c.go"} {
		write(t, dir, n, "package "+n)
	}
	w.until(func() string { return "a.go and c.go are held up" }, func() bool {
		s := w.snapshot()
		return s["a.go"] != fact{} && s["c.go"] != fact{}
	})
	write(t, dir, "a.go", "package later")
	w.until(func() string { return "a.go is held up" }, func() bool {
		return w.snapshot()["a.go"].sum == sha256.Sum256([]byte("package later"))
	})
	w.set(func() { w.refuse = "" })
	w.agrees()
}

// TestTwoWatchers is the watcher's part of case 28: two of them on one root do not
// disturb each other, and both come to the truth.
func TestTwoWatchers(t *testing.T) {
	dir := oldTree(t)
	a, b := watch(t, dir, Options{}), watch(t, dir, Options{})
	write(t, dir, "x/y.go", "package y")
	rename(t, dir, "sub", "moved")
	a.agrees()
	b.agrees()
}

// TestReconcile: even without a single event the truth comes to be recorded.
func TestReconcile(t *testing.T) {
	deaf := func() (*notifier, error) {
		n, err := newNotifier()
		if err != nil {
			return nil, err
		}
		n.add = func(string) error { return nil }
		return n, nil
	}
	dir := oldTree(t)
	w := watch(t, dir, Options{newNotifier: deaf, ReconcileInterval: 100 * time.Millisecond})
	write(t, dir, "old.go", "package silent")
	write(t, dir, "new/x.go", "package silent")
	must(t, os.RemoveAll(in(dir, "sub")))
	w.until(func() string { return fmt.Sprint(w.snapshot()) }, func() bool { return maps.Equal(w.snapshot(), w.onDisk()) })

	w = watch(t, dir, Options{newNotifier: deaf})
	write(t, dir, "old.go", "package asked")
	w.w.Rescan("asked to")
	w.agrees()
	if _, scans := w.changes(); !slices.Contains(scans, "asked to") {
		t.Errorf("scans %q", scans)
	}
}

// BenchmarkEdit measures from the end of a write to the call of the Recorder,
// less the delay.
func BenchmarkEdit(b *testing.B) {
	dir := bigTree(b, 20_000)
	const delay = 50 * time.Millisecond
	w := prepare(b, dir, Options{DebounceDelay: delay})
	w.run()
	recorded := make(chan time.Time, 1)
	w.until(func() string { return "never idle" }, func() bool { return len(w.snapshot()) > 20_000 && w.idle() })
	w.set(func() { w.gate = func() { recorded <- time.Now() } })
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		write(b, dir, "p03/q070/file03500.go", fmt.Sprint(i))
		start := time.Now()
		took = append(took, (<-recorded).Sub(start)-delay)
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-us")
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds()), "p95-us")
}

// TestManyDirectories is case 30: 10,000 directories start quickly and take
// little memory.
func TestManyDirectories(t *testing.T) {
	dir := t.TempDir()
	for i := range 10_000 {
		must(t, os.MkdirAll(in(dir, fmt.Sprintf("d%d/e%d", i%100, i)), 0o755))
	}
	write(t, dir, "d0/e0/f.go", "x")
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before, start := heap(), time.Now()
	w := watch(t, dir, Options{})
	took, grew := time.Since(start), int64(heap())-int64(before)
	t.Logf("%d directories watched and scanned after %v, %d kB of heap", w.w.Status()[0].Directories, took, grew>>10)
	if grew > 32<<20 {
		t.Errorf("heap grew by %d MB, want at most 32", grew>>20)
	}
	if took > 15*time.Second {
		t.Errorf("took %v", took)
	}
	write(t, dir, "d99/e9999/deep/er/f.go", "x")
	w.agrees()
}

func TestRunRefusesBadRoots(t *testing.T) {
	dir := t.TempDir()
	w := New(Options{}, nil, slog.New(slog.DiscardHandler))
	for _, roots := range [][]Root{
		{{CodebaseID: 1, Name: "a", Path: "relative"}},
	} {
		if err := w.Run(t.Context(), roots...); err == nil || !strings.Contains(err.Error(), "not absolute") {
			t.Errorf("%v: %v", roots, err)
		}
	}
	if err := w.Add(Root{CodebaseID: 1, Name: "a", Path: dir}); err == nil || !strings.Contains(err.Error(), "not running") {
		t.Errorf("got %v", err)
	}
}
