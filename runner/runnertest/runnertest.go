// Package runnertest runs flows to their end in tests: on a real PostgreSQL, with
// handlers and a clock that the test controls.
//
//	h := runnertest.New(t, pool)
//	h.Define(`{"flow": "greet", "steps": [{"name": "ask"}, {"name": "answer", "needs": ["ask"]}]}`)
//	h.Handle("ask", func(context.Context, *runner.Task) (any, error) { return "how are you?", nil })
//	h.Handle("answer", func(context.Context, *runner.Task) (any, error) { return nil, errors.New("busy") })
//	run := h.Start("greet", nil)
//	h.RunToIdle()            // answer failed and waits to be tried again
//	h.Advance(time.Minute)   // its time has come
//	h.RunToIdle()
//
// Everything happens in the calling goroutine, one task at a time and in the order of
// the queue, so a test does the same each time. There is nothing to wait for: what is
// idle stays so until the clock moves.
//
// The database belongs to the test alone and has been brought up to date by db.Up; New
// replaces its clock. Handlers may be the real ones, made-up ones, or both.
package runnertest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/runner"
)

// Harness is an engine with one runner, both of them at a standstill between calls.
// A call that fails ends the test.
type Harness struct {
	// Registry holds the handlers; fill it by Handle, by runner.Register, or by what
	// the program under test fills its own with.
	Registry *runner.Registry

	t    testing.TB
	pool *pgxpool.Pool
}

// New takes over the database of a pool. Its clock stands at the beginning of the
// year 2000, UTC, and moves by a microsecond each time that it is read, so that times
// differ and keep their order. At the end of the test the engine's tables must not
// contradict themselves.
func New(t testing.TB, pool *pgxpool.Pool) *Harness {
	t.Helper()
	h := &Harness{Registry: runner.NewRegistry(), t: t, pool: pool}
	h.exec("create table public.runnertest_clock (ahead interval not null)")
	h.exec("insert into public.runnertest_clock values ('0')")
	h.exec("create sequence public.runnertest_ticks")
	h.exec(`create or replace function htdag.clock() returns timestamptz language sql volatile set search_path = ''
		return timestamptz '2000-01-01 00:00:00Z' + (select ahead from public.runnertest_clock)
		       + nextval('public.runnertest_ticks') * interval '1 microsecond'`)
	t.Cleanup(h.check)
	return h
}

// check looks for contradictions.
func (h *Harness) check() {
	h.t.Helper()
	rows, err := h.pool.Query(context.Background(), "select format('run %s: %s: %s', run_id, invariant, detail) from htdag.invariant_violations")
	if err != nil {
		h.t.Errorf("look for violated invariants: %v", err)
		return
	}
	violations, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		h.t.Errorf("look for violated invariants: %v", err)
	}
	for _, v := range violations {
		h.t.Errorf("invariant violated: %s", v)
	}
}

// Handle registers a function as the handler of a kind.
func (h *Harness) Handle(kind string, f func(context.Context, *runner.Task) (any, error)) {
	h.t.Helper()
	h.Registry.Register(kind, runner.HandlerFunc(f))
}

// Define defines a flow from a JSON document, as htdag.define_flow takes it.
func (h *Harness) Define(definition string) {
	h.t.Helper()
	h.exec("select htdag.define_flow($1)", json.RawMessage(definition))
}

// Start starts a run of a flow and returns its number. The input is anything that
// encodes as JSON; nil stands for an empty object.
func (h *Harness) Start(flow string, input any) int64 {
	h.t.Helper()
	if input == nil {
		input = struct{}{}
	}
	return value[int64](h, "select htdag.start_flow($1, $2)", flow, h.encode(input))
}

// Signal tells a run what one of its steps waits for, or will. The payload is
// anything that encodes as JSON.
func (h *Harness) Signal(run int64, name string, payload any) {
	h.t.Helper()
	h.exec("select htdag.send_signal($1, $2, $3)", run, name, h.encode(payload))
}

