package watcher

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// rootState is a root with what is known of it. All but dirty is guarded by the
// watcher's mutex.
type rootState struct {
	Root
	path    string // canonical
	present bool
	trouble string // why it is not
	id      fileID
	top     *node
	repos   map[*node]bool  // directories that are the top of a git work tree
	rules   map[*node]bool  // directories whose ignore files were touched
	polls   map[*node]bool  // directories that get no events
	sighted map[string]bool // escaped: files that only a scan has seen, in directories not known yet
	stale   bool            // the tree wants to be walked again: events were lost, or borders moved
	next    time.Time       // of the periodic reconcile
	dirty   *dirtySet
	removed bool
	stop    context.CancelFunc // ends delivery
}

// node is a directory that is watched, or polled. The names of its files are kept
// because the events for a directory that moves away do not name them.
type node struct {
	rs       *rootState
	parent   *node
	name     string
	path     string // absolute
	rel      string // below the root, not escaped; "" for the root
	id       fileID
	level    *level
	children map[string]*node
	files    map[string]bool
	stamps   map[string]stamp // of files, while polled
	alias    bool             // the same directory is watched by another name
	remote   string           // kind of its file system, where that says nothing of changes made elsewhere
}

func (n *node) count() int {
	if n == nil {
		return 0
	}
	total := 1
	for _, c := range n.children {
		total += c.count()
	}
	return total
}

// find returns the node of a directory below the root, or nil.
func (rs *rootState) find(rel string) *node {
	n := rs.top
	for rel != "" && rel != "." && n != nil {
		first, rest, _ := cutElement(rel)
		n, rel = n.children[first], rest
	}
	return n
}

func (n *node) mark(name string) {
	n.rs.dirty.mark(EscapePath(filepath.Join(n.rel, name)), time.Now())
}

// establish begins to watch a root that is there, and asks for a scan of it.
func (w *Watcher) establish(rs *rootState, reason string) {
	canonical, err := CheckRoot(rs.Path)
	if err != nil && !errors.Is(err, ErrRootEmpty) {
		w.waitFor(rs, err)
		return
	}
	for _, other := range w.roots {
		if other != rs && other.path == canonical {
			w.waitFor(rs, errors.New("it is the same directory as root "+other.Name))
			return
		}
	}
	fi, err := os.Stat(canonical)
	if err != nil {
		w.waitFor(rs, rootError(rs.Path, err))
		return
	}
	rs.path, rs.id, rs.present, rs.trouble = canonical, sysOf(fi).id, true, ""
	rs.top = &node{rs: rs, path: canonical, id: rs.id, children: map[string]*node{}}
	rs.top.remote = w.remoteKind(rs.top)
	w.claim(rs.top)
	w.sync(rs.top, false, true)
	rs.dirty.markScan(reason, time.Now(), true)
	w.log.Info("watching root", "root", rs.Name, "path", rs.path, "directories", rs.top.count(), "polled", len(rs.polls), "reason", reason)
}

func (w *Watcher) waitFor(rs *rootState, err error) {
	if rs.trouble != err.Error() {
		rs.trouble = err.Error()
		w.log.Warn("root cannot be watched now, waiting for it", "root", rs.Name, "error", err)
	}
}

// lose forgets what is known of a root. Nothing is reported gone.
func (w *Watcher) lose(rs *rootState) {
	rs.present = false
	if rs.top != nil {
		w.detach(rs.top, false)
		rs.top = nil
	}
	rs.stale = false
	clear(rs.rules)
	clear(rs.sighted)
	w.links.forget(rs)
	rs.dirty.clear()
}

// checkRoot compares a root with the disk: it may have gone, come back, or been
// replaced.
func (w *Watcher) checkRoot(rs *rootState) {
	fi, err := os.Stat(rs.Path)
	w.mu.Lock()
	defer w.mu.Unlock()
	if rs.removed {
		return
	}
	there := err == nil && fi.IsDir()
	switch {
	case rs.present && there && sysOf(fi).id == rs.id:
	case rs.present && !there:
		w.lose(rs)
		if err == nil {
			err = ErrRootNotDirectory
		}
		w.waitFor(rs, rootError(rs.Path, err))
	case rs.present:
		w.lose(rs)
		w.establish(rs, "root was replaced")
	default:
		w.establish(rs, "root appeared")
	}
}

