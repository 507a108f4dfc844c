package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// account is the operating system's user that the server runs as. It differs
// from the caller's only when the caller is root, which PostgreSQL refuses.
type account struct {
	name     string
	home     string
	uid, gid int
	drop     bool // commands must give up root for this account
}

// serverAccount picks the account for an instance directory owned by owner. A
// directory that belongs to an ordinary user keeps its user, so that root and
// the user can take turns.
func serverAccount(owner int) (account, error) {
	uid := os.Geteuid()
	if uid != 0 {
		a := account{name: strconv.Itoa(uid), uid: uid, gid: os.Getegid()}
		if u, err := user.LookupId(a.name); err == nil {
			a.name = u.Username
		}
		return a, nil
	}
	if owner != 0 {
		u, err := user.LookupId(strconv.Itoa(owner))
		if err != nil {
			return account{}, fmt.Errorf("find the user %d, who owns the local database: %w", owner, err)
		}
		return droppedTo(u)
	}
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil && u.Uid != "0" {
			return droppedTo(u)
		}
	}
	return account{}, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody; add one with: useradd --system postgres")
}

func droppedTo(u *user.User) (account, error) {
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return account{}, fmt.Errorf("user %s has the id %q, which is no number", u.Username, u.Uid)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return account{}, fmt.Errorf("user %s has the group id %q, which is no number", u.Username, u.Gid)
	}
	return account{name: u.Username, home: u.HomeDir, uid: uid, gid: gid, drop: true}, nil
}

// command prepares a program to be run by the account, in dir, in a session of
// its own: an interrupt typed at the terminal is for the caller alone. When ctx
// ends the program and its children are asked to end, so that they can tidy up.
func (a account) command(ctx context.Context, dir, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = a.environment(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if a.drop {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(a.uid), Gid: uint32(a.gid)}
	}
	cmd.Cancel = func() error {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM); errors.Is(err, syscall.ESRCH) {
			return os.ErrProcessDone
		} else if err != nil {
			return err
		}
		return nil
	}
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

// run runs a program to its end and returns all that it wrote.
func (a account) run(ctx context.Context, dir, program string, args ...string) (string, error) {
	out, err := a.command(ctx, dir, program, args...).CombinedOutput()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return string(out), err
}

// environment drops what would make PostgreSQL's programs listen to the caller's
// settings (PGDATA, PGOPTIONS, ...) or answer in another language.
func (a account) environment(env []string) []string {
	var kept []string
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		switch {
		case strings.HasPrefix(name, "PG"), strings.HasPrefix(name, "LC_"), name == "LANG", name == "LANGUAGE":
		case a.drop && (name == "HOME" || name == "USER" || name == "LOGNAME"):
		default:
			kept = append(kept, v)
		}
	}
	if a.drop {
		kept = append(kept, "HOME="+a.home, "USER="+a.name, "LOGNAME="+a.name)
	}
	return append(kept, "LC_ALL=C")
}

// reach makes sure that the account can work in dir. Trying is the only answer
// that counts access lists and mount options in.
func (a account) reach(ctx context.Context, dir string, bins Binaries) error {
	if !a.drop {
		return nil
	}
	_, err := a.run(ctx, dir, bins.path("postgres"), "--version")
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("become user %s: %w", a.name, err)
	}
	if closed := a.closedParent(dir); closed != "" {
		return fmt.Errorf("user %s, who runs the server, cannot pass %s: choose a directory elsewhere, or open this one with: chmod o+x %s", a.name, closed, closed)
	}
	return &Error{Doing: fmt.Sprintf("become user %s in %s", a.name, dir), Err: err,
		Hint: "start htdag as an ordinary user if this container does not let root change users"}
}

// closedParent returns the outermost directory on the way to dir that the
// account may not pass, or nothing.
func (a account) closedParent(dir string) string {
	closed := ""
	for at := dir; ; at = filepath.Dir(at) {
		if info, err := os.Stat(at); err == nil && !a.passes(info) {
			closed = at
		}
		if at == filepath.Dir(at) {
			return closed
		}
	}
}

func (a account) passes(info os.FileInfo) bool {
	uid, gid := ownerOf(info)
	switch mode := info.Mode().Perm(); {
	case uid == a.uid:
		return mode&0o100 != 0
	case gid == a.gid:
		return mode&0o010 != 0
	default:
		return mode&0o001 != 0
	}
}

func ownerOf(info os.FileInfo) (uid, gid int) {
	st := info.Sys().(*syscall.Stat_t)
	return int(st.Uid), int(st.Gid)
}
