package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
)

// local is a server of the command's own, in a directory of its own.
type local struct {
	t       *testing.T
	flags   []string // that name its directory
	options []option // that say who uses it
}

// newLocal returns the server of an instance directory; the end of the test stops it.
func newLocal(t *testing.T, dir string, options ...option) *local {
	t.Helper()
	l := &local{t: t, flags: []string{"--data-dir", dir}, options: options}
	t.Cleanup(func() { l.run("db", "stop") })
	return l
}

func (l *local) args(args []string) []string { return append(append([]string{}, l.flags...), args...) }

func (l *local) run(args ...string) result {
	l.t.Helper()
	return run(l.t, l.args(args), l.options...)
}

func (l *local) succeed(args ...string) result {
	l.t.Helper()
	return succeed(l.t, l.args(args), l.options...)
}

// status returns what db status says, by name.
func (l *local) status() map[string]string {
	l.t.Helper()
	fields := map[string]string{}
	for line := range strings.Lines(l.succeed("db", "status").stdout) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		fields[name] = strings.TrimSpace(value)
	}
	return fields
}

// open connects to the database that the command uses.
func (l *local) open() *pgxpool.Pool {
	l.t.Helper()
	pool, err := pgxpool.New(l.t.Context(), strings.TrimSpace(l.succeed("db", "url").stdout))
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(pool.Close)
	return pool
}

func TestLocalServer(t *testing.T) {
	t.Parallel()
	users := map[string]bool{"ordinary user": true, "root": false}
	if os.Geteuid() != 0 {
		delete(users, "root")
	}
	for name, ordinary := range users {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := openDir(t)
			root, home, instance := filepath.Join(dir, "shop"), filepath.Join(dir, "home"), filepath.Join(dir, "home", "pg")
			unpack(t, "testdata/polyglot.txtar", root)
			if err := os.Mkdir(home, 0o755); err != nil {
				t.Fatal(err)
			}
			l := newLocal(t, instance)
			if ordinary {
				l.options = []option{ordinaryUser(t, home), env("HOME=" + home)}
				// Who names no directory gets one at home.
				l.flags, instance = nil, filepath.Join(home, ".local", "share", "htdag", "postgres")
			}
			life(t, l, root, instance)
		})
	}
}

// life takes a local server from nothing to its end and back.
func life(t *testing.T, l *local, root, instance string) {
	if got := l.status(); got["state"] != "absent" {
		t.Errorf("before anything the status is %v", got)
	}
	if r := l.succeed("db", "stop"); r.stdout != "it was not running\n" {
		t.Errorf("stop of nothing says %q", r.stdout)
	}
	if _, err := os.Stat(instance); err == nil {
		t.Error("looking has made the instance directory")
	}

	r := l.succeed(append(append([]string{"up", "--once"}, eager...), root)...)
	if hint := "htdag db psql" + strings.Join(append([]string{""}, l.flags...), " ") + " "; !strings.Contains(r.stdout, hint) {
		t.Errorf("the summary does not say %q:\n%s", hint, r.stdout)
	}
	running := l.status()
	for name, pattern := range map[string]string{
		"state": "^running$", "version": `^\d+\.\d+$`, "port": `^\d+$`, "process": `^\d+$`, "started": `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$`,
		"data": "^" + regexp.QuoteMeta(instance) + "/data$", "log": "^" + regexp.QuoteMeta(instance) + "/log$", "problem": "^$",
	} {
		if !regexp.MustCompile(pattern).MatchString(running[name]) {
			t.Errorf("db status says %s %q, not as %s", name, running[name], pattern)
		}
	}
	if got := fields(l.succeed("db", "start").stdout); got["process"] != running["process"] {
		t.Errorf("start did not join process %s: %v", running["process"], got)
	}
	if got := l.succeed("migrate", "status").stdout; !strings.HasSuffix(got, "functions  as in this binary\n") {
		t.Errorf("migrate status says %q", got)
	}
	const count = "select count(*) from report.symbols"
	symbols := dbtest.Value[int](t, l.open(), count)
	if symbols == 0 {
		t.Error("nothing was ingested")
	}
	if got := l.succeed("db", "psql", "--", "-Atc", count).stdout; got != fmt.Sprintln(symbols) {
		t.Errorf("psql counts %q symbols, want %d", got, symbols)
	}

	if r := l.succeed("db", "stop"); r.stdout != "" || r.stderr != "" {
		t.Errorf("stop says %q", r.stdout+r.stderr)
	}
	var pid int
	fmt.Sscan(running["process"], &pid)
	// In a container nobody may care for the dead: a zombie is gone.
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH && !strings.Contains(string(stat), ") Z ") {
		t.Errorf("process %d is still there: %v", pid, err)
	}
	if got := l.status(); got["state"] != "stopped" || got["process"] != "" {
		t.Errorf("after stop the status is %v", got)
	}
	l.succeed(append(append([]string{"up", "--once"}, eager...), root)...)
	pool := l.open()
	if got := dbtest.Value[int](t, pool, count); got != symbols {
		t.Errorf("%d symbols after a restart, want %d", got, symbols)
	}
	if n := dbtest.Value[int](t, pool, "select files_changed from report.ingestions order by run_id desc limit 1"); n != 0 {
		t.Errorf("%d files were ingested again after a restart", n)
	}
	dbtest.CheckInvariants(t, pool)
	pool.Close()
	l.succeed("db", "stop")
}

