//go:build linux

package watcher

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func scanPaths(t testing.TB, root string, f Filter) ([]string, Summary) {
	t.Helper()
	var paths []string
	sum, err := Scan(t.Context(), root, f, func(f File) error {
		paths = append(paths, f.Path)
		return nil
	})
	if err != nil && !errors.Is(err, ErrRootEmpty) {
		t.Fatal(err)
	}
	return paths, sum
}

func TestScanOrderAndKinds(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{"b/c.go", "b.go", "a/z.go", "a/b/c.go", "c\nd.go", "e\xff.go", "node_modules/x.js", "x.log"} {
		write(t, dir, p, "12345")
	}
	write(t, dir, ".gitignore", "*.log\n")
	must(t, os.Symlink("b.go", filepath.Join(dir, "link.go")))
	must(t, os.Symlink("a", filepath.Join(dir, "linkdir")))
	must(t, os.Symlink(".", filepath.Join(dir, "a/loop")))
	must(t, os.Symlink("/etc", filepath.Join(dir, "a/out")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo.go"), 0o644))
	must(t, syscall.Mknod(filepath.Join(dir, "socket"), syscall.S_IFSOCK|0o644, 0))
	paths, sum := scanPaths(t, dir, Filter{})
	want := []string{".gitignore", "a/b/c.go", "a/z.go", "b/c.go", "b.go", `c\x0ad.go`, `e\xff.go`}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Error(diff)
	}
	wantSum := Summary{Files: 7, Directories: 4, Bytes: 6*5 + 6, Special: 6,
		Ignored: map[string]int{"built in: node_modules": 1, ".gitignore:1: *.log": 1}}
	if diff := cmp.Diff(wantSum, sum); diff != "" {
		t.Error(diff)
	}
}

func TestScanFacts(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a.sh")
	must(t, os.WriteFile(path, []byte("echo"), 0o600))
	must(t, os.Chmod(path, 0o755|fs.ModeSetuid))
	at := time.Unix(1_700_000_000, 123_456_789)
	must(t, os.Chtimes(path, at, at))
	before := time.Now()
	_, err := Scan(t.Context(), dir, Filter{}, func(f File) error {
		var st syscall.Stat_t
		must(t, syscall.Stat(path, &st))
		if f.SeenAt.Before(before) || f.SeenAt.After(time.Now()) {
			t.Errorf("seen at %v", f.SeenAt)
		}
		f.SeenAt = time.Time{}
		want := File{Path: "a.sh", Size: 4, ModTimeNs: at.UnixNano(), Mode: 0o4755, Inode: int64(st.Ino), Owner: currentUser()}
		if diff := cmp.Diff(want, f); diff != "" {
			t.Error(diff)
		}
		return nil
	})
	must(t, err)
}

func TestScanEnds(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a", "")
	stop := errors.New("enough")
	if _, err := Scan(t.Context(), dir, Filter{}, func(File) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the error of yield", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	if _, err := Scan(ctx, dir, Filter{}, func(File) error { return nil }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the cause of the context", err)
	}
}

// What is not yielded is told, once, with the reason.
func TestExplore(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{"a.go", "x.log", "sub/y.log", "node_modules/deep/x.js", "e\xff.log"} {
		write(t, dir, p, "12345")
	}
	write(t, dir, ".gitignore", "*.log\n")
	must(t, os.Symlink("a.go", filepath.Join(dir, "link.go")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "sub/fifo"), 0o644))
	must(t, syscall.Mknod(filepath.Join(dir, "socket"), syscall.S_IFSOCK|0o644, 0))
	var got []string
	sum, err := Explore(t.Context(), dir, Filter{}, func(File) error { return nil }, func(p Passed) {
		got = append(got, fmt.Sprintf("%s %v %s%s", p.Path, p.Directory, p.Special, p.Verdict))
	})
	must(t, err)
	want := []string{
		`e\xff.log false .gitignore:1: *.log`, "link.go false symbolic link: ", "node_modules true built in: node_modules", "socket false socket: ",
		"sub/fifo false named pipe: ", "sub/y.log false .gitignore:1: *.log", "x.log false .gitignore:1: *.log",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := sum.Special + sum.Ignored["built in: node_modules"] + sum.Ignored[".gitignore:1: *.log"]; n != len(got) {
		t.Errorf("the summary has %d entries, %d were told", n, len(got))
	}
}

// TestScanOfMovingTree changes directories after their parent was read: what is
// no directory any more is neither entered nor a problem.
func TestScanOfMovingTree(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{"a.go", "b/x.go", "c/x.go", "d/x.go", "e.go", "f.go"} {
		write(t, dir, p, "")
	}
	elsewhere := filepath.Dir(outside(t, "x.go", "secret"))
	var paths []string
	sum, err := Scan(t.Context(), dir, Filter{}, func(f File) error {
		paths = append(paths, f.Path)
		if f.Path == "a.go" {
			for _, p := range []string{"b", "c", "d", "e.go"} {
				must(t, os.RemoveAll(in(dir, p)))
			}
			must(t, os.WriteFile(in(dir, "b"), nil, 0o644))
			must(t, os.Symlink(elsewhere, in(dir, "c")))
		}
		return nil
	})
	must(t, err)
	if diff := cmp.Diff([]string{"a.go", "f.go"}, paths); diff != "" || len(sum.Problems) > 0 {
		t.Errorf("%s; problems %v", diff, sum.Problems)
	}
}

