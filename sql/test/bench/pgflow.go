package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/htdag/htdag/sql"
)

// pgflow is the SQL core of pgflow, as npm's @pgflow/core has it, driven from Go in
// the way of its own worker: read messages, start their tasks, complete them.
type pgflow struct {
	shape   Shape
	conns   conns
	workers []pgtype16
}

// pgtype16 is a UUID.
type pgtype16 = [16]byte

// What README.md gives the reasons for.
const (
	pgflowBatch  = 10 // messages read, and tasks started, in one call
	pgflowStarts = 20 // runs started in one statement
)

func (e *pgflow) Name() string    { return "pgflow" }
func (e *pgflow) Shapes() []Shape { return Shapes }

func (e *pgflow) Open(ctx context.Context, url string, shape Shape) error {
	e.shape, e.conns.url = shape, url
	modules, err := nodeModules()
	if err != nil {
		return err
	}
	if err := e.conns.atLeast(ctx, 1); err != nil {
		return err
	}
	conn := e.conns.list[0]
	var there bool
	if err := conn.QueryRow(ctx, "select to_regnamespace('pgflow') is not null").Scan(&there); err != nil || there {
		return err
	}
	return installPgflow(ctx, conn, modules, shape)
}

// installPgflow runs the migrations of @pgflow/core on our PGMQ functions, or on the
// extension where the server has it, and defines a shape as a flow of its name.
// Instead of Supabase's Realtime there is a function that does nothing, which is in
// pgflow's favour.
func installPgflow(ctx context.Context, conn *pgx.Conn, modules string, shape Shape) error {
	scripts := []string{`create schema realtime;
		create function realtime.send(payload jsonb, event text, topic text, private boolean default true) returns void
		  language plpgsql as 'begin end'`}
	var extension bool
	if err := conn.QueryRow(ctx, "select exists (select from pg_available_extensions where name = 'pgmq')").Scan(&extension); err != nil {
		return err
	}
	if !extension {
		names, err := fs.Glob(sql.Code, "pgmq/*.sql")
		if err != nil {
			return err
		}
		for _, name := range names {
			text, err := fs.ReadFile(sql.Code, name)
			if err != nil {
				return err
			}
			scripts = append(scripts, string(text))
		}
	}
	names, err := filepath.Glob(filepath.Join(modules, "@pgflow/core/dist/supabase/migrations/*.sql"))
	if err != nil || len(names) == 0 {
		return fmt.Errorf("@pgflow/core has no migrations: %v", err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		script := string(text)
		if !extension {
			script = strings.ReplaceAll(script, `CREATE EXTENSION IF NOT EXISTS "pgmq" WITH SCHEMA "pgmq";`, "")
		}
		scripts = append(scripts, script)
	}
	for _, script := range scripts {
		if _, err := conn.PgConn().Exec(ctx, script).ReadAll(); err != nil {
			return fmt.Errorf("install pgflow: %w", err)
		}
	}
	if _, err := conn.Exec(ctx, "select from pgflow.create_flow($1, max_attempts => 3, timeout => 3600)", string(shape)); err != nil {
		return err
	}
	for _, s := range shape.Graph() {
		kind := "single"
		if s.Map {
			kind = "map"
		}
		needs := append([]string{}, s.Needs...)
		if _, err := conn.Exec(ctx, "select from pgflow.add_step($1, $2, deps_slugs => $3, step_type => $4)", string(shape), s.Name, needs, kind); err != nil {
			return fmt.Errorf("add step %s: %w", s.Name, err)
		}
	}
	return nil
}

func (e *pgflow) Run(ctx context.Context, runs, workers int) (Sample, error) {
	if err := e.ready(ctx, max(workers, 2)); err != nil {
		return Sample{}, err
	}
	c := crew[pgtype16]{starts: pgflowStarts, start: e.start, work: e.work}
	return c.run(ctx, e.shape, runs, workers)
}

// ready connects and registers that many workers.
func (e *pgflow) ready(ctx context.Context, n int) error {
	if err := e.conns.atLeast(ctx, n); err != nil {
		return err
	}
	for _, conn := range e.conns.list[len(e.workers):] {
		var id pgtype16
		rand.Read(id[:])
		if _, err := conn.Exec(ctx, "insert into pgflow.workers (worker_id, queue_name, function_name) values ($1, $2, 'bench')", id, string(e.shape)); err != nil {
			return err
		}
		e.workers = append(e.workers, id)
	}
	return nil
}

func (e *pgflow) start(ctx context.Context, worker, runs int) ([]pgtype16, error) {
	rows, err := e.conns.list[worker].Query(ctx, "select (pgflow.start_flow($1, '{}')).run_id from generate_series(1, $2::int)", string(e.shape), runs)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[pgtype16])
}

