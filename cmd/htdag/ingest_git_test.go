package main_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
)

// A bare repository is ingested from a ref: when the ref has moved only what differs is
// ingested, what is gone is removed, and the rules and gates are those of a directory.
func TestIngestGit(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dir := openDir(t)
	work, bare := filepath.Join(dir, "work"), filepath.Join(dir, "shop.git")
	git := func(in string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = in
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null", "GIT_AUTHOR_NAME=Ann", "GIT_AUTHOR_EMAIL=a@example.com",
			"GIT_COMMITTER_NAME=Ann", "GIT_COMMITTER_EMAIL=a@example.com")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
	push := func(message string) {
		t.Helper()
		git(work, "add", "-f", "-A")
		git(work, "commit", "-q", "-m", message)
		git(work, "push", "-q", "origin", "HEAD:refs/heads/main")
	}
	if err := os.MkdirAll(work, 0o755); err != nil {
		t.Fatal(err)
	}
	git(dir, "init", "-q", "--bare", "-b", "main", bare)
	git(work, "init", "-q", "-b", "main", ".")
	git(work, "remote", "add", "origin", bare)
	write(t, work, map[string]string{
		"main.go": "package main\n\nfunc main() { Run() }\n", "run.go": "package main\n\nfunc Run() {}\n", "gone.go": "package main\n\nfunc Gone() {}\n",
		".gitignore": "*.log\n", "noise.log": "x", "blob.bin": "\x00\x01\x02", "go.mod": "module shop\n",
	})
	if err := os.Symlink("main.go", filepath.Join(work, "link.go")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(work, "lib"), 0o755); err != nil { // as where it is not checked out
		t.Fatal(err)
	}
	git(work, "update-index", "--add", "--cacheinfo", "160000,1111111111111111111111111111111111111111,lib")
	git(work, "commit", "-q", "-m", "a submodule")
	push("first")
	succeed(t, at(pool, "ingest", "--codebase", "shop", "--git", bare, "--ref", "main"))
	files := func(codebase string) []string {
		return dbtest.Column[string](t, pool, `select format('%s %s %s', path, status, reason) from report.files
			where codebase = $1 and status <> 'deleted' order by path collate "C"`, codebase)
	}
	want := []string{".gitignore ingested ", "blob.bin skipped binary content: a NUL byte in the first 8 kB", "go.mod ingested ", "gone.go ingested ",
		"lib skipped submodule", "link.go skipped symbolic link", "main.go ingested ", "run.go ingested "}
	if diff := cmp.Diff(want, files("shop")); diff != "" {
		t.Errorf("files of the ref (-want +got):\n%s", diff)
	}
	calls := dbtest.Column[string](t, pool, "select caller || ' ' || callee_path from report.calls where codebase = 'shop'")
	if diff := cmp.Diff([]string{"main run.go"}, calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	scan := func() string {
		return dbtest.Value[string](t, pool, `select format('%s seen, %s changed, %s gone', files_seen, files_changed, files_gone)
			from report.ingestions where codebase = 'shop' order by run_id desc limit 1`)
	}
	if got := scan(); got != "8 seen, 6 changed, 0 gone" {
		t.Errorf("first ingestion: %s", got)
	}

	// Again, with the ref where it was: nothing.
	succeed(t, at(pool, "ingest", "--codebase", "shop", "--git", bare, "--ref", "main"))
	if got := scan(); got != "8 seen, 0 changed, 0 gone" {
		t.Errorf("second ingestion: %s", got)
	}
	write(t, work, map[string]string{"run.go": "package main\n\nfunc Run() { Walk() }\n", "walk.go": "package main\n\nfunc Walk() {}\n"})
	if err := os.Remove(filepath.Join(work, "gone.go")); err != nil {
		t.Fatal(err)
	}
	push("second")
	// By its name alone it is known which codebase the ref is.
	var dry []struct {
		Codebase string
		Changes  map[string]int
		Gone     int
	}
	if err := json.Unmarshal([]byte(succeed(t, at(pool, "ingest", "--dry-run", "--json", "--git", bare, "--ref", "main")).stdout), &dry); err != nil {
		t.Fatal(err)
	}
	if dry[0].Codebase != "shop" || dry[0].Gone != 1 || dry[0].Changes["new"] != 1 || dry[0].Changes["changed"] != 1 || dry[0].Changes["unchanged"] != 6 {
		t.Errorf("dry run: %+v", dry)
	}
	succeed(t, at(pool, "ingest", "--git", bare, "--ref", "main"))
	if got := scan(); got != "8 seen, 2 changed, 1 gone" {
		t.Errorf("ingestion of the moved ref: %s", got)
	}
	history := dbtest.Column[string](t, pool, `select format('%s %s %s %s', path, version, change, subject)
		from report.history h left join report.commits c using (codebase, commit) where codebase = 'shop' and path like '%n%.go' order by 1`)
	if diff := cmp.Diff([]string{"gone.go 1 added first", "gone.go 2 deleted ", "main.go 1 added first", "run.go 1 added first", "run.go 2 modified second"}, history); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}

	// The work tree is another codebase, with the same contents and all that follows from them.
	succeed(t, upOnce(pool, work))
	same := dbtest.Column[string](t, pool, `select path || ': ' || count(*) from code.files where status in ('ingested', 'partial')
		group by path, sha256 having count(*) <> 2`)
	if len(same) > 0 {
		t.Errorf("not the same in the repository and its work tree: %v", same)
	}
	if n := dbtest.Value[int](t, pool, "select count(*) from code.blobs b where not exists (select from code.file_versions v where v.sha256 = b.sha256)"); n != 0 {
		t.Errorf("%d contents belong to no version", n)
	}
	oneError(t, run(t, at(pool, "ingest", "--git", bare, "--ref", "HEAD~1", "--codebase", "shop")), 1, "registered with root", "--codebase NAME")

	for _, mistake := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"--git", bare, work}, 2, "there is no directory to name"},
		{[]string{"--ref", "main", work}, 2, "name that with --git"},
		{[]string{"--git", bare, "--ref", "nowhere"}, 1, `no branch, tag or commit "nowhere"`},
		{[]string{"--git", filepath.Dir(dir)}, 1, "not in a git repository"},
		{[]string{"--git", filepath.Join(dir, "missing")}, 1, "missing"},
	} {
		if r := run(t, at(pool, append([]string{"ingest"}, mistake.args...)...)); r.code != mistake.code || !strings.Contains(r.stderr, mistake.says) {
			t.Errorf("%s: exit status %d, said %s, want %d and %q", mistake.args, r.code, r.stderr, mistake.code, mistake.says)
		}
	}
}
