package db_test

import (
	"context"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/htdag/htdag/db/dbsqlc"
)

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
		for _, at := range run.patience {
			if near(at) {
				return true
			}
		}
	}
	for _, memo := range w.memos {
		if near(memo.expires) {
			return true
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
	for _, run := range slices.Clone(w.runs) {
		w.advance(run)
	}
	w.look(t)
	for _, run := range slices.Clone(w.runs) {
		if run.state == "running" && run.flow.timeout > 0 && !run.expired && !run.paused && run.startedAt.Add(run.flow.timeout).Before(w.now) {
			w.expire(run, w.engine(run).states())
			w.advance(run)
		}
	}
	w.carry()
}

// drain does all that is left to do: everything comes to an end.
func (w *world) drain(t *rapid.T) {
	for _, r := range w.runners {
		r.silent = true
	}
	w.register(t)
	w.resumeAll(t)
	r := w.runners[len(w.runners)-1]
	for turn := range 200 {
		w.look(t)
		if !slices.ContainsFunc(w.runs, (*modelRun).live) {
			break
		}
		for _, run := range w.runs {
			if len(run.waiting) > 0 {
				w.send(t, run)
			}
		}
		w.pump(t)
		r.answers = dbsqlc.CompleteStepsParams{}
		claims, err := r.exchange(context.Background(), 100)
		if err != nil {
			t.Fatal(err)
		}
		w.claimed(t, r, claims, 100)
		var results []result
		for _, c := range r.held {
			for no := c.first; no <= c.last; no++ {
				r.testRunner.answer(c.task, c.token, int16(no), "succeeded", nil)
				if c.active {
					results = append(results, result{run: c.run, unit: unit{no, c.element}, outcome: "succeeded", task: c.task})
				}
			}
			c.active = false
		}
		r.held = nil
		if _, err := r.exchange(context.Background(), 0); err != nil {
			t.Fatal(err)
		}
		w.apply(results)
		if len(claims) == 0 && turn > 0 {
			w.pass(t, 25*time.Second)
		}
	}
	w.check(t)
	for _, run := range w.runs {
		if run.live() {
			t.Fatalf("run %d is still %s: %v", run.id, run.state, run.steps)
		}
	}
}