func TestBadRoots(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "file", "")
	must(t, os.Mkdir(filepath.Join(dir, "empty"), 0o755))
	must(t, os.Symlink("nowhere", filepath.Join(dir, "dangling")))
	must(t, os.Symlink("self", filepath.Join(dir, "self")))
	for name, want := range map[string]error{
		"missing": ErrRootMissing, "file": ErrRootNotDirectory, "empty": ErrRootEmpty,
		"dangling": ErrRootMissing, "self": ErrRootUnreadable, "file/below": ErrRootMissing,
	} {
		path := filepath.Join(dir, name)
		_, err := Scan(t.Context(), path, Filter{}, func(File) error { return nil })
		if !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want %v with the path", name, err, want)
		}
	}
	must(t, os.Symlink("empty", filepath.Join(dir, "link")))
	canonical, err := CheckRoot(filepath.Join(dir, "link"))
	if canonical != filepath.Join(dir, "empty") || !errors.Is(err, ErrRootEmpty) {
		t.Errorf("got %q, %v", canonical, err)
	}
}

// TestUnreadable runs in a process of its own as an ordinary user where the test
// itself runs as root, whom permissions do not bind.
func TestUnreadable(t *testing.T) {
	if asNobody(t) {
		return
	}
	dir := t.TempDir()
	for _, p := range []string{"a/x.go", "secret/y.go", "z.go", "shut.go", "b/.gitignore", "b/c.log"} {
		write(t, dir, p, "x")
	}
	must(t, os.Chmod(filepath.Join(dir, "secret"), 0))
	must(t, os.Chmod(filepath.Join(dir, "shut.go"), 0))
	must(t, os.Chmod(filepath.Join(dir, "b/.gitignore"), 0))
	t.Cleanup(func() { os.Chmod(filepath.Join(dir, "secret"), 0o755) })
	paths, sum := scanPaths(t, dir, Filter{})
	if diff := cmp.Diff([]string{"a/x.go", "b/.gitignore", "b/c.log", "shut.go", "z.go"}, paths); diff != "" {
		t.Error(diff)
	}
	want := []Problem{{"b/.gitignore", "permission denied"}, {"secret", "permission denied"}}
	if diff := cmp.Diff(want, sum.Problems); diff != "" {
		t.Error(diff)
	}
	if _, err := ReadFile(t.Context(), dir, "shut.go", 10); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("read: got %v, want permission denied", err)
	}
	if _, err := CheckRoot(filepath.Join(dir, "secret")); !errors.Is(err, ErrRootUnreadable) {
		t.Errorf("root: got %v, want %v", err, ErrRootUnreadable)
	}

	// Case 22: recorded with its reason, and with its content once it may be read.
	must(t, os.Remove(filepath.Join(dir, "b/.gitignore")))
	w := prepare(t, dir, Options{})
	w.run()
	w.settled(func(s state) bool { return s["shut.go"].err != "" })
	must(t, os.Chmod(filepath.Join(dir, "shut.go"), 0o644))
	w.settled(func(s state) bool { return s["shut.go"].sum == sha256.Sum256([]byte("x")) })
	must(t, os.Chmod(filepath.Join(dir, "z.go"), 0))
	w.settled(func(s state) bool { return strings.Contains(s["z.go"].err, "may not read it") })
	must(t, os.Chmod(filepath.Join(dir, "secret"), 0o755))
	w.settled(func(s state) bool { _, ok := s["secret/y.go"]; return ok })
	write(t, dir, "secret/new.go", "n")
	w.settled(func(s state) bool { _, ok := s["secret/new.go"]; return ok })
}

