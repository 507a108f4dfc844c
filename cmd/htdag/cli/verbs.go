package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db/dbsqlc"
)

// runID reads the number of a run.
func runID(arg string) (int64, error) {
	id, err := strconv.ParseInt(arg, 10, 64)
	if err != nil || id < 1 {
		return 0, usagef("%q is not the number of a run; htdag runs lists them", arg)
	}
	return id, nil
}

// document reads a JSON argument: itself, the file after an @, or standard input for "@-".
func (a *app) document(flag, arg string) (json.RawMessage, error) {
	text := []byte(arg)
	if file, ok := strings.CutPrefix(arg, "@"); ok {
		var err error
		if file == "-" {
			text, err = io.ReadAll(a.stdin)
		} else {
			text, err = os.ReadFile(file)
		}
		if err != nil {
			return nil, err
		}
	}
	if !json.Valid(text) {
		return nil, usagef("--%s is %q, which is not JSON", flag, arg)
	}
	return text, nil
}

func (a *app) startCommand() *cobra.Command {
	p := dbsqlc.StartFlowParams{OnDuplicate: "return"}
	var input, key string
	var debounce, delay time.Duration
	var wait, asJSON bool
	cmd := &cobra.Command{
		Use: "start FLOW", Short: "Start a run of a flow", Args: cobra.ExactArgs(1),
		Long: "Starts a run of a flow and prints its number. With --wait it stays until the run has\nended, prints its steps, and fails unless it succeeded. To interrupt the waiting leaves the run alone.",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			document, err := a.document("input", input)
			if err != nil {
				return err
			}
			return a.client(ctx, "start", func(pool *pgxpool.Pool) error {
				queries := dbsqlc.New(pool)
				p.Flow, p.Input, p.Key = args[0], document, given(key)
				if debounce != 0 {
					p.Debounce = &debounce
				}
				if delay != 0 {
					p.Delay = &delay
				}
				run, err := queries.StartFlow(ctx, p)
				if err != nil {
					return err
				}
				if !asJSON || !wait {
					if _, err := fmt.Fprintln(a.stdout, run); err != nil || !wait {
						return err
					}
				}
				return a.waitFor(ctx, queries, run, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&input, "input", "{}", "the run's input: JSON, or @ and a file that holds it")
	cmd.Flags().Int32Var(&p.Priority, "priority", 0, "lower is sooner")
	cmd.Flags().StringVar(&key, "key", "", "there is one run for a key: print the one that there is")
	cmd.Flags().StringVar(&p.OnDuplicate, "on-duplicate", "return", "what to do where the key has a run: return, restart_failed, restart, replace, reject or debounce")
	cmd.Flags().DurationVar(&debounce, "debounce", 0, "with --on-duplicate debounce, quiet time after which the last of them starts")
	cmd.Flags().DurationVar(&delay, "delay", 0, "let it begin so much later")
	cmd.Flags().BoolVar(&wait, "wait", false, "stay until the run has ended")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// patience is how long a run may take before whoever waits is told why.
const patience = 3 * time.Second

// waitFor looks at a run until it has ended, ever less often, and reports it.
func (a *app) waitFor(ctx context.Context, queries *dbsqlc.Queries, run int64, asJSON bool) error {
	explain := time.Now().Add(patience)
	for wait := 20 * time.Millisecond; ; wait = min(wait*3/2, time.Second) {
		r, err := queries.RunReport(ctx, run)
		if err != nil {
			return fmt.Errorf("look at run %d: %w", run, err)
		}
		if r.FinishedAt != nil {
			return a.reportRun(ctx, queries, r, asJSON)
		}
		if !explain.IsZero() && time.Now().After(explain) {
			explain = time.Time{} // once will do
			lines, err := queries.Why(ctx, run)
			if err != nil {
				return err
			}
			for _, line := range lines {
				fmt.Fprintf(a.stderr, "waiting: %s\n", line)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("run %d goes on: %w", run, context.Cause(ctx))
		case <-time.After(wait):
		}
	}
}

func (a *app) reportRun(ctx context.Context, queries *dbsqlc.Queries, r dbsqlc.RunReportRow, asJSON bool) error {
	if asJSON {
		if err := a.printJSON(runAnswer(r)); err != nil {
			return err
		}
	} else {
		steps, err := queries.StepReports(ctx, r.RunID)
		if err != nil {
			return fmt.Errorf("look at the steps of run %d: %w", r.RunID, err)
		}
		t := a.columns("step", "state", "tries", "ran", "error")
		for _, s := range steps {
			t.AppendRow([]any{s.Step, s.State, s.Attempts, ran(s), firstLine(s.Error)})
		}
		if err := a.printColumns(t, len(steps), "the flow has no steps"); err != nil {
			return err
		}
	}
	if r.State != "succeeded" {
		return fmt.Errorf("run %d %s: %s", r.RunID, r.State, firstLine(r.Error))
	}
	return nil
}

// ran is how long handlers worked on a step, if one did.
func ran(s dbsqlc.StepReportsRow) string {
	if s.Attempts == 0 {
		return ""
	}
	return short(s.Ran)
}

// progressOf is how far the handlers at work on a step say they are.
func progressOf(s dbsqlc.StepReportsRow) string {
	if s.ProgressDone < 0 {
		return ""
	}
	text := fmt.Sprint(s.ProgressDone)
	if s.ProgressTotal > 0 {
		text += fmt.Sprintf("/%d", s.ProgressTotal)
	}
	return strings.TrimSpace(text + " " + s.ProgressNote)
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

func (a *app) runs() *cobra.Command {
	var flow, state string
	var limit int32
	var asJSON bool
	cmd := &cobra.Command{
		Use: "runs [RUN]", Short: "List runs, newest first, or the steps of one", Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			if limit < 1 {
				return usagef("--limit is %d; it must be at least 1", limit)
			}
			var run int64
			if len(args) == 1 {
				var err error
				if run, err = runID(args[0]); err != nil {
					return err
				}
			}
			return a.client(ctx, "runs", func(pool *pgxpool.Pool) error {
				queries := dbsqlc.New(pool)
				if run != 0 {
					return a.steps(ctx, queries, run, asJSON)
				}
				runs, err := queries.RunReports(ctx, given(flow), given(state), limit)
				if err != nil {
					return fmt.Errorf("list the runs: %w", err)
				}
				if asJSON {
					return a.printJSON(answers(runs, func(r dbsqlc.RunReportsRow) runAnswer { return runAnswer(r) }))
				}
				now := time.Now()
				t := a.columns("run", "flow", "version", "state", "steps", "started", "took", "error")
				for _, r := range runs {
					took := ""
					if r.StartedAt != nil && r.FinishedAt != nil {
						took = short(r.FinishedAt.Sub(*r.StartedAt))
					}
					t.AppendRow([]any{r.RunID, r.Flow, r.Version, r.State, fmt.Sprintf("%d/%d", r.StepsDone, r.StepsTotal),
						moment(r.StartedAt, now), took, firstLine(r.Error)})
				}
				return a.printColumns(t, len(runs), "there are no such runs")
			})
		},
	}
	cmd.Flags().StringVar(&flow, "flow", "", "only of this flow")
	cmd.Flags().StringVar(&state, "state", "", "only in this state")
	cmd.Flags().Int32Var(&limit, "limit", 20, "at most so many")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// steps lists the steps of one run, whatever has become of it.
func (a *app) steps(ctx context.Context, queries *dbsqlc.Queries, run int64, asJSON bool) error {
	if _, err := queries.RunReport(ctx, run); errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("run %d does not exist (htdag runs lists those there are)", run)
	} else if err != nil {
		return fmt.Errorf("look at run %d: %w", run, err)
	}
	steps, err := queries.StepReports(ctx, run)
	if err != nil {
		return fmt.Errorf("look at the steps of run %d: %w", run, err)
	}
	if asJSON {
		return a.printJSON(answers(steps, stepAnswerOf))
	}
	t := a.columns("step", "group", "state", "tries", "ran", "progress", "error")
	for _, s := range steps {
		t.AppendRow([]any{s.Step, s.GroupPath, s.State, s.Attempts, ran(s), progressOf(s), firstLine(s.Error)})
	}
	return a.printColumns(t, len(steps), "the flow has no steps")
}

// given is a text, or nothing where it is empty.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

func (a *app) why() *cobra.Command {
	return &cobra.Command{
		Use: "why RUN", Short: "Say why a run is not finished", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			run, err := runID(args[0])
			if err != nil {
				return err
			}
			return a.client(cmd.Context(), "why", func(pool *pgxpool.Pool) error {
				lines, err := dbsqlc.New(pool).Why(cmd.Context(), run)
				if err != nil {
					return err
				}
				for _, line := range lines {
					if _, err := fmt.Fprintln(a.stdout, line); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func (a *app) cancel() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "cancel RUN", Short: "End a run now", Args: cobra.ExactArgs(1),
		Long: "Ends a run now. Handlers at work on it see their context end within a heartbeat.",
		RunE: func(cmd *cobra.Command, args []string) error {
			run, err := runID(args[0])
			if err != nil {
				return err
			}
			return a.client(cmd.Context(), "cancel", func(pool *pgxpool.Pool) error {
				cancelled, err := dbsqlc.New(pool).CancelRun(cmd.Context(), run, reason)
				if err != nil {
					return err
				}
				what := "cancelled"
				if !cancelled {
					what = "had ended already"
				}
				_, err = fmt.Fprintf(a.stdout, "run %d: %s\n", run, what)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "cancelled", "why; it is kept with the run")
	return cmd
}