// pgflowTask is a task that was started.
type pgflowTask struct {
	RunID pgtype16
	Step  string
	Index int32
	Input json.RawMessage
}

func (e *pgflow) work(ctx context.Context, worker int, l *ledger[pgtype16]) error {
	conn := e.conns.list[worker]
	for !l.isOver() {
		rows, err := conn.Query(ctx, "select msg_id from pgmq.read($1, 3600, $2)", string(e.shape), pgflowBatch)
		if err != nil {
			return err
		}
		messages, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		if len(messages) == 0 {
			time.Sleep(time.Millisecond)
			continue
		}
		rows, err = conn.Query(ctx, "select run_id, step_slug, task_index, input from pgflow.start_tasks($1, $2, $3)", string(e.shape), messages, e.workers[worker])
		if err != nil {
			return err
		}
		tasks, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pgflowTask])
		if err != nil {
			return err
		}
		if len(tasks) != len(messages) {
			return errors.New("fewer tasks were started than messages read")
		}
		if err := e.complete(ctx, conn, tasks); err != nil {
			return err
		}
		for _, t := range tasks {
			l.done(t.RunID)
		}
	}
	return nil
}

// complete completes tasks, in one statement and in the order of their runs: complete_task
// locks its run, and two workers that took runs in different orders would deadlock.
func (e *pgflow) complete(ctx context.Context, conn *pgx.Conn, tasks []pgflowTask) error {
	slices.SortFunc(tasks, func(a, b pgflowTask) int { return bytes.Compare(a.RunID[:], b.RunID[:]) })
	var (
		runs    []pgtype16
		steps   []string
		indexes []int32
		outputs []json.RawMessage
	)
	for _, t := range tasks {
		runs, steps, indexes, outputs = append(runs, t.RunID), append(steps, t.Step), append(indexes, t.Index), append(outputs, e.output(t))
	}
	_, err := conn.Exec(ctx, `select pgflow.complete_task(t.run_id, t.step, t.index, t.output)
		from unnest($1::uuid[], $2::text[], $3::int[], $4::jsonb[]) t (run_id, step, index, output)`, runs, steps, indexes, outputs)
	return err
}

// output is what the handler of a step answers.
func (e *pgflow) output(t pgflowTask) json.RawMessage {
	switch {
	case e.shape != Map:
	case t.Step == "list":
		return elements
	case t.Step == "each":
		return t.Input
	}
	return json.RawMessage("null")
}

func (e *pgflow) Verify(ctx context.Context, runs int) error {
	if err := e.conns.atLeast(ctx, 1); err != nil {
		return err
	}
	facts := []fact{
		{"runs completed", "select count(*) from pgflow.runs where status = 'completed'", runs},
		{"runs not completed", "select count(*) from pgflow.runs where status <> 'completed'", 0},
		{"tasks completed in one try", "select count(*) from pgflow.step_tasks where status = 'completed' and attempts_count = 1", runs * e.shape.Tasks()},
		{"tasks otherwise", "select count(*) from pgflow.step_tasks where status <> 'completed' or attempts_count <> 1", 0},
		{"messages left over", "select count(*) from pgmq.q_" + string(e.shape), 0},
		{"messages archived", "select count(*) from pgmq.a_" + string(e.shape), runs * e.shape.Tasks()},
	}
	if e.shape == Storm {
		facts = []fact{
			{"runs started", "select count(*) from pgflow.runs where status = 'started'", runs},
			{"first steps queued", "select count(*) from pgmq.q_storm where read_ct = 0", runs},
		}
	}
	return check(ctx, e.conns.list[0], facts...)
}

func (e *pgflow) Close(ctx context.Context) error {
	e.workers = nil
	return e.conns.close(ctx)
}
