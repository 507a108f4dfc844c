//go:build linux

package watcher

import (
	"crypto/sha256"
	"os"
	"slices"
	"testing"
	"time"
)

// TestFileGoesBetweenPolls has a file come after one poll, be scanned, and go before
// the next. Only the scan has seen it, and no later scan is needed.
func TestFileGoesBetweenPolls(t *testing.T) {
	dir := oldTree(t)
	w := watch(t, dir, Options{newNotifier: limited(0), PollInterval: 500 * time.Millisecond})
	w.changes()
	// As a scan of the runner does, which tells the database what it finds.
	write(t, dir, "sub/brief.go", "package brief")
	_, err := w.w.Scan(t.Context(), w.root, func(f File) error {
		if f.Path == "sub/brief.go" {
			must(t, os.Remove(in(dir, f.Path)))
			w.set(func() { w.keep(f.Path, f.SeenAt, fact{sum: sha256.Sum256([]byte("package brief"))}) })
		}
		return nil
	})
	must(t, err)
	w.agrees()
	facts, scans := w.changes()
	if !slices.Contains(pathsOf(facts), "-sub/brief.go") || len(scans) > 0 {
		t.Errorf("facts %q, scans %q; want that it is gone, and no scan", pathsOf(facts), scans)
	}
}
