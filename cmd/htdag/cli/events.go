package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db/dbsqlc"
)

// howToListen is said where no event is found: perhaps nobody asked for any.
const howToListen = "there are no such events; they are written once somebody wants them: select htdag.subscribe('mine', '{\"flow\": \"...\"}')"

func (a *app) events() *cobra.Command {
	var flow, kind string
	var limit int32
	var follow, asJSON bool
	cmd := &cobra.Command{
		Use: "events", Short: "List what happened to runs, or follow it", Args: cobra.NoArgs,
		Long: "Lists the last events, the newest last, of flows that somebody subscribed to. With --follow\nit prints each new one as it comes, until it is interrupted, none twice and none missed.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if err := within("limit", int(limit), 1, 1_000_000); err != nil {
				return err
			}
			return a.client(ctx, "events", func(pool *pgxpool.Pool) error {
				queries := dbsqlc.New(pool)
				if follow {
					return a.followEvents(ctx, queries, flow, kind, asJSON)
				}
				events, err := queries.Events(ctx, given(flow), given(kind), limit)
				if err != nil {
					return fmt.Errorf("list events: %w", err)
				}
				slices.Reverse(events)
				if asJSON {
					return a.printJSON(answers(events, func(e dbsqlc.EventsRow) json.RawMessage { return e.Payload }))
				}
				now := time.Now()
				t := a.columns("event", "at", "kind", "flow", "run", "step", "says")
				for _, e := range events {
					t.AppendRow([]any{e.EventID, moment(&e.OccurredAt, now), e.Kind, e.Flow, e.RunID, e.Step, says(e.Payload)})
				}
				return a.printColumns(t, len(events), howToListen)
			})
		},
	}
	cmd.Flags().StringVar(&flow, "flow", "", "only of this flow")
	cmd.Flags().StringVar(&kind, "kind", "", "only of this kind; run.*, step.* and flow.* stand for all that begin so")
	cmd.Flags().Int32Var(&limit, "limit", 20, "at most so many of the last ones")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "print events as they come, from now on; with --json one a line")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// followEvents prints events until ctx ends.
func (a *app) followEvents(ctx context.Context, queries *dbsqlc.Queries, flow, kind string, asJSON bool) error {
	cursor, err := queries.EventCursor(ctx)
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		events, err := queries.EventsAfter(ctx, cursor)
		if err != nil {
			if ctx.Err() != nil {
				break
			}
			return err
		}
		for _, e := range events {
			cursor = e.Cursor
			if flow != "" && e.Flow != flow || kind != "" && !isKind(e.Kind, kind) {
				continue
			}
			line := string(e.Payload)
			if !asJSON {
				line = fmt.Sprintf("%s  %-15s %s  run %d  %s  %s", e.OccurredAt.Local().Format("15:04:05"), e.Kind, e.Flow, e.RunID, e.Step, says(e.Payload))
			}
			if _, err := fmt.Fprintln(a.stdout, line); err != nil {
				return err
			}
		}
		if len(events) == 0 {
			select {
			case <-ctx.Done():
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
	return nil // to be interrupted is how this ends
}

// isKind says whether a kind is the one asked for, or begins as it does before its *.
func isKind(kind, want string) bool {
	if prefix, ok := strings.CutSuffix(want, ".*"); ok {
		return strings.HasPrefix(kind, prefix+".")
	}
	return kind == want
}

// says is what there is to read in an event.
func says(payload json.RawMessage) string {
	var p struct {
		Error    string          `json:"error"`
		Reason   string          `json:"reason"`
		Path     string          `json:"path"`
		Codebase string          `json:"codebase"`
		Progress json.RawMessage `json:"progress"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return ""
	}
	for _, text := range []string{p.Error, p.Reason, p.Path, p.Codebase} {
		if text != "" {
			return firstLine(text)
		}
	}
	return string(p.Progress)
}
