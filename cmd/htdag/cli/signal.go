package cli

import (
	"fmt"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db/dbsqlc"
)

func (a *app) signalCommand() *cobra.Command {
	var payload, flow string
	var all bool
	cmd := &cobra.Command{
		Use: "signal NAME RUN... | signal NAME --all", Short: "Tell runs what they wait for", Args: cobra.MinimumNArgs(1),
		Long: "Sends a signal: the step of a run that waits for it ends with the payload as its output, at\nonce or as soon as it waits. With --all every run is told that has such a step before it.",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			name, runs := args[0], args[1:]
			if all == (len(runs) > 0) {
				return usagef("name the runs, or say --all")
			} else if flow != "" && !all {
				return usagef("--flow is %q, which needs --all", flow)
			}
			document, err := a.document("payload", payload)
			if err != nil {
				return err
			}
			var ids []int64
			for _, r := range runs {
				id, err := runID(r)
				if err != nil {
					return err
				}
				ids = append(ids, id)
			}
			return a.client(ctx, "signal", func(pool *pgxpool.Pool) error {
				queries := dbsqlc.New(pool)
				if all {
					n, err := queries.BroadcastSignal(ctx, name, document, given(flow))
					if err != nil {
						return err
					}
					_, err = fmt.Fprintf(a.stdout, "runs told: %d\n", n)
					return err
				}
				for _, id := range ids {
					if _, err := queries.SendSignal(ctx, id, name, document); err != nil {
						return err
					}
					if _, err := fmt.Fprintf(a.stdout, "run %d: told\n", id); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&payload, "payload", "null", "what the step puts out: JSON, or @ and a file that holds it")
	cmd.Flags().BoolVar(&all, "all", false, "tell every run that waits for it, or will")
	cmd.Flags().StringVar(&flow, "flow", "", "with --all, only runs of this flow")
	return cmd
}
