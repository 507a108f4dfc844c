package watcher

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// What whoever runs the tests has told git to ignore is not to be found.
	os.Setenv("HOME", "/nonexistent")
	os.Setenv("XDG_CONFIG_HOME", "/nonexistent")
	os.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	goleak.VerifyTestMain(m)
}

// fact is what the test's recorder keeps of a path.
type fact struct {
	sum  [32]byte
	mode uint32
	err  string
}

type state map[string]fact

// keeper is a Recorder that keeps facts in memory the way a database does: of two
// facts about a path the one seen later holds, and scans run beside the recording
// of changes and are merged when they end.
type keeper struct {
	w    *Watcher
	root Root

	mu      sync.Mutex
	facts   state
	seen    map[string]time.Time // also of paths that are gone
	down    error                // what every call returns, when set
	refuse  string               // path that is never accepted
	calls   [][]Change           // accepted by RecordChanges
	scans   []string             // reasons
	failed  int
	running int
	wg      sync.WaitGroup
	gate    func() // called before changes are accepted
	oneScan sync.Mutex
}

func (k *keeper) RecordChanges(ctx context.Context, root Root, changes []Change) error {
	if gate := k.gateNow(); gate != nil {
		gate()
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if root != k.root {
		panic(fmt.Sprintf("changes of root %v in that of %v", root, k.root))
	}
	if k.down != nil {
		k.failed++
		return k.down
	}
	if slices.ContainsFunc(changes, func(c Change) bool { return c.Path == k.refuse }) {
		k.failed++
		return errors.New("refused " + k.refuse)
	}
	k.calls = append(k.calls, changes)
	for _, c := range changes {
		if c.Gone {
			k.forget(c.Path, c.File.SeenAt)
			continue
		}
		if c.Content != nil && sha256.Sum256(c.Content) != c.SHA256 {
			panic("content and hash differ: " + c.Path)
		}
		k.keep(c.Path, c.File.SeenAt, fact{c.SHA256, c.File.Mode, c.Err})
	}
	return nil
}

func (k *keeper) gateNow() func() {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.gate
}

func (k *keeper) keep(path string, seen time.Time, f fact) {
	if !seen.Before(k.seen[path]) {
		k.facts[path], k.seen[path] = f, seen
	}
}

func (k *keeper) forget(path string, seen time.Time) {
	if !seen.Before(k.seen[path]) {
		delete(k.facts, path)
		k.seen[path] = seen
	}
}

func (k *keeper) RequestScan(ctx context.Context, root Root, reason string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.down != nil {
		k.failed++
		return k.down
	}
	k.scans = append(k.scans, reason)
	k.running++
	k.wg.Go(func() {
		k.scan(ctx, root)
		k.mu.Lock()
		k.running--
		k.mu.Unlock()
	})
	return nil
}

func (k *keeper) scan(ctx context.Context, root Root) {
	k.oneScan.Lock()
	defer k.oneScan.Unlock()
	start := time.Now()
	type found struct {
		seen time.Time
		fact
	}
	all := map[string]found{}
	sum, err := k.w.Scan(ctx, root, func(f File) error {
		c, err := k.w.ReadFile(ctx, root, f.Path)
		switch {
		case err == nil:
			all[f.Path] = found{c.File.SeenAt, fact{sum: c.SHA256, mode: c.File.Mode}}
		case errors.Is(err, ErrBusy):
			all[f.Path] = found{} // there, but what it holds is for an event to tell
		case errors.Is(err, os.ErrPermission):
			all[f.Path] = found{f.SeenAt, fact{mode: f.Mode, err: Reason(err)}}
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrRootEmpty) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	for path := range k.facts {
		hidden := slices.ContainsFunc(sum.Problems, func(p Problem) bool { return strings.HasPrefix(path, p.Path+"/") })
		if _, ok := all[path]; !ok && !hidden {
			k.forget(path, start)
		}
	}
	for path, f := range all {
		if !f.seen.IsZero() {
			k.keep(path, f.seen, f.fact)
		}
	}
}

func (k *keeper) set(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

func (k *keeper) snapshot() state {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := state{}
	for p, f := range k.facts {
		s[p] = f
	}
	return s
}

// watched is a running watcher with its keeper.
type watched struct {
	*keeper
	t    testing.TB
	dir  string
	logs *logBuffer
	stop func()
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// quick are settings that make tests short; nothing in them changes what happens.
func quick(o Options) Options {
	set := func(d *time.Duration, to time.Duration) {
		if *d == 0 {
			*d = to
		}
	}
	set(&o.DebounceDelay, 40*time.Millisecond)
	set(&o.MaxWait, 2*time.Second)
	set(&o.PollInterval, 100*time.Millisecond)
	set(&o.RootInterval, 50*time.Millisecond)
	set(&o.RetryDelay, 20*time.Millisecond)
	set(&o.ReconcileInterval, -1)
	return o
}

// prepare makes a watcher that is not running yet.
func prepare(t testing.TB, dir string, o Options) *watched {
	logs := &logBuffer{}
	k := &keeper{root: Root{CodebaseID: 7, Name: "test", Path: dir}, facts: state{}, seen: map[string]time.Time{}}
	k.w = New(quick(o), k, slog.New(slog.NewTextHandler(logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	return &watched{keeper: k, t: t, dir: dir, logs: logs}
}

func (w *watched) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.w.Run(ctx, w.root) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
		w.wg.Wait()
		if w.t.Failed() {
			w.t.Logf("log of the watcher:\n%s", w.logs)
		}
	})
	w.t.Cleanup(w.stop)
}

// watch runs a watcher on dir and waits until it agrees with the disk.
func watch(t testing.TB, dir string, o Options) *watched {
	w := prepare(t, dir, o)
	w.run()
	w.agrees()
	return w
}

const patience = 20 * time.Second

// until waits for a condition.
func (w *watched) until(what func() string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("gave up after %v: %s\nlog of the watcher:\n%s", patience, what(), w.logs)
		}
	}
}

func (w *watched) settled(ok func(state) bool) {
	w.t.Helper()
	w.until(func() string { return fmt.Sprintf("recorded: %+v", w.snapshot()) }, func() bool { return w.idle() && ok(w.snapshot()) })
}

// idle reports that nothing waits, is being recorded or scanned.
func (w *watched) idle() bool {
	s := w.w.Status()
	if len(s) != 1 || s[0].Busy || s[0].Dirty > 0 {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running == 0
}

// onDisk is the truth: path -> hash of what the rules leave, found by a walk that
// shares no code with the watcher's but the rules.
func (w *watched) onDisk() state {
	s := state{}
	var walk func(l *level, rel string, entries []os.DirEntry)
	walk = func(l *level, rel string, entries []os.DirEntry) {
		for _, e := range entries {
			below := filepath.Join(rel, e.Name())
			path := filepath.Join(w.dir, below)
			switch {
			case l.verdict(e.Name(), e.IsDir()).Ignored:
			case e.IsDir():
				inside, err := os.ReadDir(path)
				must(w.t, err)
				walk(l.enter(e.Name(), inside), below, inside)
			case e.Type().IsRegular():
				data, err := os.ReadFile(path)
				must(w.t, err)
				fi, err := os.Lstat(path)
				must(w.t, err)
				s[EscapePath(below)] = fact{sum: sha256.Sum256(data), mode: modeBits(fi.Mode())}
			}
		}
	}
	entries, err := os.ReadDir(w.dir)
	must(w.t, err)
	walk(newRules(w.dir, w.w.opts.Filter, nil).top(entries), "", entries)
	return s
}

// agrees waits until what is recorded equals the disk, and stays so when idle.
// Nothing may be changing the disk meanwhile.
func (w *watched) agrees() {
	w.t.Helper()
	want := w.onDisk()
	var diff string
	w.until(func() string {
		return "recorded (-) differs from disk (+):\n" + diff + cmp.Diff(w.snapshot(), want, cmp.AllowUnexported(fact{}))
	}, func() bool {
		if !w.idle() {
			diff = "not idle: " + fmt.Sprintf("%+v", w.w.Status())
			return false
		}
		diff = ""
		return maps.Equal(w.snapshot(), want)
	})
}

// changes returns the facts recorded since the last call, and the scans.
func (w *watched) changes() (facts []Change, scans []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.calls {
		facts = append(facts, c...)
	}
	scans = w.scans
	w.calls, w.scans = nil, nil
	return facts, scans
}
