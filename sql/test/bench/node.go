package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

// nodeEngine is a queue of jobs that is a package of npm: a script in node/ drives it,
// in a process that lives from Open to Close. rounds.mjs has what the two say to each
// other.
type nodeEngine struct {
	name, script string

	// verified is a query for the numbers of jobs that there have ever been, of those
	// that were completed, and of those that are in any other state.
	verified string

	url     string
	process *exec.Cmd
	ask     io.WriteCloser
	answers *bufio.Scanner
	stderr  bytes.Buffer
}

// graphile is Graphile Worker. It deletes a job that is completed and keeps one that
// failed, so what tells that a job has been is the number it was given.
func graphile() Engine {
	return &nodeEngine{name: "graphile-worker", script: "graphile.mjs", verified: `
		select last, last - remaining, remaining
		  from (select case when is_called then last_value else 0 end as last from graphile_worker.jobs_id_seq1) s,
		       (select count(*) as remaining from graphile_worker._private_jobs) j`}
}

func pgBoss() Engine {
	return &nodeEngine{name: "pg-boss", script: "pgboss.mjs", verified: `
		select count(*), count(*) filter (where state = 'completed'), count(*) filter (where state <> 'completed')
		  from pgboss.job where name = 'job'`}
}

func (n *nodeEngine) Name() string  { return n.name }
func (*nodeEngine) Shapes() []Shape { return []Shape{Jobs} }

func (n *nodeEngine) Open(ctx context.Context, url string, _ Shape) error {
	modules, err := nodeModules()
	if err != nil {
		return fmt.Errorf("%s is not installed, run npm ci in sql/test/bench/node: %w", n.name, err)
	}
	n.url = url
	n.process = exec.Command("node", n.script, url)
	n.process.Dir = filepath.Dir(modules)
	n.process.Stderr = &n.stderr
	n.process.WaitDelay = 5 * time.Second
	if n.ask, err = n.process.StdinPipe(); err != nil {
		return err
	}
	out, err := n.process.StdoutPipe()
	if err != nil {
		return err
	}
	n.answers = bufio.NewScanner(out)
	if err := n.process.Start(); err != nil {
		n.process = nil
		return fmt.Errorf("%s: start node: %w", n.name, err)
	}
	var hello struct{ Ready bool }
	if err := n.answer(ctx, &hello); err != nil {
		return err
	}
	if !hello.Ready {
		return fmt.Errorf("%s: its script says something else than that it is ready", n.name)
	}
	return nil
}

// answer reads a line of the script.
func (n *nodeEngine) answer(ctx context.Context, v any) error {
	// Killing the process is what ends a read that nothing answers.
	stop := context.AfterFunc(ctx, func() { n.process.Process.Kill() })
	defer stop()
	if !n.answers.Scan() {
		if ctx.Err() != nil {
			return fmt.Errorf("%s: no answer: %w", n.name, ctx.Err())
		}
		return fmt.Errorf("%s: node %s ended: %s", n.name, n.script, bytes.TrimSpace(n.end()))
	}
	if err := json.Unmarshal(n.answers.Bytes(), v); err != nil {
		return fmt.Errorf("%s: node %s said %q: %w", n.name, n.script, n.answers.Text(), err)
	}
	return nil
}

// end waits for the process and returns what it complained about.
func (n *nodeEngine) end() []byte {
	n.ask.Close()
	n.process.Wait()
	n.process = nil
	return n.stderr.Bytes()
}

func (n *nodeEngine) Run(ctx context.Context, runs, workers int) (Sample, error) {
	question, err := json.Marshal(map[string]int{"jobs": runs, "workers": workers})
	if err != nil {
		return Sample{}, err
	}
	if _, err := n.ask.Write(append(question, '\n')); err != nil {
		return Sample{}, fmt.Errorf("%s: ask for %d jobs: %w", n.name, runs, err)
	}
	var took struct{ Wall, Drain float64 } // milliseconds
	if err := n.answer(ctx, &took); err != nil {
		return Sample{}, err
	}
	unit := float64(time.Millisecond)
	return Sample{Wall: time.Duration(took.Wall * unit), Drain: time.Duration(took.Drain * unit)}, nil
}

func (n *nodeEngine) Verify(ctx context.Context, runs int) error {
	conn, err := pgx.Connect(ctx, n.url)
	if err != nil {
		return fmt.Errorf("%s: connect to verify: %w", n.name, err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var all, completed, others int
	if err := conn.QueryRow(ctx, n.verified).Scan(&all, &completed, &others); err != nil {
		return fmt.Errorf("%s: count jobs: %w", n.name, err)
	}
	if all != runs || completed != runs || others != 0 {
		return fmt.Errorf("%s: of %d jobs %d are completed and %d are not, want %d, %d and 0", n.name, all, completed, others, runs, runs)
	}
	return nil
}

// Close ends the script's input; it closes its connections and exits.
func (n *nodeEngine) Close(ctx context.Context) error {
	if n.process == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { n.process.Process.Kill() })
	defer stop()
	n.ask.Close()
	for n.answers.Scan() {
	}
	err := n.process.Wait()
	n.process = nil
	if err != nil {
		return errors.Join(fmt.Errorf("%s: node %s: %w", n.name, n.script, err), errors.New(n.stderr.String()))
	}
	return nil
}
