package maintenance

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
)

// Four processes look after the same schedules while a minute takes a second, one is
// killed, and there is no River: each time is fired once.
func TestEachTimeIsFiredOnce(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool)
	setClock(t, pool, parse(t, "2026-03-29T00:30:00Z"), 60) // half an hour before Berlin's clocks go forward
	dbtest.Exec(t, pool, `select htdag.create_schedule('minutes', '* * * * *', 'report', p_time_zone => 'Europe/Berlin', p_catch_up => 'all'),
		htdag.create_schedule('quarters', '*/15 * * * * *', 'report', '{"due_at": "{due_at}"}', p_catch_up => 'all')`)
	kill := process(t, pool, "ticker")
	for range 3 {
		process(t, pool, "ticker")
	}
	dbtest.WaitFor(t, pool, "select count(*) > 5 from htdag.schedule_ticks")
	kill()
	dbtest.WaitFor(t, pool, "select count(*) > 40 from htdag.schedule_ticks")
	dbtest.Exec(t, pool, "select htdag.pause_schedule('minutes'), htdag.pause_schedule('quarters')")

	for name, every := range map[string]time.Duration{"minutes": time.Minute, "quarters": 15 * time.Second} {
		times := dbtest.Column[time.Time](t, pool, "select due_at from report.schedule_ticks where schedule = $1 order by due_at", name)
		if len(times) < 5 {
			t.Fatalf("schedule %s: only %d times", name, len(times))
		}
		for i, at := range times[1:] {
			if at.Sub(times[i]) != every {
				t.Errorf("schedule %s: fired for %s, then for %s", name, times[i], at)
			}
		}
	}
	const odd = `select 'tick without a run: ' || schedule || ' ' || due_at from report.schedule_ticks where run_id is null
		union all select 'run without a tick: ' || run_id from htdag.runs r where not exists (select from report.schedule_ticks t where t.run_id = r.run_id)
		union all select 'runs for one time: ' || due_at from report.schedule_ticks group by schedule, due_at having count(*) > 1
		union all select 'run started for several times: ' || run_id from report.schedule_ticks group by run_id having count(*) > 1`
	for _, line := range dbtest.Column[string](t, pool, odd) {
		t.Error(line)
	}
	dbtest.CheckInvariants(t, pool)
	t.Logf("%d times fired once each", dbtest.Value[int](t, pool, "select count(*) from htdag.schedule_ticks"))
}

// A process comes back after three hours. A minute late is not late.
func TestCatchUp(t *testing.T) {
	t.Parallel()
	const born, back = "2026-01-01T09:00:30Z", "2026-01-01T12:00:20Z"
	for _, c := range []struct{ cron, catchUp, want, skipped string }{
		{"0 * * * *", "skip", "12:00:00", "10:00:00"},
		{"30 * * * *", "skip", "", "09:30:00"},
		{"0 * * * *", "latest", "12:00:00", "10:00:00"},
		{"30 * * * *", "latest", "11:30:00", "09:30:00"},
		{"30 * * * *", "all", "09:30:00 10:30:00 11:30:00", ""},
		{"*/10 * * * * *", "skip", "11:59:20 11:59:30 11:59:40 11:59:50 12:00:00 12:00:10 12:00:20", "09:00:40"},
		{"0 13 * * *", "all", "", ""},
	} {
		t.Run(c.cron+" "+c.catchUp, func(t *testing.T) {
			t.Parallel()
			pool := dbtest.New(t)
			define(t, pool)
			setClock(t, pool, parse(t, born), 0)
			dbtest.Exec(t, pool, "select htdag.create_schedule('s', $1, 'report', p_catch_up => $2)", c.cron, c.catchUp)
			if n, _, err := Tick(t.Context(), pool, 0); n != 0 || err != nil {
				t.Fatalf("at first %d runs, %v", n, err)
			}
			setClock(t, pool, parse(t, back), 0)
			if _, _, err := Tick(t.Context(), pool, 0); err != nil {
				t.Fatal(err)
			}
			got := dbtest.Column[string](t, pool, "select to_char(due_at at time zone 'UTC', 'HH24:MI:SS') from report.schedule_ticks order by due_at")
			if diff := cmp.Diff(c.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("fired for (-want +got):\n%s", diff)
			}
			skipped := dbtest.Value[string](t, pool, "select coalesce(to_char(skipped_at at time zone 'UTC', 'HH24:MI:SS'), '') from report.schedules")
			if skipped != c.skipped {
				t.Errorf("the first passed over was %q, want %q", skipped, c.skipped)
			}
			if n, _, err := Tick(t.Context(), pool, 0); n != 0 || err != nil {
				t.Errorf("once more %d runs, %v", n, err)
			}
		})
	}
}

// All has a bound, and the newest are what it keeps.
func TestCatchUpIsBounded(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool)
	setClock(t, pool, parse(t, "2025-01-01T00:00:30Z"), 0)
	dbtest.Exec(t, pool, "select htdag.create_schedule('s', '* * * * * *', 'report', p_catch_up => 'all')")
	setClock(t, pool, parse(t, "2026-01-01T00:00:00Z"), 0)
	if n, _, err := Tick(t.Context(), pool, 0); n != mostCaughtUp || err != nil {
		t.Fatalf("%d runs, %v", n, err)
	}
	if first := dbtest.Value[time.Time](t, pool, "select min(due_at) from report.schedule_ticks"); !first.Equal(parse(t, "2025-12-31T23:58:21Z")) {
		t.Errorf("the first was %s", first)
	}
}

// What one process cannot read is said in the report, and does not hold up others.
func TestScheduleThatCannotBeRead(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool)
	dbtest.Exec(t, pool, `select htdag.create_schedule('never', '0 0 31 2 *', 'report'), htdag.create_schedule('strange', '@daily', 'report'),
		htdag.create_schedule('well', '@daily', 'report')`)
	dbtest.Exec(t, pool, "update htdag.schedules set time_zone = 'Europe/Atlantis' where name = 'strange'")
	if _, _, err := Tick(t.Context(), pool, 0); err != nil {
		t.Fatal(err)
	}
	got := dbtest.Column[string](t, pool, "select format('%s: %s', schedule, trouble) from report.schedules order by 1")
	want := []string{
		`never: cron "0 0 31 2 *" names no time in the next five years`,
		`strange: time zone "Europe/Atlantis": unknown time zone Europe/Atlantis`,
		`well: `,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Tick says when to come again.
func TestTickSaysWhenTheNextIsDue(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool)
	setClock(t, pool, parse(t, "2026-01-01T00:00:56Z"), 0)
	dbtest.Exec(t, pool, "select htdag.create_schedule('s', '* * * * *', 'report'), htdag.create_schedule('later', '@daily', 'report')")
	for _, c := range []struct{ ahead, want time.Duration }{{10 * time.Second, 4 * time.Second}, {3 * time.Second, 3 * time.Second}} {
		if _, wait, err := Tick(t.Context(), pool, c.ahead); wait != c.want || err != nil {
			t.Errorf("looking %s ahead: %s, %v; want %s", c.ahead, wait, err, c.want)
		}
	}
}
