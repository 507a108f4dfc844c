package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// Handler does the work of one kind of step.
//
// The context ends when the step's timeout passes, when its run is cancelled, or
// when the runner loses its lease; context.Cause says which. A handler may be run
// more than once for the same step (after a crash, a lost lease or a retry), so
// its effects must be repeatable or go through Task.Tx.
//
// The returned value is stored as the step's output, encoded as JSON; keep it
// small (counts and identifiers, never file contents). A returned error fails the
// attempt, which is tried again as the step's definition says, unless it is made or
// wrapped by Permanent, Coded, Snooze or Decompose.
type Handler interface {
	Handle(ctx context.Context, t *Task) (output any, err error)
}

// HandlerFunc lets a function be a Handler.
type HandlerFunc func(ctx context.Context, t *Task) (output any, err error)

// Handle calls f.
func (f HandlerFunc) Handle(ctx context.Context, t *Task) (any, error) { return f(ctx, t) }

// Task is one step of one run, claimed by this runner.
type Task struct {
	ID       int64           // the live task; changes with nothing but a new claim of other work
	RunID    int64           // the run it belongs to
	Flow     string          // name of the flow
	Step     string          // name of the step within the flow
	Kind     string          // kind of handler
	MapIndex int             // element number of a map step, from 0; 0 for other steps
	Attempt  int             // number of this try, from 1
	Input    json.RawMessage // the run's input, or what the step's argument makes of its document
	Item     json.RawMessage // the element that a map step is to work on; nil for other steps
	Needs    json.RawMessage // {"step": output, ...} of the steps it needs, where the definition asks for them
	Timeout  time.Duration   // of this step; 0 means none

	token  int64 // of the claim
	argued bool  // whether the step has an argument
	bundle *bundle
}

// Bundle returns memory shared by the steps of one bundle while one runner works
// through them. It spares later steps the work of earlier ones, but is never the
// only place a value lives: a step that is retried alone finds it empty.
func (t *Task) Bundle() *Memory { return &t.bundle.memory }

// Tx returns the transaction in which this step will be completed. What a handler
// writes through it is committed exactly when the step's success is: both or
// neither, once. If the handler fails, its writes are rolled back and those of
// earlier steps of the bundle are kept. The handler must not commit it, roll it
// back, or use it after returning.
func (t *Task) Tx(ctx context.Context) (pgx.Tx, error) { return t.bundle.step(ctx) }

// Memory is a small concurrent map with its zero value ready for use.
type Memory struct{ m sync.Map }

// Load returns the value stored for key, if any.
func (m *Memory) Load(key any) (any, bool) { return m.m.Load(key) }

// Store keeps value for the later steps of the bundle.
func (m *Memory) Store(key, value any) { m.m.Store(key, value) }

// Registry maps kinds of steps to their handlers. Fill it before the runner
// starts; it must not change afterwards.
type Registry struct{ handlers map[string]Handler }

// NewRegistry returns an empty registry.
func NewRegistry() *Registry { return &Registry{handlers: map[string]Handler{}} }

// Register adds the handler for a kind. It panics when the kind is registered
// already, which is a mistake in the program.
func (r *Registry) Register(kind string, h Handler) {
	if _, ok := r.handlers[kind]; ok {
		panic(fmt.Sprintf("runner: kind %q registered twice", kind))
	}
	r.handlers[kind] = h
}
