package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/db/localpg"
	"github.com/htdag/htdag/watcher"
)

func (a *app) watch() *cobra.Command {
	cmd := &cobra.Command{Use: "watch", Short: "Say which directories are watched, also while htdag up runs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	cmd.AddCommand(a.watchAdd(), a.watchRemove(), a.watchList())
	return cmd
}

func (a *app) watchAdd() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use: "add DIR...", Short: "Have directories watched", Args: cobra.MinimumNArgs(1),
		Long: "Has directories of this host watched, from now on and whenever htdag up runs here, by one\nof its processes: one that runs begins at once. Each directory is a codebase of its own.",
		RunE: func(cmd *cobra.Command, dirs []string) error {
			ctx := cmd.Context()
			if _, err := a.configure(cmd.Flags(), &s, dirs); err != nil {
				return err
			}
			if len(dirs) > 1 && s.codebase != "" {
				return usagef("--codebase names one codebase, but there are %d directories; add them one at a time", len(dirs))
			}
			roots, err := checkRoots(ctx, dirs, s)
			if errors.Is(err, watcher.ErrRootMissing) {
				return fmt.Errorf("%w; directories are those of this host: what lies on another is added there", err)
			} else if err != nil {
				return err
			}
			return a.client(ctx, "watch add", func(pool *pgxpool.Pool) error {
				if err := nameRoots(ctx, dbsqlc.New(pool), s, roots); err != nil {
					return err
				}
				return a.addWatches(ctx, pool, roots)
			})
		},
	}
	s.watchFlags(&cobra.Command{}) // for the defaults of what this verb does not ask
	f := cmd.Flags()
	f.StringVar(&s.codebase, "codebase", "", "name of the codebase (default as detected)")
	f.StringVar(&s.config, "config", "", "settings file, of which the two next are taken")
	f.BoolVar(&s.autoDetectCodebase, "auto-detect-codebase", true, "name a codebase after its git remote or its directory")
	f.StringVar(&s.defaultCodebaseID, "default-codebase-id", "", "name of a codebase that has no git remote, or of any if names are not detected")
	return cmd
}

// beginWait is how long a process may take to begin, until it is said that none does.
const beginWait = 3 * time.Second

func (a *app) addWatches(ctx context.Context, pool *pgxpool.Pool, roots []watcher.Root) error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find the name of this host: %w", err)
	}
	queries := dbsqlc.New(pool)
	for _, r := range roots {
		_, err := queries.AddWatch(ctx, dbsqlc.AddWatchParams{Codebase: r.Name, Root: r.Path, Host: host, Standing: true})
		if err = db.Error(err); errors.Is(err, db.ErrState) {
			return fmt.Errorf("%w; --codebase NAME gives it another name", err)
		} else if err != nil {
			return fmt.Errorf("have %s watched: %w", r.Path, err)
		}
	}
	for deadline := time.Now().Add(beginWait); ; time.Sleep(50 * time.Millisecond) {
		all, err := queries.Watches(ctx)
		if err != nil {
			return fmt.Errorf("see what is watched: %w", err)
		}
		waiting := slices.ContainsFunc(all, func(w dbsqlc.WatchesRow) bool {
			return w.Server == "" && slices.ContainsFunc(roots, func(r watcher.Root) bool { return r.Name == w.Codebase })
		})
		if waiting && time.Now().Before(deadline) && ctx.Err() == nil {
			continue
		}
		for _, r := range roots {
			i := slices.IndexFunc(all, func(w dbsqlc.WatchesRow) bool { return w.Codebase == r.Name })
			switch {
			case i < 0:
				fmt.Fprintf(a.stdout, "%s: removed by somebody meanwhile\n", r.Name)
			case all[i].Server == "":
				fmt.Fprintf(a.stdout, "%s: added as %s; it is not watched yet: %s\n", r.Name, r.Path, all[i].Trouble)
			default:
				fmt.Fprintf(a.stdout, "%s: %s is watched by %s\n", r.Name, r.Path, all[i].Server)
			}
		}
		return nil
	}
}

