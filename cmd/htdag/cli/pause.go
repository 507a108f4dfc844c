package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db/dbsqlc"
)

// A target is what pause and resume are about: runs, a flow or a queue.
type target struct{ flow, queue string }

func (t *target) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&t.flow, "flow", "", "a flow, in place of runs")
	cmd.Flags().StringVar(&t.queue, "queue", "", "a queue, in place of runs")
}

// check says whether exactly one kind of thing is named, and reads the runs.
func (t *target) check(args []string) (runs []int64, err error) {
	named := 0
	for _, is := range []bool{len(args) > 0, t.flow != "", t.queue != ""} {
		if is {
			named++
		}
	}
	if named != 1 {
		return nil, usagef("name runs, or a flow with --flow, or a queue with --queue")
	}
	for _, arg := range args {
		run, err := runID(arg)
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	return runs, nil
}

func (a *app) pause() *cobra.Command {
	var t target
	var reason string
	var running bool
	cmd := &cobra.Command{
		Use: "pause [RUN...]", Short: "Hold runs, a flow or a queue, or list what is held",
		Long: "Holds runs, with the runs below them: what is at work finishes, what is ready waits. Of a\nflow, new runs wait in its queue; of a queue, nothing is claimed. Alone it lists what is held.",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if len(args) == 0 && t == (target{}) {
				return a.client(ctx, "pause", func(pool *pgxpool.Pool) error { return a.pauses(ctx, dbsqlc.New(pool)) })
			}
			if running && t.flow == "" {
				return usagef("--running goes with --flow")
			}
			return a.eachTarget(ctx, "pause", "paused", t, args, func(q *dbsqlc.Queries, run int64) (bool, error) {
				switch {
				case t.flow != "":
					return q.PauseFlow(ctx, t.flow, given(reason), running)
				case t.queue != "":
					return q.PauseQueue(ctx, t.queue, given(reason))
				}
				return q.PauseRun(ctx, run, given(reason))
			})
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why; those who wait are told")
	cmd.Flags().BoolVar(&running, "running", false, "with --flow, hold its runs under way too")
	return cmd
}

func (a *app) resume() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: "resume [RUN...]", Short: "Let runs, a flow or a queue go on",
		Long: "Lets go on what htdag pause holds.",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.eachTarget(ctx, "resume", "goes on", t, args, func(q *dbsqlc.Queries, run int64) (bool, error) {
				switch {
				case t.flow != "":
					return q.ResumeFlow(ctx, t.flow)
				case t.queue != "":
					return q.ResumeQueue(ctx, t.queue)
				}
				return q.ResumeRun(ctx, run)
			})
		},
	}
	t.flags(cmd)
	return cmd
}

// eachTarget does a thing to each run that is named, or once to a flow or queue, and
// says what came of it.
func (a *app) eachTarget(ctx context.Context, verb, done string, t target, args []string, do func(*dbsqlc.Queries, int64) (bool, error)) error {
	runs, err := t.check(args)
	if err != nil {
		return err
	}
	var names []string
	for _, run := range runs {
		names = append(names, fmt.Sprintf("run %d", run))
	}
	if len(runs) == 0 {
		runs = []int64{0} // once
		names = []string{"flow " + t.flow}
		if t.queue != "" {
			names = []string{"queue " + t.queue}
		}
	}
	return a.client(ctx, verb, func(pool *pgxpool.Pool) error {
		for i, run := range runs {
			changed, err := do(dbsqlc.New(pool), run)
			if err != nil {
				return err
			}
			what := done
			if !changed {
				what = "as before"
			}
			if _, err := fmt.Fprintf(a.stdout, "%s: %s\n", names[i], what); err != nil {
				return err
			}
		}
		return nil
	})
}

func (a *app) pauses(ctx context.Context, queries *dbsqlc.Queries) error {
	rows, err := queries.Pauses(ctx)
	if err != nil {
		return fmt.Errorf("list what is paused: %w", err)
	}
	t := a.columns("kind", "name", "since", "by", "reason")
	now := time.Now()
	for _, p := range rows {
		t.AppendRow([]any{p.Kind, p.Name, moment(&p.PausedAt, now), p.PausedBy, p.Reason})
	}
	return a.printColumns(t, len(rows), "nothing is paused")
}
