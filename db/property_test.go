package db_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/db/dbtest"
)

// Random flows, random commands, and a model that says what may follow. More cases
// than the default: go test ./db -run TestModel -rapid.checks=5000
func TestModel(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	// The engine's clock is the test's, but for a hundredth of the time that really
	// passes, so that no two moments are the same.
	dbtest.Exec(t, pool, "create table public.test_clock (at timestamptz not null, since timestamptz not null default clock_timestamp())")
	dbtest.Exec(t, pool, "insert into public.test_clock values ('2030-01-01')")
	dbtest.Exec(t, pool, `create or replace function htdag.clock() returns timestamptz language sql volatile set search_path = ''
		return (select at + (clock_timestamp() - since) / 100 from public.test_clock)`)
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(rt, pool)
		rt.Repeat(map[string]func(*rapid.T){
			"start":   w.start,
			"claim":   w.claim,
			"answer":  w.answer,
			"answer2": w.answer, // twice as likely
			"cancel":  w.cancel,
			"clock":   w.clock,
			"silence": w.silence,
			"":        w.check,
		})
		w.drain(rt)
	})
}

func (w *world) start(t *rapid.T) {
	f := pick(t, "flow", w.flows)
	var inputs []map[string]any
	var runs []*modelRun
	for range rapid.IntRange(1, 3).Draw(t, "n") {
		r := &modelRun{flow: f, state: "queued", steps: slices.Repeat([]stepState{open}, len(f.steps)), items: map[int][]int{},
			elements: map[int][]stepState{}, tries: map[unit]int{}, notBefore: map[unit]time.Time{}}
		input := map[string]any{"q": rapid.SampledFrom([]string{"a", "b"}).Draw(t, "q"), "items": "none"}
		if n := rapid.SampledFrom([]int{-1, 0, 1, 2, 3, 20, 40}).Draw(t, "items"); n >= 0 {
			r.input = sequence(n)
			input["items"] = r.input
		}
		runs, inputs = append(runs, r), append(inputs, input)
	}
	ids := query(t, w, pgx.RowTo[int64], "select r from htdag.start_flows($1, array(select jsonb_array_elements($2::jsonb)), $3) r", f.name, inputs, rapid.IntRange(-1, 1).Draw(t, "priority"))
	for i, r := range runs {
		r.id = ids[i]
	}
	w.runs = append(w.runs, runs...)
	w.adopt(t)
}

func sequence(n int) []int {
	items := make([]int, n)
	for i := range items {
		items[i] = i
	}
	return items
}

// adopt takes note of the runs that were admitted: which and when is the engine's to say.
func (w *world) adopt(t *rapid.T) {
	for _, r := range w.runs {
		if r.state != "queued" {
			continue
		}
		started := query(t, w, pgx.RowTo[*time.Time], "select started_at from htdag.runs where run_id = $1", r.id)[0]
		if started != nil {
			r.state, r.startedAt = "running", *started
			w.advance(r)
		} else if r.flow.limit == 0 {
			t.Fatalf("run %d is queued, but its flow has no limit", r.id)
		}
	}
}

