package watcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// deliver hands what is due in one root to the Recorder until ctx ends. It is the
// only goroutine that calls the Recorder for this root, and nothing waits for it.
func (w *Watcher) deliver(ctx context.Context, rs *rootState) {
	var lock indexLock
	for rs.dirty.wait(ctx) == nil {
		if lock.held(w.gitDirs(rs), w.opts.MaxWait, time.Now()) {
			pause(ctx, lockPoll)
			continue // and see whether the tree is quiet then
		}
		if w.checkRoot(rs); !w.isPresent(rs) {
			continue
		}
		w.refresh(rs)
		b := rs.dirty.take(time.Now())
		switch {
		case b.scan.reason != "":
			w.requestScan(ctx, rs, b.scan)
		case len(b.entries) > 0:
			w.record(ctx, rs, b.entries)
		}
	}
}

func (w *Watcher) isPresent(rs *rootState) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return rs.present
}

func (w *Watcher) requestScan(ctx context.Context, rs *rootState, m scanMark) {
	err := w.rec.RequestScan(ctx, rs.Root, m.reason)
	if err != nil && ctx.Err() == nil {
		w.log.WarnContext(ctx, "scan could not be requested, trying again", "root", rs.Name, "reason", m.reason, "attempt", m.failures+1, "error", err)
		rs.dirty.scanFailed(m, time.Now())
	}
	rs.dirty.settle(err == nil)
}

// maxBatch bounds the content in one call of RecordChanges, in bytes: a call
// ends with the file that reaches it.
const maxBatch = 16 << 20

// record looks at paths and records what they hold. Paths that failed twice go
// one by one, so that one which can never be recorded does not hold up the rest.
func (w *Watcher) record(ctx context.Context, rs *rootState, entries []*entry) {
	var fresh, failing []*entry
	for _, e := range entries {
		if e.failures > 1 {
			failing = append(failing, e)
		} else {
			fresh = append(fresh, e)
		}
	}
	up, succeeded := true, false
	flush := func(changes []Change, from []*entry) {
		if len(changes) == 0 || ctx.Err() != nil {
			return
		}
		err := w.rec.RecordChanges(ctx, rs.Root, changes)
		if err == nil {
			succeeded = true
			return
		}
		up = false
		if ctx.Err() != nil {
			return
		}
		w.log.WarnContext(ctx, "changes could not be recorded, trying again", "root", rs.Name, "changes", len(changes),
			"path", changes[0].Path, "attempt", from[0].failures+1, "error", err)
		for _, e := range from {
			rs.dirty.failed(e, time.Now())
		}
	}
	var changes []Change
	var from []*entry
	size := 0
	for _, e := range fresh {
		if !up {
			rs.dirty.again(e, time.Now().Add(w.opts.RetryDelay))
			continue
		}
		c, ok := w.examine(ctx, rs, e)
		if !ok {
			continue
		}
		changes, from, size = append(changes, c), append(from, e), size+len(c.Content)
		if size >= maxBatch || len(changes) >= w.opts.BatchSize {
			flush(changes, from)
			changes, from, size = nil, nil, 0
		}
	}
	flush(changes, from)
	for _, e := range failing {
		if !up {
			rs.dirty.again(e, time.Now().Add(w.opts.RetryDelay))
			continue
		}
		if c, ok := w.examine(ctx, rs, e); ok {
			flush([]Change{c}, []*entry{e})
		}
	}
	rs.dirty.settle(succeeded)
}

