//go:build linux

package watcher

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestOverflow is case 12: the reader is kept from reading until the kernel drops
// events; meanwhile directories move, too.
func TestOverflow(t *testing.T) {
	dir := oldTree(t)
	w := watch(t, dir, Options{MaxWait: 5 * time.Second})
	w.changes()
	w.w.mu.Lock()
	for i := range 17_000 {
		p := in(dir, fmt.Sprintf("many%d.go", i))
		if err := os.WriteFile(p, []byte("x"), 0o644); err != nil {
			w.w.mu.Unlock()
			t.Fatal(err)
		}
	}
	rename(t, dir, "sub", "moved")
	write(t, dir, "fresh/er/c.go", "package c")
	w.w.mu.Unlock()
	w.agrees()
	_, scans := w.changes()
	if !slices.ContainsFunc(scans, func(s string) bool { return strings.Contains(s, "some were lost") }) {
		t.Errorf("scans %q: the queue did not overflow", scans)
	}
	write(t, dir, "moved/deep/b.go", "package after")
	write(t, dir, "fresh/er/c.go", "package after")
	w.agrees()
}

// TestWatchesExhausted is case 13, with a notifier that refuses.
func TestWatchesExhausted(t *testing.T) {
	dir := t.TempDir()
	for i := range 10 {
		write(t, dir, fmt.Sprintf("d%d/f.go", i), "x")
	}
	w := watch(t, dir, Options{newNotifier: limited(4)})
	if s := w.w.Status()[0]; s.Directories != 11 || s.Polled != 7 {
		t.Errorf("status %+v, want 7 of 11 directories polled", s)
	}
	for i := range 10 {
		write(t, dir, fmt.Sprintf("d%d/f.go", i), "changed")
		write(t, dir, fmt.Sprintf("d%d/sub/g.go", i), "new")
	}
	w.agrees()
	must(t, os.RemoveAll(in(dir, "d9")))
	rename(t, dir, "d8", "e8")
	w.agrees()
	for i := range 7 { // room for others
		must(t, os.RemoveAll(in(dir, fmt.Sprintf("d%d", i))))
	}
	w.agrees()
	if n := strings.Count(w.logs.String(), "out of file watches"); n != 1 {
		t.Errorf("warned %d times, want once", n)
	}
}

// TestWatchesExhaustedByKernel is case 13 for real: in a user namespace of its
// own the process has a limit of its own.
func TestWatchesExhaustedByKernel(t *testing.T) {
	const inside = "WATCHER_TEST_IN_NAMESPACE"
	if os.Getenv(inside) == "" {
		self, err := os.Executable()
		must(t, err)
		cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
			t.Skipf("user namespaces are not to be had: %v", err)
		}
		if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
			t.Errorf("in a namespace: %v\n%s", err, out)
		}
		return
	}
	must(t, os.WriteFile("/proc/sys/user/max_inotify_watches", []byte("5"), 0o644))
	dir := t.TempDir()
	for i := range 10 {
		write(t, dir, fmt.Sprintf("d%d/f.go", i), "x")
	}
	w := watch(t, dir, Options{})
	if s := w.w.Status()[0]; s.Polled != 6 {
		t.Errorf("status %+v, want 6 polled", s)
	}
	for i := range 10 {
		write(t, dir, fmt.Sprintf("d%d/f.go", i), "changed")
	}
	w.agrees()
	for i := range 6 {
		must(t, os.RemoveAll(in(dir, fmt.Sprintf("d%d", i))))
	}
	w.agrees()
	w.until(func() string { return fmt.Sprintf("%+v", w.w.Status()) }, func() bool { return w.w.Status()[0].Polled == 0 })
	write(t, dir, "d9/f.go", "by event")
	w.agrees()

	must(t, os.WriteFile("/proc/sys/user/max_inotify_instances", []byte("1"), 0o644))
	second := watch(t, dir, Options{}) // gets no event source at all
	if s := second.w.Status()[0]; s.Polled != s.Directories {
		t.Errorf("status %+v, want all polled", s)
	}
	write(t, dir, "d9/f.go", "by poll")
	second.agrees()
}
