package db_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/db/dbtest"
)

// modelRunner is a runner and the claims it has not answered, or has answered but may
// answer again.
type modelRunner struct {
	testRunner
	held    []*modelClaim
	expires time.Time
	silent  bool // sends no heartbeats
	dead    bool // has been found out
}

// world is the engine and the model of it.
type world struct {
	model
	pool    *pgxpool.Pool
	runners []*modelRunner
	seen    snapshot
	limited bool // has limits, and no memos: who is let in while pump works may find what others did or not
}

// snapshot is what the engine's tables hold, read after each action.
type snapshot struct {
	Runs       []engineRun
	Tasks      []engineTask
	Violations []string
	PumpDue    bool
}

type engineRun struct {
	ID                         int64
	State                      string
	Succeeded, Failed, Skipped string
	StartedAt                  *time.Time
	Parent, ParentTask         *int64
	Attempts                   int
	Output                     json.RawMessage
}

type engineTask struct {
	ID, Run       int64
	Step, Element int
	TimeoutAt     *time.Time
}

// The engine's clock is the test's, but for a hundredth of the time that really
// passes, so that no two moments are the same.
const modelSetup = `
create table public.test_clock (at timestamptz not null, since timestamptz not null default clock_timestamp());
insert into public.test_clock values ('2030-01-01');
create or replace function htdag.clock() returns timestamptz language sql volatile set search_path = ''
return (select at + (clock_timestamp() - since) / 100 from public.test_clock);
create function public.gives(jsonb) returns jsonb language sql immutable return '[0, 1]'::jsonb;
create function public.fails(jsonb) returns jsonb language plpgsql as $$ begin raise exception 'no'; end $$;
create function public.reset() returns void language plpgsql as $$
declare v_table text;
begin
  update htdag.flow_versions set published_at = null;
  foreach v_table in array array['tasks', 'attempts', 'map_items', 'map_shards', 'run_queue', 'admission_log', 'run_io', 'runs', 'limits',
      'inbox', 'signals', 'memos', 'steps', 'flow_versions', 'flows'] loop
    execute format('delete from htdag.%I', v_table);
  end loop;
  delete from htdag.runners where runner_id > 0;
  delete from htdag.pauses;
  update public.test_clock set at = '2030-01-01', since = clock_timestamp();
end $$;
create function public.snapshot(p_whole boolean) returns jsonb language plpgsql as $$
begin
  return jsonb_build_object(
    'runs', (select jsonb_agg(jsonb_build_object('id', r.run_id, 'state', r.state, 'succeeded', r.succeeded::text, 'failed', r.failed::text,
               'skipped', r.skipped::text, 'startedat', r.started_at, 'parent', r.parent_run_id, 'parenttask', r.parent_task_id,
               'attempts', case when p_whole then (select count(*) from htdag.attempts a where a.run_id = r.run_id) end,
               'output', case when p_whole and r.finished_at is not null then htdag.run_output(r.run_id) end) order by r.run_id) from htdag.runs r),
    'tasks', (select jsonb_agg(jsonb_build_object('id', task_id, 'run', run_id, 'step', step_no, 'element', coalesce(map_index, 0), 'timeoutat', timeout_at)) from htdag.tasks),
    'violations', case when p_whole then (select jsonb_agg(format('run %s: %s: %s', run_id, invariant, detail)) from htdag.invariant_violations) end,
    'pumpdue', htdag.pump_due());
end $$;`

func newModelPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool := dbtest.New(t)
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	parts := fmt.Sprintf(`create function public.parts(jsonb) returns jsonb language sql immutable return '{"decompose": %s}'::jsonb;`, modelParts[1].part())
	if _, err := conn.Conn().PgConn().Exec(t.Context(), modelSetup+parts).ReadAll(); err != nil {
		t.Fatal(err)
	}
	return pool
}

func newWorld(t *rapid.T, pool *pgxpool.Pool) *world {
	w := &world{pool: pool}
	w.memos = map[string]modelMemo{}
	w.limited = rapid.Bool().Draw(t, "limits")
	w.exec(t, "select public.reset()")
	w.now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range rapid.IntRange(1, 3).Draw(t, "flows") {
		w.flows = append(w.flows, w.define(t, i))
	}
	for range rapid.IntRange(1, 2).Draw(t, "runners") {
		w.register(t)
	}
	return w
}

func (w *world) exec(t *rapid.T, statement string, args ...any) {
	if _, err := w.pool.Exec(context.Background(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, db.Error(err))
	}
}

func query[T any](t *rapid.T, w *world, fn pgx.RowToFunc[T], statement string, args ...any) []T {
	rows, _ := w.pool.Query(context.Background(), statement, args...)
	values, err := pgx.CollectRows(rows, fn)
	if err != nil {
		t.Fatalf("%s: %v", statement, db.Error(err))
	}
	return values
}

func (w *world) register(t *rapid.T) {
	r := &modelRunner{testRunner: testRunner{queries: dbsqlc.New(w.pool)}, expires: w.now.Add(30 * time.Second)}
	err := r.register(context.Background(), "runner", "k0", "k1")
	if err != nil {
		t.Fatal(err)
	}
	w.exec(t, "update htdag.runners set queues = array['default', 'q1', 'q-a', 'q-b', 'q-{q}'] where runner_id = $1", r.id)
	w.runners = append(w.runners, r)
}

// pick draws an element by its place, which says all and prints short.
func pick[T any](t *rapid.T, label string, from []T) T {
	return from[rapid.IntRange(0, len(from)-1).Draw(t, label)]
}

