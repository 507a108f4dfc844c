package db_test

import (
	"encoding/json"
	"slices"
	"time"
)

// stepSpec is a step as define_flow takes it.
type stepSpec struct {
	Name         string   `json:"name"`
	Kind         string   `json:"kind"`
	Queue        string   `json:"queue"`
	SQL          *string  `json:"sql,omitempty"`
	Flow         *string  `json:"flow,omitempty"`
	Signal       *string  `json:"signal,omitempty"`
	Bundle       *string  `json:"bundle,omitempty"`
	Needs        []string `json:"needs"`
	RunOn        string   `json:"run_on"`
	OnFailure    string   `json:"on_failure"`
	Map          *string  `json:"map,omitempty"`
	WantsNeeds   bool     `json:"wants_needs"`
	RunIf        *string  `json:"run_if,omitempty"`
	SkipIf       *string  `json:"skip_if,omitempty"`
	OnSkip       string   `json:"on_skip"`
	Memo         *string  `json:"memo,omitempty"`
	Delay        string   `json:"delay"`
	NoRetry      []string `json:"no_retry"`
	MaxRetries   int      `json:"max_retries"`
	InitialDelay string   `json:"initial_delay"`
	Timeout      string   `json:"timeout"`

	// What the conditions say, for the model.
	ifQ      string // run_if: the input's q is this
	skipLong string // skip_if: the output of this need has more than one element
}

const (
	modelDelay   = 10 * time.Second // before the second try; doubles
	modelTimeout = 60 * time.Second // of each step
	modelGrace   = 30 * time.Second // beyond it, before a claim is taken back
	modelWait    = 15 * time.Second // of delays, sleeps and snoozes
	memoTime     = 50 * time.Second
)

// Functions of sql steps, and what comes of them.
const (
	sqlGives = "public.gives"
	sqlFails = "public.fails"
	sqlParts = "public.parts"
)

func plainStep(name, kind string, needs ...string) stepSpec {
	return stepSpec{
		Name: name, Kind: kind, Queue: "default", Needs: append([]string{}, needs...), RunOn: "success", OnFailure: "fail",
		OnSkip: "cascade", Delay: "0s", NoRetry: []string{}, InitialDelay: modelDelay.String(), Timeout: modelTimeout.String(),
	}
}

func (s *stepSpec) byEngine() bool {
	return slices.Contains([]string{"sql", "flow", "sleep", "signal"}, s.Kind)
}

func (s *stepSpec) delay() time.Duration {
	d, _ := time.ParseDuration(s.Delay)
	return d
}

type modelFlow struct {
	name    string
	steps   []stepSpec // by step number
	number  map[string]int
	output  string        // step whose output is the run's; "" for all last ones
	timeout time.Duration // of a run; 0 for none
	limit   int           // running runs; 0 for none
}

func newModelFlow(name string, steps ...stepSpec) *modelFlow {
	f := &modelFlow{name: name, number: map[string]int{}, steps: steps}
	for no, s := range steps {
		f.number[s.Name] = no
	}
	return f
}

// modelParts are the definitions into which steps decompose themselves; the last is none.
var modelParts = func() []*modelFlow {
	gives := sqlGives
	computed := plainStep("p1", "sql", "p0")
	computed.SQL = &gives
	two := newModelFlow("", plainStep("p0", "k1"), computed)
	two.output = "p1"
	return []*modelFlow{newModelFlow("", plainStep("p0", "k0")), two, newModelFlow(""), newModelFlow("", plainStep("p0", "k0", "nosuch"))}
}()

const invalidPart = 3

func (f *modelFlow) part() json.RawMessage {
	spec := map[string]any{"steps": append([]stepSpec{}, f.steps...)}
	if f.output != "" {
		spec["output"] = f.output
	}
	text, _ := json.Marshal(spec)
	return text
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

func (f *modelFlow) bundle(no int) (nos []int) {
	for other := range f.steps {
		if f.sameBundle(no, other) {
			nos = append(nos, other)
		}
	}
	return nos
}

// gate lists what must have ended before the step's unit, a step or a bundle, begins.
func (f *modelFlow) gate(no int) (nos []int) {
	for _, other := range f.bundle(no) {
		for _, n := range f.needs(other) {
			if !f.sameBundle(no, n) {
				nos = append(nos, n)
			}
		}
	}
	return nos
}

// isLast says whether no step needs this one to succeed.
func (f *modelFlow) isLast(no int) bool {
	return !slices.ContainsFunc(f.steps, func(s stepSpec) bool { return s.RunOn == "success" && slices.Contains(s.Needs, f.steps[no].Name) })
}
