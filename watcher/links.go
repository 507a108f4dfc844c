package watcher

import (
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// linkName is one name of a file that has several.
type linkName struct {
	rs   *rootState
	path string // escaped
}

// hardLinks knows the names of files that have more than one. A write makes an
// event for the name it went through and for no other, so when one name is looked
// at the others have to be, too. Names outside all roots are not known; what is
// written through one of those is found by the next reconcile.
type hardLinks map[fileID]map[linkName]bool

// note remembers a name, where the file has others.
func (h hardLinks) note(rs *rootState, path string, fi fs.FileInfo) {
	sys := sysOf(fi)
	if sys.links < 2 {
		return
	}
	if h[sys.id] == nil {
		h[sys.id] = map[linkName]bool{}
	}
	h[sys.id][linkName{rs, path}] = true
}

// forget drops the names in a root.
func (h hardLinks) forget(rs *rootState) {
	for id, names := range h {
		for name := range names {
			if name.rs == rs {
				delete(names, name)
			}
		}
		if len(names) == 0 {
			delete(h, id)
		}
	}
}

// markOthers marks the other names of a file that was found changed.
func (w *Watcher) markOthers(rs *rootState, path string, fi fs.FileInfo) {
	if sysOf(fi).links < 2 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.links.note(rs, path, fi)
	id := sysOf(fi).id
	for other := range w.links[id] {
		if other.rs == rs && other.path == path {
			continue
		}
		name, err := UnescapePath(other.path)
		if err != nil {
			continue
		}
		if fi, err := os.Lstat(filepath.Join(other.rs.path, name)); err != nil || sysOf(fi).id != id {
			delete(w.links[id], other) // it names something else by now
			continue
		}
		other.rs.dirty.markLinked(other.path, time.Now())
	}
}
