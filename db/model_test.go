package db_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// A small model of the engine: what a run may do, from the definition and from what
// was answered. It knows nothing of masks, tasks or windows; it is told what was
// claimed and says whether that was allowed.

type stepState string

const (
	open      stepState = "open" // has not ended
	succeeded stepState = "succeeded"
	failed    stepState = "failed"
	skipped   stepState = "skipped"
)

type unit struct{ step, element int } // what is tried: a step, or an element of a map step

type modelRun struct {
	flow      *modelFlow
	id        int64
	input     any
	state     string
	startedAt time.Time
	steps     []stepState
	passed    map[int]bool // skipped by a condition that lets its dependents run
	opened    map[int]bool
	items     map[int][]any // of map steps
	elements  map[int][]stepState
	outputs   map[unit]any
	tries     map[unit]int
	notBefore map[unit]time.Time
	memoKeys  map[unit]string
	isLost    bool // a fatal step failed, or the deadline passed
	expired   bool
	log       []string // what is expected in htdag.attempts

	parent     *modelRun
	parentUnit unit
	depth      int
	givenUp    bool // its parent has gone on without it
	paused     bool
	pausedAt   time.Time
	children   map[unit]*modelRun
	patience   map[unit]time.Time // until when a child or a signal is waited for
	signals    map[string][]any
	waiting    map[unit]bool // for a signal
}

func newModelRun(f *modelFlow, input any) *modelRun {
	return &modelRun{
		flow: f, input: input, state: "queued", steps: slices.Repeat([]stepState{open}, len(f.steps)),
		passed: map[int]bool{}, opened: map[int]bool{}, items: map[int][]any{}, elements: map[int][]stepState{}, outputs: map[unit]any{},
		tries: map[unit]int{}, notBefore: map[unit]time.Time{}, memoKeys: map[unit]string{}, children: map[unit]*modelRun{},
		patience: map[unit]time.Time{}, signals: map[string][]any{}, waiting: map[unit]bool{},
	}
}

type modelClaim struct {
	run         *modelRun
	task, token int64
	first, last int
	element     int
	runner      *modelRunner
	timeoutAt   time.Time
	active      bool // still the runner's, as far as the engine ought to know
}

func (c *modelClaim) covers(no int) bool { return c.first <= no && no <= c.last }

type modelMemo struct {
	output  any
	expires time.Time
}

type model struct {
	now    time.Time
	flows  []*modelFlow
	runs   []*modelRun
	claims []*modelClaim
	memos  map[string]modelMemo
}

// result is what came of one step or element.
type result struct {
	run     *modelRun
	unit    unit
	outcome string
	output  any
	code    string
	part    *modelFlow // into which it decomposed itself
	task    int64
}

// note expects a row in the log.
func (r *modelRun) note(u unit, outcome string) {
	r.log = append(r.log, fmt.Sprintf("step %d element %d try %d: %s", u.step, u.element, r.tries[u], outcome))
}

func (r *modelRun) live() bool { return r.state == "queued" || r.state == "running" }

func (r *modelRun) ended(nos []int) bool {
	return !slices.ContainsFunc(nos, func(n int) bool { return r.steps[n] == open })
}

// due says whether a step may begin, given that those in before will have succeeded.
func (r *modelRun) due(no int, before ...int) bool {
	if r.state != "running" || r.steps[no] != open || !r.ended(r.flow.gate(no)) {
		return false
	}
	return !slices.ContainsFunc(r.flow.needs(no), func(n int) bool { return r.steps[n] == open && !slices.Contains(before, n) })
}

// units lists what is yet to be done of a due step.
func (r *modelRun) units(no int) (units []unit) {
	if r.flow.steps[no].Map == nil {
		return []unit{{step: no}}
	}
	for i, s := range r.elements[no] {
		if s == open {
			units = append(units, unit{no, i})
		}
	}
	return units
}

func (r *modelRun) isOpen(u unit) bool {
	return r.state == "running" && r.steps[u.step] == open && (r.elements[u.step] == nil || r.elements[u.step][u.element] == open)
}

// blocked says whether a step that has not ended never will run since another did not succeed.
func (r *modelRun) blocked(no int) bool {
	return r.flow.steps[no].RunOn == "success" && (r.isLost || slices.ContainsFunc(r.flow.needs(no), func(n int) bool {
		return r.steps[n] == skipped && !r.passed[n] || r.steps[n] == failed && r.flow.steps[n].OnFailure != "continue"
	}))
}

// uncalled says whether a step waited for a failure that did not come.
func (r *modelRun) uncalled(no int) bool {
	return r.flow.steps[no].RunOn == "failure" && r.ended(r.flow.needs(no)) &&
		!slices.ContainsFunc(r.flow.needs(no), func(n int) bool { return r.steps[n] == failed })
}

