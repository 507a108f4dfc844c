package db_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/db/dbtest"
)

// modelWorkers share the cases among them, each with a database of its own.
const modelWorkers = 4

// Random flows, random commands, and a model that says what may follow. A case is a world
// of flows and runners, some thirty commands and all that is left to do then, the
// engine's tables compared with the model after each. More cases than the default of
// 100 for each of the workers: go test ./db -run TestModel -rapid.checks=2500
func TestModel(t *testing.T) {
	t.Parallel()
	for i := range modelWorkers {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			pool := newModelPool(t)
			cases := 0
			rapid.Check(t, func(rt *rapid.T) {
				if cases++; cases%50 == 0 {
					dbtest.Exec(t, pool, "vacuum")
				}
				for range i { // given a seed, each worker begins elsewhere in what follows from it
					rapid.Uint64().Draw(rt, "worker")
				}
				w := newWorld(rt, pool)
				rt.Repeat(map[string]func(*rapid.T){
					"start":   w.start,
					"claim":   w.claim,
					"answer":  w.answer,
					"answer2": w.answer, // twice as likely
					"pump":    w.pump,
					"signal":  w.signal,
					"cancel":  w.cancel,
					"pause":   w.pause,
					"resume":  w.resume,
					"clock":   w.clock,
					"silence": w.silence,
					"":        w.check,
				})
				w.drain(rt)
			})
		})
	}
}

func (w *world) start(t *rapid.T) {
	f := pick(t, "flow", w.flows)
	var inputs []any
	var runs []*modelRun
	for range rapid.IntRange(1, 2).Draw(t, "n") {
		input := map[string]any{"q": rapid.SampledFrom([]string{"a", "b"}).Draw(t, "q"), "items": "none"}
		if n := rapid.SampledFrom([]int{-1, 0, 1, 2, 3, 18}).Draw(t, "items"); n >= 0 {
			input["items"] = elements(n)
		}
		r := newModelRun(f, input)
		runs, inputs = append(runs, r), append(inputs, input)
	}
	ids := query(t, w, pgx.RowTo[int64], "select r from htdag.start_flows($1, array(select jsonb_array_elements($2::jsonb)), $3) r", f.name, inputs, rapid.IntRange(-1, 1).Draw(t, "priority"))
	for i, r := range runs {
		r.id = ids[i]
	}
	w.runs = append(w.runs, runs...)
}

// elements are n numbers as they come back from JSON.
func elements(n int) []any {
	items := make([]any, n)
	for i := range items {
		items[i] = float64(i)
	}
	return items
}

func sequence(n int) []int {
	items := make([]int, n)
	for i := range items {
		items[i] = i
	}
	return items
}

func (w *world) claim(t *rapid.T) {
	r, want := w.runner(t), rapid.IntRange(0, 6).Draw(t, "want")
	r.answers = dbsqlc.CompleteStepsParams{}
	rows, err := r.queries.ClaimSteps(context.Background(), r.id, int32(want))
	if w.refused(t, r, err) {
		return
	}
	claims, pump := sorted(rows)
	w.claimed(t, r, claims, want)
	if want > 0 && len(claims) == 0 {
		for _, run := range w.runs {
			if u, ok := w.claimable(run); ok {
				t.Fatalf("step %s element %d of run %d is ready, but nothing was claimed", run.flow.steps[u.step].Name, u.element, run.id)
			}
		}
		if n := len(w.errands()); n > 0 && !pump {
			t.Fatalf("%d errands are due, but nobody is told to pump", n)
		}
	}
}

// sorted tells the claims of an answer from the wish that pump be called.
func sorted(rows []dbsqlc.HtdagClaim) (claims []dbsqlc.HtdagClaim, pump bool) {
	for _, row := range rows {
		if row.Verdict == "claimed" {
			claims = append(claims, row)
		}
		pump = pump || row.Verdict == "pump"
	}
	return claims, pump
}

// refused says whether the engine turned a runner away, as it ought to if it is dead.
func (w *world) refused(t *rapid.T, r *modelRunner, err error) bool {
	if errors.Is(db.Error(err), db.ErrNotFound) != r.dead || err != nil && !r.dead {
		t.Fatalf("runner %d (dead: %t) got %v", r.id, r.dead, db.Error(err))
	}
	return r.dead
}