func (w *world) runner(t *rapid.T) *modelRunner { return pick(t, "runner", w.runners) }

// look reads what the engine has, and notes which runs were admitted and which began as
// the bodies of steps: those the model has begun as well.
func (w *world) look(t *rapid.T, whole ...bool) {
	w.adopt(t, whole...)
	for _, e := range w.seen.Runs {
		if w.byID(e.ID) == nil && (e.Parent == nil || w.child(e) == nil) {
			var parent, now string
			if e.Parent != nil {
				p := w.byID(*e.Parent)
				parent = fmt.Sprintf(", a child of run %d, which is %s with steps %v and %d children", p.id, p.shown(), p.steps, len(p.children))
				now = strings.Join(w.attempts(t, p), "; ")
			}
			t.Fatalf("run %d (%s, %d steps%s) is none that ought to be: %s", e.ID, e.State, len(e.Succeeded), parent, now)
		}
	}
}

// adopt takes note of the runs that were admitted: which and when is the engine's to say.
func (w *world) adopt(t *rapid.T, whole ...bool) {
	w.seen = query(t, w, pgx.RowTo[snapshot], "select public.snapshot($1)", len(whole) > 0)[0]
	for _, e := range w.seen.Runs {
		switch run := w.byID(e.ID); {
		case run == nil || run.state != "queued":
		case e.StartedAt != nil:
			run.state, run.startedAt = "running", *e.StartedAt
			w.advance(run)
		case run.flow.limit == 0:
			t.Fatalf("run %d is queued, but its flow has no limit", run.id)
		}
	}
}

func (w *world) byID(id int64) *modelRun {
	for _, r := range w.runs {
		if r.id == id {
			return r
		}
	}
	return nil
}

// child finds the run of the model that one of the engine's is: by the step of the
// parent that waits for it or, where none does any more, one that has come to the same.
func (w *world) child(e engineRun) *modelRun {
	parent := w.byID(*e.Parent)
	at := slices.IndexFunc(w.seen.Tasks, func(k engineTask) bool { return k.ID == *e.ParentTask })
	for _, exact := range []bool{true, false} {
		for _, r := range w.runs {
			if r.id != 0 || r.parent != parent || len(r.steps) != len(e.Succeeded) {
				continue
			}
			if exact && at >= 0 && parent.children[r.parentUnit] == r && r.parentUnit == (unit{w.seen.Tasks[at].Step, w.seen.Tasks[at].Element}) ||
				!exact && (parent.children[r.parentUnit] != r) && r.shown() == e.State {
				r.id = e.ID
				return r
			}
		}
	}
	return nil
}

func (e engineRun) states() (steps []stepState) {
	for no := range e.Succeeded {
		switch {
		case e.Succeeded[no] == '1':
			steps = append(steps, succeeded)
		case e.Failed[no] == '1':
			steps = append(steps, failed)
		case e.Skipped[no] == '1':
			steps = append(steps, skipped)
		default:
			steps = append(steps, open)
		}
	}
	return steps
}

func (w *world) engine(run *modelRun) engineRun {
	return w.seen.Runs[slices.IndexFunc(w.seen.Runs, func(e engineRun) bool { return e.ID == run.id })]
}

// check compares everything.
func (w *world) check(t *rapid.T) {
	w.look(t, true)
	var wrong []string
	note := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, v := range w.seen.Violations {
		note("invariant violated: %s", v)
	}
	running := map[*modelFlow]int{}
	for _, run := range w.runs {
		if run.id == 0 {
			note("a step of run %d ought to have begun a run, but has not", run.parent.id)
			continue
		}
		e := w.engine(run)
		if diff := cmp.Diff(run.steps, e.states(), cmpopts.EquateEmpty()); diff != "" {
			definition, _ := json.Marshal(run.flow.steps)
			note("steps of run %d (-model +engine):\n%s%s\n%s", run.id, diff, definition, strings.Join(w.attempts(t, run), "\n"))
		}
		if e.State != run.shown() {
			note("run %d is %s, but ought to be %s", run.id, e.State, run.shown())
		}
		if e.Attempts != len(run.log) {
			note("tries of run %d (-model +engine):\n%s", run.id, cmp.Diff(run.log, w.attempts(t, run)))
		}
		if !run.live() {
			if diff := cmp.Diff(asJSON(run.output()), asJSON(e.Output)); diff != "" {
				note("output of run %d (-model +engine):\n%s", run.id, diff)
			}
		}
		if e.State == "running" && run.parent == nil {
			running[run.flow]++
		}
	}
	for f, n := range running {
		if f.limit > 0 && n > f.limit {
			note("%d runs of flow %s are running; its limit is %d", n, f.name, f.limit)
		}
	}
	if n := len(w.errands()); n > 0 && !w.seen.PumpDue {
		note("%d errands are due, but pump has nothing to do", n)
	}
	if len(wrong) > 0 {
		t.Fatal(strings.Join(wrong, "\n"))
	}
}

// asJSON writes a value as the server and Go would both do.
func asJSON(v any) string {
	if raw, ok := v.(json.RawMessage); ok {
		v = nil
		if len(raw) > 0 {
			_ = json.Unmarshal(raw, &v)
		}
	}
	text, _ := json.Marshal(v)
	return string(text)
}

func (w *world) attempts(t *rapid.T, run *modelRun) []string {
	return query(t, w, pgx.RowTo[string], `select format('step %s element %s try %s: %s at %s: %s', step_no, map_index, attempt, outcome, finished_at, error)
		from htdag.attempts where run_id = $1 order by finished_at, step_no, map_index`, run.id)
}
