// Package cli holds the verbs of the htdag command. They wire the rooms of the
// project together and talk to people; the work is done elsewhere.
//
// Every flag has an environment variable: HTDAG_ and the flag's name in capitals
// with underscores (--debounce-delay-ms is HTDAG_DEBOUNCE_DELAY_MS). A flag that is
// given wins over its variable, which wins over a settings file (htdag.yaml). The
// database is also taken from DATABASE_URL.
//
// Exit status: 0 when the verb did what it says, 1 when it failed, 2 when it was
// called wrongly; that of db psql is psql's, and flow diff answers as diff does. Results go to standard output, messages and logs to standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// app is what every verb has at hand.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	getenv         func(string) string
	log            *slog.Logger
	letGo          func()            // leaves interrupts to a child that has the terminal
	sources        map[string]source // of values that flags did not get from the command line, by flag

	databaseURL string
	dataDir     string
	binDir      string
	logLevel    string
}

// source is what gave a flag its value.
type source struct {
	kind string // environment or file
	name string // the variable, or the file and line
	said string // how an error names the setting
}

// errUsage marks errors of the caller's making: exit status 2.
var errUsage = errors.New("usage")

// usagef makes an error that says how the verb was called wrongly.
func usagef(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errUsage}, args...)...)
}

// exitStatus is the failure of a child that has told the user itself.
type exitStatus int

func (s exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// trouble is the failure of a verb whose exit status 1 is an answer.
type trouble struct{ error }

func (t trouble) Unwrap() error { return t.error }

// Main runs the command and returns its exit status.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	ctx, letGo, stop := interruptible(stderr)
	defer stop()
	a := &app{stdin: stdin, stdout: stdout, stderr: stderr, getenv: getenv, letGo: letGo, sources: map[string]source{}}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var child exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &child):
		return int(child)
	case errors.Is(err, errUsage):
		message := strings.TrimPrefix(err.Error(), errUsage.Error()+": ")
		for flag, source := range a.sources {
			message = strings.Replace(message, "--"+flag+" is ", source.said+" is ", 1)
		}
		fmt.Fprintf(stderr, "htdag: %s\n", message)
		fmt.Fprintln(stderr, "Run htdag --help, or the verb with --help, to see how it is used.")
		return 2
	}
	hint := ""
	if strings.Contains(err.Error(), diskFull) {
		hint = "; the disk of the database is full: free some space"
	}
	fmt.Fprintf(stderr, "htdag: %s%s\n", err, hint)
	if errors.As(err, &trouble{}) {
		return 2
	}
	return 1
}

// diskFull is how PostgreSQL's errors read that say so, also where only their text
// has come down to us.
const diskFull = "SQLSTATE 53100"

// interruptible returns a context that ends with the first interrupt; the second
// ends the process at once. After letGo interrupts do nothing here.
func interruptible(stderr io.Writer) (ctx context.Context, letGo, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	var free atomic.Bool
	go func() {
		for s := range signals {
			switch {
			case free.Load():
			case ctx.Err() == nil:
				fmt.Fprintf(stderr, "\n%s: finishing what is under way; once more to quit at once\n", s)
				cancel(errInterrupted)
			default:
				os.Exit(130)
			}
		}
	}()
	return ctx, func() { free.Store(true) }, func() { signal.Stop(signals); close(signals); cancel(nil) }
}

var errInterrupted = errors.New("interrupted")

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "htdag",
		Short:         "Keep codebases in PostgreSQL, current and searchable",
		Long:          "htdag watches source trees and keeps what is in them in PostgreSQL: files, symbols,\nimports, calls, chunks and vectors, through a workflow engine that lives in the database.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			if err := a.fromEnvironment(cmd.Flags()); err != nil {
				return err
			}
			return a.startLog()
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usagef("%s", err) })
	f := root.PersistentFlags()
	f.StringVar(&a.databaseURL, "database-url", "", "PostgreSQL to work on; a local one is started when neither this nor DATABASE_URL is given")
	f.StringVar(&a.dataDir, "data-dir", "", "where the local PostgreSQL lives (default a directory of the user's)")
	f.StringVar(&a.binDir, "postgres-bin-dir", "", "directory of the server binaries for the local PostgreSQL (default the newest found)")
	f.StringVar(&a.logLevel, "log-level", "warn", "debug, info, warn or error")
	root.AddCommand(a.up(), a.ingest(), a.runCommand(), a.watch(), a.configCommand(), a.flow(), a.startCommand(), a.runs(), a.events(), a.why(), a.cancel(), a.retry(), a.dead(), a.pause(), a.resume(), a.schedule(), a.signalCommand(), a.migrate(), a.db())
	root.CompletionOptions.HiddenDefaultCmd = true
	checkArgs(root)
	return root
}

// checkArgs makes wrong numbers of arguments and unknown verbs errors of usage.
func checkArgs(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return usagef("%s", err)
			}
			return nil
		}
	}
	for _, sub := range cmd.Commands() {
		checkArgs(sub)
	}
}

// fromEnvironment sets flags that were not given from their environment variables.
func (a *app) fromEnvironment(flags *pflag.FlagSet) error {
	var wrong error
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(f.Name)
		value := a.getenv(name)
		if f.Changed || value == "" {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			wrong = usagef("environment variable %s=%q: %s", name, value, err)
		}
		a.sources[f.Name] = source{kind: "environment", name: name, said: name}
	})
	if a.databaseURL == "" {
		a.databaseURL = a.getenv("DATABASE_URL")
	}
	return wrong
}

func (a *app) startLog() error {
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.logLevel)); err != nil {
		return usagef("--log-level is %q, not debug, info, warn or error", a.logLevel)
	}
	a.log = slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: level}))
	return nil
}
