package steps

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/htdag/htdag/db/dbtest"
)

// git runs in the corpus's root, at noon of the nth day of 2020, as the author.
func (c *corpus) git(t *testing.T, day int, author string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = c.root
	date := time.Date(2020, 1, day, 12, 0, 0, 0, time.UTC).Format(time.RFC3339)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME="+author, "GIT_AUTHOR_EMAIL="+author+"@example.com",
		"GIT_COMMITTER_NAME=c", "GIT_COMMITTER_EMAIL=c@example.com", "GIT_AUTHOR_DATE="+date, "GIT_COMMITTER_DATE="+date)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (c *corpus) commit(t *testing.T, day int, author, message string) string {
	t.Helper()
	c.git(t, day, author, "add", "-A")
	c.git(t, day, author, "commit", "-q", "-m", message)
	return c.git(t, day, author, "rev-parse", "HEAD")
}

// readHistory runs history_update.
func (c *corpus) readHistory() (h historyFacts) {
	c.t.Helper()
	if err := json.Unmarshal(c.bundle(input{}, nil, "history_update")[0], &h); err != nil {
		c.t.Fatal(err)
	}
	return h
}

// Versions are tied to the commits that made them, by content: whoever edits, commits,
// renames, reverts and switches branches in between.
func TestGitHistory(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "repo", t.TempDir())
	body := "package a\n\n" + strings.Repeat("// a line of no meaning\n", 30)
	c.git(t, 1, "ann", "init", "-q", "-b", "main", ".")
	c.write(map[string]string{"a.go": body, "b.go": "package a\n\nfunc B() {}\n", "c.go": "package a\n"})
	first := c.commit(t, 1, "ann", "first")
	c.write(map[string]string{"a.go": body + "func A() {}\n"})
	second := c.commit(t, 2, "bob", "second")
	c.ingestAll()
	if h := c.readHistory(); h != (historyFacts{State: "read", Head: second, Commits: 2, Known: 2}) {
		t.Fatalf("history: %+v", h)
	}
	const history = "select path, version, change, commit, author from report.history where codebase = 'repo' and commit is not null order by path, version"
	want := []string{"a.go | 1 | added | " + second + " | bob", "b.go | 1 | added | " + first + " | ann", "c.go | 1 | added | " + first + " | ann"}
	c.expect(t, "versions after the first ingestion", want, history)

	// An edit that is not committed has no commit, until it is.
	c.write(map[string]string{"b.go": "package a\n\nfunc B() { C() }\n"})
	c.ingestFile("b.go")
	if h := c.readHistory(); h.Commits != 0 || h.Head != second {
		t.Errorf("history with nothing new: %+v", h)
	}
	c.expect(t, "versions after an edit", want, history)
	third := c.commit(t, 3, "ann", "third")
	c.readHistory()
	want = append(want[:2:2], "b.go | 2 | modified | "+third+" | ann", want[2])
	c.expect(t, "versions after the commit", want, history)

	// A renaming with an edit, which only git can follow; co-changed with b.go.
	for n, text := range []string{"x", "y"} {
		if n == 0 {
			c.git(t, 4, "ann", "mv", "a.go", "moved.go")
		}
		c.write(map[string]string{"moved.go": body + "func A() { " + text + "() }\n", "b.go": "package a\n\nfunc B() { " + text + "() }\n"})
		c.commit(t, 4+n, "ann", fmt.Sprintf("both %d", n))
	}
	c.ingestAll()
	if h := c.readHistory(); h.Commits != 2 || h.Known != 5 {
		t.Errorf("history of two commits: %+v", h)
	}
	c.expect(t, "renamings", []string{"moved.go | a.go | both 0"},
		"select path, former_path, subject from report.file_changes where change = 'renamed'")
	c.expect(t, "churn", []string{"b.go | 4 | 1 | 2 | 4", "c.go | 1 | 1 | 0 | 1", "moved.go | 4 | 2 | 0 | 4"},
		"select path, commits, authors, edits, changes from report.churn where codebase = 'repo' order by path")
	c.expect(t, "when it was changed", []string{"2020-01-01 | 2020-01-05"},
		"select first_changed_at::date, (select max(authored_at)::date from report.commits) from report.churn where path = 'moved.go'")
	c.expect(t, "co-changes", []string{"b.go | moved.go | 3 | 4 | 4", "moved.go | b.go | 3 | 4 | 4"},
		"select path, other_path, together, changes, other_changes from report.co_changes where codebase = 'repo' and 'c.go' not in (path, other_path) order by path")

	// On another branch, and after it was rewritten: commits add up, none comes twice.
	c.git(t, 6, "ann", "checkout", "-q", "-b", "other", first)
	c.write(map[string]string{"c.go": "package a\n\nvar C int\n"})
	c.commit(t, 6, "cid", "on a branch")
	c.ingestAll()
	if h := c.readHistory(); h.Commits != 1 || h.Known != 6 {
		t.Errorf("history of a branch: %+v", h)
	}
	c.git(t, 7, "cid", "commit", "-q", "--amend", "-m", "rewritten")
	c.git(t, 7, "cid", "reflog", "expire", "--expire=now", "--all")
	c.git(t, 7, "cid", "gc", "-q", "--prune=now")
	if h := c.readHistory(); h.Commits != 1 || h.Known != 7 {
		t.Errorf("history of a branch that was rewritten: %+v", h)
	}
	c.git(t, 7, "ann", "checkout", "-q", "main")
	c.ingestAll()
	if h := c.readHistory(); h.Known != 7 {
		t.Errorf("history back on main: %+v", h)
	}
	c.expect(t, "commits", []string{"7 | 7 | t"}, `select count(*), count(distinct commit), bool_and(files = (select count(*) from report.file_changes f where f.commit = c.commit))
		from report.commits c where codebase = 'repo'`)
	c.expect(t, "repository", []string{"repo | read | - | 7"}, "select codebase, state, note, commits from report.repositories")
	c.query("select code.forget_codebase('repo')")
	c.expect(t, "what is left", []string{"0 | 0 | 0"}, "select (select count(*) from code.commits), (select count(*) from code.commit_files), (select count(*) from code.repositories)")
}

// Where there is no history, or none that can be read, ingestion goes on and it is said.
func TestNoGitHistory(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	c := newCorpus(t, pool, "plain", t.TempDir())
	c.write(map[string]string{"a.go": "package a\n"})
	c.ingestAll()
	if h := c.readHistory(); h != (historyFacts{State: "none", Note: "not in a git repository"}) {
		t.Errorf("a plain directory: %+v", h)
	}
	b := newCorpus(t, pool, "broken", t.TempDir())
	b.git(t, 1, "ann", "init", "-q", ".")
	b.write(map[string]string{"a.go": "package a\n"})
	b.commit(t, 1, "ann", "first")
	if err := os.WriteFile(filepath.Join(b.root, ".git", "HEAD"), []byte("ref: refs/heads/gone wrong\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.ingestAll()
	if h := b.readHistory(); h.Commits != 0 || h.State == "read" && h.Head != "" {
		t.Errorf("a broken repository: %+v", h)
	}
	c.expect(t, "repositories", []string{"broken | t | f", "plain | t | t"},
		"select codebase, commits = 0, state = 'none' from report.repositories order by codebase")
	c.expect(t, "files", []string{"broken | ingested", "plain | ingested"}, "select codebase, status from report.files order by codebase")
}
