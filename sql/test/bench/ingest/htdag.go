package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/jackc/pgx/v5"
)

// htdag is the program under measurement and its database.
type htdag struct {
	options
	server *server
	url    string
}

const codebase = "tree"

// create makes the database and installs everything in it.
func (h *htdag) create(ctx context.Context) (err error) {
	if _, err := h.server.admin.Exec(ctx, "create database ingest"); err != nil {
		return err
	}
	h.url = h.server.local.URL("ingest")
	if _, err = run(ctx, h.program, "migrate", "up", "--database-url", h.url); err != nil {
		return err
	}
	_, err = h.server.admin.Exec(ctx, "checkpoint")
	return err
}

// ingest brings the tree into the database, or up to date in it.
func (h *htdag) ingest(ctx context.Context, t *tree) (usage, error) {
	before, err := h.server.meter(ctx)
	if err != nil {
		return usage{}, err
	}
	u, err := run(ctx, h.program, "up", "--once", "--codebase", codebase, "--database-url", h.url, t.root)
	if err != nil {
		return u, err
	}
	after, err := h.server.meter(ctx)
	if err != nil {
		return u, err
	}
	u.hasServer, u.server, u.wal = true, after.cpu-before.cpu, after.wal-before.wal
	err = h.server.admin.QueryRow(ctx, "select pg_database_size('ingest')").Scan(&u.disk)
	return u, err
}

// phases says when each step of the last run began and ended.
func (h *htdag) phases(ctx context.Context) (*table, error) {
	t := newTable("step", "begins at s", "ends at s", "tasks", "busy s")
	conn, err := pgx.Connect(ctx, h.url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `
		select s.name,
		       extract(epoch from min(a.claimed_at) - min(min(a.claimed_at)) over ())::float8,
		       extract(epoch from max(a.finished_at) - min(min(a.claimed_at)) over ())::float8,
		       count(*),
		       extract(epoch from sum(a.finished_at - a.claimed_at))::float8
		  from htdag.runs r
		  join htdag.steps s on s.flow_version_id = r.flow_version_id
		  join htdag.attempts a on a.run_id = r.run_id and a.step_no = s.step_no
		 where r.run_id = (select max(run_id) from htdag.runs)
		   and a.claimed_at is not null
		 group by s.name
		 order by 2, 3`)
	if err != nil {
		return nil, err
	}
	var step string
	var begins, ends, busy float64
	var tasks int
	_, err = pgx.ForEachRow(rows, []any{&step, &begins, &ends, &tasks, &busy}, func() error {
		t.add(step, fmt.Sprintf("%.2f", begins), fmt.Sprintf("%.2f", ends), fmt.Sprint(tasks), fmt.Sprintf("%.2f", busy))
		return nil
	})
	return t, err
}

// scanTime is how long the scan of the last run took.
func (h *htdag) scanTime(ctx context.Context) (time.Duration, error) {
	conn, err := pgx.Connect(ctx, h.url)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	var seconds float64
	err = conn.QueryRow(ctx, `
		select extract(epoch from a.finished_at - a.claimed_at)::float8
		  from htdag.attempts a
		  join htdag.runs r using (run_id)
		  join htdag.steps s on s.flow_version_id = r.flow_version_id and s.step_no = a.step_no
		 where s.name = 'codebase_scan'
		 order by a.run_id desc
		 limit 1`).Scan(&seconds)
	return time.Duration(seconds * float64(time.Second)), err
}

// watch starts the program as its users do, to the point where it watches. The limits
// on starts are lifted: what is measured is how quick it is, not how patient.
func (h *htdag) watch(ctx context.Context, t *tree) (stop func() error, err error) {
	cmd := exec.CommandContext(ctx, h.program, "up", "--codebase", codebase, "--database-url", h.url,
		"--debounce-delay-ms", fmt.Sprint(h.debounce.Milliseconds()), "--rate-limit-per-minute", "100000", "--cpu-threshold", "1", t.root)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := waitFor(out, "Watching "); err != nil {
		return nil, fmt.Errorf("%s does not come to watch: %w", cmd, err)
	}
	return func() error {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			return err
		}
		_ = cmd.Wait() // the status of an interrupted program
		return nil
	}, nil
}