func (w *world) claim(t *rapid.T) {
	r, want := w.runner(t), rapid.IntRange(0, 6).Draw(t, "want")
	r.answers = dbsqlc.CompleteStepsParams{}
	claims, err := r.exchange(context.Background(), want)
	if w.refused(t, r, err) {
		return
	}
	w.claimed(t, r, claims, want)
	if want > 0 && len(claims) == 0 {
		for _, run := range w.runs {
			if no, element, ok := w.claimable(run); ok {
				t.Fatalf("step %s element %d of run %d is ready, but nothing was claimed", run.flow.steps[no].Name, element, run.id)
			}
		}
	}
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
	w.adopt(t)
	if len(claims) > want {
		t.Fatalf("%d claims where %d were wanted", len(claims), want)
	}
	for _, row := range claims {
		run := w.runs[slices.IndexFunc(w.runs, func(m *modelRun) bool { return m.id == row.RunID })]
		c := &modelClaim{run: run, task: row.TaskID, token: *row.Token, first: int(row.StepNo), last: int(row.LastStepNo), runner: r, active: true}
		if row.MapIndex != nil {
			c.element = int(*row.MapIndex)
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
			var needs map[string]any
			if err := json.Unmarshal(row.Needs, &needs); err != nil || len(needs) != len(f.Needs) {
				t.Fatalf("needs of step %s are %s", f.Name, row.Needs)
			}
		}
		c.timeoutAt = query(t, w, pgx.RowTo[time.Time], "select timeout_at from htdag.tasks where task_id = $1", c.task)[0]
		w.claims, r.held = append(w.claims, c), append(r.held, c)
	}
}

// answer hands in results for some of the claims of a runner, in time or too late.
func (w *world) answer(t *rapid.T) {
	r := w.runner(t)
	if len(r.held) == 0 {
		t.Skip("nothing to answer")
	}
	r.answers = dbsqlc.CompleteStepsParams{}
	type result struct {
		claim   *modelClaim
		no      int
		outcome string
		items   []int
	}
	var results []result
	var stale []int64
	for _, i := range rapid.SliceOfNDistinct(rapid.IntRange(0, len(r.held)-1), 1, min(5, len(r.held)), rapid.ID).Draw(t, "claims") {
		c := r.held[i]
		token := c.token
		if rapid.IntRange(0, 15).Draw(t, "forge") == 0 {
			token++
		}
		if !c.active || token != c.token {
			stale = append(stale, c.task)
		}
		last := rapid.IntRange(c.first, c.last).Draw(t, "last")
		for no := c.first; no <= last; no++ {
			res := result{claim: c, no: no, outcome: "succeeded"}
			if no == last {
				res.outcome = rapid.SampledFrom([]string{"succeeded", "succeeded", "succeeded", "failed", "failed", "failed_permanently", "timed_out", "released"}).Draw(t, "outcome")
			}
			var output json.RawMessage
			if res.outcome == "succeeded" && rapid.Bool().Draw(t, "array") {
				res.items = sequence(rapid.IntRange(0, 3).Draw(t, "length"))
				output, _ = json.Marshal(res.items)
			}
			for range rapid.SampledFrom([]int{1, 1, 1, 1, 2}).Draw(t, "times") {
				r.testRunner.answer(c.task, token, int16(no), res.outcome, output)
			}
			if c.active && token == c.token {
				results = append(results, res)
			}
		}
	}
	want := rapid.IntRange(0, 4).Draw(t, "want")
	params := r.answers
	params.Runner, params.Want = r.id, int32(want)
	rows, err := r.queries.CompleteSteps(context.Background(), params)
	if w.refused(t, r, err) {
		return
	}
	var claims []dbsqlc.HtdagClaim
	var told []int64
	for _, row := range rows {
		switch row.Verdict {
		case "claimed":
			claims = append(claims, row)
		case "stale":
			told = append(told, row.TaskID)
		}
	}
	// A runner may have held a task twice; it is told once, and not if one answer was in time.
	stale = slices.DeleteFunc(stale, func(task int64) bool {
		return slices.ContainsFunc(results, func(res result) bool { return res.claim.task == task })
	})
	slices.Sort(stale)
	stale = slices.Compact(stale)
	slices.Sort(told)
	if diff := cmp.Diff(stale, told, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("stale results (-model +engine):\n%s", diff)
	}
	for _, res := range results {
		res.claim.active = false
		w.model.answer(res.claim, res.no, res.outcome, res.items)
	}
	for _, run := range w.runs {
		w.advance(run)
	}
	w.claimed(t, r, claims, want)
}

