package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
)

const fileHelp = "A file is YAML, or JSON if its name ends in .json, and may hold several flows, in YAML set\napart by lines of ---; the file \"-\" is standard input. A flow is written as for\nhtdag.define_flow:\n\n  flow: build\n  steps:\n    - name: compile\n    - name: test\n      needs: [compile]\n      timeout: 5 min\n"

// A difference is what a definition would change in a flow.
type difference struct {
	Flow    string   `json:"flow"`
	File    string   `json:"file"`
	Version int32    `json:"version"` // the newest there is; 0 when the flow is new
	Draft   bool     `json:"draft"`
	Retired bool     `json:"retired"`
	Changes []change `json:"changes"`
}

type change struct {
	Step    *string `json:"step,omitempty"`
	Change  string  `json:"change"`
	Option  *string `json:"option,omitempty"`
	Was     *string `json:"was,omitempty"`
	Becomes *string `json:"becomes,omitempty"`
}

func differenceOf(ctx context.Context, queries *dbsqlc.Queries, d definition) (difference, error) {
	rows, err := queries.DiffFlow(ctx, d.spec)
	if err != nil {
		return difference{}, d.located(db.Error(err))
	}
	diff := difference{Flow: d.name, File: d.file, Changes: []change{}}
	for _, r := range rows {
		diff.Changes = append(diff.Changes, change(r))
	}
	newest, err := queries.NewestVersion(ctx, d.name)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return diff, fmt.Errorf("look at flow %s: %w", d.name, err)
	}
	diff.Version, diff.Draft, diff.Retired = newest.Version, newest.Draft, newest.Retired
	return diff, nil
}

func (a *app) flowApply() *cobra.Command {
	return &cobra.Command{
		Use: "apply FILE...", Short: "Define the flows that files hold", Args: cobra.MinimumNArgs(1),
		Long: "Defines the flows that files hold, all of them or, if one is invalid, none. A flow that\nmeans something else than its newest version gets a new one; runs under way keep theirs.\n\n" + fileHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			definitions, err := a.allDefinitions(args)
			if err != nil {
				return err
			}
			return a.client(ctx, "flow apply", func(pool *pgxpool.Pool) error {
				var said bytes.Buffer // nothing is true until it is committed
				err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
					for _, d := range definitions {
						if err := applyOne(ctx, dbsqlc.New(tx), d, &said); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					return err
				}
				_, err = said.WriteTo(a.stdout)
				return err
			})
		},
	}
}

func applyOne(ctx context.Context, queries *dbsqlc.Queries, d definition, out io.Writer) error {
	diff, err := differenceOf(ctx, queries, d)
	if err != nil {
		return err
	}
	version := diff.Version
	if len(diff.Changes) > 0 {
		if version, err = queries.DefineFlow(ctx, d.spec); err != nil {
			return d.located(db.Error(err))
		}
	}
	what := ""
	switch {
	case diff.Version == 0:
		what = fmt.Sprintf("created as version %d", version)
	case len(diff.Changes) == 0:
		what = fmt.Sprintf("unchanged at version %d", version)
	case version == diff.Version:
		what = fmt.Sprintf("version %d, which has not been run yet, is changed", version)
	default:
		what = fmt.Sprintf("version %d is new", version)
	}
	if diff.Retired {
		what += "; the flow is retired"
	}
	if _, err := fmt.Fprintf(out, "%s: %s\n", d.name, what); err != nil {
		return err
	}
	return printChanges(out, diff.Changes)
}

func (a *app) flowDiff() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "diff FILE...", Short: "Say what applying files would change", Args: cobra.MinimumNArgs(1),
		Long: "Says what htdag flow apply would change, and changes nothing. Only meaning counts: neither\nthe order of steps and options nor a default written out. Exit status: 0 when nothing\nwould change, 1 when something would, 2 when that cannot be told.\n\n" + fileHelp,
		RunE: func(cmd *cobra.Command, args []string) error {
			diffs, err := a.differences(cmd.Context(), args)
			if err != nil {
				return trouble{err}
			}
			different := false
			for _, d := range diffs {
				different = different || len(d.Changes) > 0
			}
			if asJSON {
				err = a.printJSON(diffs)
			} else {
				err = printDifferences(a.stdout, diffs)
			}
			if err == nil && different {
				err = exitStatus(1)
			}
			return err
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func (a *app) differences(ctx context.Context, files []string) (diffs []difference, err error) {
	definitions, err := a.allDefinitions(files)
	if err != nil {
		return nil, err
	}
	err = a.client(ctx, "flow diff", func(pool *pgxpool.Pool) error {
		for _, d := range definitions {
			diff, err := differenceOf(ctx, dbsqlc.New(pool), d)
			if err != nil {
				return err
			}
			diffs = append(diffs, diff)
		}
		return nil
	})
	return diffs, err
}

func (a *app) allDefinitions(files []string) (all []definition, err error) {
	for _, file := range files {
		definitions, err := a.readDefinitions(file)
		if err != nil {
			return nil, err
		}
		all = append(all, definitions...)
	}
	return all, nil
}

func printDifferences(out io.Writer, diffs []difference) error {
	for _, d := range diffs {
		if len(d.Changes) == 0 {
			continue
		}
		what := fmt.Sprintf("differs from version %d", d.Version)
		if d.Version == 0 {
			what = "is new"
		}
		if _, err := fmt.Fprintf(out, "%s: %s\n", d.Flow, what); err != nil {
			return err
		}
		if err := printChanges(out, d.Changes); err != nil {
			return err
		}
	}
	return nil
}

// printChanges prints a line per change: + for what comes, - for what goes, ~ for
// what is another.
func printChanges(out io.Writer, changes []change) error {
	for _, c := range changes {
		line := ""
		switch c.Change {
		case "flow added":
			continue
		case "flow option changed":
			line = fmt.Sprintf("~ %s: %s -> %s", deref(c.Option), orNone(c.Was), orNone(c.Becomes))
		case "step added":
			line = fmt.Sprintf("+ step %s  %s", deref(c.Step), deref(c.Becomes))
		case "step removed":
			line = fmt.Sprintf("- step %s  %s", deref(c.Step), deref(c.Was))
		case "need added":
			line = fmt.Sprintf("+ step %s needs %s", deref(c.Step), deref(c.Becomes))
		case "need removed":
			line = fmt.Sprintf("- step %s needs %s", deref(c.Step), deref(c.Was))
		default:
			line = fmt.Sprintf("~ step %s %s: %s -> %s", deref(c.Step), deref(c.Option), orNone(c.Was), orNone(c.Becomes))
		}
		if _, err := fmt.Fprintf(out, "  %s\n", line); err != nil {
			return err
		}
	}
	return nil
}

func orNone(s *string) string {
	switch {
	case s == nil:
		return "none"
	case strings.Contains(*s, "\n"):
		return strconv.Quote(*s)
	}
	return *s
}