// sync makes the node agree with the disk: watches it, reads it, enters new
// directories (and, when deep, known ones too) and lets go of missing ones. With
// report, files that appeared, went or (where polled) changed are marked.
func (w *Watcher) sync(n *node, report, deep bool) {
	w.watch(n)
	entries, err := readDir(n.path)
	if isNoPath(err) {
		if n.parent != nil {
			w.detach(n, report)
		}
		return
	}
	if err != nil {
		w.poll(n) // until it can be read
		w.log.Debug("directory cannot be read", "root", n.rs.Name, "path", n.path, "error", err)
		return
	}
	if w.load(n, entries) {
		// What is now ignored, or no longer, is for a scan to find.
		report, deep = false, true
		n.rs.dirty.markScan("ignore rules changed in "+EscapePath(filepath.Join(".", n.rel)), time.Now(), false)
	}
	files, dirs := make(map[string]bool, len(entries)), map[string]bool{}
	var stamps map[string]stamp
	if n.rs.polls[n] || n.stamps != nil {
		stamps = make(map[string]stamp, len(entries))
	}
	for _, e := range entries {
		name, isDir := e.Name(), e.IsDir()
		if !isDir && !e.Type().IsRegular() || n.level.verdict(name, isDir).Ignored {
			continue
		}
		if !isDir {
			files[name] = true
			w.compare(n, e, stamps, report)
			continue
		}
		fi, err := e.Info()
		if err != nil || !fi.IsDir() {
			continue
		}
		child, id := n.children[name], sysOf(fi).id
		if child != nil && child.id != id {
			w.detach(child, report)
			child = nil
		}
		dirs[name] = true
		if child == nil {
			w.enter(n, name, id, report)
		} else if deep {
			w.sync(child, report, deep)
		}
	}
	old := n.files
	n.files, n.stamps = files, stamps
	if !n.rs.polls[n] {
		n.stamps = nil // from now on there are events
	}
	if report {
		for name := range old {
			if !files[name] {
				n.mark(name)
			}
		}
	}
	for name, child := range n.children {
		if !dirs[name] {
			w.detach(child, report)
		}
	}
}

// compare marks a file that is new to the node or, where stamps are kept, that
// differs from the last look.
func (w *Watcher) compare(n *node, e fs.DirEntry, stamps map[string]stamp, report bool) {
	name := e.Name()
	known := n.files[name]
	if fi, err := e.Info(); err == nil {
		w.links.note(n.rs, EscapePath(filepath.Join(n.rel, name)), fi)
		if stamps != nil {
			s, had := n.stamps[name]
			stamps[name] = stampOf(fi)
			known = known && had && s == stamps[name]
		}
	}
	if report && !known {
		n.mark(name)
	}
}

// load gives the node the rules that its files say now, and reports whether they
// said something else before.
func (w *Watcher) load(n *node, entries []fs.DirEntry) (changed bool) {
	old := n.level
	n.level = w.levelOf(n, entries)
	if n.level.repoTop {
		n.rs.repos[n] = true
		w.watchExcludes(n, n.level.repo)
	}
	if old != nil && old.repoTop {
		if !n.level.repoTop {
			delete(n.rs.repos, n)
		}
		w.unwatchExcludes(n, old.repo)
	}
	return old != nil && !old.sameRules(n.level)
}

func (w *Watcher) levelOf(n *node, entries []fs.DirEntry) *level {
	if n.parent != nil {
		return n.parent.level.enter(n.name, entries)
	}
	f := w.opts.Filter
	f.Exclude = w.exclude(n.rs.CodebaseID)
	r := newRules(n.path, f, func(path string, err error) {
		w.log.Warn("ignore file cannot be read, its rules are not applied", "root", n.rs.Name, "path", path, "error", err)
	})
	r.git = w.git
	return r.top(entries)
}

// enter adds a directory that has appeared, with all that is in it. The watch
// comes before the reading, so what appears in between is seen at least once.
func (w *Watcher) enter(parent *node, name string, id fileID, report bool) {
	n := &node{rs: parent.rs, parent: parent, name: name, path: filepath.Join(parent.path, name),
		rel: filepath.Join(parent.rel, name), id: id, children: map[string]*node{}}
	n.remote = w.remoteKind(n)
	w.claim(n)
	parent.children[name] = n
	w.sync(n, report, true)
}

// claim notes which node stands for a directory. If another did, the directory
// has moved and the event that says so is still under way; the old node must go
// first, because the kernel has one watch per directory, whatever its name.
func (w *Watcher) claim(n *node) {
	if n.id == (fileID{}) {
		return
	}
	if other := w.ids[n.id]; other != nil {
		if fi, err := os.Lstat(other.path); err == nil && sysOf(fi).id == n.id {
			n.alias = true // mounted twice
			return
		}
		w.detach(other, true)
	}
	w.ids[n.id] = n
}

