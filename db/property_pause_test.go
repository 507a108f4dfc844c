package db_test

import (
	"context"
	"errors"

	"pgregory.net/rapid"

	"github.com/htdag/htdag/db"
)

// shown is the state as the engine names it.
func (r *modelRun) shown() string {
	if r.paused && r.state == "running" {
		return "paused"
	}
	return r.state
}

// tree lists a run and what runs below it.
func (m *model) tree(root *modelRun) (runs []*modelRun) {
	for _, r := range m.runs {
		for up := r; up != nil; up = up.parent {
			if up == root {
				runs = append(runs, r)
				break
			}
		}
	}
	return runs
}

// pause holds a run that is under way, at whatever level, with all below it.
func (w *world) pause(t *rapid.T) {
	var running []*modelRun
	for _, r := range w.runs {
		if r.state == "running" {
			running = append(running, r)
		}
	}
	if len(running) == 0 {
		t.Skip("nothing to pause")
	}
	run := pick(t, "run", running)
	news := false
	for _, r := range w.tree(run) {
		if r.state == "running" && !r.paused {
			r.paused, r.pausedAt, news = true, w.now, true
		}
	}
	var did bool
	if err := w.pool.QueryRow(context.Background(), "select htdag.pause_run($1, 'for a test')", run.id).Scan(&did); err != nil || did != news {
		t.Fatalf("pausing run %d said %t, %v; want %t", run.id, did, db.Error(err), news)
	}
}

func (w *world) resume(t *rapid.T) {
	var paused []*modelRun
	for _, r := range w.runs {
		if r.shown() == "paused" {
			paused = append(paused, r)
		}
	}
	if len(paused) == 0 {
		t.Skip("nothing is paused")
	}
	w.goOn(t, pick(t, "run", paused))
}

// goOn resumes a run, which is refused below one that is paused itself.
func (w *world) goOn(t *rapid.T, run *modelRun) {
	var did bool
	err := w.pool.QueryRow(context.Background(), "select htdag.resume_run($1)", run.id).Scan(&did)
	if run.parent != nil && run.parent.shown() == "paused" {
		if !errors.Is(db.Error(err), db.ErrState) {
			t.Fatalf("resuming run %d below run %d, which is paused, said %t, %v", run.id, run.parent.id, did, err)
		}
		return
	}
	if err != nil || !did {
		t.Fatalf("resuming run %d said %t, %v", run.id, did, db.Error(err))
	}
	for _, r := range w.tree(run) {
		if r.shown() == "paused" {
			r.paused, r.startedAt = false, r.startedAt.Add(w.now.Sub(r.pausedAt))
		}
	}
}

// resumeAll lets everything go on, from the top down.
func (w *world) resumeAll(t *rapid.T) {
	for _, r := range w.runs {
		if r.shown() == "paused" && (r.parent == nil || r.parent.shown() != "paused") {
			w.goOn(t, r)
		}
	}
}