func fields(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		all[name] = strings.TrimSpace(value)
	}
	return all
}

// What happens while the database is away is there when it is back.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	root := filepath.Join(dir, "shop")
	unpack(t, "testdata/polyglot.txtar", root)
	l := newLocal(t, filepath.Join(dir, "pg"))
	p := start(t, l.args(append(append([]string{"up"}, eager...), root)))
	p.says("Watching " + root)
	idle(t, l.open())

	l.succeed("db", "stop")
	write(t, root, map[string]string{"go/cart.go": "package main\n\nfunc Away() {}\n", "new.py": "def new(): pass\n"})
	if err := os.Remove(filepath.Join(root, "plain.txt")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is noticed that the database is away", func() (bool, error) {
		return strings.Contains(p.stderr.String(), "could not be recorded"), nil
	})
	l.succeed("db", "start")
	back := time.Now()
	pool := l.open()
	holds(t, pool, hasSymbol+` and exists (select from report.symbols where path = 'new.py')
		and exists (select from report.files where path = 'plain.txt' and status = 'deleted')`, "go/cart.go", "Away")
	t.Logf("visible %s after the database was back", time.Since(back).Round(time.Millisecond))
	idle(t, pool)
	p.interrupt()
	dbtest.CheckInvariants(t, pool)
	fresh := dbtest.New(t)
	succeed(t, upOnce(fresh, root))
	sameCorpus(t, fresh, pool, "shop")
	pool.Close()
}

// A server that is killed in the middle of an ingestion comes back by itself or is
// named as the cause, and nothing is lost.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	root := filepath.Join(dir, "many")
	generate(t, root, many)
	l := newLocal(t, filepath.Join(dir, "pg"))
	l.succeed("migrate", "up")
	pool := l.open()
	p := start(t, l.args(append(append([]string{"up", "--once", "--concurrency=1"}, eager...), root)))
	holds(t, pool, halfWay)
	var pid int
	fmt.Sscan(l.status()["process"], &pid)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r := p.wait()
	if r.code != 1 || !strings.Contains(r.stderr, "the local database had gone down and runs again: the same command goes on from there") {
		t.Errorf("exit status %d, said\n%s", r.code, r.stderr)
	}
	l.succeed(append(append([]string{"up", "--once"}, eager...), root)...)
	pool.Reset()
	dbtest.CheckInvariants(t, pool)
	fresh := dbtest.New(t)
	succeed(t, upOnce(fresh, root))
	sameCorpus(t, fresh, pool, "many")
	pool.Close()
}

func TestBadInstance(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	root, home := filepath.Join(dir, "small"), filepath.Join(dir, "home")
	write(t, dir, map[string]string{"small/a.py": "def a(): pass\n", "file": "", "foreign/precious": "data\n"})
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	ordinary := ordinaryUser(t, home)
	for _, c := range []struct {
		name string
		args []string
		env  string
		says []string
	}{
		{"a file", []string{"--data-dir", dir + "/file"}, "", []string{dir + "/file"}},
		{"below a file", []string{"--data-dir", dir + "/file/pg"}, "", []string{dir + "/file/pg"}},
		{"not to be written", []string{"--data-dir", dir + "/pg"}, "", []string{dir + "/pg", "permission denied", "choose a directory"}},
		{"no binaries", []string{"--data-dir", home + "/pg", "--postgres-bin-dir", dir}, "", []string{dir, "postgres"}},
		{"no home", nil, "HOME=", []string{"HOME", "--data-dir"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			oneError(t, run(t, append([]string{"up", "--once", root}, c.args...), ordinary, env(c.env)), 1, c.says...)
		})
	}
	if got := read(t, filepath.Join(dir, "foreign", "precious")); got != "data\n" {
		t.Errorf("somebody else's file now holds %q", got)
	}
}