func (h *Harness) encode(v any) json.RawMessage {
	h.t.Helper()
	document, err := json.Marshal(v)
	if err != nil {
		h.t.Fatalf("encode %v: %v", v, err)
	}
	return document
}

// RunToIdle does what there is to do and returns the number of tasks that were done.
// It reads all queues. Steps of a kind that has no handler stay ready.
func (h *Harness) RunToIdle() int {
	h.t.Helper()
	for tasks := 0; ; {
		queues := h.queues()
		// No heartbeat comes in between, however slowly the test is stepped through.
		n, err := runner.New(h.pool, h.Registry, runner.Options{
			Name: "test", Queues: queues, Concurrency: 1, Lease: 24 * time.Hour, Load: func() (cpu, memory float64) { return 0, 0 },
		}).RunToIdle(h.t.Context())
		if err != nil {
			h.t.Fatal(err)
		}
		tasks += n
		// A step may have been the first to name some queue.
		if len(h.queues()) == len(queues) {
			return tasks
		}
	}
}

func (h *Harness) queues() []string {
	h.t.Helper()
	return value[[]string](h, "select array(select distinct queue from htdag.lanes union select 'default' order by 1)")
}

// Advance moves the engine's clock and does what is due by then, but for the steps
// themselves: deadlines pass, retries become ready, queued runs are admitted.
func (h *Harness) Advance(d time.Duration) {
	h.t.Helper()
	h.exec("update public.runnertest_clock set ahead = ahead + $1", d)
	h.exec("select htdag.upkeep()")
}

// Now is the engine's time.
func (h *Harness) Now() time.Time {
	h.t.Helper()
	return value[time.Time](h, "select htdag.clock()").UTC()
}

// State is how a run stands: queued, running, succeeded, failed, cancelled, ...
func (h *Harness) State(run int64) string {
	h.t.Helper()
	return value[string](h, "select state from report.runs where run_id = $1", run)
}

// Steps are the states of the steps of a run, by name.
func (h *Harness) Steps(run int64) map[string]string {
	h.t.Helper()
	return value[map[string]string](h, "select jsonb_object_agg(step, state) from report.steps where run_id = $1", run)
}

// Error is what a run failed with; "" while it has not.
func (h *Harness) Error(run int64) string {
	h.t.Helper()
	return value[string](h, "select coalesce(error, '') from report.runs where run_id = $1", run)
}

// Children are the runs that were started as the body of a run's steps, in order.
func (h *Harness) Children(run int64) []int64 {
	h.t.Helper()
	return value[[]int64](h, "select array(select run_id from htdag.runs where parent_run_id = $1 order by run_id)", run)
}

// Output is the output of a step that has succeeded, as JSON; null where it has none.
// That of a map step is an array of its elements' outputs.
func (h *Harness) Output(run int64, step string) json.RawMessage {
	h.t.Helper()
	return value[json.RawMessage](h, `select coalesce(htdag.step_output(r.run_id, s.step_no), 'null')
	  from htdag.runs r join htdag.steps s using (flow_version_id) where r.run_id = $1 and s.name = $2`, run, step)
}

// Why says, a line per reason, why a run is not finished.
func (h *Harness) Why(run int64) []string {
	h.t.Helper()
	return value[[]string](h, "select array(select htdag.why($1))", run)
}

// Cancel ends a run.
func (h *Harness) Cancel(run int64) {
	h.t.Helper()
	h.exec("select htdag.cancel_run($1)", run)
}

func (h *Harness) exec(statement string, args ...any) {
	h.t.Helper()
	if _, err := h.pool.Exec(h.t.Context(), statement, args...); err != nil {
		h.t.Fatalf("%s: %v", statement, db.Error(err))
	}
}

func value[T any](h *Harness, query string, args ...any) (v T) {
	h.t.Helper()
	if err := h.pool.QueryRow(h.t.Context(), query, args...).Scan(&v); err != nil {
		h.t.Fatalf("%s %v: %v", query, args, db.Error(err))
	}
	return v
}
