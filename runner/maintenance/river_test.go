package maintenance

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbtest"
)

// keep runs maintenance in this process until it is stopped.
func keep(t *testing.T, pool *pgxpool.Pool) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); Run(ctx, pool, Options{}) }()
	stop = func() {
		cancel()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			t.Error("maintenance did not stop within 20 s")
		}
	}
	t.Cleanup(stop)
	return stop
}

// The elected process is killed. Schedules go on within 15 seconds, and another
// process is elected.
func TestElectedProcessIsKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool)
	kill := process(t, pool, "keeper")
	dbtest.WaitFor(t, pool, "select to_regclass('river.river_leader') is not null")
	dbtest.WaitFor(t, pool, "select exists (select from river.river_leader)")
	leader := dbtest.Value[string](t, pool, "select leader_id from river.river_leader")
	process(t, pool, "keeper")
	dbtest.Exec(t, pool, "select htdag.create_schedule('s', '* * * * * *', 'report', p_catch_up => 'all')")
	dbtest.WaitFor(t, pool, "select count(*) > 3 from report.schedule_ticks")

	kill()
	killed := time.Now()
	fired := dbtest.Value[int](t, pool, "select count(*) from report.schedule_ticks")
	dbtest.WaitFor(t, pool, "select count(*) > $1 from report.schedule_ticks", fired)
	if took := time.Since(killed); took > 15*time.Second {
		t.Errorf("schedules went on after %s", took)
	} else {
		t.Logf("schedules went on after %s", took)
	}
	dbtest.WaitFor(t, pool, "select exists (select from river.river_leader where leader_id <> $1)", leader)
	t.Logf("another process was elected after %s", time.Since(killed))
	const gaps = `select count(*) from (select due_at - lag(due_at) over (order by due_at) as gap from report.schedule_ticks) g where gap <> interval '1 second'`
	if n := dbtest.Value[int](t, pool, gaps); n > 0 {
		t.Errorf("%d seconds were not fired once each", n)
	}
}

// A process that ends in good order hands over at once, and what it does is on time.
func TestElectedProcessEnds(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool)
	stop := keep(t, pool)
	dbtest.WaitFor(t, pool, "select to_regclass('river.river_leader') is not null")
	dbtest.WaitFor(t, pool, "select exists (select from river.river_leader)")
	leader := dbtest.Value[string](t, pool, "select leader_id from river.river_leader")
	dbtest.WaitFor(t, pool, "select count(distinct args ->> 'name') = $1 from river.river_job", len(chores))
	keep(t, pool)
	time.Sleep(time.Second) // for the second one to listen

	began := time.Now()
	stop()
	dbtest.WaitFor(t, pool, "select exists (select from river.river_leader where leader_id <> $1)", leader)
	t.Logf("stopped and handed over in %s", time.Since(began))
	dbtest.WaitFor(t, pool, "select bool_and(state = 'completed') from river.river_job")
	if n := dbtest.Value[int](t, pool, "select count(*) from river.river_job where state in ('discarded', 'retryable', 'cancelled')"); n > 0 {
		t.Errorf("%d jobs failed: %s", n, dbtest.Value[string](t, pool, "select string_agg(errors::text, ', ') from river.river_job"))
	}
}

// Without rights to make River's tables, schedules are fired all the same.
func TestWithoutRiver(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool)
	// Of another version: no client can work on it, and nothing of it is ours to change.
	dbtest.Exec(t, pool, "create schema river; create table river.river_migration (line text, version bigint, created_at timestamptz)")
	dbtest.Exec(t, pool, "select htdag.create_schedule('s', '* * * * * *', 'report', p_catch_up => 'all')")
	keep(t, pool)
	dbtest.WaitFor(t, pool, "select exists (select from report.schedule_ticks)")
	if err := Remove(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if !dbtest.Value[bool](t, pool, "select to_regclass('river.river_migration') is not null") {
		t.Error("a schema that is not ours was dropped")
	}
}

// Run with the rights of a runner, once the owner has made the tables.
func TestRunnersRights(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	define(t, pool)
	for _, role := range []string{"htdag_runner", "htdag_client", "htdag_reader"} {
		if !dbtest.Value[bool](t, pool, "select exists (select from pg_roles where rolname = $1)", role) {
			dbtest.Exec(t, pool, "create role "+role)
		}
	}
	dbtest.Exec(t, pool, "update htdag.installations set code_hash = ''")
	if err := db.Up(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time there is nothing to do
		if err := Migrate(t.Context(), pool); err != nil {
			t.Fatal(err)
		}
	}
	config := pool.Config()
	config.ConnConfig.RuntimeParams["role"] = "htdag_runner"
	config.MaxConns = MaxConns
	asRunner, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(asRunner.Close)
	dbtest.Exec(t, pool, "select htdag.create_schedule('s', '* * * * * *', 'report')")
	stop := keep(t, asRunner)
	dbtest.WaitFor(t, pool, "select exists (select from report.schedule_ticks)")
	dbtest.WaitFor(t, pool, "select count(*) = $1 from river.river_job where state = 'completed'", len(chores))

	stop()
	if err := Remove(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if dbtest.Value[bool](t, pool, "select to_regnamespace('river') is not null") {
		t.Error("River's schema is still there")
	}
}

// counter counts statements, and the begin and commit around them.
type counter struct{ statements, brackets atomic.Int64 }

func (c *counter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	if d.SQL == "begin" || d.SQL == "commit" {
		c.brackets.Add(1)
	} else {
		c.statements.Add(1)
	}
	return ctx
}

func (c *counter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

// A process that has nothing to do sends less than one statement a second, also when
// it is the one that was elected.
func TestIdle(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	t.Parallel()
	pool := dbtest.New(t)
	var sent counter
	config := pool.Config()
	config.ConnConfig.Tracer = &sent
	config.MaxConns = MaxConns
	traced, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(traced.Close)
	keep(t, traced)
	dbtest.WaitFor(t, pool, "select to_regclass('river.river_job') is not null")
	dbtest.WaitFor(t, pool, "select count(*) = $1 from river.river_job where state = 'completed'", len(chores))
	time.Sleep(2 * time.Second)

	statements, brackets, began := sent.statements.Load(), sent.brackets.Load(), time.Now()
	time.Sleep(shift) // in which each job that comes by the minute comes once
	seconds := time.Since(began).Seconds()
	perSecond := float64(sent.statements.Load()-statements) / seconds
	t.Logf("%.2f statements a second, and %.2f begin and commit", perSecond, float64(sent.brackets.Load()-brackets)/seconds)
	if perSecond >= 1 {
		t.Errorf("%.2f statements a second while idle", perSecond)
	}
}
