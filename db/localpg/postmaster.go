package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

// postmaster is what a server says of itself in postmaster.pid.
type postmaster struct {
	pid       int // negative for a single-user server, which takes no connections
	started   time.Time
	port      int
	socketDir string
	status    string // starting, ready, stopping, standby; empty in its first moments
}

// presence is how much of the server that wrote postmaster.pid is left.
type presence int

const (
	none     presence = iota // no pid file: never started, or stopped in order
	dead                     // it ended without removing its pid file
	replaced                 // its process number belongs to another program, or to a process not yet buried
	alive
)

const pidName = dataName + "/postmaster.pid"

// postmaster reads the pid file and looks for its process.
func (in *instance) postmaster(ctx context.Context) (postmaster, presence, error) {
	text, err := in.root.ReadFile(pidName)
	if errors.Is(err, fs.ErrNotExist) {
		return postmaster{}, none, nil
	}
	if err != nil {
		return postmaster{}, none, refused("read "+in.file(pidName), err)
	}
	pm, err := parsePid(string(text))
	if err != nil {
		return pm, none, fmt.Errorf("read %s: %w; if no server runs there, move the file away", in.file(pidName), err)
	}
	pid := max(pm.pid, -pm.pid)
	switch err := syscall.Kill(pid, 0); {
	case errors.Is(err, syscall.ESRCH):
		return pm, dead, nil
	case in.isServer(ctx, pid):
		return pm, alive, nil
	default:
		return pm, replaced, nil
	}
}

// parsePid reads the lines that PostgreSQL documents for postmaster.pid: process,
// data directory, start time, port, socket directory, address, shared memory,
// status. A server that is just starting has written only the first of them.
func parsePid(text string) (postmaster, error) {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	line := func(n int) string {
		if n > len(lines) {
			return ""
		}
		return lines[n-1]
	}
	number := func(n int) (int64, error) {
		if line(n) == "" {
			return 0, nil
		}
		v, err := strconv.ParseInt(line(n), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("line %d says %q where a number belongs", n, line(n))
		}
		return v, nil
	}

	pid, err := number(1)
	if err != nil {
		return postmaster{}, err
	}
	if pid == 0 || pid != int64(int32(pid)) {
		return postmaster{}, fmt.Errorf("line 1 says %q where a process number belongs", line(1))
	}
	started, err := number(3)
	if err != nil {
		return postmaster{}, err
	}
	port, err := number(4)
	if err != nil {
		return postmaster{}, err
	}
	pm := postmaster{pid: int(pid), port: int(port), socketDir: line(5), status: line(8)}
	if started > 0 {
		pm.started = time.Unix(started, 0)
	}
	return pm, nil
}

// ready tells whether the server takes connections.
func (pm postmaster) ready() bool { return pm.status == "ready" || pm.status == "standby" }

// isServer tells whether a process is a PostgreSQL server on this instance's
// data: run by its user and named so, and at work in the directory. In a
// container root may not be allowed to look where another user's process works;
// then its command line has to say it.
func (in *instance) isServer(ctx context.Context, pid int) bool {
	p, err := process.NewProcessWithContext(ctx, int32(pid))
	if err != nil || isZombie(ctx, p) || !in.runs(ctx, p) {
		return false
	}
	args, err := p.CmdlineSliceWithContext(ctx)
	if err != nil || len(args) == 0 {
		return false
	}
	if name := filepath.Base(args[0]); name != "postgres" && name != "postmaster" {
		return false
	}
	if cwd, err := p.CwdWithContext(ctx); err == nil && cwd != "" {
		return in.isData(cwd)
	}
	at := slices.Index(args, "-D")
	return at >= 0 && at+1 < len(args) && in.isData(args[at+1])
}

func (in *instance) isData(dir string) bool {
	theirs, err := os.Stat(dir)
	if err != nil {
		return false
	}
	ours, err := in.root.Stat(dataName)
	return err == nil && os.SameFile(ours, theirs)
}

// runs tells whether the process belongs to the server's user. A pid file is
// written by that user; it must not make root signal anyone else's process.
func (in *instance) runs(ctx context.Context, p *process.Process) bool {
	uids, err := p.UidsWithContext(ctx)
	return err == nil && len(uids) > 0 && int(uids[0]) == in.who.uid
}

func isZombie(ctx context.Context, p *process.Process) bool {
	status, err := p.StatusWithContext(ctx)
	return err == nil && slices.Contains(status, process.Zombie)
}

// gone tells whether a process has ended. One that nobody has buried has: in a
// container, process 1 may never do so, and it may be us.
func gone(ctx context.Context, pid int) bool {
	_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // fails unless it was left to us, which is fine
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	p, err := process.NewProcessWithContext(ctx, int32(pid))
	return errors.Is(err, process.ErrorProcessNotRunning) || err == nil && isZombie(ctx, p)
}

// orphans are the processes of a server whose postmaster is gone. They leave by
// themselves when they next wait for something, which a long computation does
// not; until then they hold the shared memory and no new server can start.
func (in *instance) orphans(ctx context.Context) ([]*process.Process, error) {
	all, err := process.ProcessesWithContext(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the processes left by the server in %s: %w", in.path, err)
	}
	title := "postgres: " + in.id() + ": "
	return slices.DeleteFunc(all, func(p *process.Process) bool {
		line, err := p.CmdlineWithContext(ctx)
		if err != nil || !strings.HasPrefix(line, title) || !in.runs(ctx, p) || isZombie(ctx, p) {
			return true
		}
		parent, err := p.PpidWithContext(ctx)
		return err != nil || in.isServer(ctx, int(parent)) // it has a postmaster, whatever the pid file says
	}), nil
}

// endOrphans ends them as PostgreSQL itself does after a crash. What they had
// committed is in the log of the database; the rest is lost in any case.
func (in *instance) endOrphans(ctx context.Context, log *slog.Logger) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second,
		fmt.Errorf("processes of the killed server in %s do not end; end them and try again", in.path))
	defer cancel()
	told := map[int32]bool{}
	return waitFor(ctx, func() (bool, error) {
		left, err := in.orphans(ctx)
		if err != nil {
			return false, err
		}
		for _, p := range left {
			if told[p.Pid] {
				continue
			}
			told[p.Pid] = true
			log.Warn("ending a process left by a killed server", "pid", p.Pid)
			err := p.SendSignalWithContext(ctx, syscall.SIGQUIT)
			if err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, syscall.ESRCH) {
				return false, fmt.Errorf("end process %d, left by the killed server in %s: %w", p.Pid, in.path, err)
			}
		}
		return len(left) == 0, nil
	})
}
