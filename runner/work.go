package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
)

// start runs a claimed task in a goroutine of its own.
func (s *session) start(ctx context.Context, claim dbsqlc.HtdagClaim) {
	ctx, cancel := context.WithCancelCause(ctx)
	s.mu.Lock()
	s.running[claim.TaskID] = &work{claim: claim, cancel: cancel}
	s.mu.Unlock()
	go func() {
		defer cancel(nil)
		var results []result
		var more []dbsqlc.HtdagClaim
		returned := false
		// A handler may end its goroutine, by a call of runtime.Goexit: its task has to
		// be answered all the same.
		defer func() {
			if !returned {
				results = []result{s.outcome(ctx, claim, claim.StepNo, nil, errGoexit, 0)}
			}
			s.mu.Lock()
			delete(s.running, claim.TaskID)
			s.results = append(s.results, results...)
			s.mu.Unlock()
			s.begin(context.WithoutCancel(ctx), more)
			s.signal()
		}()
		results, more = s.work(ctx, claim)
		returned = true
	}()
}

var errGoexit = errors.New("the handler ended its goroutine")

func (s *session) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// work runs the steps of a task in order until one does not succeed. It returns the
// results to be handed in or, when the steps wrote through a transaction and were
// completed with it, the engine's answers to that.
func (s *session) work(ctx context.Context, claim dbsqlc.HtdagClaim) ([]result, []dbsqlc.HtdagClaim) {
	defs, err := s.steps.of(ctx, claim.FlowVersionID)
	if err != nil {
		return []result{s.outcome(ctx, claim, claim.StepNo, nil, fmt.Errorf("read the flow's steps: %w", err), 0)}, nil
	}
	b := &bundle{pool: s.pool, first: claim.StepNo}
	for _, def := range defs[claim.StepNo : claim.LastStepNo+1] {
		b.limit = max(b.limit, def.Timeout+s.opts.Lease)
	}
	defer b.discard(context.WithoutCancel(ctx)) // unless it was committed
	var results []result
	for no := claim.StepNo; no <= claim.LastStepNo; no++ {
		if no > claim.StepNo && s.isDraining() {
			results = append(results, result{taskID: claim.TaskID, token: *claim.Token, stepNo: no, outcome: "released"})
			break
		}
		began := time.Now()
		output, err := s.step(ctx, claim, defs[no], b)
		_, parts := decomposed(err)
		if endErr := b.end(context.WithoutCancel(ctx), no, err == nil || parts); endErr != nil {
			return s.undone(ctx, results, claim, b, no, errors.Join(err, endErr), time.Since(began)), nil
		}
		r := s.outcome(ctx, claim, no, output, err, time.Since(began))
		results = append(results, r)
		if r.outcome != "succeeded" {
			break
		}
	}
	if b.tx == nil {
		return results, nil
	}
	answers, err := s.commit(ctx, b, results)
	if err != nil {
		return s.undone(ctx, results, claim, b, b.first, err, 0), nil
	}
	return nil, answers
}

// step runs the handler of one step within its timeout.
func (s *session) step(ctx context.Context, claim dbsqlc.HtdagClaim, def dbsqlc.HtdagStepDefinition, b *bundle) (output []byte, err error) {
	handler, ok := s.registry.handlers[def.Kind]
	if !ok {
		return nil, fmt.Errorf("runner %s has no handler of kind %s, which bundle step %s needs", s.opts.Name, def.Kind, def.Name)
	}
	task := &Task{
		ID: claim.TaskID, RunID: claim.RunID, Flow: claim.Flow, Step: def.Name, Kind: def.Kind, Attempt: 1,
		Input: claim.Input, Item: claim.Item, Needs: claim.Needs, Timeout: def.Timeout, token: *claim.Token, argued: def.HasArgument, bundle: b,
	}
	if def.StepNo == claim.StepNo {
		task.Attempt = int(claim.Attempt)
	}
	if claim.MapIndex != nil {
		task.MapIndex = int(*claim.MapIndex)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, def.Timeout, ErrTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("handler of kind %s panicked: %v\n%s", def.Kind, p, debug.Stack())
		}
	}()
	value, err := handler.Handle(ctx, task)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
			err = fmt.Errorf("%w: %w", cause, err)
		}
		return nil, err
	}
	if value == nil {
		return nil, nil
	}
	if output, err = json.Marshal(value); err != nil {
		return nil, Permanent(fmt.Errorf("encode the output of step %s: %w", def.Name, err))
	}
	return output, nil
}

