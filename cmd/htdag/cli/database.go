package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/localpg"
	"github.com/htdag/htdag/runner/maintenance"
)

// localDatabase is the name of our database on the local server.
const localDatabase = "htdag"

func (a *app) localOptions() (localpg.Options, error) {
	dir := a.dataDir
	if dir == "" {
		var err error
		if dir, err = localpg.DefaultDir(a.getenv); err != nil {
			return localpg.Options{}, fmt.Errorf("%w (--data-dir)", err)
		}
	}
	return localpg.Options{Dir: dir, BinDir: a.binDir, Log: a.log}, nil
}

// url returns the database to work on, starting the local server when none was named.
func (a *app) url(ctx context.Context) (string, error) {
	if a.databaseURL != "" {
		return a.databaseURL, nil
	}
	opts, err := a.localOptions()
	if err != nil {
		return "", err
	}
	server, err := localpg.Start(ctx, opts)
	if err != nil {
		return "", err
	}
	if err := server.EnsureDatabase(ctx, localDatabase); err != nil {
		return "", err
	}
	return server.URL(localDatabase), nil
}

// open connects to the database and, if asked to, brings it up to date.
func (a *app) open(ctx context.Context, opts db.Options, migrate bool) (*pgxpool.Pool, error) {
	url, err := a.url(ctx)
	if err != nil {
		return nil, err
	}
	pool, err := db.Open(ctx, url, opts)
	if err != nil {
		return nil, err
	}
	if migrate {
		if err := upToDate(ctx, pool); err != nil {
			pool.Close()
			return nil, fmt.Errorf("%s: %w", db.Redact(url), err)
		}
	}
	return pool, nil
}

// upToDate migrates a database that is not current. Where it is, no right to change
// anything is needed.
func upToDate(ctx context.Context, pool *pgxpool.Pool) error {
	status, err := db.GetStatus(ctx, pool)
	if err == nil && !(status.CodeCurrent && status.Migration == status.LatestMigration) {
		err = db.Up(ctx, pool)
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) && pgErr.Code == "42501" {
		return fmt.Errorf("%w (have the owner of the database run htdag migrate up, and grant this user the role htdag_runner)", err)
	}
	return err
}

// diagnose looks for the cause of a failure in the local server, if that is what was
// worked on: one that has gone down says more about it when it is started again.
func (a *app) diagnose(ctx context.Context, err error) error {
	if err == nil || a.databaseURL != "" || ctx.Err() != nil {
		return err
	}
	opts, optsErr := a.localOptions()
	if optsErr != nil {
		return err
	}
	if s, inspectErr := localpg.Inspect(ctx, opts); inspectErr != nil || s.State == localpg.Running {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, startErr := localpg.Start(ctx, opts); startErr != nil {
		return fmt.Errorf("the local database went down: %w", startErr)
	}
	return fmt.Errorf("%w; the local database had gone down and runs again: the same command goes on from there", err)
}

func (a *app) migrate() *cobra.Command {
	cmd := &cobra.Command{Use: "migrate", Short: "Bring a database to this version, or take it back", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	up := &cobra.Command{Use: "up", Short: "Apply migrations and install functions", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pool, err := a.open(cmd.Context(), db.Options{}, true)
			if err != nil {
				return err
			}
			defer pool.Close()
			// Made here, where the rights are: runners may lack them.
			if err := maintenance.Migrate(cmd.Context(), pool); err != nil {
				return err
			}
			return a.printMigration(cmd.Context(), pool)
		}}
	var steps int
	var yes bool
	down := &cobra.Command{Use: "down", Short: "Take migrations back, with everything in their tables", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if steps < 0 {
				return usagef("--steps is %d; it must not be negative", steps)
			}
			if !yes {
				return usagef("migrate down destroys what is stored; say --yes if that is meant")
			}
			pool, err := a.open(cmd.Context(), db.Options{}, false)
			if err != nil {
				return err
			}
			defer pool.Close()
			if err := db.Down(cmd.Context(), pool, steps); err != nil {
				return err
			}
			if s, err := db.GetStatus(cmd.Context(), pool); err != nil {
				return err
			} else if s.Migration == 0 {
				if err := maintenance.Remove(cmd.Context(), pool); err != nil {
					return err
				}
			}
			return a.printMigration(cmd.Context(), pool)
		}}
	down.Flags().IntVar(&steps, "steps", 0, "number of migrations to take back; 0, or more than there are, means all")
	down.Flags().BoolVar(&yes, "yes", false, "destroy what the migrations' tables hold")
	status := &cobra.Command{Use: "status", Short: "Say which migration a database is at", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			pool, err := a.open(cmd.Context(), db.Options{}, false)
			if err != nil {
				return err
			}
			defer pool.Close()
			return a.printMigration(cmd.Context(), pool)
		}}
	cmd.AddCommand(up, down, status)
	return cmd
}

