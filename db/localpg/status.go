package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
	"time"
)

// State is what an instance is doing.
type State string

// The states of an instance.
const (
	Absent   State = "absent"   // no database has been made
	Stopped  State = "stopped"  //
	Starting State = "starting" // or recovering from a crash
	Running  State = "running"  //
	Stopping State = "stopping" //
)

// Status describes an instance. Fields that do not apply to its state are zero.
type Status struct {
	State     State
	Dir       string
	DataDir   string
	LogFile   string
	Version   string // of the running server, or the major version of the stopped one's data
	Major     int
	PID       int
	Port      int
	SocketDir string
	StartedAt time.Time
	URL       string // of the database postgres, while running; it contains the password
	Problem   string // why a server that runs cannot be used
}

// Inspect tells about the instance of o.Dir and changes nothing. That a server
// cannot be used is not an error: it is the status's Problem.
func Inspect(ctx context.Context, o Options) (Status, error) {
	o, err := o.check()
	if err != nil {
		return Status{}, err
	}
	in, err := existingInstance(o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Status{State: Absent, Dir: o.Dir}, nil
	}
	if err != nil {
		return Status{}, err
	}
	defer in.close()

	pm, here, err := in.postmaster(ctx)
	if err != nil {
		return Status{}, err
	}
	if here != alive {
		pm = postmaster{}
	}
	st := in.describe(pm)
	if st.Major, err = in.madeMajor(); err != nil {
		return Status{}, err
	}
	if st.Major > 0 {
		st.Version = strconv.Itoa(st.Major)
	}
	switch {
	case here == alive:
		return in.inspectRunning(ctx, pm, st)
	case st.Major == 0:
		st.State = Absent
	default:
		st.State = Stopped
		if here != none && in.inUse() {
			return in.inspectKilled(ctx, st)
		}
	}
	return st, nil
}

// inspectKilled tells processes that a killed server left, which end soon or are
// ended by the next start, from a server that runs where we do not see it.
func (in *instance) inspectKilled(ctx context.Context, st Status) (Status, error) {
	left, err := in.orphans(ctx)
	if err != nil {
		return st, err
	}
	switch {
	case len(left) > 0:
		st.Problem = fmt.Sprintf("%d processes of a killed server are still at work; starting it again ends them", len(left))
	case in.inUse(): // still: they had not ended between the two looks
		st.State, st.Problem = Running, ErrElsewhere.Error()+", perhaps by a server in another container"
	}
	return st, nil
}

func (in *instance) inspectRunning(ctx context.Context, pm postmaster, st Status) (Status, error) {
	switch {
	case pm.pid < 0:
		st.State, st.PID, st.Problem = Running, -pm.pid, "a server in single-user mode is at work"
		return st, nil
	case pm.status == "stopping":
		st.State = Stopping
		return st, nil
	case !pm.ready():
		st.State = Starting
		return st, nil
	}
	st.State = Running
	password, err := in.read(passwordName)
	if err != nil {
		return st, err
	}
	if password == "" {
		st.Problem = "its password is not known; starting it again sets a new one"
		return st, nil
	}
	st.URL = tcpURL(pm.port, password, "")
	if version, err := ask(ctx, st.URL); err != nil {
		st.Problem = in.loginFailed(err).Error()
	} else {
		st.Version = version
	}
	return st, nil
}

func (in *instance) describe(pm postmaster) Status {
	return Status{
		Dir: in.path, DataDir: in.file(dataName), LogFile: in.file(logName),
		PID: pm.pid, Port: pm.port, SocketDir: pm.socketDir, StartedAt: pm.started,
	}
}

// inUse tells whether processes of a server hold the instance.
func (in *instance) inUse() bool {
	f, err := in.root.Open(useName)
	if err != nil {
		return false
	}
	defer f.Close()
	ok, err := tryLock(f)
	return err == nil && !ok
}

// Stop ends the server of o.Dir, if it runs, and waits until it has: sessions are
// ended, what they committed is kept, all is written to disk. It tells whether
// there was one to stop.
func Stop(ctx context.Context, o Options) (stopped bool, err error) {
	if o, err = o.check(); err != nil {
		return false, err
	}
	in, err := existingInstance(o.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer in.close()
	unlock, err := in.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()

	if stopped, err = in.stop(ctx, syscall.SIGINT); stopped {
		o.Log.Info("stopped the local database", "dir", in.path)
	}
	return stopped, err
}

// stop signals the server (SIGINT asks for a fast shutdown, SIGQUIT for an
// immediate one) and waits for its end.
func (in *instance) stop(ctx context.Context, how syscall.Signal) (bool, error) {
	doing := "stop the local database in " + in.path
	pm, here, err := in.postmaster(ctx)
	if err != nil || here != alive {
		return false, err
	}
	if pm.pid < 0 {
		return false, fmt.Errorf("%s: process %d works on it in single-user mode; wait for it to end", doing, -pm.pid)
	}
	// The handle is taken first and the process looked at again, so that the signal
	// cannot hit one that got the same number meanwhile.
	p, err := os.FindProcess(pm.pid)
	if err != nil {
		return false, fmt.Errorf("%s: %w", doing, err)
	}
	defer p.Release()
	if !in.isServer(ctx, pm.pid) {
		return false, nil
	}
	if err := p.Signal(how); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return false, fmt.Errorf("%s: signal process %d: %w", doing, pm.pid, err)
	}
	if err := waitFor(ctx, func() (bool, error) { return gone(ctx, pm.pid), nil }); err != nil {
		return false, fmt.Errorf("%s: process %d has been told to end and is still at it (see %s): %w", doing, pm.pid, in.file(logName), err)
	}
	return true, nil
}
