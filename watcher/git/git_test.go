package git_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/watcher/git"
)

// repository is one in a directory of its own.
type repository struct {
	t   *testing.T
	dir string
	n   int // of commits, whose times are a day apart
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	r := &repository{t: t, dir: t.TempDir()}
	r.git("init", "-q", "-b", "main", ".")
	return r
}

func (r *repository) git(args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), "git", args...)
	cmd.Dir = r.dir
	date := fmt.Sprintf("%d +0000", 1_000_000_000+86_400*r.n)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=ann@example.com",
		"GIT_COMMITTER_NAME=Bob", "GIT_COMMITTER_EMAIL=bob@example.com", "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date)
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (r *repository) write(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// commit commits all there is.
func (r *repository) commit(message string) string {
	r.t.Helper()
	r.n++
	r.git("add", "-A")
	r.git("commit", "-q", "--allow-empty", "-m", message)
	return r.git("rev-parse", "HEAD")
}

// log is what a history says, one line for a commit or a file.
func log(t *testing.T, dir, ref, since string) (lines []string, head string) {
	t.Helper()
	head, err := git.Log(t.Context(), dir, ref, since, func(c git.Commit) error {
		lines = append(lines, fmt.Sprintf("%s <%s> %s: %s", c.Author, c.Email, c.AuthoredAt.UTC().Format(time.DateOnly), c.Subject))
		for _, f := range c.Files {
			line := f.Change + " " + f.Path
			if f.Former != "" {
				line += " from " + f.Former
			}
			if (f.Object == nil) != (f.Change == "deleted") {
				line += fmt.Sprintf(", object %x", f.Object)
			}
			lines = append(lines, "  "+line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines, head
}

func same[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestLog(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	long := strings.Repeat("one line and another\n", 20)
	r.write("a.txt", long)
	r.write("sub/odd \n:name\xff.txt", "odd")
	first := r.commit("first\n\nwith a body")
	r.commit("nothing")
	r.git("mv", "a.txt", "sub/b.txt")
	r.write("sub/b.txt", long+"edited\n")
	second := r.commit("café moves")
	if err := os.Remove(filepath.Join(r.dir, "sub/odd \n:name\xff.txt")); err != nil {
		t.Fatal(err)
	}
	r.write("top", "x")
	third := r.commit("third")

	one := []string{"Ann <ann@example.com> 2001-09-10: first", "  added a.txt", "  added sub/odd \n:name\xff.txt"}
	two := []string{"Ann <ann@example.com> 2001-09-12: café moves", "  renamed sub/b.txt from a.txt"}
	three := []string{"Ann <ann@example.com> 2001-09-13: third", "  deleted sub/odd \n:name\xff.txt", "  added top"}
	all := append(append(append([]string{}, one...), two...), three...)

	lines, head := log(t, r.dir, "", "")
	same(t, "history of a work tree", all, lines)
	same(t, "its head", third, head)
	lines, head = log(t, r.dir, "", first)
	same(t, "history since the first commit", append(append([]string{}, two...), three...), lines)
	same(t, "its head", third, head)
	lines, head = log(t, r.dir, "", third)
	same(t, "history since the last commit", nil, lines)
	same(t, "its head", third, head)
	lines, _ = log(t, r.dir, "", strings.Repeat("12", 20))
	same(t, "history since a commit that is gone", all, lines)
	lines, _ = log(t, filepath.Join(r.dir, "sub"), "", "")
	same(t, "history of a directory", []string{one[0], "  added odd \n:name\xff.txt", two[0], "  added b.txt", three[0], "  deleted odd \n:name\xff.txt"}, lines)
	lines, head = log(t, r.dir, "HEAD~1", "")
	same(t, "head of the history of a ref", second, head)
	same(t, "its number of lines", 6, len(lines)) // with the commit that changed nothing

	bare := filepath.Join(t.TempDir(), "bare.git")
	r.git("clone", "-q", "--bare", r.dir, bare)
	lines, head = log(t, bare, "main", first)
	same(t, "history of a bare repository", append(append([]string{"Ann <ann@example.com> 2001-09-11: nothing"}, two...), three...), lines)
	same(t, "its head", third, head)
}

// What is no repository, or one that git does not read, is told apart.
func TestLogRefused(t *testing.T) {
	t.Parallel()
	never := func(git.Commit) error { return errors.New("there is no commit") }
	if _, err := git.Log(t.Context(), t.TempDir(), "", "", never); !errors.Is(err, git.ErrNoRepository) {
		t.Errorf("a plain directory: %v", err)
	}
	r := newRepository(t)
	if head, err := git.Log(t.Context(), r.dir, "", "", never); head != "" || err != nil && errors.Is(err, git.ErrNoRepository) {
		t.Errorf("a repository without commits: head %q, %v", head, err)
	}
	r.write("a", "a")
	r.commit("first")
	if _, err := git.Log(t.Context(), r.dir, "nowhere", "", never); err != nil && !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a ref that is not there: %v", err)
	}
	stop := errors.New("enough")
	if _, err := git.Log(t.Context(), r.dir, "", "", func(git.Commit) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("stopped: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := git.Log(ctx, r.dir, "", "", never); err == nil {
		t.Error("a cancelled context reads on")
	}
	// Objects that are lost.
	if err := os.RemoveAll(filepath.Join(r.dir, ".git/objects")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(r.dir, ".git/objects"), 0o755); err != nil {
		t.Fatal(err)
	}
	if head, err := git.Log(t.Context(), r.dir, "", "", never); head != "" || err == nil && head != "" {
		t.Errorf("a broken repository: head %q, %v", head, err)
	}
}

func TestTreeAndObjects(t *testing.T) {
	t.Parallel()
	r := newRepository(t)
	r.write("a.txt", "one")
	r.write("d/empty", "")
	r.write("d/big", strings.Repeat("x", 300_000))
	if err := os.Symlink("a.txt", filepath.Join(r.dir, "link")); err != nil {
		t.Fatal(err)
	}
	commit := r.commit("first")
	found, err := git.Resolve(t.Context(), r.dir, "main")
	if err != nil || found != commit {
		t.Fatalf("main is %s, %v; want %s", found, err, commit)
	}
	if _, err := git.Resolve(t.Context(), r.dir, "--all"); err == nil || !strings.Contains(err.Error(), `no branch, tag or commit "--all"`) {
		t.Errorf("a ref that is an option: %v", err)
	}
	if _, err := git.Resolve(t.Context(), t.TempDir(), "main"); !errors.Is(err, git.ErrNoRepository) {
		t.Errorf("a ref of no repository: %v", err)
	}
	entries, err := git.Tree(t.Context(), r.dir, commit)
	if err != nil {
		t.Fatal(err)
	}
	o := git.NewObjects(r.dir)
	defer o.Close()
	var got []string
	for _, e := range entries {
		err := o.Read(e.Object, func(in io.Reader, size int64) error {
			head := make([]byte, 5)
			n, _ := io.ReadFull(in, head) // what is left is passed over
			got = append(got, fmt.Sprintf("%o %s %d %d %q %s", e.Mode, e.Path, e.Size, size, head[:n], e.Special()))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	same(t, "contents", []string{
		`100644 a.txt 3 3 "one" `, `100644 d/big 300000 300000 "xxxxx" `, `100644 d/empty 0 0 "" `, `120000 link 5 5 "a.txt" symbolic link`,
	}, got)
	missing := hex.EncodeToString(make([]byte, 20))
	if err := o.Read(missing, func(io.Reader, int64) error { return nil }); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("an object that is not there: %v", err)
	}
	if err := o.Read(entries[0].Object, func(io.Reader, int64) error { return nil }); err != nil {
		t.Errorf("an object after one that is not there: %v", err)
	}
}
