package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
)

// htdagSQL speaks to the engine's functions as package runner does, from one
// connection per worker: results go in and work comes out in one call.
type htdagSQL struct {
	bundled bool // steps that follow each other are one task
	shape   Shape
	conns   conns
	workers []htdagWorker // by connection
}

type htdagWorker struct {
	queries *dbsqlc.Queries
	runner  int32
}

// What README.md gives the reasons for.
const (
	htdagBatch  = 50 // tasks claimed and completed in one call
	htdagStarts = 50 // runs started in one call
)

func (e *htdagSQL) Name() string {
	if e.bundled {
		return "htdag bundles"
	}
	return "htdag"
}

func (e *htdagSQL) Shapes() []Shape {
	if e.bundled {
		return []Shape{Chain, Ingest, Idle}
	}
	return Shapes
}

func (e *htdagSQL) Open(ctx context.Context, url string, shape Shape) error {
	e.shape, e.conns.url = shape, url
	return installHtdag(ctx, url, shape, e.bundled)
}

// installHtdag installs the engine and defines a shape as a flow of its name.
func installHtdag(ctx context.Context, url string, shape Shape, bundled bool) error {
	pool, err := db.Open(ctx, url, db.Options{})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := db.Up(ctx, pool); err != nil {
		return err
	}
	spec, err := json.Marshal(htdagFlow(shape, bundled))
	if err != nil {
		return err
	}
	if _, err := pool.Exec(ctx, "select htdag.define_flow($1)", spec); err != nil {
		return fmt.Errorf("define flow %s: %w", shape, db.Error(err))
	}
	return nil
}

// htdagFlow writes a shape as define_flow takes it. All steps are of one kind, as one
// program does them all.
func htdagFlow(shape Shape, bundled bool) map[string]any {
	var steps []map[string]any
	for _, s := range shape.Graph() {
		step := map[string]any{"name": s.Name, "needs": s.Needs, "kind": "noop"}
		if s.Needs == nil {
			step["needs"] = []string{}
		}
		if s.Map {
			step["map"] = s.Needs[0]
		}
		if s.Name == "reduce" {
			step["wants_needs"] = true // it would reduce nothing otherwise
		}
		if bundle := htdagBundle(shape, s.Name); bundled && bundle != "" {
			step["bundle"] = bundle
		}
		steps = append(steps, step)
	}
	return map[string]any{"flow": string(shape), "steps": steps}
}

// htdagBundle names the bundle of a step: a whole chain is one, and ingest has those
// of the built-in flow that it is taken from.
func htdagBundle(shape Shape, step string) string {
	if shape != Ingest {
		return "all"
	}
	switch step {
	case "file_detection", "file_validation", "content_validation", "permission_check":
		return "validation"
	case "embedding_generation":
		return ""
	case "vector_index_update", "search_index_rebuild", "graph_update":
		return "indexing"
	}
	return "parsing"
}

func (e *htdagSQL) Run(ctx context.Context, runs, workers int) (Sample, error) {
	if err := e.ready(ctx, max(workers, 2)); err != nil {
		return Sample{}, err
	}
	c := crew[int64]{starts: htdagStarts, start: e.start, work: e.work}
	return c.run(ctx, e.shape, runs, workers)
}

// ready connects and registers that many workers.
func (e *htdagSQL) ready(ctx context.Context, n int) error {
	if err := e.conns.atLeast(ctx, n); err != nil {
		return err
	}
	for _, conn := range e.conns.list[len(e.workers):] {
		w := htdagWorker{queries: dbsqlc.New(conn)}
		var err error
		w.runner, err = w.queries.RegisterRunner(ctx, dbsqlc.RegisterRunnerParams{
			Name: fmt.Sprintf("bench %d", len(e.workers)), Queues: []string{"default"}, Kinds: []string{"noop"}, Concurrency: htdagBatch, Lease: time.Hour,
		})
		if err != nil {
			return fmt.Errorf("register a runner: %w", db.Error(err))
		}
		e.workers = append(e.workers, w)
	}
	return nil
}

