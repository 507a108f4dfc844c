//go:build linux

package watcher

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What follows is done to a watched tree that holds old.go, sub/a.go and
// sub/deep/b.go; then the records must agree with the disk. check looks at how
// they came to.
type watchCase struct {
	name  string
	do    func(t *testing.T, dir string)
	check func(t *testing.T, facts []Change, scans []string)
}

func in(dir string, path ...string) string { return filepath.Join(append([]string{dir}, path...)...) }

func rename(t *testing.T, dir, from, to string) {
	t.Helper()
	must(t, os.Rename(in(dir, from), in(dir, to)))
}

// pathsOf returns the distinct paths of facts, "-" before those that are gone.
func pathsOf(facts []Change) []string {
	var out []string
	for _, c := range facts {
		p := c.Path
		if c.Gone {
			p = "-" + p
		}
		out = append(out, p)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func onlyPaths(want ...string) func(*testing.T, []Change, []string) {
	return func(t *testing.T, facts []Change, scans []string) {
		t.Helper()
		if diff := cmp.Diff(want, pathsOf(facts)); diff != "" || len(scans) > 0 {
			t.Errorf("facts (want -, got +): %s; scans %q", diff, scans)
		}
	}
}

func outside(t *testing.T, path, content string) string {
	dir := t.TempDir()
	write(t, dir, path, content)
	return in(dir, path)
}

var watchCases = []watchCase{
	{"01 create", func(t *testing.T, dir string) {
		write(t, dir, "new.go", "package new")
	}, onlyPaths("new.go")},
	{"02 write in place", func(t *testing.T, dir string) {
		write(t, dir, "old.go", "package changed")
	}, onlyPaths("old.go")},
	{"04 write beside and rename over", func(t *testing.T, dir string) {
		write(t, dir, "old.go.tmp123", "package swapped")
		rename(t, dir, "old.go.tmp123", "old.go")
	}, onlyPaths("-old.go.tmp123", "old.go")},
	{"05 vim's way of saving", func(t *testing.T, dir string) {
		write(t, dir, "4913", "")
		must(t, os.Remove(in(dir, "4913")))
		rename(t, dir, "old.go", "old.go~")
		write(t, dir, "old.go", "package vim")
		must(t, os.Remove(in(dir, "old.go~")))
	}, onlyPaths("-4913", "old.go")},
	{"05 vim itself", func(t *testing.T, dir string) {
		run(t, dir, "vim", "-u", "NONE", "-N", "-es", "-c", "set backup writebackup swapfile | 1s/old/vim/ | wq", "old.go")
		if data, _ := os.ReadFile(in(dir, "old.go")); !strings.Contains(string(data), "vim") {
			t.Fatalf("vim did not edit: %q", data)
		}
	}, nil},
	{"05 emacs' lock, auto-save and save", func(t *testing.T, dir string) {
		must(t, os.Symlink("me@host.1234:1", in(dir, ".#old.go")))
		write(t, dir, "#old.go#", "package ema")
		rename(t, dir, "old.go", "old.go~")
		write(t, dir, "old.go", "package emacs")
		must(t, os.Remove(in(dir, "#old.go#")))
		must(t, os.Remove(in(dir, ".#old.go")))
	}, onlyPaths("old.go")},
	{"05 JetBrains' way of saving", func(t *testing.T, dir string) {
		write(t, dir, "old.go___jb_tmp___", "package jb")
		rename(t, dir, "old.go", "old.go___jb_old___")
		rename(t, dir, "old.go___jb_tmp___", "old.go")
		must(t, os.Remove(in(dir, "old.go___jb_old___")))
	}, onlyPaths("old.go")},
	{"05 truncate and write, as VS Code does", func(t *testing.T, dir string) {
		f, err := os.OpenFile(in(dir, "old.go"), os.O_WRONLY|os.O_TRUNC, 0)
		must(t, err)
		f.WriteString("package code")
		must(t, f.Close())
	}, onlyPaths("old.go")},
	{"05 sed -i", func(t *testing.T, dir string) {
		run(t, dir, "sed", "-i", "s/package old/package sed/", "old.go")
	}, nil},
	{"05 gofmt -w", func(t *testing.T, dir string) {
		write(t, dir, "old.go", "package   old\nvar  x=1\n")
		run(t, dir, "gofmt", "-w", "old.go")
	}, nil},
	{"06 chmod", func(t *testing.T, dir string) {
		must(t, os.Chmod(in(dir, "old.go"), 0o755))
	}, func(t *testing.T, facts []Change, scans []string) {
		if len(facts) != 1 || facts[0].File.Mode != 0o755 || facts[0].SHA256 != sha256.Sum256([]byte("package old")) {
			t.Errorf("facts %+v, want one with the new mode and the old hash", facts)
		}
	}},
	{"06 touch", func(t *testing.T, dir string) {
		at := time.Unix(1_600_000_000, 5)
		must(t, os.Chtimes(in(dir, "old.go"), at, at))
	}, func(t *testing.T, facts []Change, scans []string) {
		if len(facts) != 1 || facts[0].File.ModTimeNs != 1_600_000_000_000_000_005 || facts[0].SHA256 != sha256.Sum256([]byte("package old")) {
			t.Errorf("facts %+v, want one with the new time and the old hash", facts)
		}
	}},
	{"07 delete", func(t *testing.T, dir string) {
		must(t, os.Remove(in(dir, "old.go")))
	}, onlyPaths("-old.go")},
	{"07 delete and create again is a change", func(t *testing.T, dir string) {
		must(t, os.Remove(in(dir, "old.go")))
		write(t, dir, "old.go", "package again")
	}, onlyPaths("old.go")},
	{"08 rename a file", func(t *testing.T, dir string) {
		rename(t, dir, "old.go", "sub/renamed.go")
	}, func(t *testing.T, facts []Change, scans []string) {
		onlyPaths("-old.go", "sub/renamed.go")(t, facts, scans)
		if c := facts[len(facts)-1]; c.SHA256 != sha256.Sum256([]byte("package old")) {
			t.Errorf("hash %x, want that of the old file", c.SHA256)
		}
	}},
	{"09 rename a directory, then write in it", func(t *testing.T, dir string) {
		rename(t, dir, "sub", "moved")
		write(t, dir, "moved/deep/new.go", "package new")
	}, func(t *testing.T, facts []Change, scans []string) {
		got := slices.DeleteFunc(pathsOf(facts), func(p string) bool { return p == "-sub" })
		want := []string{"-sub/a.go", "-sub/deep/b.go", "moved/a.go", "moved/deep/b.go", "moved/deep/new.go"}
		if diff := cmp.Diff(want, got); diff != "" || len(scans) > 0 {
			t.Errorf("facts (want -, got +): %s; scans %q", diff, scans)
		}
	}},
	{"09 move a directory into a new one", func(t *testing.T, dir string) {
		must(t, os.Mkdir(in(dir, "shell"), 0o755))
		rename(t, dir, "sub", "shell/sub")
		write(t, dir, "shell/sub/deep/b.go", "package later")
	}, nil},
	{"09 move a directory in", func(t *testing.T, dir string) {
		must(t, os.Rename(filepath.Dir(outside(t, "pkg/c.go", "package c")), in(dir, "pkg")))
		write(t, dir, "pkg/d.go", "package d")
	}, onlyPaths("pkg/c.go", "pkg/d.go")},
	{"09 move a directory out", func(t *testing.T, dir string) {
		must(t, os.Rename(in(dir, "sub"), in(t.TempDir(), "sub")))
	}, func(t *testing.T, facts []Change, scans []string) {
		got := slices.DeleteFunc(pathsOf(facts), func(p string) bool { return p == "-sub" })
		if diff := cmp.Diff([]string{"-sub/a.go", "-sub/deep/b.go"}, got); diff != "" || len(scans) > 0 {
			t.Errorf("facts (want -, got +): %s; scans %q", diff, scans)
		}
	}},
	{"09 delete a directory", func(t *testing.T, dir string) {
		must(t, os.RemoveAll(in(dir, "sub")))
	}, nil},
	{"09 swap two directories", func(t *testing.T, dir string) {
		write(t, dir, "other/z.go", "package z")
		rename(t, dir, "sub", "third")
		rename(t, dir, "other", "sub")
		rename(t, dir, "third", "other")
		write(t, dir, "other/deep/b.go", "package swapped")
		write(t, dir, "sub/z.go", "package swapped")
	}, nil},
	{"09 delete a directory and make it again", func(t *testing.T, dir string) {
		must(t, os.RemoveAll(in(dir, "sub")))
		write(t, dir, "sub/deep/c.go", "package c")
	}, nil},
	{"09 a file takes the place of a directory", func(t *testing.T, dir string) {
		must(t, os.RemoveAll(in(dir, "sub")))
		write(t, dir, "sub", "now a file")
	}, nil},
	{"09 a directory takes the place of a file", func(t *testing.T, dir string) {
		must(t, os.Remove(in(dir, "old.go")))
		write(t, dir, "old.go/x.go", "package x")
	}, onlyPaths("-old.go", "old.go/x.go")},
	{"10 mkdir -p and a file at once", func(t *testing.T, dir string) {
		write(t, dir, "x/y/z/w.go", "package w")
	}, onlyPaths("x/y/z/w.go")},
	{"10 500 files in new nested directories", func(t *testing.T, dir string) {
		for i := range 500 {
			write(t, dir, fmt.Sprintf("n/%d/%d/f%d.go", i%7, i%31, i), fmt.Sprint(i))
		}
	}, func(t *testing.T, facts []Change, scans []string) {
		if len(scans) == 0 || !strings.HasPrefix(scans[0], "burst of") {
			t.Errorf("scans %q, want one for a burst", scans)
		}
	}},
	{"15 links are not followed", func(t *testing.T, dir string) {
		must(t, os.Symlink("old.go", in(dir, "link.go")))
		must(t, os.Symlink("sub", in(dir, "linkdir")))
		must(t, os.Symlink(".", in(dir, "sub/loop")))
		must(t, os.Symlink(outside(t, "secret.go", "package secret"), in(dir, "out.go")))
		must(t, os.Symlink("/etc", in(dir, "etc")))
		write(t, dir, "sub/a.go", "package a2")
	}, onlyPaths("sub/a.go")},
	{"15 a link takes the place of a file", func(t *testing.T, dir string) {
		must(t, os.Symlink("sub/a.go", in(dir, "tmp-link")))
		rename(t, dir, "tmp-link", "old.go")
	}, func(t *testing.T, facts []Change, scans []string) {
		if !slices.Contains(pathsOf(facts), "-old.go") {
			t.Errorf("facts %q", pathsOf(facts))
		}
	}},
	{"15 a link takes the place of a directory", func(t *testing.T, dir string) {
		rename(t, dir, "sub", "real")
		must(t, os.Symlink("real", in(dir, "sub")))
		write(t, dir, "sub/a.go", "package through")
	}, nil},
	{"16 hard links", func(t *testing.T, dir string) {
		must(t, os.Link(in(dir, "old.go"), in(dir, "sub/hard.go")))
	}, func(t *testing.T, facts []Change, scans []string) {
		if !slices.Contains(pathsOf(facts), "sub/hard.go") {
			t.Errorf("facts %q", pathsOf(facts))
		}
	}},
	{"16 a write through one of two hard links", func(t *testing.T, dir string) {
		must(t, os.Link(in(dir, "old.go"), in(dir, "sub/hard.go")))
		write(t, dir, "old.go", "package both")
	}, onlyPaths("old.go", "sub/hard.go")},
	{"19 names with spaces, newlines, broken UTF-8, backslashes", func(t *testing.T, dir string) {
		for _, n := range []string{"a b.go", "new\nline.go", "bad\xff\xfe.go", `back\x41slash.go`, "日本.go", "-flag", "dir \xfe/x.go", "...", "tab\t"} {
			write(t, dir, n, n)
		}
	}, nil},
	{"19 case-only rename and two normal forms of one letter", func(t *testing.T, dir string) {
		rename(t, dir, "old.go", "OLD.go")
		write(t, dir, "caf\u00e9.go", "nfc")
		write(t, dir, "cafe\u0301.go", "nfd")
	}, onlyPaths("-old.go", "OLD.go", "cafe\u0301.go", "caf\u00e9.go")},
	{"21 FIFO, socket and device are never opened", func(t *testing.T, dir string) {
		must(t, syscall.Mkfifo(in(dir, "fifo.go"), 0o644))
		must(t, syscall.Mknod(in(dir, "socket.go"), syscall.S_IFSOCK|0o644, 0))
		must(t, syscall.Mkfifo(in(dir, "old.fifo"), 0o644))
		rename(t, dir, "old.fifo", "old.go") // in place of a file
	}, func(t *testing.T, facts []Change, scans []string) {
		if !slices.Contains(pathsOf(facts), "-old.go") {
			t.Errorf("facts %q", pathsOf(facts))
		}
	}},
	{"25 deleted before it is looked at", func(t *testing.T, dir string) {
		write(t, dir, "brief.go", "package brief")
		must(t, os.Remove(in(dir, "brief.go")))
	}, onlyPaths("-brief.go")},
	{"26 saved without a change", func(t *testing.T, dir string) {
		write(t, dir, "old.go", "package old")
	}, func(t *testing.T, facts []Change, scans []string) {
		onlyPaths("old.go")(t, facts, scans)
		if len(facts) != 1 || facts[0].SHA256 != sha256.Sum256([]byte("package old")) {
			t.Errorf("hash changed")
		}
	}},
}

// TestCases does each thing once with events and once by polling.
func TestCases(t *testing.T) {
	for _, c := range watchCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := oldTree(t)
			w := watch(t, dir, Options{})
			w.changes()
			c.do(t, dir)
			w.fence()
			if facts, scans := w.changes(); c.check != nil {
				c.check(t, slices.DeleteFunc(facts, func(c Change) bool { return c.Path == fenceName }), scans)
			}
		})
		t.Run(c.name+", polled", func(t *testing.T) {
			t.Parallel()
			dir := oldTree(t)
			w := watch(t, dir, Options{newNotifier: limited(0)})
			c.do(t, dir)
			w.fence()
		})
	}
}

