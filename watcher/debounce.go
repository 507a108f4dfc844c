package watcher

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// dirtySet holds the paths of one root that may differ from what is recorded, and
// says when it is time to look. It is keyed by path, so its size is bounded by the
// tree and not by the number of events, and adding to it never waits.
//
// It is time for a path when nothing has touched it for the delay and no path has
// newly entered the set for the delay: so the files of one save or one checkout
// stay together, while a file that is written all the time holds up nobody. Nor
// does a path wait longer than maxWait.
type dirtySet struct {
	delay, maxWait time.Duration
	burst          int
	retry          time.Duration // first delay after a failure

	mu       sync.Mutex
	paths    map[string]*entry
	newAt    time.Time // when a path last entered the set
	scan     scanMark
	wake     chan struct{} // has room for one: the time of the next look may have changed
	inFlight bool          // a batch was taken and is not settled yet
}

type entry struct {
	path        string // escaped; "" is the root itself and means only that its rules want a look
	first, last time.Time
	linked      bool      // only because another name of the file was touched
	failures    int       // times it could not be recorded
	retryAt     time.Time // not before; zero when it never failed
}

type scanMark struct {
	reason   string // empty when no scan is wanted
	first    time.Time
	at       time.Time // not before; set where quiet does not matter or after a failure
	failures int
}

// batch is what is to be recorded now: a scan, or some paths.
type batch struct {
	scan    scanMark
	entries []*entry
}

func newDirtySet(delay, maxWait, retry time.Duration, burst int) *dirtySet {
	return &dirtySet{delay: delay, maxWait: maxWait, retry: retry, burst: burst,
		paths: map[string]*entry{}, wake: make(chan struct{}, 1)}
}

// mark adds a path or notes that it was touched again.
func (d *dirtySet) mark(path string, now time.Time) { d.add(path, now, false) }

// markLinked marks a path because another name of its file was touched.
func (d *dirtySet) markLinked(path string, now time.Time) { d.add(path, now, true) }

func (d *dirtySet) add(path string, now time.Time, linked bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.scan.reason != "" {
		d.newAt = now // the scan will see it
		return
	}
	if e, ok := d.paths[path]; ok {
		e.last = now
		e.linked = e.linked && linked
		return
	}
	d.paths[path] = &entry{path: path, first: now, last: now, linked: linked}
	d.newAt = now
	if len(d.paths) == 1 {
		d.signal()
	}
}

// markScan asks for a scan of the whole root, which covers all paths in the set:
// at once, or when the root has become quiet. Of several reasons the first stays.
func (d *dirtySet) markScan(reason string, now time.Time, atOnce bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.scan.reason == "" {
		d.scan = scanMark{reason: reason, first: now}
		d.newAt = now
		clear(d.paths)
	}
	if atOnce {
		d.scan.at = now
	}
	d.signal()
}

// hurryScan makes a scan that is wanted due at once.
func (d *dirtySet) hurryScan(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.scan.reason != "" && d.scan.failures == 0 {
		d.scan.at = now
	}
}

// clear forgets everything.
func (d *dirtySet) clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.paths)
	d.scan = scanMark{}
}

func (d *dirtySet) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// due is when take will next yield something.
func (d *dirtySet) due() (at time.Time, any bool) {
	if d.scan.reason != "" {
		return d.scanDue(), true
	}
	for _, e := range d.paths {
		if t := d.entryDue(e); !any || t.Before(at) {
			at, any = t, true
		}
	}
	return at, any
}

func (d *dirtySet) scanDue() time.Time {
	if !d.scan.at.IsZero() {
		return d.scan.at
	}
	return earlier(d.newAt.Add(d.delay), d.scan.first.Add(d.maxWait))
}

func (d *dirtySet) entryDue(e *entry) time.Time {
	quiet := later(e.last, d.newAt).Add(d.delay)
	return later(earlier(quiet, e.first.Add(d.maxWait)), e.retryAt)
}

// wait returns when something is due, or with the error of the context.
func (d *dirtySet) wait(ctx context.Context) error {
	for {
		d.mu.Lock()
		at, any := d.due()
		d.mu.Unlock()
		var alarm <-chan time.Time
		if any {
			left := time.Until(at)
			if left <= 0 {
				return context.Cause(ctx)
			}
			t := time.NewTimer(left)
			defer t.Stop()
			alarm = t.C
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-d.wake:
		case <-alarm:
		}
	}
}

// take removes and returns what is due. More than burst paths in the set at that
// moment, due or not, become a scan. The batch must be ended by settle before the
// next is taken.
func (d *dirtySet) take(now time.Time) batch {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b batch
	if d.scan.reason != "" {
		if d.scanDue().After(now) {
			return b
		}
		b.scan, d.scan, d.inFlight = d.scan, scanMark{}, true
		return b
	}
	for _, e := range d.paths {
		if !d.entryDue(e).After(now) {
			b.entries = append(b.entries, e)
		}
	}
	if len(b.entries) == 0 {
		return b
	}
	d.inFlight = true
	n := len(d.paths)
	if _, ok := d.paths[""]; ok {
		n--
	}
	if n > d.burst {
		clear(d.paths)
		return batch{scan: scanMark{reason: fmt.Sprintf("burst of %d changes", n), first: now}}
	}
	for _, e := range b.entries {
		delete(d.paths, e.path)
	}
	slices.SortFunc(b.entries, func(x, y *entry) int { return strings.Compare(x.path, y.path) })
	return b
}

// settle ends a batch; what was recorded of it stays out of the set. After a
// success there is no reason to keep others waiting that failed before.
func (d *dirtySet) settle(succeeded bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.inFlight = false
	if !succeeded {
		return
	}
	for _, e := range d.paths {
		if e.failures > 0 {
			e.retryAt = time.Time{}
		}
	}
	d.signal()
}

// again puts a path back to be looked at after the delay, without having failed.
func (d *dirtySet) again(e *entry, at time.Time) { d.back(e, at, 0) }

// failed puts a path back after the Recorder refused it.
func (d *dirtySet) failed(e *entry, now time.Time) {
	d.back(e, now.Add(backoff(d.retry, e.failures+1)), 1)
}

func (d *dirtySet) back(e *entry, at time.Time, failures int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.scan.reason != "" {
		return
	}
	e.retryAt = at
	e.failures += failures
	if newer, ok := d.paths[e.path]; ok { // touched meanwhile
		e.last, e.linked = newer.last, e.linked && newer.linked
	}
	d.paths[e.path] = e
	d.signal()
}

// scanFailed keeps the wish for a scan, and drops paths that it covers.
func (d *dirtySet) scanFailed(m scanMark, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m.failures++
	m.at = now.Add(backoff(d.retry, m.failures))
	d.scan = m
	clear(d.paths)
	d.signal()
}

// state reports how many paths wait, and whether a scan or a batch is under way.
func (d *dirtySet) state() (paths int, busy bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.paths), d.scan.reason != "" || d.inFlight
}

// maxBackoff bounds the time between tries to reach the Recorder.
const maxBackoff = 30 * time.Second

// backoff doubles from first up to maxBackoff, give or take a fifth so that many
// watchers do not come back at one instant.
func backoff(first time.Duration, failures int) time.Duration {
	d := min(first<<min(failures-1, 16), maxBackoff)
	return d + time.Duration((rand.Float64()-0.5)*0.4*float64(d))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