// claimed checks that what a runner was given was to be had.
func (w *world) claimed(t *rapid.T, r *modelRunner, claims []dbsqlc.HtdagClaim, want int) {
	w.look(t)
	if len(claims) > want {
		t.Fatalf("%d claims where %d were wanted", len(claims), want)
	}
	for _, row := range claims {
		run := w.byID(row.RunID)
		c := &modelClaim{run: run, task: row.TaskID, token: *row.Token, first: int(row.StepNo), last: int(row.LastStepNo), runner: r, active: true}
		if row.MapIndex != nil {
			c.element = int(*row.MapIndex)
		}
		if run.paused {
			t.Fatalf("a step of run %d was claimed, which is paused", run.id)
		}
		var before []int
		for no := c.first; no <= c.last; no++ {
			if !run.due(no, before...) {
				t.Fatalf("run %d (%s): step %s was claimed before what it needs has ended: %v", run.id, run.state, run.flow.steps[no].Name, run.steps)
			}
			before = append(before, no)
		}
		u := unit{c.first, c.element}
		if w.now.Before(run.notBefore[u]) || int(row.Attempt) != run.tries[u]+1 || run.tries[u] > run.flow.steps[c.first].MaxRetries {
			t.Fatalf("run %d step %d element %d: attempt %d after %d tries, not before %v", run.id, c.first, c.element, row.Attempt, run.tries[u], run.notBefore[u])
		}
		if run.elements[c.first] != nil && run.elements[c.first][c.element] != open {
			t.Fatalf("run %d step %d: element %d was claimed again", run.id, c.first, c.element)
		}
		if slices.ContainsFunc(w.claims, func(o *modelClaim) bool {
			return o.active && o.run == run && o.element == c.element && (o.covers(c.first) || c.covers(o.first))
		}) {
			t.Fatalf("run %d steps %d to %d element %d were claimed twice", run.id, c.first, c.last, c.element)
		}
		if f := run.flow.steps[c.first]; f.WantsNeeds && len(f.Needs) > 0 && c.first == c.last {
			if diff := cmp.Diff(asJSON(run.needsOutput(c.first)), asJSON(row.Needs)); diff != "" {
				t.Fatalf("needs of step %s of run %d (-model +engine):\n%s", f.Name, run.id, diff)
			}
		}
		if diff := cmp.Diff(asJSON(run.inputOf(c.first)), asJSON(row.Input)); diff != "" {
			t.Fatalf("input of step %d of run %d (-model +engine):\n%s", c.first, run.id, diff)
		}
		if run.items[c.first] != nil && asJSON(run.items[c.first][c.element]) != asJSON(row.Item) {
			t.Fatalf("element %d of step %d of run %d is %s", c.element, c.first, run.id, row.Item)
		}
		c.timeoutAt = *w.seen.Tasks[slices.IndexFunc(w.seen.Tasks, func(k engineTask) bool { return k.ID == c.task })].TimeoutAt
		w.claims, r.held = append(w.claims, c), append(r.held, c)
	}
}

func (w *world) pump(t *rapid.T) {
	w.exec(t, "select htdag.pump(1000)")
	w.adopt(t) // ends make room for others, whose errands are then run as well
	w.model.pump()
	w.look(t)
	if w.seen.PumpDue {
		t.Fatalf("pump says there is more to do after it has done everything: %v", query(t, w, pgx.RowTo[string], `
			select format('%s', i) from htdag.inbox i union all select format('%s', g) from htdag.signals g where awaited
			union all select format('%s', t) from htdag.tasks t where runner_id is null limit 20`))
	}
}

// signal sends one to a run that may wait for it now, later or no more.
func (w *world) signal(t *rapid.T) {
	var runs []*modelRun
	for _, r := range w.runs {
		if slices.ContainsFunc(r.flow.steps, func(s stepSpec) bool { return s.Signal != nil }) {
			runs = append(runs, r)
		}
	}
	if len(runs) == 0 {
		t.Skip("no run waits for signals")
	}
	w.send(t, pick(t, "run", runs))
}

func (w *world) send(t *rapid.T, run *modelRun) {
	for _, s := range run.flow.steps {
		if s.Signal == nil {
			continue
		}
		payload := float64(len(run.signals[*s.Signal]))
		_, err := w.pool.Exec(context.Background(), "select htdag.send_signal($1, $2, to_jsonb($3::int))", run.id, *s.Signal, int(payload))
		if errors.Is(db.Error(err), db.ErrState) == run.live() || err != nil && run.live() {
			t.Fatalf("signal to run %d, which is %s: %v", run.id, run.state, err)
		}
		if run.live() {
			run.signals[*s.Signal] = append(run.signals[*s.Signal], payload)
		}
	}
}

func (w *world) cancel(t *rapid.T) {
	if len(w.runs) == 0 || rapid.IntRange(0, 2).Draw(t, "really") > 0 {
		t.Skip("nothing to cancel")
	}
	run := pick(t, "run", w.runs)
	did := query(t, w, pgx.RowTo[bool], "select htdag.cancel_run($1)", run.id)[0]
	if did != run.live() {
		t.Fatalf("cancelling run %d (%s) returned %t", run.id, run.state, did)
	} else if did {
		w.model.cancel(run)
		for w.carry() > 0 {
		}
	}
}
