package watcher_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/watcher"
)

// A commit read from the repository holds what its work tree holds, under the same
// rules.
func TestRefIsAsTheWorkTree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=a@example.com",
			"GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=a@example.com")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
	git("init", "-q", "-b", "main", ".")
	for name, text := range map[string]string{
		".gitignore": "*.log\n!kept.log\n/build/\n", ".htdagignore": "secret/\n!node_modules\n", "a.go": "package a\n", "noise.log": "x", "kept.log": "x",
		"build/out": "x", "sub/build/in": "x", "sub/.gitignore": "*.tmp\n", "sub/x.tmp": "x", "secret/key": "x", "node_modules/m/index.js": "x",
		"env/pyvenv.cfg": "x", "env/lib.py": "x", "dist/bundle.js": "x", "package.json": "{}", "odd \n\xff\\name": "odd", "empty": "", "large": strings.Repeat("x", 5000),
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "a.go"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("a.go", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	git("add", "-f", ".")
	git("update-index", "--add", "--cacheinfo", "160000,1111111111111111111111111111111111111111,module")
	git("commit", "-qm", "first")
	ref, err := watcher.OpenRef(t.Context(), dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	defer ref.Close()

	filter := watcher.Filter{IgnorePatterns: []string{"/sub/deep"}}
	type explorer func(yield func(watcher.File) error, passed func(watcher.Passed)) (watcher.Summary, error)
	look := func(explore explorer, read func(path string) (watcher.Content, error)) (lines []string) {
		t.Helper()
		_, err := explore(func(f watcher.File) error {
			if f.Special != "" {
				lines = append(lines, f.Path+" is a "+f.Special)
				return nil
			}
			c, err := read(f.Path)
			if err != nil {
				return err
			}
			if (c.Data == nil) != (f.Size > 4000) || c.File.Inode != f.Inode || c.File.Size != f.Size {
				t.Errorf("%s: read as %+v, listed as %+v", f.Path, c.File, f)
			}
			lines = append(lines, fmt.Sprintf("%s %o %d %x", f.Path, f.Mode, f.Size, c.SHA256[:4]))
			return nil
		}, func(p watcher.Passed) {
			if p.Special != "" {
				lines = append(lines, p.Path+" is a "+p.Special)
				return
			}
			lines = append(lines, p.Path+" ignored by "+p.Verdict.String())
		})
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	disk := look(func(yield func(watcher.File) error, passed func(watcher.Passed)) (watcher.Summary, error) {
		return watcher.Explore(t.Context(), dir, filter, yield, passed)
	}, func(path string) (watcher.Content, error) { return watcher.ReadFile(t.Context(), dir, path, 4000) })
	read := func(path string) (watcher.Content, error) { return ref.ReadFile(t.Context(), path, 4000) }
	tree := look(func(yield func(watcher.File) error, passed func(watcher.Passed)) (watcher.Summary, error) {
		return ref.Explore(t.Context(), filter, yield, passed)
	}, read)
	// git keeps no directory .git, and a disk no submodule that is not checked out.
	var want []string
	for _, line := range disk {
		if line != ".git ignored by built in: .git" {
			want = append(want, line)
		}
		if strings.HasPrefix(line, "link is") {
			want = append(want, "module is a submodule")
		}
	}
	if len(disk) != 19 {
		t.Errorf("the work tree has %d entries:\n%s", len(disk), strings.Join(disk, "\n"))
	}
	if diff := cmp.Diff(want, tree); diff != "" {
		t.Errorf("a ref differs from its work tree (-work tree +ref):\n%s", diff)
	}
	for path, want := range map[string]error{
		"link": watcher.ErrNotRegular, "module": watcher.ErrNotRegular, "sub": watcher.ErrNotRegular, "gone": fs.ErrNotExist, "a.go/b": fs.ErrNotExist,
	} {
		if _, err := read(path); !errors.Is(err, want) {
			t.Errorf("read %s: %v, want %v", path, err, want)
		}
	}
	if _, err := read("../a.go"); err == nil {
		t.Error("a path out of the tree was read")
	}
}
