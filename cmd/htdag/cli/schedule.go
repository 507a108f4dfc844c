package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/runner/maintenance"
)

func (a *app) schedule() *cobra.Command {
	cmd := &cobra.Command{Use: "schedule", Short: "Start flows by the clock", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(a.scheduleCreate(), a.scheduleAlter(), a.scheduleList(), a.schedulePause(), a.scheduleResume(), a.scheduleDrop(),
		a.scheduleFire(), a.scheduleTick())
	return cmd
}

func (a *app) scheduleCreate() *cobra.Command {
	var p dbsqlc.CreateScheduleParams
	var input string
	cmd := &cobra.Command{
		Use: "create NAME CRON FLOW", Short: "Make a schedule", Args: cobra.ExactArgs(3),
		Long: "Lets a flow start at the times that a cron expression names: minute, hour, day, month and\nweekday, with the second before them if it matters, or @hourly, @daily, @weekly, @monthly, @yearly.\nProcesses that run htdag up or htdag run start it, each time once.",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			document, err := a.document("input", input)
			if err != nil {
				return err
			}
			p.Name, p.Cron, p.Flow, p.Input = args[0], args[1], args[2], document
			return a.client(ctx, "schedule create", func(pool *pgxpool.Pool) error {
				if _, err := dbsqlc.New(pool).CreateSchedule(ctx, p); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.stdout, "schedule %s: created\n", p.Name)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&input, "input", "{}", "the runs' input: JSON, or @ and a file that holds it; {due_at} and {schedule} are filled in")
	cmd.Flags().StringVar(&p.TimeZone, "time-zone", "UTC", "whose clock is meant, as in Europe/Berlin")
	cmd.Flags().StringVar(&p.CatchUp, "catch-up", "skip", "what becomes of times that were missed: skip, latest or all")
	return cmd
}

func (a *app) scheduleAlter() *cobra.Command {
	var cron, flow, input, zone, catchUp string
	cmd := &cobra.Command{
		Use: "alter NAME", Short: "Change what is given of a schedule", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			p := dbsqlc.AlterScheduleParams{Name: args[0], Cron: given(cron), Flow: given(flow), TimeZone: given(zone), CatchUp: given(catchUp)}
			if input != "" {
				document, err := a.document("input", input)
				if err != nil {
					return err
				}
				p.Input = document
			}
			return a.changeSchedule(cmd.Context(), "alter", "altered", args[0], func(ctx context.Context, q *dbsqlc.Queries) (bool, error) {
				return q.AlterSchedule(ctx, p)
			})
		},
	}
	cmd.Flags().StringVar(&cron, "cron", "", "when it is due")
	cmd.Flags().StringVar(&flow, "flow", "", "what it starts")
	cmd.Flags().StringVar(&input, "input", "", "the runs' input: JSON, or @ and a file that holds it")
	cmd.Flags().StringVar(&zone, "time-zone", "", "whose clock is meant")
	cmd.Flags().StringVar(&catchUp, "catch-up", "", "what becomes of times that were missed: skip, latest or all")
	return cmd
}

func (a *app) scheduleList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the schedules", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return a.client(ctx, "schedule list", func(pool *pgxpool.Pool) error {
				rows, err := dbsqlc.New(pool).Schedules(ctx)
				if err != nil {
					return fmt.Errorf("list the schedules: %w", err)
				}
				if asJSON {
					return a.printJSON(answers(rows, scheduleAnswerOf))
				}
				t := a.columns("schedule", "cron", "time zone", "flow", "next", "last", "run", "trouble")
				now := time.Now()
				for _, s := range rows {
					run, trouble := "", s.Trouble
					if s.LastRunID != nil {
						run = fmt.Sprint(*s.LastRunID)
					}
					if trouble == "" {
						trouble = s.LastError
					}
					t.AppendRow([]any{s.Schedule, s.Cron, s.TimeZone, s.Flow, moment(known(s.NextDueAt), now), moment(known(s.LastDueAt), now), run, trouble})
				}
				return a.printColumns(t, len(rows), "there are no schedules")
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// known is a time, unless it is the epoch, which stands for none.
func known(t time.Time) *time.Time {
	if t.Unix() == 0 {
		return nil
	}
	return &t
}

func (a *app) schedulePause() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use: "pause NAME", Short: "Let a schedule start nothing", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeSchedule(cmd.Context(), "pause", "paused", args[0], func(ctx context.Context, q *dbsqlc.Queries) (bool, error) {
				return q.PauseSchedule(ctx, args[0], given(reason))
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; report.schedules says it")
	return cmd
}

func (a *app) scheduleResume() *cobra.Command {
	return &cobra.Command{
		Use: "resume NAME", Short: "Let a schedule go on from now", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeSchedule(cmd.Context(), "resume", "goes on", args[0], func(ctx context.Context, q *dbsqlc.Queries) (bool, error) {
				return q.ResumeSchedule(ctx, args[0])
			})
		},
	}
}

func (a *app) scheduleDrop() *cobra.Command {
	return &cobra.Command{
		Use: "drop NAME", Short: "Remove a schedule; runs that it started go on", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeSchedule(cmd.Context(), "drop", "dropped", args[0], func(ctx context.Context, q *dbsqlc.Queries) (bool, error) {
				return q.DropSchedule(ctx, args[0])
			})
		},
	}
}

// changeSchedule does a thing to a schedule and says what came of it.
func (a *app) changeSchedule(ctx context.Context, verb, done, name string, do func(context.Context, *dbsqlc.Queries) (bool, error)) error {
	return a.client(ctx, "schedule "+verb, func(pool *pgxpool.Pool) error {
		changed, err := do(ctx, dbsqlc.New(pool))
		if err != nil {
			return err
		}
		if !changed {
			done = "as before"
		}
		_, err = fmt.Fprintf(a.stdout, "schedule %s: %s\n", name, done)
		return err
	})
}

func (a *app) scheduleFire() *cobra.Command {
	return &cobra.Command{
		Use: "fire NAME", Short: "Start the run of a schedule now", Args: cobra.ExactArgs(1),
		Long: "Starts the run of a schedule now and prints its number, whether the schedule is due, paused or\nneither. When it is due next stays as it is.",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.client(ctx, "schedule fire", func(pool *pgxpool.Pool) error {
				run, err := dbsqlc.New(pool).FireSchedule(ctx, args[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(a.stdout, run)
				return err
			})
		},
	}
}

func (a *app) scheduleTick() *cobra.Command {
	return &cobra.Command{
		Use: "tick", Short: "Start what is due, once", Args: cobra.NoArgs,
		Long: "Starts what is due and works out when the rest is, once: for those who have something else that\ncalls it every minute, and no process with maintenance.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return a.client(ctx, "schedule tick", func(pool *pgxpool.Pool) error {
				started, _, err := maintenance.Tick(ctx, pool, 0)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(a.stdout, "runs started: %d\n", started)
				return err
			})
		},
	}
}

// maintain runs maintenance beside whatever else this process does, on connections
// of its own. What it returns stops it and waits.
func (a *app) maintain(ctx context.Context, pool *pgxpool.Pool) (stop func(), err error) {
	config := pool.Config()
	config.MaxConns = maintenance.MaxConns
	config.ConnConfig.RuntimeParams["application_name"] = "htdag maintenance"
	// Whatever fails is tried again, so there is no need to ask first whether the
	// connection is alive, which would be half of all it does while idle.
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	own, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect for maintenance: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer own.Close()
		maintenance.Run(ctx, own, maintenance.Options{Log: a.log})
	}()
	return func() { cancel(); <-done }, nil
}
