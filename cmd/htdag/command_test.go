package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
)

// patience bounds every wait for something that has to happen.
const patience = 90 * time.Second

// eager are flags that let runs start although the machine is busy.
var eager = []string{"--cpu-threshold=1", "--memory-threshold=1", "--rate-limit-per-minute=10000"}

// result is what a command that has ended leaves.
type result struct {
	stdout, stderr string
	code           int // exit status; -1 when a signal ended it
}

// process is a command under way.
type process struct {
	t              testing.TB
	cmd            *exec.Cmd
	stdout, stderr buffer
	done           chan struct{} // closed when it has ended
	waited         bool          // for its result, so that the test has seen what it said
}

// buffer is filled by one goroutine and read by others.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// option changes a command before it starts.
type option func(*exec.Cmd)

// env adds variables, each NAME=VALUE.
func env(variables ...string) option {
	return func(cmd *exec.Cmd) { cmd.Env = append(cmd.Env, variables...) }
}

// in sets the working directory.
func in(dir string) option { return func(cmd *exec.Cmd) { cmd.Dir = dir } }

// input is what the command reads.
func input(text string) option {
	return func(cmd *exec.Cmd) { cmd.Stdin = strings.NewReader(text) }
}

// as has the command run as another user, in whose name it may write in dir.
func as(who *user.User, dir string) option {
	return func(cmd *exec.Cmd) {
		uid, _ := strconv.Atoi(who.Uid)
		gid, _ := strconv.Atoi(who.Gid)
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		cmd.Dir = dir
		cmd.Env = append(cmd.Env, "HOME="+dir, "TMPDIR="+dir, "USER="+who.Username)
	}
}

// ordinaryUser is who runs a command that must not be root's: nobody, where the
// tests are root's, else whoever runs the tests.
func ordinaryUser(t testing.TB, dir string) option {
	t.Helper()
	if os.Geteuid() != 0 {
		return func(*exec.Cmd) {}
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatalf("the tests are root's and there is nobody else to run the command as: %v", err)
	}
	uid, _ := strconv.Atoi(nobody.Uid)
	gid, _ := strconv.Atoi(nobody.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		t.Fatal(err)
	}
	return as(nobody, dir)
}

// start runs the command in the background. Its environment holds nothing of
// the tests' but PATH, and a home that does not exist. The end of the test
// kills it.
func start(t testing.TB, args []string, options ...option) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(binary, args...), done: make(chan struct{})}
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "GOTRACEBACK=all"}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	p.cmd.WaitDelay = 5 * time.Second // of children that keep its output open
	for _, o := range options {
		o(p.cmd)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the state says it all
		close(p.done)
	}()
	t.Cleanup(func() {
		select {
		case <-p.done:
		default:
			p.kill()
		}
		if t.Failed() && !p.waited {
			t.Logf("htdag %s\nstdout:\n%s\nstderr:\n%s", strings.Join(args, " "), p.stdout.String(), p.stderr.String())
		}
	})
	return p
}

// kill ends the process as a crash does.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// signal sends a signal to the process's group, as a terminal does.
func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := syscall.Kill(-p.cmd.Process.Pid, s); err != nil {
		p.t.Fatal(err)
	}
}

// wait returns what the process leaves once it has ended.
func (p *process) wait() result {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(patience):
		p.t.Fatalf("%s still runs after %s", p.cmd.Args, patience)
	}
	p.waited = p.cmd.ProcessState.Exited()
	r := result{stdout: p.stdout.String(), stderr: p.stderr.String(), code: p.cmd.ProcessState.ExitCode()}
	for _, bad := range []string{"panic:", "fatal error:", "DATA RACE", "goroutine "} {
		if strings.Contains(r.stderr, bad) {
			p.t.Errorf("%s broke down:\n%s", p.cmd.Args, r.stderr)
			break
		}
	}
	return r
}

// interrupt asks the process to stop and expects it to do so soon and well.
func (p *process) interrupt() result {
	p.t.Helper()
	began := time.Now()
	p.signal(syscall.SIGINT)
	r := p.wait()
	if took := time.Since(began); took > 10*time.Second {
		p.t.Errorf("it took %s to stop", took)
	}
	if r.code != 0 {
		p.t.Errorf("exit status %d after an interrupt, want 0; it said:\n%s", r.code, r.stderr)
	}
	return r
}

// says waits until the process has written a text to standard output.
func (p *process) says(text string) {
	p.t.Helper()
	eventually(p.t, fmt.Sprintf("it says %q", text), func() (bool, error) {
		select {
		case <-p.done:
			return strings.Contains(p.stdout.String(), text), errors.New("it has ended")
		default:
			return strings.Contains(p.stdout.String(), text), nil
		}
	})
}

// run runs the command to its end.
func run(t testing.TB, args []string, options ...option) result {
	t.Helper()
	return start(t, args, options...).wait()
}

// succeed runs the command and expects it to succeed.
func succeed(t testing.TB, args []string, options ...option) result {
	t.Helper()
	r := run(t, args, options...)
	if r.code != 0 {
		t.Fatalf("htdag %s: exit status %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r
}

// eventually waits for a condition; an error ends the wait unless it holds.
func eventually(t testing.TB, what string, holds func() (bool, error)) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		ok, err := holds()
		if ok {
			return
		}
		if err != nil {
			t.Fatalf("waited in vain until %s: %v", what, err)
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain until %s", patience, what)
		}
	}
}

// holds waits until a query answers true.
func holds(t testing.TB, pool *pgxpool.Pool, query string, args ...any) {
	t.Helper()
	eventually(t, query, func() (ok bool, err error) {
		// One poll may meet a moment of trouble, such as a view being replaced.
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := pool.QueryRow(ctx, query, args...).Scan(&ok); err != nil {
			t.Logf("%s: %v", query, err)
		}
		return ok, nil
	})
}

// at are the flags that name the database of a pool.
func at(pool *pgxpool.Pool, args ...string) []string {
	return append(append([]string{}, args...), "--database-url", dbtest.URL(pool))
}

// upOnce are the arguments that ingest directories once, whatever the load.
func upOnce(pool *pgxpool.Pool, args ...string) []string {
	return at(pool, append(append([]string{"up", "--once"}, eager...), args...)...)
}

// openDir makes a directory that every user may look into.
func openDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "htdag-test-")
	if err == nil {
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// oneError expects a command to have failed with one line on standard error, in
// which everything needed is said, and nothing on standard output.
func oneError(t testing.TB, r result, code int, says ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit status %d, want %d", r.code, code)
	}
	var lines []string
	for _, line := range strings.Split(r.stderr, "\n") {
		if !ordinaryLine.MatchString(line) {
			lines = append(lines, line)
		}
	}
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "htdag: ") {
		t.Errorf("standard error has not one line of what is wrong:\n%s", r.stderr)
	}
	for _, s := range says {
		if !strings.Contains(strings.Join(lines, "\n"), s) {
			t.Errorf("the message lacks %q:\n%s", s, r.stderr)
		}
	}
	if r.stdout != "" {
		t.Errorf("standard output is not empty: %q", r.stdout)
	}
}

// ordinaryLine matches what standard error may hold besides an error: progress,
// the answer to an interrupt, and where help is to be found.
var ordinaryLine = regexp.MustCompile(`^( +\d+s  .*||[a-z]+: finishing what is under way; .*|Run htdag .*--help.*)$`)