func (w *world) cancel(t *rapid.T) {
	if len(w.runs) == 0 || rapid.IntRange(0, 2).Draw(t, "really") > 0 {
		t.Skip("nothing to cancel")
	}
	run := pick(t, "run", w.runs)
	did := query(t, w, pgx.RowTo[bool], "select htdag.cancel_run($1)", run.id)[0]
	if lives := run.state == "queued" || run.state == "running"; did != lives {
		t.Fatalf("cancelling run %d (%s) returned %t", run.id, run.state, did)
	} else if lives {
		run.state = "cancelled"
		for no, s := range run.steps {
			if s == open {
				run.steps[no] = skipped
			}
		}
		w.advance(run)
	}
	w.adopt(t)
}

func (w *world) silence(t *rapid.T) { w.runner(t).silent = true }

// clock lets time pass in slices short enough for heartbeats to keep leases alive.
func (w *world) clock(t *rapid.T) {
	w.pass(t, rapid.SampledFrom([]time.Duration{8 * time.Second, 23 * time.Second, 62 * time.Second}).Draw(t, "by"))
}

func (w *world) pass(t *rapid.T, by time.Duration) {
	for by > 0 {
		slice := min(by, 20*time.Second)
		by -= slice
		w.now = w.now.Add(slice)
		for w.onTheEdge() {
			w.now = w.now.Add(time.Second)
		}
		w.exec(t, "update public.test_clock set at = $1", w.now)
		for _, r := range slices.Clone(w.runners) {
			if !r.silent {
				w.heartbeat(t, r)
			}
		}
		w.exec(t, "select htdag.upkeep()")
		w.upkeep(t)
		for i, r := range w.runners {
			if r.dead && r.silent {
				w.runners = slices.Delete(w.runners, i, i+1)
				w.register(t)
				break
			}
		}
	}
}

// onTheEdge says that something is due so close to now that who comes first is luck.
func (w *world) onTheEdge() bool {
	near := func(at time.Time) bool { return w.now.Sub(at).Abs() < time.Second }
	for _, run := range w.runs {
		if run.flow.timeout > 0 && near(run.startedAt.Add(run.flow.timeout)) {
			return true
		}
		for _, at := range run.notBefore {
			if near(at) {
				return true
			}
		}
	}
	return slices.ContainsFunc(w.claims, func(c *modelClaim) bool { return near(c.timeoutAt) }) ||
		slices.ContainsFunc(w.runners, func(r *modelRunner) bool { return near(r.expires) })
}

func (w *world) heartbeat(t *rapid.T, r *modelRunner) {
	p := dbsqlc.HeartbeatParams{Runner: r.id, Lease: 30 * time.Second}
	for _, c := range r.held {
		p.TaskIds, p.Tokens = append(p.TaskIds, c.task), append(p.Tokens, c.token)
	}
	gone, err := r.queries.Heartbeat(context.Background(), p)
	if w.refused(t, r, err) {
		return
	}
	r.expires = w.now.Add(p.Lease)
	w.upkeep(t)
	told := map[int64]bool{}
	for _, g := range gone {
		told[*g.Token] = true
	}
	for _, c := range r.held {
		if told[c.token] == c.active {
			t.Fatalf("runner %d holds task %d (active: %t), but the heartbeat says gone: %t", r.id, c.task, c.active, told[c.token])
		}
	}
}

// upkeep is the model's part of what the engine does at its ticks.
func (w *world) upkeep(t *rapid.T) {
	for _, r := range w.runners {
		r.dead = r.dead || r.expires.Before(w.now)
	}
	w.model.silence()
	for _, run := range w.runs {
		w.advance(run)
	}
	for _, run := range w.runs {
		if run.state == "running" && run.flow.timeout > 0 && !run.expired && run.startedAt.Add(run.flow.timeout).Before(w.now) {
			_, told := w.read(t, run)
			w.expire(run, told)
			w.advance(run)
		}
	}
	w.adopt(t)
}
