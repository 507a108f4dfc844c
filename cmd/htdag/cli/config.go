package cli

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/db/localpg"
)

// effective is the value of a setting and where it comes from.
type effective struct {
	Setting string `json:"setting"`
	Value   any    `json:"value"` // null for a limit that is lifted
	Origin  string `json:"origin"`
	Default any    `json:"default"`
	Effect  string `json:"takes_effect_in"`
}

func (a *app) configCommand() *cobra.Command {
	var s settings
	var asJSON bool
	cmd := &cobra.Command{
		Use: "config [flags] [DIR...]", Short: "Show the settings and where each comes from",
		RunE: func(cmd *cobra.Command, dirs []string) error {
			for _, dir := range dirs {
				if fi, err := os.Stat(dir); err != nil || !fi.IsDir() {
					return usagef("%q is no directory to watch, and no verb of htdag config", dir)
				}
			}
			dirs, err := a.configure(cmd.Flags(), &s, dirs)
			if err != nil {
				return err
			}
			stored, err := a.stored(cmd.Context())
			if err != nil {
				return err
			}
			return a.printSettings(a.effective(cmd.Flags(), dirs, stored), asJSON)
		},
	}
	s.watchFlags(cmd)
	cmd.Long = configLong(cmd.Flags())
	jsonFlag(cmd, &asJSON)

	var applied settings
	apply := &cobra.Command{
		Use: "apply [flags] [DIR...]", Short: "Store settings that live in the database, without starting anything",
		Long: "Stores what flags, environment and settings file say about limits, retries and time limits:\nlimits hold at once for every process, retries and time limits for runs that start from then on.\nWhat is given nowhere stays as it is.",
		RunE: func(cmd *cobra.Command, dirs []string) error {
			ctx := cmd.Context()
			dirs, err := a.configure(cmd.Flags(), &applied, dirs)
			if err != nil {
				return err
			}
			return a.client(ctx, "config apply", func(pool *pgxpool.Pool) error {
				err := db.InTx(ctx, pool, func(tx pgx.Tx) error {
					return store(ctx, dbsqlc.New(tx), applied.limits(cmd), applied.policy(cmd))
				})
				if err != nil {
					return err
				}
				stored, err := dbsqlc.New(pool).IngestionSettings(ctx)
				if err != nil {
					return err
				}
				all := a.effective(cmd.Flags(), dirs, &stored)
				var inIt []effective
				for _, e := range all {
					if e.Effect != inProcess && e.Effect != inAll {
						inIt = append(inIt, e)
					}
				}
				return a.printSettings(inIt, false)
			})
		},
	}
	applied.watchFlags(apply)
	example := &cobra.Command{
		Use: "example", Short: "Print a settings file with every default, and what each setting means", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := exampleFile(cmd.Flags())
			if err == nil {
				_, err = a.stdout.Write(text)
			}
			return err
		},
	}
	cmd.AddCommand(apply, example)
	return cmd
}

// stored are the settings in the database; nil where there is none yet. A local server
// that does not run is left alone.
func (a *app) stored(ctx context.Context) (*dbsqlc.IngestionSettingsRow, error) {
	if a.databaseURL == "" {
		opts, err := a.localOptions()
		if err != nil {
			return nil, err
		}
		if s, err := localpg.Inspect(ctx, opts); err != nil || s.State != localpg.Running {
			fmt.Fprintln(a.stderr, "no database is named, and the local PostgreSQL does not run: what it holds is not shown")
			return nil, nil
		}
	}
	pool, err := a.open(ctx, db.Options{ApplicationName: "htdag config"}, false)
	if err != nil {
		return nil, err
	}
	defer pool.Close()
	status, err := db.GetStatus(ctx, pool)
	if err != nil {
		return nil, err
	}
	if !status.CodeCurrent {
		fmt.Fprintln(a.stderr, "the database is not at this version, so what it holds is not shown; htdag migrate up brings it there")
		return nil, nil
	}
	row, err := dbsqlc.New(pool).IngestionSettings(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the settings in the database: %w", db.Error(err))
	}
	return &row, nil
}

// effective says what each setting is: as the command line, the environment or the file
// has it, else as the database, else by default.
func (a *app) effective(flags *pflag.FlagSet, dirs []string, stored *dbsqlc.IngestionSettingsRow) []effective {
	inDB := storedValues(stored)
	var all []effective
	for _, s := range documented {
		flag := flags.Lookup(s.flag())
		e := effective{Setting: s.key, Value: typed(flag.Value), Origin: "default", Default: typed(defaultOf(flag)), Effect: s.effect}
		source, sourced := a.sources[flag.Name]
		value, inIt := inDB[s.key]
		switch {
		case s.key == "watch_directories" && flags.NArg() > 0:
			e.Value, e.Origin = dirs, "argument"
		case sourced:
			e.Origin = source.name
		case flag.Changed:
			e.Origin = "--" + flag.Name
		case inIt && value != e.Default:
			e.Value, e.Origin = value, "database"
		}
		if s.key == "embedding_url" {
			e.Value = withoutPassword(fmt.Sprint(e.Value))
		}
		all = append(all, e)
	}
	if a.getenv(keyVariable) != "" {
		all = append(all, effective{Setting: "embedding_api_key", Value: "not shown", Origin: keyVariable, Default: "", Effect: inProcess})
	}
	return all
}

