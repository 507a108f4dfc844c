package localpg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// helperVariable makes the test binary act as a program that uses the package:
// its value is "start <dir>" or "ephemeral <dir>".
const helperVariable = "LOCALPG_TEST_HELPER"

func TestMain(m *testing.M) {
	if how, dir, ok := strings.Cut(os.Getenv(helperVariable), " "); ok {
		os.Exit(helper(how, dir))
	}
	goleak.VerifyTestMain(m)
}

// helper prints the URL and, for an ephemeral server, its directory, and waits
// until its input ends where the server would end with it.
func helper(how, dir string) int {
	s, err := Start(context.Background(), Options{Dir: dir, Ephemeral: how == "ephemeral"})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println(s.URL(""))
	if how == "ephemeral" {
		fmt.Println(s.Status().Dir)
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
	}
	return 0
}

// helperCommand prepares this binary to act as such a program, in a process group
// of its own, as a shell would.
func helperCommand(t *testing.T, how, dir string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), helperVariable+"="+how+" "+dir)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// openDir makes a directory that the server's user can pass, and stops the
// server that a test leaves in its subdirectory pg.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "localpg-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := Stop(ctx, Options{Dir: filepath.Join(dir, "pg")}); err != nil {
			t.Errorf("stop what the test left: %v", err)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// options are those of a durable instance in a directory of its own.
func options(t *testing.T) Options {
	t.Helper()
	return Options{Dir: filepath.Join(openDir(t), "pg"), Log: slog.New(slog.NewTextHandler(testWriter{t}, nil))}
}

var silent = slog.New(slog.DiscardHandler)

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

func start(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stop(t *testing.T, o Options) {
	t.Helper()
	stopped, err := Stop(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !stopped {
		t.Fatal("there was no server to stop")
	}
}

// query returns the one text that a statement yields.
func query(t *testing.T, url, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	var text string
	if err := conn.QueryRow(t.Context(), sql).Scan(&text); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return text
}

func execute(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// eventually waits for a condition, at most a minute.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := waitFor(ctx, func() (bool, error) { return done(), nil }); err != nil {
		t.Fatalf("waited in vain until %s", what)
	}
}

// kill kills the postmaster as a crash would and waits until it is gone.
func kill(t *testing.T, s *Server) {
	t.Helper()
	if err := syscall.Kill(s.Status().PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the killed server is gone", func() bool { return gone(t.Context(), s.Status().PID) })
}

// fakeServer makes a directory of programs of which postgres prints a version.
func fakeServer(t *testing.T, dir, version string) string {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
		script := fmt.Sprintf("#!/bin/sh\necho '%s (PostgreSQL) %s'\n", name, version)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// want checks that an error is of a kind and says what it has to.
func want(t *testing.T, err, kind error, says ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("there was no error")
	}
	if kind != nil && !errors.Is(err, kind) {
		t.Errorf("the error is not %q: %v", kind, err)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("the error lacks %q: %v", s, err)
		}
	}
	t.Logf("the error reads: %v", err)
}
