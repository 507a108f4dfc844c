package main_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
)

// untouched fails the test if a command has left anything behind.
func untouched(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for table, n := range map[string]int{"code.codebases": 0, "htdag.runs": 0, "htdag.runners where runner_id > 0": 0, "code.files": 0, "code.blobs": 0} {
		if got := dbtest.Value[int](t, pool, "select count(*) from "+table); got != n {
			t.Errorf("%s has %d rows, want %d", table, got, n)
		}
	}
	if got := dbtest.Value[float64](t, pool, "select cpu_threshold from htdag.limits l join htdag.flows f using (flow_id) where f.name = 'ingest_file'"); got != 0.7 {
		t.Errorf("the limits have changed: cpu_threshold is %g", got)
	}
}

// What is wrong with a directory is found before anything is started or written.
func TestBadDirectory(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dir := openDir(t)
	home := filepath.Join(dir, "home")
	for _, d := range []string{"home", "empty", "closed", "blind", "ignored", "links", "good"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, map[string]string{"file": "text\n", "closed/a.py": "def a(): pass\n", "blind/a.py": "def a(): pass\n",
		"ignored/.gitignore": "*\n", "ignored/a.py": "def a(): pass\n", "good/a.py": "def a(): pass\n",
		"not-utf8-\xff/a.py": "def a(): pass\n"})
	if err := os.Symlink("../good/a.py", filepath.Join(dir, "links", "a.py")); err != nil {
		t.Fatal(err)
	}
	ordinary := ordinaryUser(t, home)
	for name, mode := range map[string]os.FileMode{"closed": 0, "blind": 0o711} {
		if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	defer os.Chmod(filepath.Join(dir, "closed"), 0o755)
	defer os.Chmod(filepath.Join(dir, "blind"), 0o755)

	for _, c := range []struct {
		name string
		args []string
		code int
		says []string
	}{
		{"none", nil, 2, []string{"directory"}},
		{"missing", []string{dir + "/missing"}, 1, []string{dir + "/missing", "missing", "create"}},
		{"empty name", []string{""}, 2, []string{"directory"}},
		{"a file", []string{dir + "/file"}, 1, []string{dir + "/file", "not a directory"}},
		{"below a file", []string{dir + "/file/x"}, 1, []string{dir + "/file/x"}},
		{"empty", []string{dir + "/empty"}, 1, []string{dir + "/empty", "empty"}},
		{"may not be read", []string{dir + "/closed"}, 1, []string{dir + "/closed", "cannot be read", "permission"}},
		{"may not be listed", []string{dir + "/blind"}, 1, []string{dir + "/blind", "cannot be read", "permission"}},
		{"no text", []string{dir + "/not-utf8-\xff"}, 1, []string{`not-utf8-\xff"`, "not UTF-8", "rename"}},
		{"everything ignored", []string{dir + "/ignored"}, 1, []string{dir + "/ignored", "no file", ".gitignore"}},
		{"nothing but links", []string{dir + "/links"}, 1, []string{dir + "/links", "no file"}},
		{"nothing of the extensions", []string{"--include-extensions=go", dir + "/good"}, 1, []string{dir + "/good", "no file", "--include-extensions"}},
		{"one bad among good", []string{dir + "/good", dir + "/missing"}, 1, []string{dir + "/missing"}},
		{"given twice", []string{dir + "/good", dir + "/home/../good"}, 2, []string{dir + "/good", "twice"}},
		{"of one name", []string{dir + "/good", dir + "/home/good"}, 2, []string{"same name", "--codebase"}},
		{"one name for two", []string{"--codebase=x", dir + "/good", dir + "/home"}, 2, []string{"--codebase"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.name == "of one name" {
				write(t, home, map[string]string{"good/b.py": "def b(): pass\n"})
			}
			oneError(t, run(t, at(pool, append([]string{"up", "--once", "--cpu-threshold=0.5"}, c.args...)...), ordinary), c.code, c.says...)
			untouched(t, pool)
		})
	}
}

func TestBadFlags(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	root := filepath.Join(openDir(t), "small")
	write(t, root, map[string]string{"a.py": "def a(): pass\n"})
	up := func(args ...string) []string { return at(pool, append([]string{"up", "--once", root}, args...)...) }
	for _, c := range []struct {
		args []string
		env  string
		says []string
	}{
		{args: []string{"frobnicate"}, says: []string{`unknown command "frobnicate"`}},
		{args: []string{"migrate", "sideways"}, says: []string{`unknown command "sideways"`}},
		{args: []string{"migrate", "up", "further"}, says: []string{`"further"`}},
		{args: []string{"db", "url", "please"}, says: []string{`"please"`}},
		{args: at(pool, "run", "here"), says: []string{`"here"`}},
		{args: up("--colour=red"), says: []string{"unknown flag: --colour"}},
		{args: up("-x"), says: []string{"unknown shorthand flag: 'x'"}},
		{args: up("--cpu-threshold=high"), says: []string{"--cpu-threshold", "high"}},
		{args: up("--cpu-threshold=0"), says: []string{"--cpu-threshold is 0"}},
		{args: up("--cpu-threshold=1.5"), says: []string{"--cpu-threshold is 1.5", "at most 1"}},
		{args: up("--cpu-threshold=NaN"), says: []string{"--cpu-threshold is NaN"}},
		{args: up("--memory-threshold=-0.1"), says: []string{"--memory-threshold is -0.1"}},
		{args: up("--rate-limit-per-minute=0"), says: []string{"--rate-limit-per-minute is 0"}},
		{args: up("--rate-limit-per-minute=99999999999"), says: []string{"--rate-limit-per-minute"}},
		{args: up("--rate-limit-per-minute=9999999999"), says: []string{"--rate-limit-per-minute"}},
		{args: up("--max-concurrent-dags=-3"), says: []string{"--max-concurrent-dags is -3"}},
		{args: up("--debounce-delay-ms=0"), says: []string{"--debounce-delay-ms is 0"}},
		{args: up("--debounce-delay-ms=9223372036854775807"), says: []string{"--debounce-delay-ms"}},
		{args: up("--concurrency=0"), says: []string{"--concurrency is 0"}},
		{args: up("--concurrency=100000000"), says: []string{"--concurrency"}},
		{args: at(pool, "run", "--concurrency=0"), says: []string{"--concurrency is 0"}},
		{args: at(pool, "run", "--queues="), says: []string{"--queues"}},
		{args: up("--codebase= padded"), says: []string{"--codebase", "blank"}},
		{args: up("--log-level=loud"), says: []string{"--log-level", "loud"}},
		{args: up(), env: "HTDAG_CPU_THRESHOLD=high", says: []string{`HTDAG_CPU_THRESHOLD="high"`}},
		{args: up(), env: "HTDAG_CPU_THRESHOLD=2", says: []string{"HTDAG_CPU_THRESHOLD", "2"}},
		{args: up(), env: "HTDAG_MAX_CONCURRENT_DAGS=ten", says: []string{`HTDAG_MAX_CONCURRENT_DAGS="ten"`}},
		{args: at(pool, "up", root), env: "HTDAG_ONCE=perhaps", says: []string{`HTDAG_ONCE="perhaps"`}},
		{args: up(), env: "HTDAG_LOG_LEVEL=loud", says: []string{"loud"}},
	} {
		t.Run(strings.Join(c.says, " "), func(t *testing.T) {
			oneError(t, run(t, c.args, env(c.env)), 2, c.says...)
		})
	}
	untouched(t, pool)

	// Limits that nobody sets stay as they are in the database.
	dbtest.Exec(t, pool, "select htdag.set_limits('ingest_file', 7, 77, 0.5, 0.6)")
	succeed(t, up("--cpu-threshold=0.25"))
	succeed(t, up(), env("HTDAG_RATE_LIMIT_PER_MINUTE=88"))
	if got := rows(t, pool, "select max_concurrent_runs, rate_per_minute, cpu_threshold, memory_threshold from htdag.limits l join htdag.flows f using (flow_id) where name = 'ingest_file'"); got[0] != "7\t88\t0.25\t0.6" {
		t.Errorf("the limits are %q", got[0])
	}

	// A flag that is given wins over its variable; the variable is heard otherwise.
	succeed(t, upOnce(pool, "--codebase=flag", root), env("HTDAG_CODEBASE=variable", "HTDAG_CPU_THRESHOLD=nonsense"))
	other := filepath.Join(openDir(t), "other")
	write(t, other, map[string]string{"a.py": "def a(): pass\n"})
	succeed(t, upOnce(pool, other), env("HTDAG_CODEBASE=variable"))
	succeed(t, []string{"up", "--once", "--codebase=flag", root}, env("DATABASE_URL="+dbtest.URL(pool)))
	succeed(t, []string{"up", "--once", "--codebase=flag", root}, env("HTDAG_DATABASE_URL="+dbtest.URL(pool), "DATABASE_URL=postgres://nowhere.invalid/x"))
	if got := strings.Join(dbtest.Column[string](t, pool, "select name from code.codebases order by 1"), " "); got != "flag small variable" {
		t.Errorf("codebases are %q", got)
	}
}

func TestBadDatabase(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	config := pool.Config().ConnConfig
	root := filepath.Join(openDir(t), "small")
	write(t, root, map[string]string{"a.py": "def a(): pass\n"})
	good := dbtest.URL(pool)
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := closed.Addr().String()
	closed.Close()
	for _, c := range []struct {
		name, url string
		says      []string
	}{
		{"refused", "postgres://u:secret@" + nobody + "/db", []string{nobody, "refused", "is the server running"}},
		{"unknown host", "postgres://u:secret@nowhere.invalid/db", []string{"nowhere.invalid", "check the"}},
		{"wrong password", strings.Replace(good, config.Password, "secret", 1), []string{"password authentication failed", "check the password"}},
		{"missing database", strings.Replace(good, "/"+config.Database, "/nonesuch", 1), []string{`database "nonesuch" does not exist`, "createdb"}},
		{"unknown user", strings.Replace(good, config.User+":"+config.Password, "stranger:secret", 1), []string{"stranger"}},
		{"no URL", "secret", []string{"postgres://"}},
		{"other scheme", "mysql://u:secret@localhost/db", []string{"postgres://"}},
		{"broken URL", "postgres://u:secret@[::1/db", []string{"postgres://"}},
		{"broken port", "postgres://u:secret@localhost:port/db", []string{"postgres://"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, verb := range [][]string{{"up", "--once", root}, {"run"}, {"migrate", "status"}} {
				r := run(t, append(verb, "--database-url", c.url))
				oneError(t, r, 1, c.says...)
				if strings.Contains(r.stderr, "secret") && c.name != "no URL" {
					t.Errorf("the password is shown:\n%s", r.stderr)
				}
			}
		})
	}
}

// A name stands for one directory; the other one is refused, with nothing changed.
func TestCodebaseTaken(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dir := openDir(t)
	first, second, third := filepath.Join(dir, "first"), filepath.Join(dir, "second"), filepath.Join(dir, "third")
	for _, root := range []string{first, second, third} {
		write(t, root, map[string]string{"a.py": "def a(): pass\n"})
	}
	succeed(t, upOnce(pool, "--codebase=taken", first))
	before := corpus(t, pool, "taken")
	r := run(t, at(pool, "up", "--once", "--codebase=taken", "--cpu-threshold=0.25", second))
	oneError(t, r, 1, "taken", first, second, "another name")
	if n := dbtest.Value[int](t, pool, "select count(*) from htdag.limits where cpu_threshold = 0.25"); n != 0 {
		t.Error("the limits were changed although the command failed")
	}
	// Of several directories either all are accepted or none is.
	dbtest.Exec(t, pool, "select code.register_codebase('third', '/elsewhere')")
	oneError(t, run(t, at(pool, "up", "--once", second, third)), 1, "third", "/elsewhere")
	if got := strings.Join(dbtest.Column[string](t, pool, "select name from code.codebases order by 1"), " "); got != "taken third" {
		t.Errorf("codebases are %q", got)
	}
	if after := corpus(t, pool, "taken"); strings.Join(after["files"], "") != strings.Join(before["files"], "") {
		t.Error("the corpus has changed")
	}
}
