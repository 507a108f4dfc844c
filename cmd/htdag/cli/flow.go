package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
)

func (a *app) flow() *cobra.Command {
	cmd := &cobra.Command{Use: "flow", Short: "Define flows, compare, draw, list and retire them", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(a.flowApply(), a.flowDiff(), a.flowGraph(), a.flowList(), a.flowRetire())
	return cmd
}

// client opens the database for a verb that asks or tells the engine something. A
// database that was named is left as it is; the local one is made ready.
func (a *app) client(ctx context.Context, verb string, do func(*pgxpool.Pool) error) error {
	pool, err := a.open(ctx, db.Options{ApplicationName: "htdag " + verb}, a.databaseURL == "")
	if err != nil {
		return err
	}
	defer pool.Close()
	err = do(pool)
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && err == error(pgErr) {
		err = db.Error(err) // it has not been told what it is about
	}
	if errors.As(err, &pgErr) && (pgErr.Code == "3F000" || pgErr.Code == "42883" || pgErr.Code == "42P01" || pgErr.Code == "42703") {
		return fmt.Errorf("%w (the database is not at this version: have its owner run htdag migrate up)", err)
	}
	return err
}

func (a *app) flowList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the flows", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.client(cmd.Context(), "flow list", func(pool *pgxpool.Pool) error {
				flows, err := dbsqlc.New(pool).Flows(cmd.Context())
				if err != nil {
					return fmt.Errorf("list the flows: %w", err)
				}
				if asJSON {
					return a.printJSON(answers(flows, func(f dbsqlc.ReportFlow) flowAnswer { return flowAnswer(f) }))
				}
				t := a.columns("flow", "version", "steps", "queued", "running", "state", "description")
				for _, f := range flows {
					state := "in use"
					switch {
					case f.RetiredAt != nil:
						state = "retired " + date(*f.RetiredAt)
					case f.PausedAt != nil:
						state = "paused"
					case f.Draft:
						state = "draft"
					}
					t.AppendRow([]any{f.Flow, f.Version, f.StepsTotal, number(f.Queued), number(f.Running), state, deref(f.Description)})
				}
				return a.printColumns(t, len(flows), "there are no flows; htdag flow apply FILE makes some")
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) flowRetire() *cobra.Command {
	var undo bool
	cmd := &cobra.Command{
		Use: "retire FLOW", Short: "Take a flow out of use: it starts no new runs", Args: cobra.ExactArgs(1),
		Long: "Takes a flow out of use: it starts no new runs, and those it has go on.",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.client(cmd.Context(), "flow retire", func(pool *pgxpool.Pool) error {
				changed, err := dbsqlc.New(pool).RetireFlow(cmd.Context(), args[0], !undo)
				if err != nil {
					return err
				}
				state := map[bool]string{false: "retired", true: "in use"}[undo]
				if !changed {
					state += " already"
				}
				_, err = fmt.Fprintf(a.stdout, "%s: %s\n", args[0], state)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&undo, "undo", false, "bring it back into use")
	return cmd
}
