package runner_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner"
)

// A database that answers heartbeats and takes no results, as one on a full disk
// does, must not keep a runner for ever.
func TestRunnerGivesUp(t *testing.T) {
	t.Parallel()
	for name, interrupted := range map[string]bool{"after the time it was given": false, "when it is interrupted": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := dbtest.New(t)
			define(t, pool, `{"flow": "one", "steps": [{"name": "ok"}]}`)
			registry := runner.NewRegistry()
			began, refused := make(chan struct{}), make(chan struct{})
			registry.Register("ok", runner.HandlerFunc(func(context.Context, *runner.Task) (any, error) {
				close(began)
				<-refused
				return nil, nil
			}))
			opts := runner.Options{GiveUp: 500 * time.Millisecond}
			if interrupted {
				opts = runner.Options{DrainTimeout: 100 * time.Millisecond}
			}
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			ended := make(chan error, 1)
			go func() { ended <- runner.New(pool, registry, opts).Run(ctx) }()
			run := start(t, pool, "one")
			<-began
			dbtest.Exec(t, pool, `create function public.refuse() returns trigger language plpgsql as
				$$ begin raise exception using errcode = '53100', message = 'no space left'; end $$`)
			dbtest.Exec(t, pool, "create trigger refuse before insert on htdag.attempts for each row execute function public.refuse()")
			close(refused)
			if interrupted {
				interrupt()
			}
			select {
			case err := <-ended:
				var pgErr *pgconn.PgError
				if interrupted && err != nil || !interrupted && (!errors.As(err, &pgErr) || pgErr.Code != "53100") {
					t.Errorf("Run returned %v", err)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("the runner goes on for ever")
			}

			dbtest.Exec(t, pool, "drop trigger refuse on htdag.attempts")
			dbtest.Exec(t, pool, "update htdag.runners set lease_expires_at = htdag.clock()")
			launch(t, pool, runner.Options{}, map[string]runner.HandlerFunc{"ok": ok})
			await(t, pool, run, "succeeded")
			dbtest.CheckInvariants(t, pool)
		})
	}
}
