package main_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/htdag/htdag/db/dbtest"
)

// start --wait tells the end of a run by its exit status.
func TestStartAndWait(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, `select htdag.define_flow('{"flow": "two", "steps": [{"name": "a", "max_retries": 0}, {"name": "b", "needs": ["a"]}]}'),
		htdag.register_runner('r', p_kinds => '{a,b}')`)
	const claim = "select * from htdag.claim_steps(1, p_want => 1)"
	waiting := "select exists (select from htdag.runs where finished_at is null)"

	p := start(t, at(pool, "start", "two", "--wait"))
	holds(t, pool, waiting)
	dbtest.Exec(t, pool, "select htdag.complete_step(task_id, token) from ("+claim+") c")
	dbtest.Exec(t, pool, "select htdag.complete_step(task_id, token) from ("+claim+") c")
	r := p.wait()
	if want := "1\nstep  state  tries  ran  error\na  succeeded  1  LONG\nb  succeeded  1  LONG\n"; r.code != 0 || trimEnds(maskTimes(r.stdout)) != want {
		t.Errorf("exit status %d, said\n%swant\n%s%s", r.code, trimEnds(maskTimes(r.stdout)), want, r.stderr)
	}

	p = start(t, at(pool, "start", "two", "--wait", "--json"))
	holds(t, pool, waiting)
	dbtest.Exec(t, pool, "select htdag.fail_step(task_id, token, 'no luck') from ("+claim+") c")
	r = p.wait()
	if r.code != 1 || !strings.Contains(r.stdout, `"state": "failed"`) || !strings.HasSuffix(r.stderr, "htdag: run 2 failed: step a: no luck\n") {
		t.Errorf("exit status %d, said\n%s%s", r.code, r.stdout, r.stderr)
	}

	p = start(t, at(pool, "start", "two", "--wait"))
	eventually(t, "it says what it waits for", func() (bool, error) {
		return strings.Contains(p.stderr.String(), "waiting: step a is ready since"), nil
	})
	p.signal(syscall.SIGINT)
	if r := p.wait(); r.code != 1 || !strings.HasSuffix(r.stderr, "htdag: run 3 goes on: interrupted\n") {
		t.Errorf("exit status %d, said %q", r.code, r.stderr)
	}
	if !dbtest.Value[bool](t, pool, waiting) {
		t.Error("the run did not go on")
	}
	dbtest.CheckInvariants(t, pool)
}

// trimEnds removes the blanks at the ends of lines.
func trimEnds(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// A database that was not brought up to date is named as the cause.
func TestVerbsOnAnEmptyDatabase(t *testing.T) {
	t.Parallel()
	pool := dbtest.Empty(t)
	for _, args := range [][]string{{"flow", "list"}, {"runs"}, {"start", "two"}, {"why", "1"}} {
		oneError(t, run(t, at(pool, args...)), 1, "htdag migrate up")
	}
}
