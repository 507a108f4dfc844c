//go:build linux

package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/htdag/htdag/watcher"
)

// soakTree is a git work tree that many write to. Names are few, so that operations
// meet; errors are part of the game.
type soakTree struct {
	t         testing.TB
	dir, away string
	dirs      int

	mu  sync.Mutex
	log []string // the last operations
}

func newSoakTree(t testing.TB, dir, away string, files int, r *rand.Rand) *soakTree {
	t.Helper()
	tree := &soakTree{t: t, dir: dir, away: away, dirs: max(files/40, 8)}
	for _, d := range []string{dir, away} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	tree.git("init", "-q")
	w := &soakWriter{Rand: r, tree: tree}
	for range files {
		write(t, dir, map[string]string{w.path(): w.content()})
	}
	return tree
}

func (tree *soakTree) git(args ...string) []byte {
	tree.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = tree.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "HOME=/nonexistent")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		tree.t.Fatalf("git %s: %v\n%s", args, err, stderr.String())
	}
	return out
}

// settle removes what the writers may have left that only they understand.
func (tree *soakTree) settle() {
	if err := os.Remove(filepath.Join(tree.dir, ".git/index.lock")); err != nil && !os.IsNotExist(err) {
		tree.t.Error(err)
	}
}

// refill makes up for what the writers have removed, so that the tree keeps its size.
func (tree *soakTree) refill(w *soakWriter, files int) {
	tree.t.Helper()
	for missing := files - len(regularFiles(tree.t, tree.dir)); missing > 0; missing-- {
		path := filepath.Join(tree.dir, w.path())
		_ = os.MkdirAll(filepath.Dir(path), 0o755) // a file may have taken its place
		_ = w.save(path, os.O_CREATE|os.O_TRUNC)
	}
}

