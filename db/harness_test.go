package db_test

import (
	"context"
	"encoding/json"
	"time"

	"github.com/htdag/htdag/db/dbsqlc"
)

// testRunner speaks to the engine as package runner does, with the results that a
// test chooses and when it chooses.
type testRunner struct {
	queries *dbsqlc.Queries
	id      int32
	answers dbsqlc.CompleteStepsParams // gathered for the next exchange
}

func (r *testRunner) register(ctx context.Context, name string, kinds ...string) (err error) {
	r.id, err = r.queries.RegisterRunner(ctx, dbsqlc.RegisterRunnerParams{
		Name: name, Queues: []string{"default"}, Kinds: kinds, Concurrency: 1, Lease: 30 * time.Second,
	})
	return err
}

// answer adds one result to the next exchange.
func (r *testRunner) answer(task, token int64, step int16, outcome string, output json.RawMessage) {
	a := &r.answers
	a.TaskIds, a.Tokens, a.StepNos = append(a.TaskIds, task), append(a.Tokens, token), append(a.StepNos, step)
	a.Outcomes, a.Outputs = append(a.Outcomes, outcome), append(a.Outputs, output)
	a.Errors, a.Ran = append(a.Errors, ""), append(a.Ran, time.Millisecond)
}

// succeed answers all steps of a claimed task.
func (r *testRunner) succeed(c dbsqlc.HtdagClaim) {
	for no := c.StepNo; no <= c.LastStepNo; no++ {
		r.answer(c.TaskID, *c.Token, no, "succeeded", nil)
	}
}

// exchange hands in what was answered and claims up to want tasks.
func (r *testRunner) exchange(ctx context.Context, want int) (claims []dbsqlc.HtdagClaim, err error) {
	var rows []dbsqlc.HtdagClaim
	if len(r.answers.TaskIds) == 0 {
		rows, err = r.queries.ClaimSteps(ctx, r.id, int32(want))
	} else {
		p := r.answers
		p.Runner, p.Want = r.id, int32(want)
		r.answers = dbsqlc.CompleteStepsParams{}
		rows, err = r.queries.CompleteSteps(ctx, p)
	}
	for _, row := range rows {
		if row.Verdict == "claimed" {
			claims = append(claims, row)
		}
	}
	return claims, err
}
