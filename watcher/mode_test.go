//go:build linux

package watcher

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestModes: what is polled is what the setting says, and by itself what is on a file
// system that others may write to. Either way the records come to agree.
func TestModes(t *testing.T) {
	remote := func(string) string { return "nfs" }
	for _, c := range []struct {
		mode   Mode
		remote func(string) string
		polled int
	}{
		{Auto, nil, 0}, {"", nil, 0}, {Auto, remote, 3}, {Events, remote, 0}, {Poll, nil, 3},
	} {
		t.Run(fmt.Sprintf("%s, remote %v", c.mode, c.remote != nil), func(t *testing.T) {
			t.Parallel()
			dir := oldTree(t)
			w := watch(t, dir, Options{Mode: c.mode, remote: c.remote})
			if s := w.w.Status()[0]; s.Polled != c.polled || s.Directories != 3 {
				t.Errorf("status %+v, want %d polled", s, c.polled)
			}
			if said := strings.Contains(w.logs.String(), "polling"); said != (c.polled > 0) {
				t.Errorf("polling is mentioned: %v\n%s", said, w.logs)
			}
			write(t, dir, "sub/new/c.go", "package c")
			rename(t, dir, "old.go", "sub/old.go")
			w.agrees()
			write(t, dir, "sub/deep/b.go", "package changed")
			must(t, os.RemoveAll(in(dir, "sub/new")))
			w.agrees()
		})
	}
}

// TestMountBelowRoot: a file system that is mounted inside a root is judged by itself.
func TestMountBelowRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	dir := oldTree(t)
	must(t, os.MkdirAll(in(dir, "mnt"), 0o755))
	if err := syscall.Mount("tmpfs", in(dir, "mnt"), "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("this container does not let root mount: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(in(dir, "mnt"), syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	write(t, dir, "mnt/a/x.go", "package x")
	w := watch(t, dir, Options{remote: func(path string) string {
		if strings.HasSuffix(path, "/mnt") {
			return "9p"
		}
		return ""
	}})
	if s := w.w.Status()[0]; s.Polled != 2 || s.Directories != 5 {
		t.Errorf("status %+v, want the two mounted directories polled", s)
	}
	write(t, dir, "mnt/a/y.go", "package y")
	write(t, dir, "sub/y.go", "package y")
	w.agrees()
}

// TestRemoteKinds asks the kernel about file systems that are here, and looks up some
// that are not.
func TestRemoteKinds(t *testing.T) {
	for _, dir := range []string{"/proc", t.TempDir(), "/nonexistent"} {
		if kind := remoteKind(dir); kind != "" {
			t.Errorf("%s is said to be on %s", dir, kind)
		}
	}
	// The numbers of statfs(2).
	for kind, magic := range map[string]uint32{"nfs": 0x6969, "smb2": 0xfe534d42, "cifs": 0xff534d42, "9p": 0x01021997, "fuse": 0x65735546} {
		if remoteKinds[magic] != kind {
			t.Errorf("%#x is %q, want %s", magic, remoteKinds[magic], kind)
		}
	}
}