// detach lets go of a directory and all below it.
func (w *Watcher) detach(n *node, report bool) {
	for _, c := range n.children {
		w.detach(c, report)
	}
	if report {
		for name := range n.files {
			n.mark(name)
		}
	}
	n.files = nil
	if w.ids[n.id] == n {
		delete(w.ids, n.id)
	}
	if w.notify != nil && !n.alias {
		_ = w.notify.remove(n.path) // fails where the kernel has dropped it already
	}
	delete(n.rs.polls, n)
	delete(n.rs.rules, n)
	if n.level != nil && n.level.repoTop {
		delete(n.rs.repos, n)
		repo := n.level.repo
		n.level = nil
		w.unwatchExcludes(n, repo)
	}
	if n.parent != nil && n.parent.children[n.name] == n {
		delete(n.parent.children, n.name)
	}
}

// remoteKind names the file system of a directory, if it is one to be polled. That is
// the parent's, unless something is mounted there.
func (w *Watcher) remoteKind(n *node) string {
	if w.opts.Mode != Auto {
		return ""
	}
	if n.parent != nil && n.id != (fileID{}) && n.id.dev == n.parent.id.dev {
		return n.parent.remote
	}
	kind := w.opts.remote(n.path)
	if kind != "" && w.notify != nil {
		w.log.Info("polling, since others may write to a file system of this kind without a sign", "root", n.rs.Name, "path", n.path, "kind", kind, "every", w.opts.PollInterval)
	}
	return kind
}

// watch asks for events of a directory; where none are to be had it is polled.
func (w *Watcher) watch(n *node) {
	if w.notify == nil || n.alias || n.remote != "" {
		w.poll(n)
		return
	}
	err := w.notify.add(n.path)
	switch {
	case err == nil:
		delete(n.rs.polls, n)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE), errors.Is(err, syscall.ENOMEM):
		w.poll(n)
		if !w.short {
			w.short = true
			w.log.Warn("out of file watches, polling the rest; raise fs.inotify.max_user_watches to get events for all",
				"root", n.rs.Name, "path", n.path, "error", err, "every", w.opts.PollInterval)
		}
	case isNoPath(err): // reading it will tell
	default:
		w.poll(n)
		w.log.Debug("directory cannot be watched", "root", n.rs.Name, "path", n.path, "error", err)
	}
}

func (w *Watcher) poll(n *node) { n.rs.polls[n] = true }

// watchExcludes watches the directories of a repository's lists outside the tree; where
// that cannot be done the next reconcile will see a change.
func (w *Watcher) watchExcludes(n *node, repo *repository) {
	for _, e := range repo.excludes {
		if e.path != "" && !slices.Contains(w.infos[e.path], n) && w.notify != nil && w.notify.add(filepath.Dir(e.path)) == nil {
			w.infos[e.path] = append(w.infos[e.path], n)
		}
	}
}

// unwatchExcludes lets go of those lists that rule the node no more.
func (w *Watcher) unwatchExcludes(n *node, repo *repository) {
	for _, e := range repo.excludes {
		i := slices.Index(w.infos[e.path], n)
		if i < 0 || n.level != nil && n.level.repoTop && slices.ContainsFunc(n.level.repo.excludes[:], func(now excludes) bool { return now.path == e.path }) {
			continue
		}
		w.infos[e.path] = slices.Delete(w.infos[e.path], i, i+1)
		if len(w.infos[e.path]) == 0 {
			delete(w.infos, e.path)
		}
		if dir := filepath.Dir(e.path); !w.needs(dir) {
			_ = w.notify.remove(dir)
		}
	}
}

// needs reports whether events of a directory are wanted, by the tree or for a list.
func (w *Watcher) needs(dir string) bool {
	for path := range w.infos {
		if filepath.Dir(path) == dir {
			return true
		}
	}
	rs, rel := w.rootOf(dir)
	return rs != nil && rs.find(rel) != nil
}

// rootOf returns the innermost present root that holds path, and the path below it.
func (w *Watcher) rootOf(path string) (*rootState, string) {
	var best *rootState
	for _, rs := range w.roots {
		if rs.present && within(path, rs.path) && (best == nil || len(rs.path) > len(best.path)) {
			best = rs
		}
	}
	if best == nil {
		return nil, ""
	}
	return best, strings.TrimPrefix(strings.TrimPrefix(path, best.path), string(filepath.Separator))
}
