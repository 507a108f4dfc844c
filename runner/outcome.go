package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Permanent marks an error that no retry will mend: the step fails for good.
func Permanent(err error) error { return &permanentError{err} }

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

func isPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

// Coded gives an error a code by which definitions and people tell it from others: a
// step whose no_retry lists the code fails for good, and runs that failed with it
// can be found and retried together. The error is tried again otherwise.
func Coded(code string, err error) error { return &codedError{code, err} }

type codedError struct {
	code string
	err  error
}

func (e *codedError) Error() string { return e.err.Error() }
func (e *codedError) Unwrap() error { return e.err }

// Code returns the code that an error was given by Coded; "" when it has none.
func Code(err error) string {
	var c *codedError
	if errors.As(err, &c) {
		return c.code
	}
	return ""
}

// Snooze is what a handler returns as its error when it is too early: the step is
// given back, and comes again once d has passed. No try is counted, and what the
// handler wrote through Task.Tx is rolled back.
func Snooze(d time.Duration) error { return &snoozeError{min(max(d, 0), longestSnooze)} }

// longestSnooze is what the engine takes for a year.
const longestSnooze = 360 * 24 * time.Hour

type snoozeError struct{ delay time.Duration }

func (e *snoozeError) Error() string { return fmt.Sprintf("snoozed for %s", e.delay) }

// Decompose is what a handler returns as its error to have steps of its own making
// done in place of an answer: a definition as htdag.define_flow takes it, {"steps":
// [...]}, with the "input" that its steps get. It is run as a child of the run; the
// step succeeds when the child has, with the child's output. The definition may be
// anything that encodes as JSON, or a string or []byte that is JSON. What the handler
// wrote through Task.Tx is committed together with the start of the child.
func Decompose(definition any) error {
	switch d := definition.(type) {
	case string:
		definition = json.RawMessage(d)
	case []byte:
		definition = json.RawMessage(d)
	}
	spec, err := json.Marshal(definition)
	if err != nil {
		return Permanent(fmt.Errorf("encode the steps that it was decomposed into: %w", err))
	}
	return &decomposeError{spec}
}

type decomposeError struct{ spec json.RawMessage }

func (e *decomposeError) Error() string { return "decomposed into steps" }

// decomposed returns the definition that a handler answered with, if it did.
func decomposed(err error) (json.RawMessage, bool) {
	var d *decomposeError
	if errors.As(err, &d) {
		return d.spec, true
	}
	return nil, false
}

// snoozed returns for how long a handler wants to be left alone, if it does.
func snoozed(err error) (time.Duration, bool) {
	var s *snoozeError
	if errors.As(err, &s) {
		return s.delay, true
	}
	return 0, false
}