// outcome turns what a handler returned into what the engine is told.
func (s *session) outcome(ctx context.Context, claim dbsqlc.HtdagClaim, no int16, output []byte, err error, ran time.Duration) result {
	r := result{taskID: claim.TaskID, token: *claim.Token, stepNo: no, outcome: "succeeded", output: output, ran: ran}
	if err == nil {
		return r
	}
	if spec, ok := decomposed(err); ok {
		r.outcome, r.output = "decomposed", spec
		return r
	}
	if d, ok := snoozed(err); ok {
		r.outcome, r.delay = "snoozed", d
		return r
	}
	r.err = err.Error()
	r.code = Code(err)
	switch {
	case isPermanent(err):
		r.outcome = "failed_permanently"
	case errors.Is(context.Cause(ctx), ErrDraining), db.Conflict(err):
		r.outcome = "released" // not the step's fault: no try is counted
	case errors.Is(err, ErrTimeout):
		r.outcome = "timed_out"
	default:
		r.outcome = "failed"
	}
	if r.outcome != "released" && ctx.Err() == nil {
		s.log.WarnContext(ctx, "step failed", "run", claim.RunID, "flow", claim.Flow, "step_no", no, "outcome", r.outcome, "error", err)
	}
	return r
}

// undone gives the results of a task whose transaction was lost: what came before
// the first write stands, the step that wrote first has to be done again.
func (s *session) undone(ctx context.Context, results []result, claim dbsqlc.HtdagClaim, b *bundle, no int16, err error, ran time.Duration) []result {
	b.discard(context.WithoutCancel(ctx))
	kept := results[:0:0]
	for _, r := range results {
		if r.stepNo < b.first {
			kept = append(kept, r)
		}
	}
	return append(kept, s.outcome(ctx, claim, b.first, nil, fmt.Errorf("the transaction of the bundle was lost at step number %d: %w", no, err), ran))
}

// commit completes the steps of a task in the transaction they wrote through. If the
// engine no longer wants them, everything they wrote is rolled back.
func (s *session) commit(ctx context.Context, b *bundle, results []result) ([]dbsqlc.HtdagClaim, error) {
	// A result that is ready is worth handing in even while ctx ends.
	ctx = context.WithoutCancel(ctx)
	defer b.discard(ctx)
	answers, err := dbsqlc.New(b.tx).CompleteSteps(ctx, s.report(results, 0))
	if err != nil {
		return nil, db.Error(err)
	}
	for _, a := range answers {
		if a.Verdict == "stale" {
			return answers, nil
		}
	}
	return answers, b.tx.Commit(ctx)
}

func (s *session) isDraining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.draining
}

// stepCache remembers the steps of flow versions, which never change.
type stepCache struct {
	pool     *pgxpool.Pool
	versions sync.Map // int32 -> []dbsqlc.HtdagStepDefinition by step number
}

func (c *stepCache) of(ctx context.Context, version int32) ([]dbsqlc.HtdagStepDefinition, error) {
	if defs, ok := c.versions.Load(version); ok {
		return defs.([]dbsqlc.HtdagStepDefinition), nil
	}
	defs, err := dbsqlc.New(c.pool).StepDefinitions(ctx, version)
	if err != nil {
		return nil, err
	}
	c.versions.Store(version, defs)
	return defs, nil
}
