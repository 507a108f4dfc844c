package main_test

import (
	"testing"
	"time"

	"github.com/htdag/htdag/db/dbtest"
)

// htdag run fires schedules, unless it is told not to. Then nothing of River is there,
// steps are worked on as ever, and htdag schedule tick does it once.
func TestRunFiresSchedules(t *testing.T) {
	t.Parallel()
	const (
		ticks = "select count(*) from report.schedule_ticks"
		river = "select to_regnamespace('river') is not null"
	)
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, `select htdag.define_flow('{"flow": "tell", "steps": [{"name": "nap", "kind": "sleep", "delay": "10 ms"}]}'),
		htdag.create_schedule('often', '* * * * * *', 'tell', p_catch_up => 'all')`)

	p := start(t, at(pool, "run", "--maintenance=false"))
	holds(t, pool, "select exists (select from htdag.runners where runner_id > 0)")
	succeed(t, at(pool, "schedule", "tick")) // works out when
	time.Sleep(1100 * time.Millisecond)
	succeed(t, at(pool, "schedule", "tick"))
	holds(t, pool, "select exists (select from report.runs where state = 'succeeded')")
	before := dbtest.Value[int](t, pool, ticks)
	time.Sleep(3 * time.Second)
	if after := dbtest.Value[int](t, pool, ticks); after != before || dbtest.Value[bool](t, pool, river) {
		t.Errorf("switched off, but %d times were fired, and it is %t that River is there", after-before, dbtest.Value[bool](t, pool, river))
	}
	if r := p.interrupt(); r.code != 0 {
		t.Errorf("exit status %d: %s", r.code, r.stderr)
	}

	p = start(t, at(pool, "run"))
	holds(t, pool, "select count(*) > $1 from report.schedule_ticks", before+2)
	holds(t, pool, "select exists (select from river.river_leader)")
	began := time.Now()
	if r := p.interrupt(); r.code != 0 || r.stderr != "\ninterrupt: finishing what is under way; once more to quit at once\n" {
		t.Errorf("exit status %d: %s", r.code, r.stderr)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to stop", took)
	}
	if dbtest.Value[bool](t, pool, "select exists (select from river.river_leader)") {
		t.Error("it still leads")
	}
	dbtest.CheckInvariants(t, pool)

	succeed(t, at(pool, "migrate", "down", "--yes"))
	if dbtest.Value[bool](t, pool, river) {
		t.Error("River's tables are left behind")
	}
	succeed(t, at(pool, "migrate", "up"))
	if !dbtest.Value[bool](t, pool, river) {
		t.Error("migrate up does not make River's tables")
	}
}