func (a *app) watchRemove() *cobra.Command {
	return &cobra.Command{
		Use: "remove DIR|CODEBASE...", Short: "Have directories watched no longer", Args: cobra.MinimumNArgs(1),
		Long: "Has directories, given by path or by the name of their codebase, watched no longer: the process\nthat does so stops at once. What is stored of them stays.",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			return a.client(ctx, "watch remove", func(pool *pgxpool.Pool) error {
				queries := dbsqlc.New(pool)
				all, err := queries.Watches(ctx)
				if err != nil {
					return fmt.Errorf("see what is watched: %w", err)
				}
				var found []dbsqlc.WatchesRow
				for _, arg := range args {
					i := slices.IndexFunc(all, func(w dbsqlc.WatchesRow) bool { return w.Codebase == arg || slices.Contains(pathsOf(arg), w.Root) })
					if i < 0 {
						return fmt.Errorf("%s is not watched; htdag watch list says what is", arg)
					}
					found = append(found, all[i])
				}
				for _, w := range found {
					if _, err := queries.RemoveWatch(ctx, w.Codebase); err != nil {
						return fmt.Errorf("remove %s: %w", w.Root, err)
					}
					fmt.Fprintf(a.stdout, "%s: %s is no longer watched; what is stored of it stays\n", w.Codebase, w.Root)
				}
				return nil
			})
		},
	}
}

// pathsOf are the paths that an argument may mean: as it stands, and without links.
func pathsOf(arg string) []string {
	absolute, err := filepath.Abs(arg)
	if err != nil {
		return nil
	}
	paths := []string{absolute}
	if real, err := filepath.EvalSymlinks(absolute); err == nil {
		paths = append(paths, real)
	}
	return paths
}

type watchAnswer struct {
	Codebase    string     `json:"codebase"`
	Root        string     `json:"root"`
	Host        string     `json:"host"`
	Standing    bool       `json:"standing"`
	Server      string     `json:"server"`
	ServedSince *time.Time `json:"served_since"`
	ScannedAt   *time.Time `json:"scanned_at"`
	Trouble     string     `json:"trouble"`
}

func (a *app) watchList() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List what is watched, and by which process", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			return a.client(ctx, "watch list", func(pool *pgxpool.Pool) error {
				rows, err := dbsqlc.New(pool).Watches(ctx)
				if err != nil {
					return fmt.Errorf("list what is watched: %w", err)
				}
				if asJSON {
					return a.printJSON(answers(rows, func(w dbsqlc.WatchesRow) watchAnswer {
						return watchAnswer{w.Codebase, w.Root, w.Host, w.Standing, w.Server, known(w.ServedSince), w.ScannedAt, w.Trouble}
					}))
				}
				t := a.columns("codebase", "directory", "host", "watched by", "since", "scanned", "trouble")
				now := time.Now()
				for _, w := range rows {
					t.AppendRow([]any{w.Codebase, w.Root, w.Host, w.Server, moment(known(w.ServedSince), now), moment(w.ScannedAt, now), w.Trouble})
				}
				return a.printColumns(t, len(rows), "nothing is watched; htdag watch add DIR changes that")
			})
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

// mayHoldWatches says whether there is a database that may name directories to watch;
// to find out does not make one.
func (a *app) mayHoldWatches(ctx context.Context) bool {
	if a.databaseURL != "" {
		return true
	}
	opts, err := a.localOptions()
	if err != nil {
		return false
	}
	s, err := localpg.Inspect(ctx, opts)
	return err == nil && s.State != localpg.Absent
}

// standing says whether some directory of this host is always to be watched.
func standing(ctx context.Context, pool *pgxpool.Pool) (bool, error) {
	host, err := os.Hostname()
	if err != nil {
		return false, fmt.Errorf("find the name of this host: %w", err)
	}
	all, err := dbsqlc.New(pool).Watches(ctx)
	if err != nil {
		return false, fmt.Errorf("see what is to be watched: %w", db.Error(err))
	}
	return slices.ContainsFunc(all, func(w dbsqlc.WatchesRow) bool { return w.Standing && w.Host == host }), nil
}