// asNobody runs the calling test again as user 65534 and reports whether it did.
func asNobody(t *testing.T) bool {
	if os.Geteuid() != 0 {
		return false
	}
	dir, err := os.MkdirTemp("/tmp", "watcher-as-nobody-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o777))
	self, err := os.Executable()
	must(t, err)
	bin := filepath.Join(dir, "watcher.test")
	data, err := os.ReadFile(self)
	must(t, err)
	must(t, os.WriteFile(bin, data, 0o755))
	must(t, os.Chmod(bin, 0o755))
	cmd := exec.Command(bin, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TMPDIR="+dir, "HOME="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
	return true
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "a/b.go", "content")
	write(t, dir, "empty", "")
	write(t, dir, "new\nline", "n")
	must(t, os.Symlink("b.go", filepath.Join(dir, "a/link.go")))
	must(t, os.Symlink("a", filepath.Join(dir, "linkdir")))
	must(t, os.Symlink(filepath.Dir(dir), filepath.Join(dir, "up")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644))
	tests := []struct {
		path  string
		limit int64
		data  []byte
		err   error
	}{
		{"a/b.go", 7, []byte("content"), nil},
		{"a/b.go", 6, nil, nil},
		{"empty", 0, []byte{}, nil},
		{"empty", -1, nil, nil},
		{`new\x0aline`, 10, []byte("n"), nil},
		{"a/link.go", 10, nil, ErrNotRegular},
		{"linkdir/b.go", 10, nil, fs.ErrNotExist},
		{"fifo", 10, nil, ErrNotRegular},
		{"a", 10, nil, ErrNotRegular},
		{"missing", 10, nil, fs.ErrNotExist},
		{"missing/b.go", 10, nil, fs.ErrNotExist},
		{"a/b.go/c", 10, nil, fs.ErrNotExist},
	}
	for _, tt := range tests {
		c, err := ReadFile(t.Context(), dir, tt.path, tt.limit)
		if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
			t.Errorf("%s: got error %v, want %v", tt.path, err, tt.err)
			continue
		}
		if diff := cmp.Diff(tt.data, c.Data); diff != "" {
			t.Errorf("%s with limit %d: %s", tt.path, tt.limit, diff)
		}
		if name, _ := UnescapePath(tt.path); err == nil {
			whole, _ := os.ReadFile(filepath.Join(dir, name))
			if c.SHA256 != sha256.Sum256(whole) || c.File.Size != int64(len(whole)) || c.File.Path != tt.path {
				t.Errorf("%s: got %x, %+v", tt.path, c.SHA256, c.File)
			}
		}
	}
	for _, bad := range []string{"../x", "/etc/passwd", "a/../../x", "", ".", `\q`, "up/x"} {
		if c, err := ReadFile(t.Context(), dir, bad, 10); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, c)
		}
	}
}

// TestReadFileBusy reads a large file while a byte of it changes every
// millisecond.
func TestReadFileBusy(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "busy")
	must(t, os.WriteFile(path, make([]byte, 64<<20), 0o644))
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return
		}
		defer f.Close()
		for i := int64(0); ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				f.WriteAt([]byte{byte(i)}, i*7919%(64<<20))
			}
		}
	}()
	busy := 0
	for range 5 {
		_, err := ReadFile(t.Context(), dir, "busy", 1<<10)
		if errors.Is(err, ErrBusy) {
			busy++
		} else {
			must(t, err)
		}
	}
	close(stop)
	<-done
	if busy == 0 {
		t.Error("never busy")
	}
	c, err := ReadFile(t.Context(), dir, "busy", 1<<10)
	must(t, err)
	whole, err := os.ReadFile(path)
	must(t, err)
	if c.SHA256 != sha256.Sum256(whole) {
		t.Error("wrong hash when quiet again")
	}
}

// TestScanGoTree: of the Go source tree nothing is left out.
func TestScanGoTree(t *testing.T) {
	//lint:ignore SA1019 tests run where they were built
	src := filepath.Join(runtime.GOROOT(), "src")
	var want []string
	err := filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			rel, _ := filepath.Rel(src, path)
			want = append(want, rel)
		}
		return err
	})
	must(t, err)
	got, sum := scanPaths(t, src, Filter{})
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if len(sum.Ignored) > 0 || len(sum.Problems) > 0 {
		t.Errorf("ignored %v, problems %v", sum.Ignored, sum.Problems)
	}
}

// bigTree makes n small files in directories of 50, with ignore files here and
// there.
func bigTree(t testing.TB, n int) string {
	dir := t.TempDir()
	write(t, dir, ".gitignore", "*.log\n*.o\n/out/\n**/generated/**\n!keep.*\ndoc/*.pdf\n")
	for i := 0; i < n; i++ {
		sub := fmt.Sprintf("p%02d/q%03d", i/1000, i/50)
		if i%50 == 0 {
			must(t, os.MkdirAll(filepath.Join(dir, sub), 0o755))
			if i%500 == 0 {
				write(t, dir, sub+"/.gitignore", "*.tmp\n/local\n")
			}
		}
		must(t, os.WriteFile(filepath.Join(dir, sub, fmt.Sprintf("file%05d.go", i)), []byte("package p\n"), 0o644))
	}
	return dir
}

func BenchmarkScan20000(b *testing.B) {
	dir := bigTree(b, 20_000)
	for b.Loop() {
		paths, _ := scanPaths(b, dir, Filter{})
		b.ReportMetric(float64(len(paths)), "files")
	}
}

func BenchmarkReadFileGoTree(b *testing.B) {
	//lint:ignore SA1019 tests run where they were built
	src := filepath.Join(runtime.GOROOT(), "src")
	paths, _ := scanPaths(b, src, Filter{})
	var r Reader
	for b.Loop() {
		for _, p := range paths {
			if _, err := r.ReadFile(b.Context(), src, p, 10<<20); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(paths)), "files")
}