const fenceName = "zz-fence"

// fence waits until all that was done so far has been seen: events come in
// order, so when a later one has had its effect the earlier ones have had theirs.
func (w *watched) fence() {
	w.t.Helper()
	write(w.t, w.dir, fenceName, time.Now().String())
	w.agrees()
}

func oldTree(t testing.TB) string {
	dir := t.TempDir()
	write(t, dir, "old.go", "package old")
	write(t, dir, "sub/a.go", "package a")
	write(t, dir, "sub/deep/b.go", "package b")
	return dir
}

// limited makes a notifier that, like a kernel whose limit is reached, refuses
// more than n watches.
func limited(n int) func() (*notifier, error) {
	return func() (*notifier, error) {
		real, err := newNotifier()
		if err != nil {
			return nil, err
		}
		held := map[string]bool{} // guarded by the watcher's mutex, as all calls are
		add, remove := real.add, real.remove
		real.add = func(dir string) error {
			if !held[dir] && len(held) >= n {
				return syscall.ENOSPC
			}
			err := add(dir)
			if err == nil {
				held[dir] = true
			}
			return err
		}
		real.remove = func(dir string) error {
			delete(held, dir)
			return remove(dir)
		}
		return real, nil
	}
}

func run(t testing.TB, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null", "HOME="+t.TempDir(),
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}