// storedValues are the settings in the database, by key.
func storedValues(stored *dbsqlc.IngestionSettingsRow) map[string]any {
	if stored == nil {
		return nil
	}
	whole := func(n int32) int { return int(n) }
	same := func(x float64) float64 { return x }
	return map[string]any{
		"max_concurrent_dags":             held(stored.MaxConcurrent, whole),
		"rate_limit_per_minute":           held(stored.RatePerMinute, whole),
		"cpu_threshold":                   held(stored.CpuThreshold, same),
		"memory_threshold":                held(stored.MemoryThreshold, same),
		"retry_policy.max_retries":        int(stored.MaxRetries),
		"retry_policy.backoff_multiplier": stored.BackoffMultiplier,
		"retry_policy.initial_delay_ms":   int(deref(stored.InitialDelay).Milliseconds()),
		"node_timeout_ms":                 int(deref(stored.NodeTimeout).Milliseconds()),
		"dag_timeout_ms":                  int(deref(stored.DagTimeout).Milliseconds()),
	}
}

// held is a limit, or nil where it is lifted.
func held[T, As any](p *T, as func(T) As) any {
	if p == nil {
		return nil
	}
	return as(*p)
}

// typed is the value of a flag as what it is.
func typed(v pflag.Value) any {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.Var(v, "x", "")
	switch v.Type() {
	case "bool":
		x, _ := flags.GetBool("x") // of its type
		return x
	case "int":
		x, _ := flags.GetInt("x")
		return x
	case "float64":
		x, _ := flags.GetFloat64("x")
		return x
	case "stringSlice":
		return append([]string{}, v.(pflag.SliceValue).GetSlice()...)
	}
	return v.String()
}

// defaultOf is what a flag would be if nobody set it.
func defaultOf(flag *pflag.Flag) pflag.Value {
	v := scratch(flag.Value.Type())
	if flag.DefValue != "[]" {
		_ = v.Set(flag.DefValue) // it has been written by such a value
	}
	return v
}

func (a *app) printSettings(all []effective, asJSON bool) error {
	if asJSON {
		return a.printJSON(all)
	}
	t := a.columns("setting", "value", "origin")
	for _, e := range all {
		t.AppendRow([]any{e.Setting, plainValue(e.Value), e.Origin})
	}
	return a.printColumns(t, len(all), "there are no settings")
}

// plainValue writes a value for people.
func plainValue(v any) string {
	switch v := v.(type) {
	case nil:
		return "no limit"
	case string:
		if v == "" {
			return "none"
		}
	case []string:
		if len(v) == 0 {
			return "none"
		}
		return strings.Join(v, ", ")
	}
	return fmt.Sprint(v)
}

func configLong(flags *pflag.FlagSet) string {
	var b strings.Builder
	b.WriteString(`Prints the value of each setting, as htdag up with the same flags and directories would have
it, and where it comes from: a flag, an environment variable, a line of the settings file, the
database, or the default. Flags win over the environment, that over the file, that over the database.

The settings file is the one that --config names; else htdag.yaml in the working directory; else
htdag.yaml in the directory to watch. Limits, retries and time limits live in the database: what
is given when htdag up starts, or by htdag config apply, is stored there, and the rest stays.

`)
	for _, s := range documented {
		flag := flags.Lookup(s.flag())
		fmt.Fprintf(&b, "%s\n    %s\n    --%s, %s; default %s\n    works in %s\n", s.key, flag.Usage, flag.Name, variable(flag.Name), plainValue(typed(defaultOf(flag))), s.effect)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// exampleFile is a settings file with every default.
func exampleFile(flags *pflag.FlagSet) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("# Settings of htdag. Leave out what you do not want to set: limits, retries and time\n# limits that are not named here stay as they are in the database.\n")
	last := ""
	for _, s := range documented {
		flag := flags.Lookup(s.flag())
		value, err := yaml.MarshalWithOptions(typed(defaultOf(flag)), yaml.Flow(true))
		if err != nil {
			return nil, fmt.Errorf("write the default of %s: %w", s.key, err)
		}
		section, name := s.parts()
		indent := ""
		if section != "" {
			indent = "  "
			if section != last {
				fmt.Fprintf(&b, "\n%s:\n", section)
			}
		} else {
			b.WriteString("\n")
		}
		last = section
		fmt.Fprintf(&b, "%s# %s.\n%s%s: %s\n", indent, strings.ToUpper(flag.Usage[:1])+flag.Usage[1:], indent, name, bytes.TrimSpace(value))
	}
	return b.Bytes(), nil
}
