package db_test

import (
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

// stepSpec is a step as define_flow takes it.
type stepSpec struct {
	Name         string   `json:"name"`
	Kind         string   `json:"kind"`
	Queue        string   `json:"queue"`
	Bundle       *string  `json:"bundle,omitempty"`
	Needs        []string `json:"needs"`
	RunOn        string   `json:"run_on"`
	OnFailure    string   `json:"on_failure"`
	Map          *string  `json:"map,omitempty"`
	WantsNeeds   bool     `json:"wants_needs"`
	MaxRetries   int      `json:"max_retries"`
	InitialDelay string   `json:"initial_delay"`
	Timeout      string   `json:"timeout"`
}

const (
	modelDelay   = 10 * time.Second // before the second try; doubles
	modelTimeout = 60 * time.Second // of each step
	modelGrace   = 30 * time.Second // beyond it, before a claim is taken back
)

type modelFlow struct {
	name    string
	steps   []stepSpec // by step number
	number  map[string]int
	timeout time.Duration // of a run; 0 for none
	limit   int           // running runs; 0 for none
}

func (f *modelFlow) needs(no int) (nos []int) {
	for _, n := range f.steps[no].Needs {
		nos = append(nos, f.number[n])
	}
	return nos
}

func (f *modelFlow) sameBundle(a, b int) bool {
	return a == b || f.steps[a].Bundle != nil && f.steps[b].Bundle != nil && *f.steps[a].Bundle == *f.steps[b].Bundle
}

// gate lists what must have ended before the step's unit, a step or a bundle, begins.
func (f *modelFlow) gate(no int) (nos []int) {
	for other := range f.steps {
		if f.sameBundle(no, other) {
			for _, n := range f.needs(other) {
				if !f.sameBundle(no, n) {
					nos = append(nos, n)
				}
			}
		}
	}
	return nos
}

type unit struct{ step, element int } // what is tried: a step, or an element of a map step

type modelRun struct {
	flow      *modelFlow
	id        int64
	input     []int // elements of input.items; nil when it is no array
	state     string
	startedAt time.Time
	steps     []stepState
	items     map[int][]int // outputs of steps that are arrays
	elements  map[int][]stepState
	tries     map[unit]int
	notBefore map[unit]time.Time
	isLost    bool // a fatal step failed, or the deadline passed
	expired   bool
	logged    int // rows expected in htdag.attempts
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

type model struct {
	now    time.Time
	runs   []*modelRun
	claims []*modelClaim
}

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

// vain says whether a step that has not ended never will run.
func (r *modelRun) vain(no int) bool {
	blocks := func(n int) bool {
		return r.steps[n] == skipped || r.steps[n] == failed && r.flow.steps[n].OnFailure != "continue"
	}
	hasFailed := func(n int) bool { return r.steps[n] == failed }
	switch r.flow.steps[no].RunOn {
	case "success":
		return r.isLost || slices.ContainsFunc(r.flow.needs(no), blocks)
	case "failure":
		return r.ended(r.flow.needs(no)) && !slices.ContainsFunc(r.flow.needs(no), hasFailed)
	}
	return false
}

// advance draws the conclusions that need no runner: what is skipped, maps over
// nothing, the end of the run.
func (m *model) advance(r *modelRun) {
	for again := r.state == "running"; again; {
		again = false
		var maps []int // that open now, all of them before one that fails ends the run
		for no, s := range r.flow.steps {
			if r.steps[no] == open && r.vain(no) {
				r.steps[no] = skipped
				again = true
			} else if s.Map != nil && r.due(no) && r.elements[no] == nil {
				maps = append(maps, no)
			}
		}
		for _, no := range maps {
			again = true
			if items, ok := r.source(*r.flow.steps[no].Map); !ok {
				r.logged++
				m.lose(r, no)
			} else if r.elements[no] = slices.Repeat([]stepState{open}, len(items)); len(items) == 0 {
				r.steps[no] = succeeded
			}
		}
		if !slices.Contains(r.steps, open) {
			r.state = "succeeded"
			if r.expired || slices.ContainsFunc(r.flow.steps, func(s stepSpec) bool {
				return s.OnFailure == "fail" && r.steps[r.flow.number[s.Name]] == failed
			}) {
				r.state = "failed"
			}
		}
	}
	// Claims on what has ended are lost.
	for _, c := range m.claims {
		if c.run == r && c.active && (r.state != "running" || r.steps[c.first] != open) {
			c.active = false
			r.logged++
		}
	}
}

func (r *modelRun) source(path string) ([]int, bool) {
	if path == "input.items" {
		return r.input, r.input != nil
	}
	no := r.flow.number[path]
	if r.steps[no] != succeeded {
		return nil, false
	}
	if r.flow.steps[no].Map != nil {
		return make([]int, len(r.elements[no])), true
	}
	items, ok := r.items[no]
	return items, ok
}

// lose makes a step fail for good.
func (m *model) lose(r *modelRun, no int) {
	r.steps[no] = failed
	r.isLost = r.isLost || r.flow.steps[no].OnFailure == "fail"
}

// answer is the result of one step of a claim that is still active.
func (m *model) answer(c *modelClaim, no int, outcome string, items []int) {
	r, u := c.run, unit{no, c.element}
	if outcome == "released" {
		return
	}
	r.logged++
	r.tries[u]++
	retries := outcome != "failed_permanently" && r.tries[u] <= r.flow.steps[no].MaxRetries
	switch {
	case outcome == "succeeded" && r.flow.steps[no].Map != nil:
		r.elements[no][c.element] = succeeded
		if !slices.Contains(r.elements[no], open) && r.steps[no] == open {
			r.steps[no] = succeeded
		}
	case outcome == "succeeded":
		r.steps[no] = succeeded
		if items != nil {
			r.items[no] = items
		}
	case retries:
		r.notBefore[u] = m.now.Add(modelDelay << (r.tries[u] - 1))
	default:
		m.lose(r, no)
	}
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
			m.answer(c, c.first, "lost", nil)
		}
	}
}

// claimable lists a step that waits for nothing and that nobody has.
func (m *model) claimable(r *modelRun) (no, element int, ok bool) {
	for no := range r.flow.steps {
		if !r.due(no) {
			continue
		}
		units := []unit{{step: no}}
		if r.flow.steps[no].Map != nil {
			units = nil
			for i, s := range r.elements[no] {
				if s == open {
					units = append(units, unit{no, i})
				}
			}
		}
		for _, u := range units {
			taken := slices.ContainsFunc(m.claims, func(c *modelClaim) bool {
				return c.run == r && c.active && c.element == u.element && slices.ContainsFunc(r.flow.bundle(no), c.covers)
			})
			waits := slices.ContainsFunc(r.flow.bundle(no), func(other int) bool { return m.now.Before(r.notBefore[unit{other, u.element}]) })
			if !taken && !waits {
				return no, u.element, true
			}
		}
	}
	return 0, 0, false
}

func (f *modelFlow) bundle(no int) (nos []int) {
	for other := range f.steps {
		if f.sameBundle(no, other) {
			nos = append(nos, other)
		}
	}
	return nos
}
