package main_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/htdag/htdag/db/dbtest"
)

// latestMigration is the number of the last migration; before says how many come before it.
func latestMigration(t *testing.T) (latest, before int) {
	t.Helper()
	files, err := filepath.Glob("../../sql/migrations/*.up.sql")
	if err != nil || len(files) == 0 {
		t.Fatalf("no migrations: %v", err)
	}
	latest, err = strconv.Atoi(strings.SplitN(filepath.Base(files[len(files)-1]), "_", 2)[0])
	if err != nil {
		t.Fatal(err)
	}
	return latest, len(files) - 1
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	pool := dbtest.Empty(t)
	latest, before := latestMigration(t)
	old := func(n int) string {
		return fmt.Sprintf("migration  %d of %d\nfunctions  not as in this binary; htdag migrate up installs them\n", n, latest)
	}
	none, half := old(0), old(1)
	current := fmt.Sprintf("migration  %d of %d\nfunctions  as in this binary\n", latest, latest)
	downToHalf := strconv.Itoa(before)
	schemas := func() string {
		return strings.Join(dbtest.Column[string](t, pool, "select nspname::text from pg_namespace where nspname in ('htdag', 'code', 'report') order by 1"), " ")
	}
	for _, step := range []struct {
		args    []string
		code    int
		stdout  string
		stderr  string
		schemas string
	}{
		{args: []string{"migrate", "status"}, stdout: none},
		{args: []string{"migrate", "up"}, stdout: current, schemas: "code htdag report"},
		{args: []string{"migrate", "up"}, stdout: current, schemas: "code htdag report"},
		{args: []string{"migrate", "down"}, code: 2, stderr: "say --yes", schemas: "code htdag report"},
		{args: []string{"migrate", "down", "--yes", "--steps", "-1"}, code: 2, stderr: "--steps is -1", schemas: "code htdag report"},
		{args: []string{"migrate", "down", "--yes", "--steps", downToHalf}, stdout: half, schemas: "htdag report"},
		{args: []string{"migrate", "status"}, stdout: half, schemas: "htdag report"},
		{args: []string{"migrate", "up"}, stdout: current, schemas: "code htdag report"},
		{args: []string{"migrate", "down", "--yes", "--steps", "99"}, stdout: none},
		{args: []string{"migrate", "down", "--yes"}, stdout: none},
		{args: []string{"migrate", "up"}, stdout: current, schemas: "code htdag report"},
		{args: []string{"migrate", "down", "--yes"}, stdout: none},
	} {
		r := run(t, at(pool, step.args...))
		if step.code != 0 {
			oneError(t, r, step.code, step.stderr)
		} else if r.code != 0 || r.stdout != step.stdout || r.stderr != "" {
			t.Errorf("%s: exit status %d, said\n%s%swant\n%s", step.args, r.code, r.stdout, r.stderr, step.stdout)
		}
		if got := schemas(); got != step.schemas {
			t.Errorf("after %s there are the schemas %q, want %q", step.args, got, step.schemas)
		}
	}
	root := filepath.Join(openDir(t), "small")
	write(t, root, map[string]string{"a.py": "def a(): pass\n"})
	succeed(t, upOnce(pool, root))
}

// A database of a newer version is left alone by every verb.
func TestNewerDatabase(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, "update public.htdag_migrations set version = 99")
	routines := func() int {
		return dbtest.Value[int](t, pool, "select count(*) from pg_proc p join pg_namespace n on n.oid = p.pronamespace where nspname in ('htdag', 'code')")
	}
	before := routines()
	root := filepath.Join(openDir(t), "small")
	write(t, root, map[string]string{"a.py": "def a(): pass\n"})
	for _, args := range [][]string{{"up", "--once", root}, {"run"}, {"migrate", "up"}, {"migrate", "down", "--yes"}, {"migrate", "down", "--yes", "--steps", "1"}} {
		oneError(t, run(t, at(pool, args...)), 1, "newer htdag", "migration 99", "use the newer binary")
	}
	latest, _ := latestMigration(t)
	if r := run(t, at(pool, "migrate", "status")); r.code != 0 || !strings.HasPrefix(r.stdout, fmt.Sprintf("migration  99 of %d\n", latest)) {
		t.Errorf("exit status %d, said %q", r.code, r.stdout)
	}
	if after := routines(); after != before {
		t.Errorf("%d of %d routines are left", after, before)
	}
	if n := dbtest.Value[int](t, pool, "select count(*) from code.codebases"); n != 0 {
		t.Error("a codebase was registered")
	}
}