// answer is what comes of one try.
func (m *model) answer(a result) {
	r, u, s := a.run, a.unit, &a.run.flow.steps[a.unit.step]
	switch a.outcome {
	case "released":
		return
	case "snoozed":
		r.notBefore[u] = m.now.Add(modelWait)
		return
	case "decomposed":
		input := r.input
		if s.Map != nil {
			input = r.items[u.step][u.element]
		}
		m.begin(a.part, r, u, input)
		return
	}
	r.tries[u]++
	r.note(u, a.outcome)
	retries := a.outcome != "failed_permanently" && r.tries[u] <= s.MaxRetries && !slices.Contains(s.NoRetry, a.code)
	switch {
	case a.outcome == "succeeded":
		r.succeed(u, a.output)
		if key := r.memoKeys[u]; key != "" {
			m.memos[key] = modelMemo{a.output, m.now.Add(memoTime)}
		}
	case retries:
		r.notBefore[u] = m.now.Add(modelDelay << (r.tries[u] - 1))
	default:
		m.lose(r, u.step)
	}
}

func (r *modelRun) succeed(u unit, output any) {
	r.outputs[u] = output
	if r.elements[u.step] != nil {
		r.elements[u.step][u.element] = succeeded
		if slices.Contains(r.elements[u.step], open) {
			return
		}
	}
	if r.steps[u.step] == open {
		r.steps[u.step] = succeeded
	}
}

// lose makes a step fail for good.
func (m *model) lose(r *modelRun, no int) {
	r.steps[no] = failed
	r.isLost = r.isLost || r.flow.steps[no].OnFailure == "fail"
}

func (r *modelRun) stepOutput(no int) any {
	switch {
	case r.steps[no] != succeeded:
		return nil
	case r.flow.steps[no].Map == nil:
		return r.outputs[unit{step: no}]
	}
	outputs := []any{}
	for i := range r.elements[no] {
		outputs = append(outputs, r.outputs[unit{no, i}])
	}
	return outputs
}

func (r *modelRun) needsOutput(no int) map[string]any {
	needs := map[string]any{}
	for _, n := range r.flow.needs(no) {
		needs[r.flow.steps[n].Name] = r.stepOutput(n)
	}
	return needs
}

func (r *modelRun) output() any {
	if r.flow.output != "" {
		return r.stepOutput(r.flow.number[r.flow.output])
	}
	all := map[string]any{}
	for no, s := range r.flow.steps {
		if r.steps[no] == succeeded && r.flow.isLast(no) {
			all[s.Name] = r.stepOutput(no)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// inputOf is what a step is given of the input: elements of a map over it do without
// the array that they are part of.
func (r *modelRun) inputOf(no int) any {
	input, ok := r.input.(map[string]any)
	if s := r.flow.steps[no]; !ok || s.Map == nil || *s.Map != "input.items" {
		return r.input
	}
	rest := maps.Clone(input)
	delete(rest, "items")
	return rest
}

func (r *modelRun) memoKey(no int, item any) string {
	s := &r.flow.steps[no]
	var needs any
	if s.WantsNeeds || s.Kind == "sql" {
		needs = r.needsOutput(no)
	}
	key, _ := json.Marshal([]any{s.Kind, s.SQL, r.inputOf(no), item, needs})
	return string(key)
}

// expire ends what is left of a run that is over its deadline: what was under way has
// failed, what had not begun is skipped. Of a bundle the model does not know how far
// it got, and believes what it is told.
func (m *model) expire(r *modelRun, told []stepState) {
	r.expired, r.isLost = true, true
	after := slices.Clone(r.steps)
	for no, s := range r.flow.steps {
		if s.RunOn == "success" && r.steps[no] == open && (s.Bundle == nil && r.due(no) || s.Bundle != nil && told[no] == failed) {
			after[no] = failed
		}
	}
	r.steps = after
}

// silence takes back the claims of runners that fell silent and those held too long.
func (m *model) silence() {
	for _, c := range m.claims {
		if c.active && (c.runner.dead || c.timeoutAt.Before(m.now)) {
			c.active = false
			m.answer(result{run: c.run, unit: unit{c.first, c.element}, outcome: "lost"})
		}
	}
}

// claimable lists a step that waits for nothing and that nobody has.
func (m *model) claimable(r *modelRun) (u unit, ok bool) {
	for no := range r.flow.steps {
		if r.paused || !r.due(no) || r.flow.steps[no].byEngine() {
			continue
		}
		for _, u := range r.units(no) {
			taken := slices.ContainsFunc(m.claims, func(c *modelClaim) bool {
				return c.run == r && c.active && c.element == u.element && slices.ContainsFunc(r.flow.bundle(no), c.covers)
			})
			waits := slices.ContainsFunc(r.flow.bundle(no), func(other int) bool {
				return m.now.Before(r.notBefore[unit{other, u.element}]) || r.children[unit{other, u.element}] != nil
			})
			if !taken && !waits {
				return u, true
			}
		}
	}
	return unit{}, false
}
