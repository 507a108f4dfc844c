package db_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/htdag/htdag/db"
)

// define draws a flow; its steps may run flows drawn before. Where its bundles depend
// on each other in a circle it goes without them.
func (w *world) define(t *rapid.T, i int) *modelFlow {
	f := &modelFlow{name: fmt.Sprintf("f%d", i), number: map[string]int{}}
	n := rapid.IntRange(0, 6).Draw(t, "steps")
	var steps []stepSpec
	for j := range n {
		steps = append(steps, w.drawStep(t, i, j))
	}
	ordered := []stepSpec{}
	for _, i := range rapid.Permutation(sequence(n)).Draw(t, "order") {
		ordered = append(ordered, steps[i])
	}
	spec := map[string]any{"flow": f.name, "steps": ordered}
	if rapid.IntRange(0, 3).Draw(t, "timeout") == 0 {
		f.timeout = 2 * time.Minute
		spec["timeout"] = f.timeout.String()
	}
	if n > 0 && rapid.IntRange(0, 2).Draw(t, "output") == 0 {
		f.output = pick(t, "output of", steps).Name
		spec["output"] = f.output
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
	for no, step := range query(t, w, pgx.RowTo[string], "select s.name from htdag.steps s join htdag.flow_versions using (flow_version_id) join htdag.flows f using (flow_id) where f.name = $1 order by step_no", f.name) {
		f.number[step] = no
		f.steps = append(f.steps, steps[slices.IndexFunc(steps, func(s stepSpec) bool { return s.Name == step })])
	}
	if w.limited && rapid.Bool().Draw(t, "limited") {
		f.limit = rapid.IntRange(1, 3).Draw(t, "limit")
		w.exec(t, "select htdag.set_limits($1, p_max_concurrent_runs => $2, p_rate_per_minute => 100)", f.name, f.limit)
	}
	return f
}

func (w *world) drawStep(t *rapid.T, i, j int) stepSpec {
	one := func(label string, of int) bool { return rapid.IntRange(1, of).Draw(t, label) == of }
	s := plainStep(fmt.Sprintf("s%d", j), rapid.SampledFrom([]string{"k0", "k1"}).Draw(t, "kind"))
	s.Queue = rapid.SampledFrom([]string{"default", "default", "q1", "q-{q}"}).Draw(t, "queue")
	s.MaxRetries = rapid.IntRange(0, 2).Draw(t, "max_retries")
	s.OnFailure = rapid.SampledFrom([]string{"fail", "fail", "skip", "continue"}).Draw(t, "on_failure")
	s.WantsNeeds = rapid.Bool().Draw(t, "wants_needs")
	if one("no_retry", 4) {
		s.NoRetry = []string{"fatal"}
	}
	if j > 0 {
		s.Needs = rapid.SliceOfNDistinct(rapid.Map(rapid.IntRange(0, j-1), func(n int) string { return fmt.Sprintf("s%d", n) }), 0, 3, rapid.ID).Draw(t, "needs")
	}
	if len(s.Needs) > 0 {
		s.RunOn = rapid.SampledFrom([]string{"success", "success", "success", "failure", "always"}).Draw(t, "run_on")
	}
	sort := rapid.IntRange(0, 7).Draw(t, "sort")
	if sort < 2 && s.RunOn == "success" {
		bundle := rapid.SampledFrom([]string{"b0", "b1"}).Draw(t, "bundle")
		s.Bundle = &bundle
		return s
	}
	canMap := w.drawKind(t, &s, i)
	if sort == 2 && canMap {
		over := "input.items"
		if len(s.Needs) > 0 && rapid.Bool().Draw(t, "over a need") {
			over = s.Needs[0]
		}
		s.Map = &over
	}
	if one("run_if", 6) {
		s.ifQ = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "if q")
		path := fmt.Sprintf(`$.input.q == "%s"`, s.ifQ)
		s.RunIf = &path
	}
	if len(s.Needs) > 0 && one("skip_if", 6) {
		s.skipLong = s.Needs[0]
		path := fmt.Sprintf(`exists($.needs.%s[1])`, s.skipLong)
		s.SkipIf = &path
	}
	s.OnSkip = rapid.SampledFrom([]string{"cascade", "continue"}).Draw(t, "on_skip")
	if !w.limited && (!s.byEngine() || s.Kind == "sql" && *s.SQL != sqlParts) && one("memo", 4) {
		memo := memoTime.String()
		s.Memo = &memo
	}
	if s.Kind != "sleep" && one("delay", 6) {
		s.Delay = modelWait.String()
	}
	return s
}

// drawKind makes some steps the engine's own. It says whether the step may be a map:
// maps of flows within flows would be without end.
func (w *world) drawKind(t *rapid.T, s *stepSpec, i int) bool {
	switch rapid.IntRange(0, 9).Draw(t, "engine") {
	case 0, 1:
		target := rapid.SampledFrom([]string{sqlGives, sqlGives, sqlFails, sqlParts}).Draw(t, "sql")
		s.Kind, s.SQL = "sql", &target
	case 2, 3:
		if i > 0 {
			target := w.flows[rapid.IntRange(0, i-1).Draw(t, "sub-flow")].name
			s.Kind, s.Flow = "flow", &target
			return i == 1
		}
	case 4:
		s.Kind, s.Delay = "sleep", modelWait.String()
	case 5:
		target := s.Name
		s.Kind, s.Signal = "signal", &target
	}
	return true
}
