//go:build linux

package watcher

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestUsersExcludes edits the list of what a user never wants in git, which two roots
// share, and which is kept in a directory that holds much else.
func TestUsersExcludes(t *testing.T) {
	home := t.TempDir()
	list := in(home, "never")
	write(t, home, "never", "deep/\n")
	logs := &logBuffer{}
	recorders := several{}
	w := New(quick(Options{}), recorders, slog.New(slog.NewTextHandler(logs, nil)))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	var roots []Root
	for id := range int32(2) {
		dir := oldTree(t)
		minimalRepository(t, dir)
		write(t, dir, ".git/config", "[core]\n\texcludesfile = "+list+"\n")
		root := Root{CodebaseID: id + 1, Name: fmt.Sprint("root", id), Path: dir}
		recorders[root.CodebaseID] = &keeper{w: w, root: root, facts: state{}, seen: map[string]time.Time{}}
		roots = append(roots, root)
	}
	go func() { done <- w.Run(ctx, roots...) }()
	expect := func(id int32, path string, want bool) {
		t.Helper()
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			s := recorders[id].snapshot()
			if _, ok := s[path]; ok == want && len(s) > 0 {
				return
			} else if time.Now().After(end) {
				t.Fatalf("root %d: %s is recorded: %v, want %v\n%s", id, path, ok, want, logs)
			}
		}
	}
	both := func(path string, want bool) { t.Helper(); expect(1, path, want); expect(2, path, want) }
	both("old.go", true)
	both("sub/deep/b.go", false)
	write(t, home, "unrelated", "noise")
	write(t, home, "never.tmp", "a.go\n")
	must(t, os.Rename(in(home, "never.tmp"), list))
	both("sub/a.go", false)
	both("sub/deep/b.go", true)
	must(t, w.Remove(1))
	must(t, os.Remove(list))
	expect(2, "sub/a.go", true)
	cancel()
	must(t, <-done)
	recorders[1].wg.Wait()
	recorders[2].wg.Wait()
}

// TestUsersExcludesElsewhere: what git says of the place is asked anew after a while,
// and a list that is a link is followed, as git does.
func TestUsersExcludesElsewhere(t *testing.T) {
	dir := oldTree(t)
	minimalRepository(t, dir)
	home := t.TempDir()
	write(t, home, "real", "sub/\n")
	must(t, os.Symlink("real", in(home, "link")))
	c := &gitConfig{env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GIT_CONFIG_NOSYSTEM=1"}}
	file := func() string {
		t.Helper()
		path, err := c.excludesFile(dir, in(dir, ".git"))
		must(t, err)
		return path
	}
	usual := in(home, ".config/git/ignore")
	if got := file(); got != usual {
		t.Errorf("without a setting it is %s, want %s", got, usual)
	}
	write(t, home, ".gitconfig", "[core]\n\texcludesFile = ~/link\n")
	if got := file(); got != usual {
		t.Errorf("at once after the setting has changed it is %s, want %s as before", got, usual)
	}
	c.known = nil // as when its age has passed
	if got := file(); got != in(home, "link") {
		t.Errorf("it is %s, want the link", got)
	}
	entries, err := readDir(dir)
	must(t, err)
	r := newRules(dir, Filter{}, nil)
	r.git = c
	v, err := r.explain(dir, entries, filepath.Join("sub", "a.go"), false)
	must(t, err)
	if !v.Ignored || v.Source != in(home, "link") {
		t.Errorf("verdict %+v", v)
	}
	c = &gitConfig{env: []string{"PATH=/nonexistent", "XDG_CONFIG_HOME=" + home}}
	t.Setenv("PATH", "/nonexistent")
	if got := file(); got != in(home, "git/ignore") {
		t.Errorf("without git it is %s", got)
	}
}
