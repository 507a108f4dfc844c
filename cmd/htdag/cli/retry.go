package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db/dbsqlc"
)

// retrySettings are the flags of retry. Those of one run and those of many do not mix.
type retrySettings struct {
	from            []string
	whole, preview  bool
	flow, err, code string
	since           time.Duration
	limit           int32
}

func (a *app) retry() *cobra.Command {
	var s retrySettings
	cmd := &cobra.Command{
		Use: "retry RUN | retry --flow FLOW", Short: "Have ended runs go on",
		Long: "Has a run that ended go on: what failed, what that kept from running, and all that needs\nthese runs again; everything else keeps its output. With --from the named steps are taken\nback instead, of a run that succeeded too. With --flow all failed runs of a flow are\nretried, or those with a certain error.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			given := cmd.Flags().Changed
			switch {
			case (len(args) == 1) == (s.flow != ""):
				return usagef("name a run, or a flow with --flow")
			case len(args) == 1 && (given("error") || given("code") || given("since") || given("limit")):
				return usagef("--error, --code, --since and --limit go with --flow")
			case s.flow != "" && (given("from") || given("whole-maps") || given("preview")):
				return usagef("--from, --whole-maps and --preview go with a run")
			case s.flow != "":
				return a.client(ctx, "retry", func(pool *pgxpool.Pool) error { return a.retryMany(ctx, dbsqlc.New(pool), s) })
			}
			run, err := runID(args[0])
			if err != nil {
				return err
			}
			return a.client(ctx, "retry", func(pool *pgxpool.Pool) error { return a.retryOne(ctx, dbsqlc.New(pool), run, s) })
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&s.from, "from", nil, "steps to take back, with all that needs them (default what failed)")
	f.BoolVar(&s.whole, "whole-maps", false, "of maps that failed, do the elements again that succeeded")
	f.BoolVar(&s.preview, "preview", false, "only say what would happen with each step")
	f.StringVar(&s.flow, "flow", "", "all failed runs of this flow")
	f.StringVar(&s.err, "error", "", "with --flow, only those whose error is like this, % standing for anything")
	f.StringVar(&s.code, "code", "", "with --flow, only those that failed with this error code")
	f.DurationVar(&s.since, "since", 0, "with --flow, only those that ended so recently")
	f.Int32Var(&s.limit, "limit", 1000, "with --flow, at most so many, the oldest first")
	return cmd
}

func (a *app) retryOne(ctx context.Context, queries *dbsqlc.Queries, run int64, s retrySettings) error {
	if s.preview {
		steps, err := queries.PreviewRetry(ctx, run, s.from, !s.whole)
		if err != nil {
			return err
		}
		t := a.columns("step", "is", "would")
		for _, p := range steps {
			happens := map[string]string{"runs again": "run again", "runs for the first time": "run for the first time", "kept": "be kept"}[p.Happens]
			if p.ElementsKept > 0 {
				happens += fmt.Sprintf(", but for %d elements", p.ElementsKept)
			}
			t.AppendRow([]any{p.Step, p.State, happens})
		}
		return a.printColumns(t, len(steps), "the flow has no steps")
	}
	again, err := queries.RetryRun(ctx, run, s.from, !s.whole)
	if err != nil {
		return err
	}
	what := "goes on"
	if !again {
		what = "has nothing to do again"
	}
	_, err = fmt.Fprintf(a.stdout, "run %d: %s\n", run, what)
	return err
}

func (a *app) retryMany(ctx context.Context, queries *dbsqlc.Queries, s retrySettings) error {
	p := dbsqlc.RetryRunsParams{Flow: s.flow, Error: given(s.err), Code: given(s.code), AtMost: s.limit}
	if s.since > 0 {
		since := time.Now().Add(-s.since)
		p.Since = &since
	}
	n, err := queries.RetryRuns(ctx, p)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "runs that go on: %d\n", n)
	return err
}

func (a *app) dead() *cobra.Command {
	var flow string
	var limit int32
	var asJSON bool
	cmd := &cobra.Command{
		Use: "dead", Short: "List steps that failed for good, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if limit < 1 {
				return usagef("--limit is %d; it must be at least 1", limit)
			}
			return a.client(ctx, "dead", func(pool *pgxpool.Pool) error {
				rows, err := dbsqlc.New(pool).DeadTasks(ctx, given(flow), limit)
				if err != nil {
					return fmt.Errorf("list what failed for good: %w", err)
				}
				if asJSON {
					return a.printJSON(answers(rows, deadAnswerOf))
				}
				now := time.Now()
				t := a.columns("run", "flow", "step", "element", "tries", "died", "code", "error")
				for _, r := range rows {
					element := ""
					if r.Element >= 0 {
						element = fmt.Sprint(r.Element)
					}
					t.AppendRow([]any{r.RunID, r.Flow, r.Step, element, r.Attempts, moment(&r.DiedAt, now), r.Code, firstLine(r.Error)})
				}
				return a.printColumns(t, len(rows), "nothing has failed for good")
			})
		},
	}
	cmd.Flags().StringVar(&flow, "flow", "", "only of this flow")
	cmd.Flags().Int32Var(&limit, "limit", 20, "at most so many")
	jsonFlag(cmd, &asJSON)
	return cmd
}
