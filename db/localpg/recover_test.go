package localpg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func listen(t *testing.T, port int) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestServerKilled(t *testing.T) {
	t.Parallel()
	o := options(t)
	s := start(t, o)
	execute(t, s.URL(""), "create table kept as select 42 as n")
	kill(t, s)
	// The server's own processes let go of its lock one after the other.
	eventually(t, "the server is seen to have stopped", func() bool {
		st, err := Inspect(t.Context(), o)
		return err == nil && st.State == Stopped
	})
	again := start(t, o)
	if again.Joined() || again.Status().PID == s.Status().PID || again.URL("") != s.URL("") {
		t.Errorf("joined %v, pid %d after %d, URL %s after %s", again.Joined(), again.Status().PID, s.Status().PID, again.URL(""), s.URL(""))
	}
	if got := query(t, again.URL(""), "select n::text from kept"); got != "42" {
		t.Errorf("the table says %s", got)
	}
}

// A session that computes does not notice that its postmaster is gone, and would
// keep the next server from starting for as long as it goes on.
func TestServerKilledWhileAtWork(t *testing.T) {
	t.Parallel()
	o := options(t)
	s := start(t, o)
	conn, err := pgx.Connect(t.Context(), s.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	busy := make(chan error, 1)
	go func() {
		_, err := conn.Exec(t.Context(), "select count(*) from generate_series(1, 1e15) x where x < 0")
		busy <- err
	}()
	worker := int(conn.PgConn().PID())
	eventually(t, "the session computes", func() bool {
		return query(t, s.URL(""), fmt.Sprintf("select coalesce(state, '') from pg_stat_activity where pid = %d", worker)) == "active"
	})
	kill(t, s)
	if gone(t.Context(), worker) {
		t.Fatal("the session has ended with the server: this test tests nothing")
	}
	again := start(t, o)
	query(t, again.URL(""), "select 'works'")
	if err := <-busy; err == nil {
		t.Error("the session of the killed server finished its endless work")
	}
}

func TestStalePidFile(t *testing.T) {
	t.Parallel()
	o := options(t)
	start(t, o)
	pidFile := filepath.Join(o.Dir, pidName)
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n")
	stop(t, o)

	in, err := existingInstance(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	writePid := func(pid int) {
		t.Helper()
		if err := os.WriteFile(pidFile, []byte(strconv.Itoa(pid)+"\n"+rest), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(pidFile, in.who.uid, in.who.gid); err != nil {
			t.Fatal(err)
		}
	}
	sleeper := in.who.command(t.Context(), "/", "/bin/sh", "-c", "exec sleep 1000")
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() }()

	t.Run("another program has the number", func(t *testing.T) {
		writePid(sleeper.Process.Pid)
		if stopped, err := Stop(t.Context(), o); stopped || err != nil {
			t.Errorf("Stop = %v, %v", stopped, err)
		}
		query(t, start(t, o).URL(""), "select 'works'")
		if err := sleeper.Process.Signal(syscall.Signal(0)); err != nil {
			t.Errorf("the other program was harmed: %v", err)
		}
		if kept, _ := filepath.Glob(pidFile + ".stale-*"); len(kept) != 1 {
			t.Errorf("the stale file should be kept aside: %v", kept)
		}
		stop(t, o)
	})
	t.Run("a dead process that nobody buried has the number", func(t *testing.T) {
		zombie := in.who.command(t.Context(), "/", "/bin/sh", "-c", "exit")
		if err := zombie.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the child is dead", func() bool {
			b, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(zombie.Process.Pid)).Output()
			return err == nil && len(b) > 0 && b[0] == 'Z'
		})
		writePid(zombie.Process.Pid)
		query(t, start(t, o).URL(""), "select 'works'")
		_ = zombie.Wait()
		stop(t, o)
	})
	t.Run("nobody has the number", func(t *testing.T) {
		done := exec.Command("/bin/sh", "-c", "exit")
		if err := done.Run(); err != nil {
			t.Fatal(err)
		}
		writePid(done.Process.Pid)
		query(t, start(t, o).URL(""), "select 'works'")
		stop(t, o)
	})
	t.Run("it is no pid file", func(t *testing.T) {
		if err := os.WriteFile(pidFile, []byte("garbage\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Start(t.Context(), o)
		want(t, err, nil, pidFile, `"garbage"`, "move the file away")
		if err := os.Remove(pidFile); err != nil {
			t.Fatal(err)
		}
	})
}

// The number in the pid file says nothing about a server in another container,
// nor does a file that somebody has changed. The server must be left in peace.
func TestServerElsewhere(t *testing.T) {
	t.Parallel()
	o := options(t)
	s := start(t, o)
	pidFile := filepath.Join(o.Dir, pidName)
	truth, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(truth), "\n")
	done := exec.Command("/bin/sh", "-c", "exit")
	if err := done.Run(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(pidFile, []byte(strconv.Itoa(done.Process.Pid)+"\n"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	st, err := Inspect(t.Context(), o)
	if err != nil || st.State != Running || st.Problem == "" {
		t.Errorf("Inspect: %+v, %v", st, err)
	}
	_, err = Start(t.Context(), o)
	want(t, err, ErrElsewhere, filepath.Join(o.Dir, useName), fmt.Sprint("process ", done.Process.Pid), "stop the server where it runs")
	if err := os.WriteFile(pidFile, truth, 0o600); err != nil {
		t.Fatal(err)
	}
	if again := start(t, o); !again.Joined() || again.Status().PID != s.Status().PID {
		t.Errorf("the server has not survived: %+v", again.Status())
	}
	if log, err := os.ReadFile(s.Status().LogFile); err != nil || strings.Contains(string(log), "terminating any other active server processes") {
		t.Errorf("the server was disturbed: %v\n%s", err, log)
	}
}

func TestHalfMadeDatabase(t *testing.T) {
	t.Parallel()
	o := options(t)
	data := filepath.Join(o.Dir, dataName)
	if err := os.MkdirAll(filepath.Join(data, "base"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if st, err := Inspect(t.Context(), o); err != nil || st.State != Absent {
		t.Errorf("half-made: %+v, %v", st, err)
	}
	query(t, start(t, o).URL(""), "select 'works'")
	kept, _ := filepath.Glob(data + ".incomplete-*/PG_VERSION")
	if len(kept) != 1 {
		t.Fatalf("the half-made database should be kept aside: %v", kept)
	}
	if b, err := os.ReadFile(kept[0]); err != nil || string(b) != "15\n" {
		t.Errorf("its content: %q, %v", b, err)
	}
}

// A program that is killed while it makes the database leaves an initdb behind,
// which may well go on while the next program makes its own.
func TestKilledWhileMaking(t *testing.T) {
	t.Parallel()
	o := options(t)
	cmd := helperCommand(t, "start", o.Dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "initdb is at work", func() bool {
		made, _ := filepath.Glob(filepath.Join(o.Dir, "data.incomplete-*", "PG_VERSION"))
		return len(made) > 0
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	s := start(t, o)
	if s.Joined() {
		t.Fatal("the program was quicker than its killer: this test tests nothing")
	}
	execute(t, s.URL(""), "create database fine")
	query(t, s.URL("fine"), "select 'works'")
}

// Giving up the wait, by a signal or a deadline, must leave nothing that is in the way.
func TestCancelledWhileMaking(t *testing.T) {
	t.Parallel()
	o := options(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	enough := errors.New("enough")
	result := make(chan error)
	go func() {
		_, err := Start(ctx, o)
		result <- err
	}()
	eventually(t, "initdb is at work", func() bool {
		made, _ := filepath.Glob(filepath.Join(o.Dir, "data.incomplete-*", "PG_VERSION"))
		return len(made) > 0
	})
	cancel(enough)
	want(t, <-result, enough, o.Dir)
	query(t, start(t, o).URL(""), "select 'works'")
}

func TestLockedByAnother(t *testing.T) {
	t.Parallel()
	o := options(t)
	in, err := openInstance(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	unlock, err := in.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = Start(ctx, o)
	want(t, err, context.DeadlineExceeded, o.Dir, fmt.Sprintf("process %d is starting or stopping it", os.Getpid()))
	unlock()
	start(t, o)
}
