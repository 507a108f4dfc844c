package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/db/localpg"
)

const template = "depth_template"

// bench is one server with what was measured on it so far. It does without durability:
// the time of a flush would hide the time of a search.
type bench struct {
	options
	server *localpg.Server
	admin  *pgx.Conn
	worlds int
	empty  map[string]figure // by what was called
}

func start(ctx context.Context, o options) (*bench, error) {
	server, err := localpg.Start(ctx, localpg.Options{Ephemeral: true, Settings: map[string]string{
		"max_connections": "600", "shared_buffers": "1GB", "max_wal_size": "8GB", "autovacuum_naptime": "5s",
		"shared_preload_libraries": "pg_stat_statements",
	}})
	if err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	b := &bench{options: o, server: server, empty: map[string]figure{}}
	if err := b.prepare(ctx); err != nil {
		return nil, fmt.Errorf("make a template: %w", err)
	}
	b.admin, err = pgx.Connect(ctx, server.SocketURL(""))
	return b, err
}

func (b *bench) prepare(ctx context.Context) error {
	if err := b.server.EnsureDatabase(ctx, template); err != nil {
		return err
	}
	pool, err := db.Open(ctx, b.server.URL(template), db.Options{})
	if err != nil {
		return err
	}
	defer pool.Close()
	if err := db.Up(ctx, pool); err != nil {
		return err
	}
	_, err = pool.Exec(ctx, `
		select htdag.define_flow('{"flow": "fan", "steps": [{"name": "s0", "kind": "noop"}, {"name": "s1", "kind": "noop"}, {"name": "s2", "kind": "noop"},
		  {"name": "s3", "kind": "noop"}, {"name": "s4", "kind": "noop"}]}');
		select htdag.define_flow('{"flow": "chain", "steps": [{"name": "s0", "kind": "noop"}, {"name": "s1", "kind": "noop", "needs": ["s0"]},
		  {"name": "s2", "kind": "noop", "needs": ["s1"]}]}');
		select htdag.define_flow('{"flow": "map", "steps": [{"name": "each", "kind": "noop", "map": "input"}, {"name": "all", "kind": "noop", "needs": ["each"]}]}')`)
	return err
}

func (b *bench) close() error {
	b.admin.Close(context.Background())
	return b.server.Close()
}

// A world is a database of its own.
type world struct {
	*bench
	name string
	conn *pgx.Conn // for what is not measured
}

func (b *bench) newWorld(ctx context.Context) (*world, error) {
	b.worlds++
	w := &world{bench: b, name: fmt.Sprintf("depth_%d", b.worlds)}
	if _, err := b.admin.Exec(ctx, "create database "+w.name+" template "+template); err != nil {
		return nil, err
	}
	var err error
	w.conn, err = pgx.Connect(ctx, b.server.SocketURL(w.name))
	return w, err
}

func (w *world) drop() {
	ctx := context.Background()
	w.conn.Close(ctx)
	w.admin.Exec(ctx, "drop database "+w.name+" with (force)") // the server goes too, soon
}

// fill makes runs of the flow fan, whose five tasks all wait, at one stroke.
func (w *world) fill(ctx context.Context, tasks int) error {
	_, err := w.conn.Exec(ctx, `
		with made as (
		  insert into htdag.runs (flow_id, flow_version_id, state, scheduled, succeeded, failed, skipped, queued_at, started_at)
		  select flow_id, flow_version_id, 'running', '11111', '00000', '00000', '00000', htdag.clock(), htdag.clock()
		    from htdag.flows join htdag.flow_versions using (flow_id), generate_series(1, $1::integer / 5) where name = 'fan'
		  returning run_id, flow_version_id
		), given as (
		  insert into htdag.run_io (run_id, input) select run_id, '{}' from made
		)
		insert into htdag.tasks (run_id, flow_version_id, epoch, step_no, last_step_no, lane_id, priority, time_limit, ready_at)
		select run_id, flow_version_id, 0, step_no, step_no, lane_id, -step_no, timeout, htdag.clock()
		  from made join htdag.steps using (flow_version_id)`, tasks)
	if err != nil {
		return fmt.Errorf("fill the queue with %d tasks: %w", tasks, err)
	}
	_, err = w.conn.Exec(ctx, "vacuum analyze htdag.tasks, htdag.runs, htdag.run_io")
	return err
}

// A client is a runner on a connection of its own.
type client struct {
	conn    *pgx.Conn
	queries *dbsqlc.Queries
	id      int32
	held    []dbsqlc.HtdagClaim
}

func (w *world) client(ctx context.Context) (*client, error) {
	conn, err := pgx.Connect(ctx, w.server.SocketURL(w.name))
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, queries: dbsqlc.New(conn)}
	c.id, err = c.queries.RegisterRunner(ctx, dbsqlc.RegisterRunnerParams{
		Name: "depth", Queues: []string{"default"}, Kinds: []string{"noop"}, Concurrency: 1, Lease: time.Hour})
	return c, err
}

func (c *client) close() { c.conn.Close(context.Background()) }

func (c *client) claim(ctx context.Context, want int) error {
	claims, err := c.queries.ClaimSteps(ctx, c.id, int32(want))
	c.keep(claims)
	return err
}

// complete hands in all that the client holds and takes up to want tasks.
func (c *client) complete(ctx context.Context, want int) error {
	p := dbsqlc.CompleteStepsParams{Runner: c.id, Want: int32(want)}
	for _, t := range c.held {
		p.TaskIds, p.Tokens, p.StepNos = append(p.TaskIds, t.TaskID), append(p.Tokens, *t.Token), append(p.StepNos, t.StepNo)
		p.Outcomes, p.Outputs = append(p.Outcomes, "succeeded"), append(p.Outputs, json.RawMessage(nil))
		p.Errors, p.Ran = append(p.Errors, ""), append(p.Ran, time.Millisecond)
	}
	claims, err := c.queries.CompleteSteps(ctx, p)
	c.keep(claims)
	return err
}

func (c *client) keep(claims []dbsqlc.HtdagClaim) {
	c.held = c.held[:0]
	for _, t := range claims {
		if t.Verdict == "claimed" {
			c.held = append(c.held, t)
		}
	}
}
