package db_test

import (
	"slices"
	"time"
)

// errand is something that pump has to do.
type errand struct {
	run  *modelRun
	unit unit
}

// errands lists what pump would find now.
func (m *model) errands() (all []errand) {
	for _, r := range m.runs {
		if r.state != "running" {
			continue
		}
		for no, s := range r.flow.steps {
			if !r.due(no) && r.flow.steps[no].Bundle == nil {
				continue
			}
			for _, u := range r.units(no) {
				child := r.children[u]
				late := !r.patience[u].IsZero() && !m.now.Before(r.patience[u])
				switch {
				case child != nil && (!child.live() || late && s.Kind == "flow"):
				case child != nil:
					continue
				case r.paused && !r.waiting[u]:
					continue
				case !r.due(no) || !s.byEngine():
					continue
				case r.waiting[u] && !late && len(r.signals[*s.Signal]) == 0:
					continue
				case m.now.Before(r.notBefore[u]):
					continue
				}
				all = append(all, errand{r, u})
			}
		}
	}
	return all
}

// pump runs errands until there are none; those of one round count as one answer.
func (m *model) pump() {
	for {
		errands := m.errands()
		var results []result
		for _, e := range errands {
			if done := m.run(e); done.outcome != "" {
				done.run, done.unit = e.run, e.unit
				results = append(results, done)
			}
		}
		m.apply(results)
		if n := m.carry(); len(errands)+n == 0 {
			return
		}
	}
}

// apply hands in what was answered at once: who succeeded, did; who wanted to go on as
// several does not where another's failure has ended the step.
func (m *model) apply(results []result) {
	slices.SortStableFunc(results, func(a, b result) int { return int(a.task - b.task) })
	kept := map[string]bool{}
	order := func(a result) int { return slices.Index([]string{"succeeded", "", "decomposed"}, a.outcome) }
	for _, turn := range []int{0, -1, 2} {
		for _, a := range results {
			if order(a) != turn || turn == 2 && (a.run.blocked(a.unit.step) || a.run.steps[a.unit.step] != open) {
				continue
			}
			// Of two outputs for the same work the first is remembered.
			if key := a.run.memoKeys[a.unit]; turn == 0 && key != "" {
				memo := m.memos[key]
				m.answer(a)
				if kept[key] {
					m.memos[key] = memo
				}
				kept[key] = true
				continue
			}
			m.answer(a)
		}
	}
	for _, r := range slices.Clone(m.runs) {
		m.advance(r)
	}
}

func (m *model) run(e errand) result {
	r, u, s := e.run, e.unit, &e.run.flow.steps[e.unit.step]
	if child := r.children[u]; child != nil {
		delete(r.children, u)
		switch {
		case child.live():
			child.givenUp = true
			return result{outcome: "timed_out"}
		case child.state == "succeeded":
			return result{outcome: "succeeded", output: child.output()}
		}
		return result{outcome: "failed"}
	}
	switch s.Kind {
	case "sleep":
		return result{outcome: "succeeded"}
	case "signal":
		if sent := r.signals[*s.Signal]; len(sent) > 0 {
			r.signals[*s.Signal] = sent[1:]
			delete(r.waiting, u)
			return result{outcome: "succeeded", output: sent[0]}
		} else if r.waiting[u] && m.now.Before(r.patience[u]) {
			return result{} // another element has taken it
		} else if r.waiting[u] {
			delete(r.waiting, u)
			return result{outcome: "timed_out"}
		}
		r.waiting[u] = true
		r.patience[u] = m.now.Add(modelTimeout)
		return result{}
	case "flow":
		input := r.input
		if s.Map != nil {
			input = r.items[u.step][u.element]
		}
		r.patience[u] = m.now.Add(modelTimeout)
		m.begin(m.flow(*s.Flow), r, u, input)
		return result{}
	}
	switch *s.SQL {
	case sqlFails:
		return result{outcome: "failed", code: "P0001"}
	case sqlParts:
		r.patience[u] = time.Time{}
		return result{outcome: "decomposed", part: modelParts[1]}
	}
	return result{outcome: "succeeded", output: []any{0.0, 1.0}}
}

func (m *model) flow(name string) *modelFlow {
	return m.flows[slices.IndexFunc(m.flows, func(f *modelFlow) bool { return f.name == name })]
}
