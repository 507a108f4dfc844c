package main_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
)

// watchUp starts the command that watches, whatever the load.
func watchUp(t *testing.T, pool *pgxpool.Pool, dirs ...string) *process {
	t.Helper()
	return start(t, at(pool, append(append([]string{"up"}, eager...), dirs...)...))
}

// edit writes a function and waits until it can be queried; it returns its name.
func edit(t *testing.T, pool *pgxpool.Pool, root, path string) string {
	t.Helper()
	name := fmt.Sprintf("f%d", time.Now().UnixNano())
	write(t, root, map[string]string{path: "def " + name + "(): pass\n"})
	holds(t, pool, hasSymbol, path, name)
	return name
}

// Roots come and go while the process runs.
func TestWatchAddRemove(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dir := openDir(t)
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	write(t, first, map[string]string{"a.py": "def a(): pass\n"})
	write(t, second, map[string]string{"b.py": "def b(): pass\n", "skip.log": "nothing\n"})

	oneError(t, run(t, at(pool, "watch", "add", dir+"/missing")), 1, dir+"/missing", "missing", "of this host")
	oneError(t, run(t, at(pool, "watch", "remove", second)), 1, second, "not watched", "watch list")
	oneError(t, run(t, at(pool, "watch", "add", "--codebase=x", first, second)), 2, "--codebase", "2 directories")
	oneError(t, run(t, at(pool, "up")), 2, "name the directory", "watch add")
	if r := succeed(t, at(pool, "watch", "list")); r.stdout != "" || !strings.Contains(r.stderr, "nothing is watched") {
		t.Errorf("of nothing it says %q and %q", r.stdout, r.stderr)
	}

	p := start(t, at(pool, append(append([]string{"up"}, eager...), "--ignore-patterns=*.log", first)...))
	p.says("Watching " + first)
	added := succeed(t, at(pool, "watch", "add", "--codebase=other", second)).stdout
	if !strings.Contains(added, "other: "+second+" is watched by ") {
		t.Errorf("adding says %q", added)
	}
	p.says("Watching " + second + " as other.")
	holds(t, pool, hasSymbol, "b.py", "b")
	edit(t, pool, second, "b.py")
	edit(t, pool, first, "a.py")
	if n := dbtest.Value[int](t, pool, "select count(*) from code.files where path = 'skip.log'"); n != 0 {
		t.Error("what the process ignores is not ignored in a root that came later")
	}
	if list := succeed(t, at(pool, "watch", "list")).stdout; strings.Count(list, fmt.Sprint(":", p.cmd.Process.Pid)) != 2 {
		t.Errorf("the list does not name the process twice:\n%s", list)
	}
	oneError(t, run(t, at(pool, "watch", "add", "--codebase=other", first)), 1, "other", second, "another name")

	idle(t, pool)
	succeed(t, at(pool, "watch", "remove", "other"))
	p.says("No longer watching " + second + ": it was removed.")
	write(t, second, map[string]string{"b.py": "def unseen(): pass\n"})
	edit(t, pool, first, "a.py") // what is seen is seen later
	if dbtest.Value[bool](t, pool, hasSymbol, "b.py", "unseen") {
		t.Error("a change of a root that is no longer watched was ingested")
	}
	succeed(t, at(pool, "watch", "remove", first+"/../first"))
	p.says("No longer watching " + first)

	// A root that comes back is compared with the disk.
	succeed(t, at(pool, "watch", "add", second, first))
	holds(t, pool, hasSymbol, "b.py", "unseen")
	idle(t, pool)
	p.interrupt()
	if n := dbtest.Value[int](t, pool, "select count(*) from report.watches where server is not null"); n != 0 {
		t.Errorf("%d roots are still said to be served", n)
	}
	dbtest.CheckInvariants(t, pool)

	// What was added stays so, for whoever runs next.
	write(t, first, map[string]string{"later.py": "def later(): pass\n"})
	p = watchUp(t, pool)
	p.says("Watching " + first)
	holds(t, pool, hasSymbol, "later.py", "later")
	idle(t, pool)
	p.interrupt()
}

// Where the settings say so there are no events, and nothing is missed either.
func TestPolling(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	root := filepath.Join(openDir(t), "tree")
	write(t, root, map[string]string{"a.py": "def a(): pass\n"})
	oneError(t, run(t, at(pool, "up", "--watch-mode=often", root)), 2, "--watch-mode", "often", "auto, events, poll")
	oneError(t, run(t, at(pool, "up", "--poll-interval-ms=1", root)), 2, "--poll-interval-ms", "from 10")
	p := start(t, at(pool, append(append([]string{"up"}, eager...), root)...), env("HTDAG_WATCH_MODE=poll", "HTDAG_POLL_INTERVAL_MS=100", "HTDAG_LOG_LEVEL=info"))
	p.says("Watching " + root)
	edit(t, pool, root, "a.py")
	edit(t, pool, root, "new/deep/b.py")
	if err := os.RemoveAll(filepath.Join(root, "new")); err != nil {
		t.Fatal(err)
	}
	holds(t, pool, "select not exists (select from report.symbols where path <> 'a.py')")
	idle(t, pool)
	p.interrupt()
}