func (a *app) printMigration(ctx context.Context, pool *pgxpool.Pool) error {
	s, err := db.GetStatus(ctx, pool)
	if err != nil {
		return err
	}
	code := "as in this binary"
	if !s.CodeCurrent {
		code = "not as in this binary; htdag migrate up installs them"
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "migration\t%d of %d\n", s.Migration, s.LatestMigration)
	fmt.Fprintf(w, "functions\t%s\n", code)
	return w.Flush()
}

func (a *app) db() *cobra.Command {
	cmd := &cobra.Command{Use: "db", Short: "Look after the local PostgreSQL", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	start := &cobra.Command{Use: "start", Short: "Start the local PostgreSQL, or join the one that runs", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts, err := a.localOptions()
			if err != nil {
				return err
			}
			server, err := localpg.Start(cmd.Context(), opts)
			if err != nil {
				return err
			}
			if err := server.EnsureDatabase(cmd.Context(), localDatabase); err != nil {
				return err
			}
			a.printServer(server.Status())
			return nil
		}}
	stop := &cobra.Command{Use: "stop", Short: "Stop the local PostgreSQL; its data stay", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts, err := a.localOptions()
			if err != nil {
				return err
			}
			stopped, err := localpg.Stop(cmd.Context(), opts)
			if err == nil && !stopped {
				fmt.Fprintln(a.stdout, "it was not running")
			}
			return err
		}}
	status := &cobra.Command{Use: "status", Short: "Say whether the local PostgreSQL runs, and where", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts, err := a.localOptions()
			if err != nil {
				return err
			}
			s, err := localpg.Inspect(cmd.Context(), opts)
			if err != nil {
				return err
			}
			a.printServer(s)
			return nil
		}}
	url := &cobra.Command{Use: "url", Short: "Print the URL of the database, password included", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			u, err := a.url(cmd.Context())
			if err == nil {
				fmt.Fprintln(a.stdout, u)
			}
			return err
		}}
	psql := &cobra.Command{Use: "psql [-- ARG...]", Short: "Open psql on the database", Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.psql(cmd.Context(), args) }}
	cmd.AddCommand(start, stop, status, url, psql)
	return cmd
}

func (a *app) printServer(s localpg.Status) {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" && value != "0" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	line("state", string(s.State))
	line("version", s.Version)
	line("data", s.DataDir)
	line("log", s.LogFile)
	line("port", fmt.Sprint(s.Port))
	line("process", fmt.Sprint(s.PID))
	if !s.StartedAt.IsZero() {
		line("started", s.StartedAt.Format(time.DateTime))
	}
	line("problem", s.Problem)
	w.Flush()
}

// psql runs the client as a child, with the terminal's files, on the database. An
// interrupt reaches it as well, and is its own affair: it cancels a statement.
func (a *app) psql(ctx context.Context, args []string) error {
	url, err := a.url(ctx)
	if err != nil {
		return err
	}
	program, err := exec.LookPath("psql")
	if err != nil {
		bins, findErr := localpg.Find(ctx, a.binDir)
		if findErr != nil || bins.PSQL == "" {
			return fmt.Errorf("psql is not installed: install the package postgresql-client")
		}
		program = bins.PSQL
	}
	// The URL travels in the environment: an argument would show the password in
	// the list of processes.
	a.letGo()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), libpqEnv(url)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.stdin, a.stdout, a.stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 {
		return exitStatus(exit.ExitCode())
	} else if err != nil {
		return fmt.Errorf("run %s: %w", program, err)
	}
	return nil
}

// libpqEnv says in libpq's environment variables what a URL says.
func libpqEnv(url string) []string {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return []string{"PGDATABASE=" + url}
	}
	c := config.ConnConfig
	return []string{
		"PGHOST=" + c.Host, fmt.Sprintf("PGPORT=%d", c.Port), "PGDATABASE=" + c.Database,
		"PGUSER=" + c.User, "PGPASSWORD=" + c.Password,
	}
}
