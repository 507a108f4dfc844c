package db_test

import "slices"

// advance draws the conclusions that need nobody: what is skipped, conditions, memos,
// maps over nothing, the end of the run. Turn by turn, since what ends a run in
// one keeps what the next would open from being looked at.
func (m *model) advance(r *modelRun) {
	for again := r.state == "running"; again; {
		again = false
		for blocking := true; blocking; {
			blocking = false
			for no := range r.flow.steps {
				if r.steps[no] == open && r.blocked(no) {
					r.steps[no] = skipped
					blocking = true
				}
			}
		}
		var uncalled, special []int
		for no, s := range r.flow.steps {
			switch {
			case r.steps[no] != open:
			case r.uncalled(no):
				uncalled = append(uncalled, no)
			case r.due(no) && !r.opened[no]:
				r.opened[no] = true
				if s.delay() > 0 && s.Map == nil {
					r.notBefore[unit{step: no}] = m.now.Add(s.delay())
				}
				if s.Map != nil || s.RunIf != nil || s.SkipIf != nil || s.Memo != nil {
					special = append(special, no)
				}
			}
		}
		var broken []int
		for _, no := range special {
			if !m.open(r, no) {
				broken = append(broken, no)
			}
		}
		for _, no := range broken {
			r.note(unit{step: no}, "broken")
			m.lose(r, no)
		}
		for _, no := range uncalled {
			r.steps[no] = skipped
		}
		again = len(uncalled)+len(special) > 0
	}
	if r.state == "running" && !slices.Contains(r.steps, open) {
		r.state = "succeeded"
		if r.expired || slices.ContainsFunc(r.flow.steps, func(s stepSpec) bool {
			return s.OnFailure == "fail" && r.steps[r.flow.number[s.Name]] == failed
		}) {
			r.state = "failed"
		}
	}
	m.forsake(r)
}

// open looks at a step that more than its needs decides on; false where it cannot be opened.
func (m *model) open(r *modelRun, no int) bool {
	s := &r.flow.steps[no]
	if s.RunIf != nil && !r.inputIs(s.ifQ) || s.SkipIf != nil && isLong(r.needsOutput(no)[s.skipLong]) {
		r.steps[no] = skipped
		r.passed[no] = s.OnSkip == "continue"
		return true
	}
	if s.Map == nil {
		if s.Memo != nil {
			m.recall(r, unit{step: no}, nil)
		}
		return true
	}
	items, ok := r.source(*s.Map)
	if !ok {
		return false
	}
	r.items[no] = items
	if r.elements[no] = slices.Repeat([]stepState{open}, len(items)); len(items) == 0 {
		r.steps[no] = succeeded
	}
	for i, item := range items {
		u := unit{no, i}
		if s.delay() > 0 {
			r.notBefore[u] = m.now.Add(s.delay())
		}
		if s.Memo != nil {
			m.recall(r, u, item)
		}
	}
	return true
}

func (r *modelRun) inputIs(q string) bool {
	input, _ := r.input.(map[string]any)
	return input["q"] == q
}

func isLong(output any) bool {
	items, _ := output.([]any)
	return len(items) > 1
}

func (m *model) recall(r *modelRun, u unit, item any) {
	key := r.memoKey(u.step, item)
	if memo, ok := m.memos[key]; ok && m.now.Before(memo.expires) {
		r.note(u, "remembered")
		r.succeed(u, memo.output)
	} else {
		r.memoKeys[u] = key
	}
}

func (r *modelRun) source(path string) ([]any, bool) {
	if path == "input.items" {
		input, _ := r.input.(map[string]any)
		items, ok := input["items"].([]any)
		return items, ok
	}
	items, ok := r.stepOutput(r.flow.number[path]).([]any)
	return items, ok
}

// forsake lets go of claims, children and signals of what has ended.
func (m *model) forsake(r *modelRun) {
	for _, c := range m.claims {
		if c.run == r && c.active && (r.state != "running" || r.steps[c.first] != open) {
			c.active = false
			r.note(unit{c.first, c.element}, "withdrawn")
		}
	}
	for u, child := range r.children {
		if !r.isOpen(u) {
			child.givenUp = true
			delete(r.children, u)
		}
	}
	for u := range r.waiting {
		if !r.isOpen(u) {
			delete(r.waiting, u)
		}
	}
}

// cancel ends a run from outside.
func (m *model) cancel(r *modelRun) {
	r.state = "cancelled"
	for no, s := range r.steps {
		if s == open {
			r.steps[no] = skipped
		}
	}
	m.forsake(r)
}

// begin starts a run as the body of a step.
func (m *model) begin(f *modelFlow, parent *modelRun, u unit, input any) {
	child := newModelRun(f, input)
	child.state, child.startedAt, child.parent, child.parentUnit, child.depth = "running", m.now, parent, u, parent.depth+1
	child.paused, child.pausedAt = parent.paused, m.now
	m.runs = append(m.runs, child)
	parent.children[u] = child
	m.advance(child)
}

// carry ends runs whose parents have gone on without them, one level.
func (m *model) carry() (n int) {
	var gone []*modelRun
	for _, r := range m.runs {
		if r.givenUp && r.live() {
			gone = append(gone, r)
		}
	}
	for _, r := range gone {
		m.cancel(r)
	}
	return len(gone)
}