// Of two processes that watch one root one serves it; when it ends, well or not, the
// other one does, and nothing is lost. A change is one run.
func TestTwoWatchersOneRoot(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	root := filepath.Join(openDir(t), "tree")
	write(t, root, map[string]string{"a.py": "def a(): pass\n"})
	one := watchUp(t, pool, root)
	one.says("Watching " + root)
	two := watchUp(t, pool, root)
	two.says(fmt.Sprintf("%s is watched by ", root))
	idle(t, pool)

	for range 3 {
		before := runsOf(t, pool, "ingest_file", "a.py")
		edit(t, pool, root, "a.py")
		idle(t, pool)
		if n := runsOf(t, pool, "ingest_file", "a.py") - before; n != 1 {
			t.Errorf("%d runs for one change", n)
		}
	}
	one.interrupt()
	two.says("Watching " + root + " as tree.")
	before := runsOf(t, pool, "ingest_file", "a.py")
	edit(t, pool, root, "a.py")
	idle(t, pool)
	if n := runsOf(t, pool, "ingest_file", "a.py") - before; n > 1 {
		t.Errorf("%d runs for one change", n)
	}

	// One that is started after another has died does not wait for its lease.
	two.kill()
	write(t, root, map[string]string{"b.py": "def b(): pass\n"})
	began := time.Now()
	three := watchUp(t, pool, root)
	three.says("Watching " + root)
	t.Logf("taken over after %s", time.Since(began).Round(time.Millisecond))
	holds(t, pool, hasSymbol, "b.py", "b")

	// One that runs takes over when the lease has run out.
	four := watchUp(t, pool, root)
	four.says(fmt.Sprintf("%s is watched by ", root))
	three.kill()
	write(t, root, map[string]string{"c.py": "def c(): pass\n"})
	holds(t, pool, hasSymbol, "c.py", "c")
	idle(t, pool)
	four.interrupt()
	dbtest.CheckInvariants(t, pool)
}

// Who has lost a root, and does not know it yet, records nothing.
func TestLostWatch(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	root := filepath.Join(openDir(t), "tree")
	write(t, root, map[string]string{"a.py": "def a(): pass\n"})
	p := watchUp(t, pool, root)
	p.says("Watching " + root)
	idle(t, pool)
	dbtest.Exec(t, pool, "update code.watches set server = 'elsewhere:1', token = 1, served_until = now() + interval '1 hour'")
	write(t, root, map[string]string{"a.py": "def stolen(): pass\n"})
	p.says("No longer watching " + root + ": elsewhere:1 does.")
	if n := runsOf(t, pool, "ingest_file", "a.py"); n != 0 {
		t.Errorf("%d runs were started for a root that another process serves", n)
	}
	dbtest.Exec(t, pool, "select code.release_watches(1)")
	holds(t, pool, hasSymbol, "a.py", "stolen")
	p.interrupt()
}

// Two work trees of a repository are two codebases, watched by one process, which
// share what they have in common.
func TestTwoWorkTrees(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	pool := dbtest.New(t)
	dir := openDir(t)
	main, linked := filepath.Join(dir, "main"), filepath.Join(dir, "linked")
	for i := range 20 {
		write(t, main, map[string]string{fmt.Sprintf("m%d.py", i): fmt.Sprintf("def m%d(): pass\n", i)})
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}, {"commit", "-q", "-m", "first"}, {"worktree", "add", "-q", linked}} {
		cmd := exec.Command("git", append([]string{"-C", main, "-c", "user.name=a", "-c", "user.email=a@example.test"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
	p := watchUp(t, pool, main, linked)
	p.says("Watching " + main + ", " + linked)
	idle(t, pool)
	count := func(want, query string) {
		t.Helper()
		if got := rows(t, pool, query); got[0] != want {
			t.Errorf("%s: %q, want %q", query, got[0], want)
		}
	}
	count("40\t20\t2", "select count(*), count(distinct sha256), count(distinct codebase) from report.files")
	count("20", "select count(*) from code.blobs")
	count("20", "select count(*) from code.embeddings")

	// What is edited in one does not change the other.
	name := edit(t, pool, linked, "m7.py")
	idle(t, pool)
	count("linked", "select string_agg(codebase, ' ') from report.symbols where name = '"+name+"'")
	count("main", "select string_agg(codebase, ' ') from report.symbols where name = 'm7'")
	count("21", "select count(*) from code.blobs")
	p.interrupt()
	dbtest.CheckInvariants(t, pool)
}
