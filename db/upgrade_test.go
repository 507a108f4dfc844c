package db_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbtest"
)

// A database of before partitions keeps its runs when it gets them, those under way
// included, and when they are taken back.
func TestPartitionsKeepRuns(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, `select htdag.define_flow('{"flow": "f", "steps": [{"name": "a"}, {"name": "b", "needs": ["a"]}]}')`)
	dbtest.Exec(t, pool, `select htdag.register_runner('r', p_kinds => '{a,b}', p_lease => '1 day')`)
	dbtest.Exec(t, pool, `select htdag.start_flows('f', array_fill('{"x": 1}'::jsonb, array[10]))`)
	dbtest.Exec(t, pool, `select htdag.complete_step(task_id, token, '"done"') from htdag.claim_steps(1, 15)`)
	dbtest.Exec(t, pool, `select setval('htdag.runs_run_id_seq', 2000000), htdag.make_partitions(p_count => 3)`)
	dbtest.Exec(t, pool, `select htdag.start_flows('f', array_fill('{"x": 2}'::jsonb, array[10]))`)
	dbtest.Exec(t, pool, `select htdag.complete_step(task_id, token, '"done"') from htdag.claim_steps(1, 8)`)
	before := runContents(t, pool)

	if err := db.Down(t.Context(), pool, migrationsSince(t, "partitions")); err != nil {
		t.Fatal(err)
	}
	if partitioned := dbtest.Value[bool](t, pool, "select exists (select from pg_class where relnamespace = 'htdag'::regnamespace and relkind = 'p')"); partitioned {
		t.Error("there are partitioned tables left")
	}
	if diff := cmp.Diff(before, runContents(t, pool)); diff != "" {
		t.Errorf("taking partitions back changes the rows (-before +after):\n%s", diff)
	}
	if err := db.Up(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, runContents(t, pool)); diff != "" {
		t.Errorf("making partitions changes the rows (-before +after):\n%s", diff)
	}
	if run := dbtest.Value[int64](t, pool, "select htdag.start_flow('f')"); run != 2000011 {
		t.Errorf("the next run is %d", run)
	}
	dbtest.Exec(t, pool, `select htdag.complete_step(task_id, token, '"done"') from htdag.claim_steps(1, 100)`)
	dbtest.Exec(t, pool, `select htdag.complete_step(task_id, token, '"done"') from htdag.claim_steps(1, 100)`)
	if left := dbtest.Value[int](t, pool, "select count(*) from htdag.runs where state <> 'succeeded'"); left != 0 {
		t.Errorf("%d runs do not go on", left)
	}
	dbtest.CheckInvariants(t, pool)
}

func runContents(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	return dbtest.Column[string](t, pool, `
		select 'run ' || jsonb_strip_nulls(to_jsonb(r))::text from htdag.runs r union all
		select 'input ' || jsonb_strip_nulls(to_jsonb(i))::text from htdag.run_io i union all
		select 'attempt ' || jsonb_strip_nulls(to_jsonb(a))::text from htdag.attempts a union all
		select 'decision ' || jsonb_strip_nulls(to_jsonb(l))::text from htdag.admission_log l order by 1`)
}

// migrationsSince counts the migrations from the named one on.
func migrationsSince(t *testing.T, name string) (n int) {
	t.Helper()
	entries, err := os.ReadDir("../sql/migrations")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), "_"+name+".up.sql") || n > 0 && strings.HasSuffix(e.Name(), ".up.sql") {
			n++
		}
	}
	return n
}
