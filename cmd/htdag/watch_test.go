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

// tooSlow is how long an edit may take until it can be queried, half a second of
// quiet included.
// A machine that builds something else meanwhile is slow, and the longest wait of a busy path is 10 s.
const tooSlow = 30 * time.Second

// watch starts the command on a tree and waits until it has been ingested.
func watch(t *testing.T, pool *pgxpool.Pool, root string, options ...option) *process {
	t.Helper()
	p := start(t, at(pool, append(append([]string{"up"}, eager...), root)...), options...)
	p.says("Watching " + root)
	idle(t, pool)
	return p
}

// idle waits until every run has ended.
func idle(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	holds(t, pool, "select not exists (select from report.runs where finished_at is null)")
}

// runsOf counts the runs of a flow, those of one path if it is not empty.
func runsOf(t *testing.T, pool *pgxpool.Pool, flow, path string) int {
	t.Helper()
	return dbtest.Value[int](t, pool, `select count(*) from report.runs join htdag.run_io using (run_id)
		where flow = $1 and $2 in ('', input ->> 'path')`, flow, path)
}

const hasSymbol = "select exists (select from report.symbols where path = $1 and name = $2)"

func TestWatch(t *testing.T) {
	t.Parallel()
	pool := dbtest.Empty(t)
	dir := openDir(t)
	root, home := filepath.Join(dir, "shop"), filepath.Join(dir, "home")
	unpack(t, "testdata/polyglot.txtar", root)
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	ordinary := ordinaryUser(t, home)
	p := watch(t, pool, root, ordinary)

	// Each change is waited for, so that its time can be told.
	step := func(name string, change func(), query string, args ...any) {
		t.Helper()
		began := time.Now()
		change()
		holds(t, pool, query, args...)
		took := time.Since(began)
		t.Logf("%s: visible after %s", name, took.Round(time.Millisecond))
		if took > tooSlow {
			t.Errorf("%s took %s to be seen, more than %s", name, took, tooSlow)
		}
	}
	path := func(name string) string { return filepath.Join(root, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}

	step("edit", func() {
		write(t, root, map[string]string{"go/cart.go": "package main\n\n// Cart is new.\ntype Cart struct{}\n\nfunc (c *Cart) Edited() int { return 1 }\n"})
	}, hasSymbol, "go/cart.go", "Edited")
	if dbtest.Value[bool](t, pool, hasSymbol, "go/cart.go", "Total") {
		t.Error("a method that was removed is still there")
	}
	step("edit of the called file", func() {
		text := strings.ReplaceAll(read(t, path("go/internal/price/price.go")), "Of(", "For(")
		write(t, root, map[string]string{"go/internal/price/price.go": text})
	}, "select exists (select from report.calls where caller_path = 'go/main.go' and callee = 'price.Of' and callee_path is null)")
	step("atomic replacement", func() {
		write(t, root, map[string]string{"rust/.parse.rs.swp": "pub fn replaced() {}\n"})
		must(os.Rename(path("rust/.parse.rs.swp"), path("rust/src/parse.rs")))
	}, hasSymbol, "rust/src/parse.rs", "replaced")
	step("rename", func() {
		must(os.Rename(path("python/shop/report.py"), path("python/shop/account.py")))
	}, hasSymbol+` and exists (select from report.files where path = 'python/shop/report.py' and status = 'deleted')
		and not exists (select from report.symbols where path = 'python/shop/report.py')`, "python/shop/account.py", "report")
	step("deletion", func() {
		must(os.Remove(path("web/src/lib/format.ts")))
	}, `select exists (select from report.files where path = 'web/src/lib/format.ts' and status = 'deleted')
		and not exists (select from report.symbols where path = 'web/src/lib/format.ts')
		and not exists (select from report.imports where resolved_path = 'web/src/lib/format.ts')`)
	step("new directories", func() {
		write(t, root, map[string]string{
			"new/a/b/c/deep.go": "package deep\n\nfunc Deep() {}\n",
			"new/a/shallow.py":  "def shallow():\n    pass\n",
		})
	}, hasSymbol+" and exists (select from report.symbols where name = 'shallow')", "new/a/b/c/deep.go", "Deep")
	step("rename of a directory", func() {
		must(os.Rename(path("new"), path("old")))
	}, hasSymbol+" and exists (select from report.symbols where path = 'old/a/shallow.py') and not exists (select from report.symbols where path like 'new/%')",
		"old/a/b/c/deep.go", "Deep")
	step("deletion of a directory", func() {
		must(os.RemoveAll(path("old")))
	}, "select not exists (select from report.symbols where path like 'old/%')")
	step("ignoring what was not ignored", func() {
		write(t, root, map[string]string{".gitignore": "/build/\n*.log\n/elixir/\n"})
	}, "select not exists (select from report.symbols where path like 'elixir/%')")
	step("a link in place of a file", func() {
		must(os.Remove(path("bin/lib.sh")))
		must(os.Symlink("deploy.sh", path("bin/lib.sh")))
	}, "select exists (select from report.files where path = 'bin/lib.sh' and status = 'deleted')")
	step("odd files", func() { writeOdd(t, path("odd")) }, "select count(*) = 13 and bool_and(status <> 'pending') from code.files where path like 'odd/%'")
	step("loss of the right to read", func() { must(os.Chmod(path("go/main.go"), 0)) },
		"select exists (select from report.files where path = 'go/main.go' and status = 'skipped')")
	step("gain of the right to read", func() { must(os.Chmod(path("go/main.go"), 0o644)) }, hasSymbol, "go/main.go", "main")
	idle(t, pool)

	t.Run("touch", func(t *testing.T) {
		all := dbtest.Value[int](t, pool, "select count(*) from report.runs")
		now := time.Now()
		must(os.Chtimes(path("go/main.go"), now, now))
		write(t, root, map[string]string{"go/main.go": read(t, path("go/main.go"))})
		// What is written later is looked at later: once it is there, the touch has been seen.
		touched := dbtest.Value[int64](t, pool, "select modified_ns from code.files where path = 'go/main.go'")
		holds(t, pool, "select modified_ns > $1 from code.files where path = 'go/main.go'", touched)
		write(t, root, map[string]string{"sentinel.go": "package sentinel\n\nfunc Sentinel() {}\n"})
		holds(t, pool, hasSymbol, "sentinel.go", "Sentinel")
		idle(t, pool)
		if n := dbtest.Value[int](t, pool, "select count(*) from report.runs"); n != all+1 {
			t.Errorf("%d runs were started, want the one of the sentinel", n-all)
		}
	})

	t.Run("burst", func(t *testing.T) {
		scans, files := runsOf(t, pool, "ingest_codebase", ""), runsOf(t, pool, "ingest_file", "")
		began := time.Now()
		for i := range 200 {
			write(t, root, map[string]string{fmt.Sprintf("burst/d%d/f%d.go", i%7, i): fmt.Sprintf("package d\n\nfunc Burst%d() {}\n", i)})
		}
		holds(t, pool, "select count(*) = 200 from report.symbols where name like 'Burst%'")
		t.Logf("200 new files: visible after %s", time.Since(began).Round(time.Millisecond))
		idle(t, pool)
		if n := runsOf(t, pool, "ingest_codebase", "") - scans; n != 1 {
			t.Errorf("%d runs of ingest_codebase, want 1", n)
		}
		if n := runsOf(t, pool, "ingest_file", "") - files; n != 0 {
			t.Errorf("%d runs of ingest_file, want none", n)
		}
	})

	r := p.interrupt()
	if !strings.Contains(r.stderr, "interrupt: finishing what is under way") {
		t.Errorf("an interrupt is not acknowledged: %q", r.stderr)
	}
	if n := dbtest.Value[int](t, pool, "select count(*) from htdag.runners where stopped_at is null and runner_id > 0"); n != 0 {
		t.Errorf("%d runners have not said goodbye", n)
	}
	dbtest.CheckInvariants(t, pool)
	fresh := dbtest.New(t)
	succeed(t, upOnce(fresh, root), ordinary)
	sameCorpus(t, fresh, pool, "shop")

	t.Run("changes while nobody watches", func(t *testing.T) {
		write(t, root, map[string]string{"go/cart.go": "package main\n\nfunc Offline() {}\n", "later.py": "def later(): pass\n"})
		must(os.Remove(path("sentinel.go")))
		succeed(t, upOnce(pool, root), ordinary)
		fresh := dbtest.New(t)
		succeed(t, upOnce(fresh, root), ordinary)
		sameCorpus(t, fresh, pool, "shop")
	})
}

// A checkout of another branch is one change of many files.
func TestCheckout(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	pool := dbtest.New(t)
	root := filepath.Join(openDir(t), "repo")
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.test", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.test")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
	branch := func(word string, from, to int) {
		for i := from; i < to; i++ {
			write(t, root, map[string]string{fmt.Sprintf("pkg%d/file%d.go", i%9, i): fmt.Sprintf("package pkg\n\nfunc %s%d() { Same() }\n", word, i)})
		}
	}
	write(t, root, map[string]string{"same/same.go": "package same\n\nfunc Same() {}\n"})
	git("init", "-q", "-b", "main")
	branch("Main", 0, 150)
	git("add", ".")
	git("commit", "-q", "-m", "main")
	git("checkout", "-q", "-b", "other")
	for i := range 50 {
		if err := os.Remove(filepath.Join(root, fmt.Sprintf("pkg%d/file%d.go", i%9, i))); err != nil {
			t.Fatal(err)
		}
	}
	branch("Other", 50, 250)
	git("add", "-A", ".")
	git("commit", "-q", "-m", "other")
	git("checkout", "-q", "main")

	p := watch(t, pool, root)
	if n := dbtest.Value[int](t, pool, "select count(*) from report.files where path like '.git/%'"); n > 0 {
		t.Errorf("%d files of .git are ingested", n)
	}
	for _, checkout := range []struct {
		branch string
		holds  string
	}{
		{"other", "select count(*) = 200 and count(*) filter (where name like 'Other%') = 200 from report.symbols where name <> 'Same'"},
		{"main", "select count(*) = 150 and count(*) filter (where name like 'Main%') = 150 from report.symbols where name <> 'Same'"},
	} {
		scans, files := runsOf(t, pool, "ingest_codebase", ""), runsOf(t, pool, "ingest_file", "")
		began := time.Now()
		git("checkout", "-q", checkout.branch)
		holds(t, pool, checkout.holds)
		t.Logf("checkout of 250 files: visible after %s", time.Since(began).Round(time.Millisecond))
		idle(t, pool)
		if s, f := runsOf(t, pool, "ingest_codebase", "")-scans, runsOf(t, pool, "ingest_file", "")-files; s != 1 || f != 0 {
			t.Errorf("checkout of %s: %d runs of ingest_codebase and %d of ingest_file, want 1 and none", checkout.branch, s, f)
		}
	}
	p.interrupt()
	fresh := dbtest.New(t)
	succeed(t, upOnce(fresh, root))
	sameCorpus(t, fresh, pool, "repo")
}

func read(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
