package watcher

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// handle turns one event into marks. It looks at the disk as little as it can: a
// path is marked when it may have changed, and what it is now is found out later.
func (w *Watcher) handle(ev fsnotify.Event) {
	if ev.Name == "" || ev.Op == 0 {
		return
	}
	path := filepath.Clean(ev.Name)
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.infos[path] {
		w.rulesTouched(n)
	}
	rs, rel := w.rootOf(path)
	if rs == nil {
		return
	}
	if rel == "" {
		w.rootEvent(rs, ev)
		return
	}
	parent := rs.find(filepath.Dir(rel))
	if parent == nil || parent.level == nil {
		return // left over from a directory that has gone
	}
	name := filepath.Base(rel)
	if decidesRules(name) {
		w.rulesTouched(parent)
	}
	switch child := parent.children[name]; {
	case ev.Has(fsnotify.Create):
		w.appeared(parent, name, path)
	case ev.Has(fsnotify.Remove), ev.Has(fsnotify.Rename):
		if child != nil {
			w.detach(child, true)
		}
		// The event may speak of what was here before: a directory that moved away
		// keeps sending events under its old name for a while.
		if fi, err := os.Lstat(path); err == nil && fi.IsDir() {
			w.appeared(parent, name, path)
		} else if child == nil {
			w.touched(parent, name)
			delete(parent.files, name)
		}
	case child != nil:
		if ev.Has(fsnotify.Chmod) {
			w.sync(child, true, false) // it may have become readable
		}
	default:
		if ev.Has(fsnotify.Chmod) { // also when it has got another name
			if fi, err := os.Lstat(path); err == nil && fi.Mode().IsRegular() {
				w.links.note(rs, EscapePath(rel), fi)
			}
		}
		w.touched(parent, name)
	}
}

// rootEvent handles what happens to the root itself.
func (w *Watcher) rootEvent(rs *rootState, ev fsnotify.Event) {
	if ev.Has(fsnotify.Remove) || ev.Has(fsnotify.Rename) {
		w.lose(rs)
		w.establish(rs, "root was replaced")
		return
	}
	if ev.Has(fsnotify.Chmod) {
		w.sync(rs.top, true, false)
	}
}

// appeared handles a name that now stands for something new.
func (w *Watcher) appeared(parent *node, name, path string) {
	child := parent.children[name]
	fi, err := os.Lstat(path)
	if err == nil && fi.IsDir() {
		if parent.files[name] {
			w.touched(parent, name)
			delete(parent.files, name)
		}
		id := sysOf(fi).id
		switch {
		case parent.level.verdict(name, true).Ignored:
		case child != nil && child.id == id:
			w.sync(child, true, false) // a walk got here before the event
		default:
			if child != nil {
				w.detach(child, true)
			}
			w.enter(parent, name, id, true)
		}
		return
	}
	if child != nil {
		w.detach(child, true)
	}
	if err == nil && !fi.Mode().IsRegular() && !parent.files[name] {
		return // a link or a FIFO, and no file was there before
	}
	if err == nil && fi.Mode().IsRegular() {
		w.links.note(parent.rs, EscapePath(filepath.Join(parent.rel, name)), fi)
	}
	w.touched(parent, name)
}

// touched marks a file.
func (w *Watcher) touched(parent *node, name string) {
	if !parent.level.verdict(name, false).Ignored {
		parent.files[name] = true
		parent.mark(name)
	}
}

// rulesTouched notes that the ignore rules of a directory want a look when it has
// become quiet.
func (w *Watcher) rulesTouched(n *node) {
	n.rs.rules[n] = true
	n.rs.dirty.mark("", time.Now())
}

// trouble handles an error of the event source.
func (w *Watcher) trouble(ctx context.Context, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	reason := "events were lost: " + err.Error()
	if errors.Is(err, fsnotify.ErrEventOverflow) {
		reason = "too many events at once, some were lost"
	}
	w.log.WarnContext(ctx, "asking for scans", "reason", reason)
	for _, rs := range w.roots {
		if rs.present {
			rs.stale = true
			rs.dirty.markScan(reason, time.Now(), false)
		}
	}
}

// refresh brings the tree up to date before facts are recorded: after lost events
// the whole of it, after edits to ignore files what they rule.
func (w *Watcher) refresh(rs *rootState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !rs.present {
		return
	}
	if rs.stale {
		rs.stale = false
		clear(rs.rules)
		w.sync(rs.top, false, true)
		return
	}
	for n := range rs.rules {
		delete(rs.rules, n)
		if n.parent != nil && n.parent.level.verdict(n.name, true).Ignored {
			// What is inside a directory can be the reason to ignore it.
			w.detach(n, false)
			rs.dirty.markScan("ignored from now on: "+EscapePath(n.rel), time.Now(), true)
			continue
		}
		w.sync(n, true, false)
		rs.dirty.hurryScan(time.Now())
	}
}

// upkeep polls what gets no events, checks that roots are there, and asks for a
// scan now and then.
func (w *Watcher) upkeep(ctx context.Context) {
	every := min(w.opts.PollInterval, w.opts.RootInterval)
	if w.opts.ReconcileInterval > 0 {
		every = min(every, w.opts.ReconcileInterval)
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	lastPoll, lastCheck := time.Now(), time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		if now.Sub(lastCheck) >= w.opts.RootInterval {
			lastCheck = now
			for _, rs := range w.list() {
				w.checkRoot(rs)
			}
		}
		if now.Sub(lastPoll) >= w.opts.PollInterval {
			lastPoll = now
			w.pollAll()
		}
		w.reconcile(now)
	}
}

func (w *Watcher) list() []*rootState {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := make([]*rootState, 0, len(w.roots))
	for _, rs := range w.roots {
		out = append(out, rs)
	}
	return out
}

// pollAll looks at every directory that gets no events, and tries again to get
// them.
func (w *Watcher) pollAll() {
	for _, rs := range w.list() {
		w.mu.Lock()
		nodes := make([]*node, 0, len(rs.polls))
		for n := range rs.polls {
			nodes = append(nodes, n)
		}
		w.mu.Unlock()
		for _, n := range nodes {
			w.mu.Lock() // for one directory at a time: events must not wait long
			if rs.present && rs.polls[n] {
				w.pollNode(n)
			}
			w.mu.Unlock()
		}
		w.mu.Lock()
		for path := range rs.sighted {
			rs.dirty.mark(path, time.Now())
		}
		clear(rs.sighted)
		w.mu.Unlock()
	}
}

func (w *Watcher) pollNode(n *node) {
	w.sync(n, true, false)
}

// reconcile walks roots whose time has come and asks for their scan.
func (w *Watcher) reconcile(now time.Time) {
	if w.opts.ReconcileInterval < 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, rs := range w.roots {
		if !now.Before(rs.next) {
			rs.next = w.nextReconcile()
			w.rescan(rs, "periodic reconcile")
		}
	}
}