// examine finds out what a path holds now. It returns false when there is nothing
// to record, or not yet; then the path is back in the set.
func (w *Watcher) examine(ctx context.Context, rs *rootState, e *entry) (Change, bool) {
	name, err := UnescapePath(e.path)
	if e.path == "" || err != nil || ctx.Err() != nil {
		return Change{}, false
	}
	now := time.Now()
	overdue := now.Sub(e.first) >= w.opts.MaxWait
	seen := File{Path: e.path, SeenAt: now}
	if fi, err := os.Lstat(filepath.Join(rs.path, name)); err == nil && fi.Mode().IsRegular() {
		seen = w.reader.owners.file(name, fi, now)
		if !e.linked {
			w.markOthers(rs, e.path, fi)
		}
		// Not every write makes an event (through a memory map, on a polled
		// directory); a file written a moment ago is not settled either way.
		if age := now.Sub(fi.ModTime()); !overdue && age >= 0 && age < w.opts.DebounceDelay {
			rs.dirty.again(e, fi.ModTime().Add(w.opts.DebounceDelay))
			return Change{}, false
		}
	}
	c, err := w.reader.ReadFile(ctx, rs.path, e.path, w.opts.KeepLimit)
	if errors.Is(err, ErrBusy) && overdue {
		// Take it as it is, and look again.
		if c, err = w.reader.owners.read(ctx, rs.path, e.path, w.opts.KeepLimit, true); err == nil {
			rs.dirty.mark(e.path, time.Now())
		}
	}
	switch {
	case ctx.Err() != nil:
		return Change{}, false
	case err == nil:
		if !w.wanted(rs, name) {
			return Change{}, false
		}
		return Change{Path: e.path, File: c.File, SHA256: c.SHA256, Content: c.Data}, true
	case isNoPath(err), errors.Is(err, ErrNotRegular):
		return Change{Path: e.path, Gone: true, File: File{Path: e.path, SeenAt: now}}, true
	case errors.Is(err, ErrBusy):
		rs.dirty.again(e, time.Now().Add(w.opts.DebounceDelay))
		return Change{}, false
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
		w.log.WarnContext(ctx, "file could not be read for want of resources, trying again", "root", rs.Name, "path", e.path, "error", err)
		rs.dirty.failed(e, time.Now())
		return Change{}, false
	case !w.wanted(rs, name):
		return Change{}, false
	}
	return Change{Path: e.path, File: seen, Err: Reason(err)}, true
}

// Reason says in a few words, without the path, why a file cannot be read.
func Reason(err error) string {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Sprintf("user %s may not read it", currentUser())
	}
	return plainError(err)
}

// wanted reports whether a file is in a directory that is watched and not ignored
// there. Rules may have changed since it was marked. What is recorded is remembered,
// so that its end is noticed.
func (w *Watcher) wanted(rs *rootState, name string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !rs.present {
		return false
	}
	dir := rs.find(filepath.Dir(name))
	if dir == nil || dir.level == nil || dir.level.verdict(filepath.Base(name), false).Ignored {
		return false
	}
	dir.files[filepath.Base(name)] = true
	return true
}

// gitDirs returns the git directories of the repositories in a root.
func (w *Watcher) gitDirs(rs *rootState) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	dirs := make([]string, 0, len(rs.repos)+1)
	if rs.top != nil && rs.top.level != nil && rs.top.level.repo != nil && !rs.top.level.repoTop {
		dirs = append(dirs, rs.top.level.repo.dir) // the root is inside a repository
	}
	for n := range rs.repos {
		dirs = append(dirs, n.level.repo.dir)
	}
	return dirs
}

const lockPoll = 50 * time.Millisecond

// indexLock follows the index.lock files by which git says that it is writing a
// work tree. One that a crash left behind is waited for once.
type indexLock struct {
	since     time.Time // of this wait
	abandoned map[string]stamp
}

func (l *indexLock) held(dirs []string, bound time.Duration, now time.Time) bool {
	any := false
	for _, dir := range dirs {
		fi, err := os.Lstat(filepath.Join(dir, "index.lock"))
		if err != nil {
			delete(l.abandoned, dir)
			continue
		}
		if old, ok := l.abandoned[dir]; ok && old == stampOf(fi) {
			continue
		}
		if !l.since.IsZero() && now.Sub(l.since) >= bound {
			if l.abandoned == nil {
				l.abandoned = map[string]stamp{}
			}
			l.abandoned[dir] = stampOf(fi)
			continue
		}
		any = true
	}
	if !any {
		l.since = time.Time{}
	} else if l.since.IsZero() {
		l.since = now
	}
	return any
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