func TestPsql(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	if r := succeed(t, at(pool, "db", "url")); r.stdout != dbtest.URL(pool)+"\n" {
		t.Errorf("db url says %q", r.stdout)
	}
	r := succeed(t, append(at(pool, "db", "psql"), "--", "-Atc", "select current_database()"))
	if want := dbtest.Value[string](t, pool, "select current_database()::text"); r.stdout != want+"\n" {
		t.Errorf("psql is on %q, want %q", r.stdout, want)
	}
	if r := succeed(t, at(pool, "db", "psql"), input("\\pset format unaligned\n\\t on\nselect 6 * 7;\n")); !strings.Contains(r.stdout, "42\n") {
		t.Errorf("psql does not read standard input: %q", r.stdout)
	}
	if r := run(t, append(at(pool, "db", "psql"), "--", "-c", "select 1 / 0")); r.code != 1 || !strings.Contains(r.stderr, "division by zero") {
		t.Errorf("exit status %d, said %q", r.code, r.stderr)
	}
	if r := run(t, append(at(pool, "db", "psql"), "--", "-v", "ON_ERROR_STOP=1", "-f", "-"), input("select 1 / 0;\n")); r.code != 3 {
		t.Errorf("exit status %d, want psql's own 3", r.code)
	}
	// The password is in nobody's list of processes.
	secret := pool.Config().ConnConfig.Password
	p := start(t, append(at(pool, "db", "psql"), "--", "-c", "select pg_sleep(60)"))
	sleeping := "select exists (select from pg_stat_activity where datname = current_database() and query like 'select pg_sleep(60)%' and state = 'active')"
	holds(t, pool, sleeping)
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		text, _ := os.ReadFile(line) // the process may be gone
		if strings.Contains(string(text), secret) && strings.HasPrefix(string(text), "psql") {
			t.Errorf("the password can be seen: %q", text)
		}
	}
	p.signal(syscall.SIGINT)
	p.wait()

	// An interrupt cancels the statement, and is psql's affair: it ends a script with
	// status 3.
	p = start(t, append(at(pool, "db", "psql"), "--", "-At"), input("select pg_sleep(60);\n"))
	holds(t, pool, sleeping)
	p.signal(syscall.SIGINT)
	if r := p.wait(); r.code != 3 || !strings.Contains(r.stderr, "canceling statement due to user request") || strings.Contains(r.stderr, "finishing") {
		t.Errorf("exit status %d, said %q and %q", r.code, r.stdout, r.stderr)
	}
}

// Where watching is not enabled, the first ingestion is all.
func TestNotEnabled(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	root := filepath.Join(openDir(t), "small")
	write(t, root, map[string]string{"a.py": "def a(): pass\n", "b.go": "package b\n", "c.md": "# C\n"})
	for _, off := range []option{env("HTDAG_ENABLED=false"), env("HTDAG_ONCE=true")} {
		r := succeed(t, at(pool, "up", "--include-extensions=py,md", "--ignore-patterns=c.*", root), off)
		if strings.Contains(r.stdout, "Watching") {
			t.Errorf("it watches:\n%s", r.stdout)
		}
	}
	if got := strings.Join(dbtest.Column[string](t, pool, "select path from report.files"), " "); got != "a.py" {
		t.Errorf("files are %q", got)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{}, {"--help"}, {"help"}, {"up", "--help"}, {"run", "-h"}, {"migrate"}, {"db"}, {"help", "db", "psql"}} {
		r := run(t, args)
		if r.code != 0 || r.stderr != "" || !strings.Contains(r.stdout, "Usage:\n  htdag") {
			t.Errorf("htdag %s: exit status %d, said\n%s%s", args, r.code, r.stdout, r.stderr)
		}
	}
	// Every setting of the documented interface is there with its default.
	help := run(t, []string{"up", "--help"}).stdout
	for flag, fallback := range map[string]string{
		"--enabled": "(default true)", "--debounce-delay-ms": "(default 500)", "--max-concurrent-dags": "(default 10)",
		"--rate-limit-per-minute": "(default 30)", "--cpu-threshold": "(default 0.7)", "--memory-threshold": "(default 0.8)",
		"--include-extensions": "", "--ignore-patterns": "", "--codebase": "(default as detected)", "--once": "",
	} {
		if !regexp.MustCompile(regexp.QuoteMeta(flag) + `\b.*` + regexp.QuoteMeta(fallback)).MatchString(help) {
			t.Errorf("help of up lacks %s %s", flag, fallback)
		}
	}
}
