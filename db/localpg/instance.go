package localpg

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The names within an instance directory.
const (
	dataName     = "data"       // the cluster; complete, or not there
	markerName   = "htdag.made" // in data, written last when the cluster is made
	confName     = "htdag.conf" // our settings, included by data/postgresql.conf
	logName      = "log"
	passwordName = "password"
	portName     = "port"   // the port used last
	lockName     = "lock"   // held while a caller starts or stops the server
	useName      = "in-use" // held by the server's own processes
	socketName   = "socket"
)

// superuser is the role that the password belongs to.
const superuser = "postgres"

// socketPathLimit is the longest path of a unix socket: macOS takes 103 bytes,
// Linux 107.
const socketPathLimit = 103

// instance is an open instance directory.
//
// All its files are reached through root, which refuses links that lead out:
// root may be handling a directory that less trusted users write to.
type instance struct {
	path     string // absolute, without links
	root     *os.Root
	uid, gid int // its owner, to whom the files belong that callers share
	who      account
}

// openInstance opens the instance directory, making it where it is missing.
func openInstance(dir string) (*instance, error) {
	doing := "make the directory for the local database " + dir
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	mode := fs.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o755 // the server's user has to get through
	}
	if err := makeOpen(abs, mode); err != nil {
		return nil, refused(doing, err)
	}
	return existingInstance(abs)
}

// existingInstance opens the directory if it is there: else the error is fs.ErrNotExist.
func existingInstance(dir string) (*instance, error) {
	doing := "open the directory of the local database " + dir
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	path, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return nil, refused(doing, err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, refused(doing, err)
	}
	info, err := root.Stat(".")
	if err != nil {
		root.Close()
		return nil, refused(doing, err)
	}

	in := &instance{path: path, root: root}
	in.uid, in.gid = ownerOf(info)
	owner := in.uid
	if data, err := root.Stat(dataName); err == nil {
		if uid, _ := ownerOf(data); uid != 0 {
			owner = uid
		}
	}
	if in.who, err = serverAccount(owner); err != nil {
		root.Close()
		return nil, err
	}
	if !in.who.drop && owner != in.who.uid {
		root.Close()
		return nil, fmt.Errorf("%s: it belongs to user %d, and you are %s: run as its owner or as root, or choose another directory", doing, owner, in.who.name)
	}
	return in, nil
}

// makeOpen makes dir and its missing parents so that the server's user can pass
// them, whatever the caller's umask.
func makeOpen(dir string, mode fs.FileMode) error {
	err := os.Mkdir(dir, mode)
	if errors.Is(err, fs.ErrNotExist) && dir != filepath.Dir(dir) {
		if err := makeOpen(filepath.Dir(dir), 0o755); err != nil {
			return err
		}
		err = os.Mkdir(dir, mode)
	}
	if errors.Is(err, fs.ErrExist) {
		if info, statErr := os.Stat(dir); statErr == nil && info.IsDir() {
			return nil
		}
		return err
	}
	if err != nil {
		return err
	}
	return os.Chmod(dir, mode)
}

func (in *instance) close() { in.root.Close() }

func (in *instance) file(name string) string { return filepath.Join(in.path, name) }

// id tells this instance's processes from those of others in process titles.
func (in *instance) id() string {
	sum := sha256.Sum256([]byte(in.path))
	return "htdag-" + hex.EncodeToString(sum[:4])
}

// lock waits until no other process starts or stops this instance.
func (in *instance) lock(ctx context.Context) (unlock func(), err error) {
	doing := "lock the local database in " + in.path
	f, err := in.open(lockName, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, refused(doing, err)
	}
	if err := waitFor(ctx, func() (bool, error) { return tryLock(f) }); err != nil {
		holder, _ := io.ReadAll(f)
		f.Close()
		if ctx.Err() != nil && len(holder) > 0 {
			return nil, fmt.Errorf("%s: process %s is starting or stopping it: %w", doing, strings.TrimSpace(string(holder)), err)
		}
		return nil, fmt.Errorf("%s: %w", doing, err)
	}
	// The number is for the message above only, so that a failure to write it (a
	// full disk) is no reason to stop: the lock is held all the same.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return func() { f.Close() }, nil
}

// tryLock takes the advisory lock on f, which lasts until every copy of its
// descriptor is closed.
func tryLock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, syscall.EWOULDBLOCK), errors.Is(err, syscall.EINTR):
		return false, nil
	default:
		return false, err
	}
}

// waitFor asks until done says yes or fails, or ctx ends.
func waitFor(ctx context.Context, done func() (bool, error)) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