func (e *htdagSQL) start(ctx context.Context, worker, runs int) ([]int64, error) {
	rows, err := e.conns.list[worker].Query(ctx, "select array(select htdag.start_flows($1, array_fill('{}'::jsonb, array[$2::int])))", string(e.shape), runs)
	if err != nil {
		return nil, err
	}
	return one[[]int64](rows)
}

// work completes what it holds and claims more, in one call, until all is done.
func (e *htdagSQL) work(ctx context.Context, worker int, l *ledger[int64]) error {
	w := e.workers[worker]
	var held []dbsqlc.HtdagClaim
	for !l.isOver() {
		claims, err := w.exchange(ctx, held)
		if err != nil {
			return err
		}
		for _, c := range held {
			for range c.LastStepNo - c.StepNo + 1 {
				l.done(c.RunID)
			}
		}
		if held = claims; len(held) == 0 {
			time.Sleep(time.Millisecond) // others hold the rest, or will make more of it
		}
	}
	return nil
}

// exchange hands in the results of what was held and returns new claims.
func (w htdagWorker) exchange(ctx context.Context, held []dbsqlc.HtdagClaim) (claims []dbsqlc.HtdagClaim, err error) {
	var answers []dbsqlc.HtdagClaim
	if len(held) == 0 {
		answers, err = w.queries.ClaimSteps(ctx, w.runner, htdagBatch)
	} else {
		p := dbsqlc.CompleteStepsParams{Runner: w.runner, Want: htdagBatch}
		for _, c := range held {
			for no := c.StepNo; no <= c.LastStepNo; no++ {
				p.TaskIds, p.Tokens, p.StepNos = append(p.TaskIds, c.TaskID), append(p.Tokens, *c.Token), append(p.StepNos, no)
				p.Outcomes, p.Outputs = append(p.Outcomes, "succeeded"), append(p.Outputs, htdagOutput(c))
				p.Errors, p.Ran = append(p.Errors, ""), append(p.Ran, 0)
			}
		}
		answers, err = w.queries.CompleteSteps(ctx, p)
	}
	if err != nil {
		return nil, db.Error(err)
	}
	for _, a := range answers {
		switch a.Verdict {
		case "claimed":
			claims = append(claims, a)
		case "stale":
			return nil, errors.New("a result was not accepted")
		}
	}
	return claims, nil
}

// htdagOutput is what the handler of a step answers: an array for the map to come,
// each element itself, nothing otherwise.
func htdagOutput(c dbsqlc.HtdagClaim) json.RawMessage {
	switch {
	case c.MapIndex != nil:
		return c.Item
	case c.Flow == string(Map) && c.StepNo == 0:
		return elements
	}
	return nil
}

func (e *htdagSQL) Verify(ctx context.Context, runs int) error {
	return verifyHtdag(ctx, &e.conns, e.shape, runs)
}

func verifyHtdag(ctx context.Context, c *conns, shape Shape, runs int) error {
	if err := c.atLeast(ctx, 1); err != nil {
		return err
	}
	facts := []fact{
		{"runs that succeeded", "select count(*) from htdag.runs where state = 'succeeded'", runs},
		{"runs that did not succeed", "select count(*) from htdag.runs where state <> 'succeeded'", 0},
		{"tries of steps", "select count(*) from htdag.attempts where outcome = 'succeeded'", runs * shape.Tasks()},
		{"tries of steps that did not succeed", "select count(*) from htdag.attempts where outcome <> 'succeeded'", 0},
		{"tasks left over", "select count(*) from htdag.tasks", 0},
		{"contradictions in the engine's tables", "select count(*) from htdag.invariant_violations", 0},
	}
	if shape == Storm {
		facts = []fact{
			{"runs that wait for their first step", "select count(*) from htdag.runs where state = 'running'", runs},
			{"first steps ready", "select count(*) from htdag.tasks where claimed_at is null", runs},
			{"tries of steps", "select count(*) from htdag.attempts", 0},
		}
	}
	return check(ctx, c.list[0], facts...)
}

func (e *htdagSQL) Close(ctx context.Context) error {
	e.workers = nil
	return e.conns.close(ctx)
}
