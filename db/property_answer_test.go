package db_test

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/htdag/htdag/db/dbsqlc"
)

// answer hands in results for some of the claims of a runner, in time or too late.
func (w *world) answer(t *rapid.T) {
	r := w.runner(t)
	if len(r.held) == 0 {
		t.Skip("nothing to answer")
	}
	r.answers = dbsqlc.CompleteStepsParams{}
	var results []result
	var answered []*modelClaim
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
			res, output := w.drawAnswer(t, c, no, no == last)
			for range rapid.SampledFrom([]int{1, 1, 1, 1, 2}).Draw(t, "times") {
				r.testRunner.answer(c.task, token, int16(no), res.outcome, output)
				r.answers.Codes, r.answers.Delays = append(r.answers.Codes, res.code), append(r.answers.Delays, modelWait)
			}
			if c.active && token == c.token {
				if res.part == modelParts[invalidPart] {
					res.outcome = "failed_permanently"
				}
				results, answered = append(results, res), append(answered, c)
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
		return slices.ContainsFunc(results, func(res result) bool { return res.task == task })
	})
	slices.Sort(stale)
	stale = slices.Compact(stale)
	slices.Sort(told)
	if diff := cmp.Diff(stale, told, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("stale results (-model +engine):\n%s", diff)
	}
	for _, c := range answered {
		c.active = false
	}
	w.apply(results)
	w.claimed(t, r, claims, want)
}

// drawAnswer draws what comes of one step of a claim; only the last may be other than success.
func (w *world) drawAnswer(t *rapid.T, c *modelClaim, no int, isLast bool) (result, json.RawMessage) {
	res := result{run: c.run, unit: unit{no, c.element}, outcome: "succeeded", task: c.task}
	if isLast {
		res.outcome = rapid.SampledFrom([]string{"succeeded", "succeeded", "succeeded", "succeeded", "failed", "failed", "failed_permanently", "timed_out", "released", "snoozed", "decomposed"}).Draw(t, "outcome")
	}
	var output json.RawMessage
	switch res.outcome {
	case "succeeded":
		if rapid.Bool().Draw(t, "array") {
			res.output = elements(rapid.IntRange(0, 3).Draw(t, "length"))
			output, _ = json.Marshal(res.output)
		}
	case "failed":
		res.code = rapid.SampledFrom([]string{"", "fatal", "other"}).Draw(t, "code")
	case "decomposed":
		// Of two outputs that come at once for the same work it is the engine's to say which is kept.
		if c.run.depth > 2 || c.run.flow.steps[no].Memo != nil {
			res.outcome = "released"
			break
		}
		res.part = pick(t, "part", modelParts)
		output = res.part.part()
	}
	return res, output
}
