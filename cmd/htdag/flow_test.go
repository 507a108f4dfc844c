package main_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
)

const startFile = `select htdag.start_flow('ingest_file', jsonb_build_object('codebase', $1::text, 'path', $2::text))`

func why(t *testing.T, pool *pgxpool.Pool, run int64) string {
	t.Helper()
	return strings.Join(dbtest.Column[string](t, pool, "select htdag.why($1)", run), "\n")
}

func ends(t *testing.T, pool *pgxpool.Pool, run int64, state string) {
	t.Helper()
	holds(t, pool, "select finished_at is not null from report.runs where run_id = $1", run)
	if got := dbtest.Value[string](t, pool, "select state from report.runs where run_id = $1", run); got != state {
		t.Errorf("run %d %s, want %s: %s", run, got, state, why(t, pool, run))
	}
}

// limits lets runs start although the machine is busy, where no flag can.
func limits(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	dbtest.Exec(t, pool, "select htdag.set_limits('ingest_file', 10, 10000, 1, 1)")
}

func TestStartFromSQL(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	root := filepath.Join(openDir(t), "shop")
	unpack(t, "testdata/polyglot.txtar", root)
	p := watch(t, pool, root)

	run := dbtest.Value[int64](t, pool, startFile, "shop", "go/main.go")
	ends(t, pool, run, "succeeded")
	if out := dbtest.Value[string](t, pool, "select outcome from report.steps join htdag.attempts using (run_id) where run_id = $1 and step = 'file_detection' limit 1", run); out != "succeeded" {
		t.Errorf("file_detection %s", out)
	}
	// A path that is not there is no failure: it is known to be gone.
	run = dbtest.Value[int64](t, pool, startFile, "shop", "never/was.go")
	ends(t, pool, run, "succeeded")
	// A path that leads out of the root is refused, and nothing outside is read.
	write(t, filepath.Dir(root), map[string]string{"secret.go": "package secret\n"})
	for _, outside := range []string{"../secret.go", "/etc/passwd", "go/../../secret.go"} {
		run = dbtest.Value[int64](t, pool, startFile, "shop", outside)
		holds(t, pool, "select exists (select from report.steps where run_id = $1 and step = 'file_detection' and error like '%is not below the codebase''s root%')", run)
	}
	if n := dbtest.Value[int](t, pool, "select count(*) from code.files where path ~ 'secret|passwd'"); n != 0 {
		t.Errorf("%d files outside the root were recorded", n)
	}
	// A codebase that does not exist is waited for, with a reason.
	run = dbtest.Value[int64](t, pool, startFile, "nonesuch", "a.go")
	eventually(t, "why names the codebase that nobody serves", func() (bool, error) {
		return strings.HasSuffix(why(t, pool, run), "no runner reads kind file_detection of queue root:nonesuch"), nil
	})
	p.interrupt()
	dbtest.CheckInvariants(t, pool)
}

// A step that reads a disk waits for the process that serves it, and the waiting
// explains itself.
func TestWaitForRoot(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	root := filepath.Join(openDir(t), "shop")
	unpack(t, "testdata/polyglot.txtar", root)
	succeed(t, upOnce(pool, root))
	limits(t, pool)

	runner := start(t, at(pool, "run", "--runner-name=helper"))
	holds(t, pool, "select exists (select from htdag.runners where name = 'helper' and stopped_at is null)")
	write(t, root, map[string]string{"go/cart.go": "package main\n\nfunc Later() {}\n"})
	run := dbtest.Value[int64](t, pool, startFile, "shop", "go/cart.go")
	holds(t, pool, "select state = 'running' from report.runs where run_id = $1", run)
	if got, want := why(t, pool, run), "step file_detection is ready, but no runner reads kind file_detection of queue root:shop"; got != want {
		t.Errorf("why says %q, want %q", got, want)
	}

	p := start(t, at(pool, append(append([]string{"up"}, eager...), root)...))
	ends(t, pool, run, "succeeded")
	holds(t, pool, hasSymbol, "go/cart.go", "Later")
	p.says("Watching")
	p.interrupt()
	runner.interrupt()
	dbtest.CheckInvariants(t, pool)
}

// Any number of runners share the work of one process that serves the root.
func TestRunnersShareWork(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	root := filepath.Join(openDir(t), "many")
	generate(t, root, 1200)
	a := start(t, at(pool, "run", "--runner-name=a", "--concurrency=1"))
	b := start(t, at(pool, "run", "--runner-name=b", "--concurrency=1"))
	holds(t, pool, "select count(*) = 2 from htdag.runners where stopped_at is null and runner_id > 0")
	succeed(t, upOnce(pool, "--runner-name=c", "--concurrency=1", root))
	a.interrupt()
	b.interrupt()
	if got := rows(t, pool, "select distinct r.name from htdag.attempts join htdag.runners r using (runner_id) order by 1"); strings.Join(got, " ") != "a b c" {
		t.Errorf("the work was done by %v", got)
	}
	dbtest.CheckInvariants(t, pool)
	fresh := dbtest.New(t)
	succeed(t, upOnce(fresh, root))
	sameCorpus(t, fresh, pool, "many")
}

// A runner needs no more than its role once the database is current.
func TestRunnerRole(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	for _, role := range []string{"htdag_runner", "htdag_client", "htdag_reader", "worker login password 'w' in role htdag_runner"} {
		// Roles belong to the whole server, which is gone with this process.
		dbtest.Exec(t, pool, "create role "+role)
	}
	dbtest.Exec(t, pool, "update htdag.installations set code_hash = ''")
	succeed(t, at(pool, "migrate", "up"))
	c := pool.Config().ConnConfig
	worker := strings.Replace(dbtest.URL(pool), c.User+":"+c.Password, "worker:w", 1)
	p := start(t, []string{"run", "--runner-name=worker", "--database-url", worker})
	holds(t, pool, "select exists (select from htdag.runners where name = 'worker')")
	root := filepath.Join(openDir(t), "many")
	generate(t, root, 600)
	succeed(t, upOnce(pool, "--concurrency=1", root))
	if n := dbtest.Value[int](t, pool, "select count(*) from htdag.attempts join htdag.runners r using (runner_id) where r.name = 'worker' and outcome = 'succeeded'"); n == 0 {
		t.Error("the worker has done nothing")
	}
	if r := p.interrupt(); r.stderr != "\ninterrupt: finishing what is under way; once more to quit at once\n" {
		t.Errorf("the worker said\n%s", r.stderr)
	}
	dbtest.CheckInvariants(t, pool)

	// Whoever may not change an outdated database is told so.
	dbtest.Exec(t, pool, "update htdag.installations set code_hash = ''")
	oneError(t, run(t, []string{"run", "--database-url", worker}), 1, "permission denied", "htdag migrate up")
}
