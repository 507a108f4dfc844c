package main_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/htdag/htdag/db/dbtest"
)

// smallDisk mounts a file system of a few megabytes.
func smallDisk(t *testing.T, megabytes int) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount a small disk")
	}
	dir := filepath.Join(openDir(t), "disk")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=755", megabytes)); errors.Is(err, syscall.EPERM) {
		t.Skip("this container does not let root mount")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		eventually(t, dir+" can be unmounted", func() (bool, error) { return syscall.Unmount(dir, 0) == nil, nil })
	})
	return dir
}

// fill leaves so many megabytes of a small disk free.
func fill(t *testing.T, disk string, free int) (ballast string) {
	t.Helper()
	ballast = filepath.Join(disk, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st syscall.Statfs_t
	if err := syscall.Statfs(disk, &st); err != nil {
		t.Fatal(err)
	}
	if total := st.Blocks * uint64(st.Bsize); total > 1<<30 {
		t.Fatalf("%s has %d bytes: it is not the small disk", disk, total)
	}
	if err := syscall.Fallocate(int(f.Fd()), 0, 0, int64(st.Bavail)*st.Bsize-int64(free)<<20); err != nil {
		t.Fatal(err)
	}
	return ballast
}

// noise is text that does not compress.
func noise(seed, bytes int) string {
	var b strings.Builder
	for i := 0; b.Len() < bytes; i++ {
		sum := sha256.Sum256(fmt.Append(nil, seed, i))
		b.WriteString(base64.StdEncoding.EncodeToString(sum[:]) + "\n")
	}
	return b.String()
}

// A full disk ends the command with a message that says so, and does no harm: with
// space again the same command completes.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, 600)
	root := filepath.Join(openDir(t), "noise")
	const files = 60
	for i := range files {
		write(t, root, map[string]string{fmt.Sprintf("d%d/noise%d.txt", i%5, i): noise(i, 60_000)})
	}
	l := newLocal(t, filepath.Join(disk, "pg"))
	l.succeed("migrate", "up")

	ballast := fill(t, disk, 2)
	r := l.run(append(append([]string{"up", "--once"}, eager...), root)...)
	t.Logf("standard error:\n%s", r.stderr)
	if r.code != 1 || r.stdout != "" {
		t.Errorf("exit status %d, said %q", r.code, r.stdout)
	}
	i := strings.Index(r.stderr, "htdag: ")
	if i < 0 || !strings.Contains(r.stderr[i:], "full") || !strings.Contains(r.stderr[i:], "free some space") || strings.Contains(r.stderr[i+1:], "\nhtdag: ") {
		t.Error("it does not say once that the disk is full and what to do")
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	l.succeed(append(append([]string{"up", "--once"}, eager...), root)...)
	pool := l.open()
	if n := dbtest.Value[int](t, pool, "select count(*) from report.files where status = 'partial' and reason like 'looks random%'"); n != files {
		t.Errorf("%d files of noise are ingested, want %d", n, files)
	}
	dbtest.CheckInvariants(t, pool)
	pool.Close()
	l.succeed("db", "stop")
}