// onDisk is the truth: hashes of the regular files that git does not ignore, by path.
func (s *soak) onDisk() map[string]string {
	s.t.Helper()
	files := map[string]string{}
	for name := range bytes.SplitSeq(s.tree.git("ls-files", "-z", "--others", "--exclude-standard"), []byte{0}) {
		path := filepath.Join(s.tree.dir, string(name))
		if fi, err := os.Lstat(path); err != nil || !fi.Mode().IsRegular() {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		sum := sha256.Sum256(text)
		files[watcher.EscapePath(string(name))] = hex.EncodeToString(sum[:])
	}
	return files
}

func (tree *soakTree) note(format string, args ...any) {
	tree.mu.Lock()
	defer tree.mu.Unlock()
	if len(tree.log) >= 4000 {
		tree.log = slices.Delete(tree.log, 0, 2000)
	}
	tree.log = append(tree.log, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

func (tree *soakTree) dump(t testing.TB) {
	tree.mu.Lock()
	defer tree.mu.Unlock()
	t.Logf("the last operations:\n%s", strings.Join(tree.log, "\n"))
}

// soakWriter is one of several that write to the tree.
type soakWriter struct {
	*rand.Rand
	tree  *soakTree
	count func()
}

func (s *soak) writer() *soakWriter {
	return &soakWriter{Rand: rand.New(rand.NewPCG(s.Uint64(), 1)), tree: s.tree, count: func() { s.operations.Add(1) }}
}

// write does things until the end, at a pace of its own: in haste, with ease or slowly.
func (w *soakWriter) write(end time.Time) {
	pace := []time.Duration{2 * time.Millisecond, 50 * time.Millisecond, 800 * time.Millisecond}[w.IntN(3)]
	for time.Now().Before(end) {
		w.step()
		time.Sleep(time.Duration(w.Int64N(int64(2 * pace))))
	}
}

var soakNames = []string{"a.go", "b.py", "c.txt", "d.log", "e.md", "f f.go", "g\n.go", "h\xff.py", "é.go", "-i.sh"}

// path is where a file may be: in one of the directories, which are two or three deep.
func (w *soakWriter) path() string {
	return filepath.Join(w.directory(), fmt.Sprintf("%d%s", w.IntN(8), soakNames[w.IntN(len(soakNames))]))
}

func (w *soakWriter) directory() string {
	n := w.IntN(w.tree.dirs)
	d := fmt.Sprintf("d%d/e%d", n%7, n)
	if n%3 == 0 {
		d += "/f"
	}
	return d
}

func (w *soakWriter) content() string {
	return fmt.Sprintf("# %x\n%s", w.Uint64(), strings.Repeat(fmt.Sprintf("func f%d() { g%d() }\n", w.IntN(1000), w.IntN(1000)), w.IntN(20)))
}

// existing is something that is there, where it can.
func (w *soakWriter) existing(directory bool) string {
	p := w.tree.dir
	for range 5 {
		entries, err := os.ReadDir(p)
		entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == ".git" || directory && !e.IsDir() })
		if err != nil || len(entries) == 0 {
			break
		}
		e := entries[w.IntN(len(entries))]
		p = filepath.Join(p, e.Name())
		if !e.IsDir() || directory && w.IntN(2) == 0 {
			break
		}
	}
	return p
}

// leaf is a directory below the first ones, which hold too much to be lost often.
func (w *soakWriter) leaf() string {
	for range 20 {
		if p := w.existing(true); strings.Count(strings.TrimPrefix(p, w.tree.dir), "/") > 1 {
			return p
		}
	}
	return filepath.Join(w.tree.dir, w.directory())
}

func (w *soakWriter) save(path string, flags int) error {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK|flags, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(w.content())
	return err
}

func (w *soakWriter) step() {
	in := func(path string) string { return filepath.Join(w.tree.dir, path) }
	a, b := w.existing(false), in(w.path())
	out := filepath.Join(w.tree.away, fmt.Sprint(w.IntN(5)))
	var what string
	var err error
	switch n := w.IntN(1000); {
	case n < 250:
		what = "make"
		if err = os.MkdirAll(filepath.Dir(b), 0o755); err == nil {
			err = w.save(b, os.O_CREATE|os.O_TRUNC)
		}
	case n < 450:
		what = "write"
		err = w.save(a, os.O_TRUNC)
	case n < 550:
		what = "append"
		err = w.save(a, os.O_APPEND)
	case n < 650:
		what = "save beside and rename"
		if err = w.save(a+".tmp", os.O_CREATE|os.O_TRUNC); err == nil {
			err = os.Rename(a+".tmp", a)
		}
	case n < 750:
		what = "remove"
		err = os.Remove(a)
	case n < 800:
		what = "make and remove"
		if err = w.save(b, os.O_CREATE|os.O_EXCL); err == nil {
			err = os.Remove(b)
		}
	case n < 850:
		what = "rename to"
		err = os.Rename(a, b)
	case n < 880:
		a, b = w.leaf(), in(w.directory()+"/"+[]string{"m", "n"}[w.IntN(2)])
		what = "rename directory to"
		err = os.Rename(a, b)
	case n < 884:
		a = w.leaf()
		what = "remove directory"
		err = os.RemoveAll(a)
	case n < 892:
		a = w.leaf()
		what = "move out"
		if err = os.RemoveAll(out); err == nil {
			err = os.Rename(a, out)
		}
	case n < 910:
		what = "move in"
		err = os.Rename(out, b)
	case n < 930:
		what = "link"
		err = os.Symlink([]string{a, ".", "nowhere", w.tree.away}[w.IntN(4)], b)
	case n < 945:
		what = "pipe"
		err = syscall.Mkfifo(b, 0o644)
	case n < 960:
		what = "chmod"
		if fi, e := os.Lstat(a); e == nil && fi.Mode().IsRegular() {
			err = os.Chmod(a, 0o600+os.FileMode(w.IntN(0o177)))
		}
	case n < 980:
		b = filepath.Join(w.leaf(), ".gitignore")
		if w.IntN(5) == 0 {
			b = in(".gitignore")
		}
		what = "rules"
		text := []string{"", "*.go\n", "m/\n!b\n", "*.log\n", "/1*\n!*e.md\n", "f f*\n"}[w.IntN(6)]
		err = os.WriteFile(b, []byte(text), 0o644)
	case n < 990:
		what = "checkout"
		err = w.checkout()
	default:
		what = "grow"
		err = w.grow(a)
	}
	w.tree.note("%s %q %q: %v", what, strings.TrimPrefix(a, w.tree.dir), strings.TrimPrefix(b, w.tree.dir), err)
	w.count()
}

// checkout writes many files while git's lock says that more are to come.
func (w *soakWriter) checkout() error {
	lock := filepath.Join(w.tree.dir, ".git/index.lock")
	if err := os.WriteFile(lock, nil, 0o644); err != nil {
		return err
	}
	for range 20 + w.IntN(200) {
		p := filepath.Join(w.tree.dir, w.path())
		if w.IntN(3) == 0 {
			_ = os.Remove(p) // it need not be there
		} else if os.MkdirAll(filepath.Dir(p), 0o755) == nil {
			_ = w.save(p, os.O_CREATE|os.O_TRUNC) // nor need it be a file
		}
	}
	return os.Remove(lock)
}

// grow appends to a file now and then, for two seconds.
func (w *soakWriter) grow(path string) error {
	for range 10 {
		if err := w.save(path, os.O_APPEND); err != nil {
			return err
		}
		time.Sleep(time.Duration(w.IntN(400)) * time.Millisecond)
	}
	return nil
}
