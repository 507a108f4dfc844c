package db_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
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
	flows   []*modelFlow
	runners []*modelRunner
}

func newWorld(t *rapid.T, pool *pgxpool.Pool) *world {
	w := &world{pool: pool}
	for _, table := range strings.Fields("tasks attempts map_items map_shards run_queue admission_log run_io runs runners limits steps flow_versions flows") {
		if table == "steps" {
			w.exec(t, "update htdag.flow_versions set published_at = null")
		}
		w.exec(t, "delete from htdag."+table)
	}
	w.exec(t, "update public.test_clock set at = '2030-01-01', since = clock_timestamp()")
	w.now = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range rapid.IntRange(1, 3).Draw(t, "flows") {
		w.flows = append(w.flows, w.define(t, fmt.Sprintf("f%d", i)))
	}
	for range rapid.IntRange(1, 3).Draw(t, "runners") {
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

// define draws a flow. Where its bundles depend on each other in a circle it goes
// without them.
func (w *world) define(t *rapid.T, name string) *modelFlow {
	f := &modelFlow{name: name}
	n := rapid.IntRange(0, 7).Draw(t, "steps")
	flag := rapid.Bool()
	var steps []stepSpec
	for i := range n {
		s := stepSpec{
			Name: fmt.Sprintf("s%d", i), Kind: rapid.SampledFrom([]string{"k0", "k1"}).Draw(t, "kind"),
			Queue: rapid.SampledFrom([]string{"default", "default", "q1", "q-{q}"}).Draw(t, "queue"),
			Needs: []string{}, RunOn: "success", MaxRetries: rapid.IntRange(0, 2).Draw(t, "max_retries"),
			OnFailure:    rapid.SampledFrom([]string{"fail", "fail", "skip", "continue"}).Draw(t, "on_failure"),
			InitialDelay: modelDelay.String(), Timeout: modelTimeout.String(), WantsNeeds: flag.Draw(t, "wants_needs"),
		}
		if i > 0 {
			s.Needs = rapid.SliceOfNDistinct(rapid.Map(rapid.IntRange(0, i-1), func(n int) string { return fmt.Sprintf("s%d", n) }), 0, 3, rapid.ID).Draw(t, "needs")
		}
		if len(s.Needs) > 0 {
			s.RunOn = rapid.SampledFrom([]string{"success", "success", "success", "failure", "always"}).Draw(t, "run_on")
		}
		switch rapid.IntRange(0, 5).Draw(t, "sort") {
		case 0:
			over := "input.items"
			if len(s.Needs) > 0 && flag.Draw(t, "over a need") {
				over = s.Needs[0]
			}
			s.Map = &over
		case 1, 2:
			if s.RunOn == "success" {
				bundle := rapid.SampledFrom([]string{"b0", "b1"}).Draw(t, "bundle")
				s.Bundle = &bundle
			}
		}
		steps = append(steps, s)
	}
	ordered := []stepSpec{}
	for _, i := range rapid.Permutation(sequence(n)).Draw(t, "order") {
		ordered = append(ordered, steps[i])
	}
	spec := map[string]any{"flow": name, "steps": ordered}
	if rapid.IntRange(0, 3).Draw(t, "timeout") == 0 {
		f.timeout = 2 * time.Minute
		spec["timeout"] = f.timeout.String()
	}
	if _, err := w.pool.Exec(context.Background(), "select htdag.define_flow($1)", spec); err != nil {
		if !errors.Is(db.Error(err), db.ErrDefinition) {
			t.Fatalf("define %v: %v", spec, err)
		}
		for i := range steps {
			steps[i].Bundle = nil
		}
		spec["steps"] = steps
		w.exec(t, "select htdag.define_flow($1)", spec)
	}
	if definition, err := json.Marshal(spec); err == nil {
		t.Log(string(definition))
	}
	f.number = map[string]int{}
	for no, step := range query(t, w, pgx.RowTo[string], "select s.name from htdag.steps s join htdag.flow_versions using (flow_version_id) join htdag.flows f using (flow_id) where f.name = $1 order by step_no", name) {
		f.number[step] = no
		f.steps = append(f.steps, steps[slices.IndexFunc(steps, func(s stepSpec) bool { return s.Name == step })])
	}
	if rapid.IntRange(0, 2).Draw(t, "limited") == 0 {
		f.limit = rapid.IntRange(1, 3).Draw(t, "limit")
		w.exec(t, "select htdag.set_limits($1, p_max_concurrent_runs => $2, p_rate_per_minute => 100)", name, f.limit)
	}
	return f
}

func (w *world) register(t *rapid.T) {
	r := &modelRunner{testRunner: testRunner{queries: dbsqlc.New(w.pool)}, expires: w.now.Add(30 * time.Second)}
	err := r.register(context.Background(), "runner", "k0", "k1")
	if err != nil {
		t.Fatal(err)
	}
	w.exec(t, "update htdag.runners set queues = '{default,q1,q-a,q-b}' where runner_id = $1", r.id)
	w.runners = append(w.runners, r)
}

// pick draws an element by its place, which says all and prints short.
func pick[T any](t *rapid.T, label string, from []T) T {
	return from[rapid.IntRange(0, len(from)-1).Draw(t, label)]
}

func (w *world) runner(t *rapid.T) *modelRunner { return pick(t, "runner", w.runners) }

// read returns the state of a run and of its steps as the engine has them.
func (w *world) read(t *rapid.T, run *modelRun) (state string, steps []stepState) {
	type masks struct{ State, Succeeded, Failed, Skipped string }
	m := query(t, w, pgx.RowToStructByPos[masks], "select state, succeeded::text, failed::text, skipped::text from htdag.runs where run_id = $1", run.id)[0]
	for no := range run.flow.steps {
		switch {
		case m.Succeeded[no] == '1':
			steps = append(steps, succeeded)
		case m.Failed[no] == '1':
			steps = append(steps, failed)
		case m.Skipped[no] == '1':
			steps = append(steps, skipped)
		default:
			steps = append(steps, open)
		}
	}
	return m.State, steps
}

func (w *world) check(t *rapid.T) {
	var wrong []string
	note := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, v := range query(t, w, pgx.RowTo[string], "select format('run %s: %s: %s', run_id, invariant, detail) from htdag.invariant_violations") {
		note("invariant violated: %s", v)
	}
	running := map[*modelFlow]int{}
	for _, run := range w.runs {
		state, steps := w.read(t, run)
		if diff := cmp.Diff(run.steps, steps); diff != "" && len(run.steps) > 0 {
			definition, _ := json.Marshal(run.flow.steps)
			note("steps of run %d (-model +engine):\n%s%s\n%s", run.id, diff, definition, strings.Join(w.attempts(t, run), "\n"))
		}
		if state != run.state {
			note("run %d is %s, but ought to be %s", run.id, state, run.state)
		}
		if state == "running" {
			running[run.flow]++
		}
	}
	for f, n := range running {
		if f.limit > 0 && n > f.limit {
			note("%d runs of flow %s are running; its limit is %d", n, f.name, f.limit)
		}
	}
	if len(wrong) > 0 {
		t.Fatal(strings.Join(wrong, "\n"))
	}
}

func (w *world) attempts(t *rapid.T, run *modelRun) []string {
	return query(t, w, pgx.RowTo[string], `select format('step %s element %s try %s: %s at %s: %s', step_no, map_index, attempt, outcome, finished_at, error)
		from htdag.attempts where run_id = $1 order by finished_at, step_no, map_index`, run.id)
}

// drain does all that is left to do: everything comes to an end.
func (w *world) drain(t *rapid.T) {
	w.register(t)
	r := w.runners[len(w.runners)-1]
	for range 300 {
		if !slices.ContainsFunc(w.runs, func(run *modelRun) bool { return run.state == "queued" || run.state == "running" }) {
			break
		}
		r.answers = dbsqlc.CompleteStepsParams{}
		claims, err := r.exchange(context.Background(), 100)
		if err != nil {
			t.Fatal(err)
		}
		w.claimed(t, r, claims, 100)
		for _, c := range r.held {
			for no := c.first; no <= c.last; no++ {
				r.testRunner.answer(c.task, c.token, int16(no), "succeeded", nil)
				if c.active {
					w.model.answer(c, no, "succeeded", nil)
				}
			}
			c.active = false
		}
		r.held = nil
		if _, err := r.exchange(context.Background(), 0); err != nil {
			t.Fatal(err)
		}
		for _, run := range w.runs {
			w.advance(run)
		}
		w.adopt(t)
		if len(claims) == 0 {
			w.pass(t, 25*time.Second)
		}
		w.check(t)
	}
	var wrong []string
	note := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, run := range w.runs {
		if attempts := w.attempts(t, run); len(attempts) != run.logged {
			note("run %d has %d attempts, there ought to be %d:\n%s", run.id, len(attempts), run.logged, strings.Join(attempts, "\n"))
		}
		if run.state == "queued" || run.state == "running" {
			note("run %d is still %s: %v", run.id, run.state, run.steps)
		}
	}
	for _, s := range query(t, w, pgx.RowTo[string], `
		select format('run %s step %s', a.run_id, s.name)
		  from htdag.attempts a
		  join htdag.runs r using (run_id)
		  join htdag.steps s on s.flow_version_id = r.flow_version_id and s.step_no = a.step_no
		 where a.outcome <> 'cancelled'
		 group by a.run_id, a.map_index, s.name, s.max_retries
		having count(*) > s.max_retries + 1 or count(*) filter (where a.outcome = 'succeeded') > 1`) {
		note("tried too often: %s", s)
	}
	if len(wrong) > 0 {
		t.Fatal(strings.Join(wrong, "\n"))
	}
}
