package watcher

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// taken is what a script of marks led to: when, and what.
type taken struct {
	At    string
	Paths []string
	Scan  string
}

// collect serves the set until ctx ends, as delivery does.
func collect(ctx context.Context, d *dirtySet, start time.Time) (out []taken) {
	for d.wait(ctx) == nil {
		b := d.take(time.Now())
		t := taken{At: time.Since(start).String(), Scan: b.scan.reason}
		for _, e := range b.entries {
			if b.scan.reason == "" {
				t.Paths = append(t.Paths, e.path)
			}
		}
		d.settle(true)
		out = append(out, t)
	}
	return out
}

func TestDebounce(t *testing.T) {
	const ms = time.Millisecond
	every := func(d *dirtySet, path string, step, until time.Duration) {
		for start := time.Now(); time.Since(start) < until; time.Sleep(step) {
			d.mark(path, time.Now())
		}
	}
	tests := []struct {
		name string
		do   func(d *dirtySet)
		want []taken
	}{
		{"one mark", func(d *dirtySet) {
			d.mark("a", time.Now())
		}, []taken{{"500ms", []string{"a"}, ""}}},
		{"each touch starts the quiet time again", func(d *dirtySet) {
			every(d, "a", 400*ms, 1300*ms)
		}, []taken{{"1.7s", []string{"a"}, ""}}},
		{"never quiet: at the maximum, and again", func(d *dirtySet) {
			every(d, "a", 70*ms, 20*time.Second)
		}, []taken{{"10s", []string{"a"}, ""}, {"20.01s", []string{"a"}, ""}}},
		{"new paths keep a set together", func(d *dirtySet) {
			for i := range 5 {
				d.mark(fmt.Sprint(i), time.Now())
				time.Sleep(300 * ms)
			}
		}, []taken{{"1.7s", []string{"0", "1", "2", "3", "4"}, ""}}},
		{"but not longer than the maximum", func(d *dirtySet) {
			for i := range 4 {
				d.mark(fmt.Sprint(i), time.Now())
				time.Sleep(100 * ms)
			}
			time.Sleep(1 * ms)
		}, []taken{{"800ms", []string{"0", "1", "2", "3"}, ""}}},
		{"a busy file holds up nobody", func(d *dirtySet) {
			go every(d, "log", 50*ms, 3*time.Second)
			time.Sleep(2 * time.Second)
			d.mark("a", time.Now())
			time.Sleep(2 * time.Second)
		}, []taken{{"2.5s", []string{"a"}, ""}, {"3.45s", []string{"log"}, ""}}},
		{"a burst becomes a scan", func(d *dirtySet) {
			for i := range 7 {
				d.mark(fmt.Sprint(i), time.Now())
			}
		}, []taken{{"500ms", nil, "burst of 7 changes"}}},
		{"a scan waits for quiet and covers what comes before it", func(d *dirtySet) {
			d.markScan("lost", time.Now(), false)
			time.Sleep(300 * ms)
			d.mark("a", time.Now())
			d.markScan("other", time.Now(), false)
		}, []taken{{"800ms", nil, "lost"}}},
		{"a scan at once", func(d *dirtySet) {
			d.mark("a", time.Now())
			time.Sleep(100 * ms)
			d.markScan("start", time.Now(), true)
			time.Sleep(100 * ms)
			d.mark("b", time.Now())
		}, []taken{{"100ms", nil, "start"}, {"700ms", []string{"b"}, ""}}},
		{"quiet never comes for a scan", func(d *dirtySet) {
			d.markScan("lost", time.Now(), false)
			every(d, "a", 100*ms, 11*time.Second)
		}, []taken{{"10s", nil, "lost"}, {"11.4s", []string{"a"}, ""}}},
		{"cleared", func(d *dirtySet) {
			d.mark("a", time.Now())
			d.markScan("x", time.Now(), false)
			d.clear()
		}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDirtySet(500*ms, 10*time.Second, time.Second, 6)
				ctx, stop := context.WithCancel(t.Context())
				got := make(chan []taken)
				go func(start time.Time) { got <- collect(ctx, d, start) }(time.Now())
				tt.do(d)
				time.Sleep(time.Minute)
				stop()
				if diff := cmp.Diff(tt.want, <-got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// TestDebounceRetries: what failed is tried again, later and later, and at once
// when something succeeds.
func TestDebounceRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDirtySet(time.Second, 10*time.Second, time.Second, 50)
		start := time.Now()
		d.mark("a", start)
		var gaps []time.Duration
		for last := start; len(gaps) < 10; last = time.Now() {
			if err := d.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			b := d.take(time.Now())
			if len(b.entries) != 1 {
				t.Fatalf("took %d entries", len(b.entries))
			}
			gaps = append(gaps, time.Since(last))
			d.failed(b.entries[0], time.Now())
			d.settle(false)
		}
		for i, gap := range gaps[1:] {
			want := min(time.Second<<i, maxBackoff)
			if gap < want*8/10 || gap > want*12/10 {
				t.Errorf("retry %d after %v, want about %v", i+1, gap, want)
			}
		}
		d.mark("b", time.Now())
		d.wait(t.Context())
		if b := d.take(time.Now()); len(b.entries) != 1 || b.entries[0].path != "b" {
			t.Fatalf("took %v, want b alone", b.entries)
		}
		d.settle(true)
		if b := d.take(time.Now()); len(b.entries) != 1 || b.entries[0].path != "a" || b.entries[0].failures != 10 {
			t.Fatalf("took %v, want a at once", b.entries)
		}
		d.settle(true)

		d.mark("c", time.Now())
		d.markScan("lost", time.Now(), true)
		for range 3 {
			d.wait(t.Context())
			b := d.take(time.Now())
			if b.scan.reason != "lost" {
				t.Fatalf("took %+v", b)
			}
			d.mark("d", time.Now()) // while the request is under way
			d.scanFailed(b.scan, time.Now())
			d.settle(false)
		}
		d.wait(t.Context())
		if b := d.take(time.Now()); b.scan.reason != "lost" || b.scan.failures != 3 {
			t.Fatalf("took %+v", b)
		}
		d.settle(true)
		if n, busy := d.state(); n != 0 || busy {
			t.Errorf("%d paths left, busy %v: the scan covered them", n, busy)
		}
	})
}

// TestDebounceLosesNothing marks, takes, fails and puts back at random: every
// mark is followed by a take of its path or a scan.
func TestDebounceLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, 0)
		d := newDirtySet(500*time.Millisecond, 10*time.Second, time.Second, 4)
		owed := map[string]bool{}
		var scanOwed bool
		serve := func(fail bool) {
			b := d.take(now)
			switch {
			case b.scan.reason != "" && fail:
				d.scanFailed(b.scan, now)
			case b.scan.reason != "":
				clear(owed)
				scanOwed = false
			default:
				for _, e := range b.entries {
					if fail {
						d.failed(e, now)
					} else {
						delete(owed, e.path)
					}
				}
			}
			d.settle(!fail)
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 1500).Draw(t, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1, 2:
				path := rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f"}).Draw(t, "path")
				d.mark(path, now)
				owed[path] = true
			case 3:
				d.markScan("reason", now, rapid.Bool().Draw(t, "at once"))
				scanOwed = true
			default:
				serve(rapid.Bool().Draw(t, "fail"))
			}
		}
		for range 20 {
			now = now.Add(time.Minute)
			serve(false)
		}
		if len(owed) > 0 || scanOwed {
			t.Fatalf("never taken: %v, scan %v", owed, scanOwed)
		}
	})
}
