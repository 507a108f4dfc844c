package maintenance

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbtest"
)

// A test starts processes of itself, which do only what these variables say and end
// with a signal.
const (
	roleVariable = "HTDAG_TEST_ROLE"
	urlVariable  = "HTDAG_TEST_URL"
)

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	ctx := context.Background()
	pool, err := db.Open(ctx, os.Getenv(urlVariable), db.Options{ApplicationName: role, MaxConns: MaxConns})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	switch role {
	case "ticker":
		for {
			if _, _, err := Tick(ctx, pool, 0); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
		}
	case "keeper":
		Run(ctx, pool, Options{Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))})
	}
}

// process starts one of these and returns what kills it at once, as kill -9 does.
func process(t *testing.T, pool *pgxpool.Pool, role string) (kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, urlVariable+"="+dbtest.URL(pool))
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	killed := false
	kill = func() {
		if !killed {
			killed = true
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(kill)
	return kill
}

// setClock lets the engine's clock begin at a time and run so much faster.
func setClock(t *testing.T, pool *pgxpool.Pool, begin time.Time, speed int) {
	t.Helper()
	dbtest.Exec(t, pool, fmt.Sprintf(`create or replace function htdag.clock() returns timestamptz language sql volatile set search_path = ''
		return timestamptz '%s' + (clock_timestamp() - timestamptz '%s') * %d`,
		begin.Format(time.RFC3339Nano), dbtest.Value[time.Time](t, pool, "select clock_timestamp()").Format(time.RFC3339Nano), speed))
}

func define(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	dbtest.Exec(t, pool, `select htdag.define_flow('{"flow": "report", "steps": [{"name": "write"}]}')`)
}
