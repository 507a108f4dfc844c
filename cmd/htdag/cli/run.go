package cli

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/runner"
	"github.com/htdag/htdag/runner/steps"
	"github.com/htdag/htdag/runner/webhook"

	"github.com/jackc/pgx/v5/pgxpool"
)

// spareConns are the connections besides one per handler: exchanges, heartbeats,
// the listener, the watcher and the command itself.
const spareConns = 8

func (a *app) runCommand() *cobra.Command {
	var s settings
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Work on steps of flows, and nothing else",
		Long:  "Runs a runner: it claims steps that are ready and does them, until it is interrupted.\nAny number of runners on any number of hosts may work on one database. Steps that\nread a codebase's disk are left to the process that serves it (htdag up).",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if err := cmp.Or(a.fromFoundFile(cmd.Flags(), &s, nil), s.checkRunner(), s.gates.check(), s.embedding.check()); err != nil {
				return err
			}
			if len(s.queues) == 0 || slices.Contains(s.queues, "") {
				return usagef("--queues names no queue; leave it out to read queue default")
			}
			pool, err := a.open(ctx, db.Options{ApplicationName: "htdag run", MaxConns: int32(s.concurrency) + spareConns}, true)
			if err != nil {
				return err
			}
			defer pool.Close()
			if s.maintenance {
				stop, err := a.maintain(ctx, pool)
				if err != nil {
					return err
				}
				defer stop()
			}
			a.log.InfoContext(ctx, "running", "queues", s.queues, "concurrency", s.concurrency)
			sending := a.sendEvents(ctx, pool, s)
			defer sending()
			worker, err := a.runner(ctx, pool, s, s.queues, nil)
			if err != nil {
				return err
			}
			return worker.Run(ctx)
		},
	}
	s.runnerFlags(cmd)
	s.gates.flags(cmd.Flags())
	s.embedding.flags(cmd.Flags())
	cmd.Flags().StringVar(&s.config, "config", "", "settings file (default htdag.yaml in the working directory)")
	cmd.Flags().StringSliceVar(&s.queues, "queues", []string{"default"}, "queues to read")
	return cmd
}

// sendEvents sends events to webhooks beside the runner, until ctx or, at the latest, the
// function it returns ends it.
func (a *app) sendEvents(ctx context.Context, pool *pgxpool.Pool, s settings) (end func()) {
	ctx, stop := context.WithCancel(ctx)
	var sending sync.WaitGroup
	sending.Go(func() { webhook.New(pool, webhook.Options{AllowPrivate: s.private, Log: a.log}).Run(ctx) })
	return func() { stop(); sending.Wait() }
}

// runner makes a runner for the built-in flows. Without a disk it leaves the steps
// that need one to others.
func (a *app) runner(ctx context.Context, pool *pgxpool.Pool, s settings, queues []string, d steps.Disk) (*runner.Runner, error) {
	embedder, err := a.embedder(ctx, pool, s.embedding)
	if err != nil {
		return nil, err
	}
	remote := s.embedding.remote()
	registry := runner.NewRegistry()
	steps.Register(registry, steps.Deps{Pool: pool, Disk: d, Embedder: embedder, Remote: remote, DependencyAware: s.dependencyAware, Log: a.log,
		Limits: steps.Limits{Gates: s.gates.asIngested()}})
	return runner.New(pool, registry, runner.Options{
		Name: s.name, Queues: queues, Concurrency: s.concurrency + remote.AtOnce, GiveUp: s.giveUp, Log: a.log,
	}), nil
}
