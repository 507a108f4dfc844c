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

// logLimit is the size in bytes above which a start puts the log aside as log.1.
const logLimit = 16 << 20

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

// open opens a file of the instance; one that it makes belongs to the owner of
// the directory.
func (in *instance) open(name string, flag int, mode fs.FileMode) (*os.File, error) {
	f, err := in.root.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	if flag&os.O_CREATE != 0 && in.who.drop {
		if err := f.Chown(in.uid, in.gid); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// write replaces a file whole: readers, and a crash, see the old or the new.
func (in *instance) write(name, content string, mode fs.FileMode) error {
	f, err := in.open(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err == nil {
		err = finish(f, content, mode)
	}
	if err == nil {
		err = in.root.Rename(name+".new", name)
	}
	return refused("write "+in.file(name), err)
}

// finish writes content to disk and closes f.
func finish(f *os.File, content string, mode fs.FileMode) error {
	defer f.Close()
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if _, err := f.WriteString(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// read returns a file's text without surrounding space, empty where there is no file.
func (in *instance) read(name string) (string, error) {
	b, err := in.root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", refused("read "+in.file(name), err)
	}
	return strings.TrimSpace(string(b)), nil
}

// aside renames what is in the way to name.word-<time>, and returns the new path.
func (in *instance) aside(root *os.Root, name, word string) (string, error) {
	to := in.vacant(root, name+"."+word)
	if err := root.Rename(name, to); err != nil {
		return "", refused(fmt.Sprintf("move %s aside", filepath.Join(root.Name(), name)), err)
	}
	return filepath.Join(root.Name(), to), nil
}

// vacant returns prefix-<time>, with a number where that is taken.
func (in *instance) vacant(root *os.Root, prefix string) string {
	stamp := prefix + "-" + time.Now().UTC().Format("20060102T150405Z")
	name := stamp
	for n := 2; ; n++ {
		if _, err := root.Lstat(name); err != nil {
			return name
		}
		name = fmt.Sprintf("%s-%d", stamp, n)
	}
}

// prepareLog makes the log writable to the server, which appends to it, and puts
// a large one aside.
func (in *instance) prepareLog() error {
	doing := "open the log " + in.file(logName)
	if info, err := in.root.Lstat(logName); err == nil && info.Size() > logLimit {
		if err := in.root.Rename(logName, logName+".1"); err != nil {
			return refused(doing, err)
		}
	}
	f, err := in.root.OpenFile(logName, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return refused(doing, err)
	}
	defer f.Close()
	if in.who.drop {
		return refused(doing, f.Chown(in.who.uid, in.who.gid))
	}
	return nil
}

// logFrom returns what was logged from an offset on, at most the last 64 kB.
func (in *instance) logFrom(offset int64) string {
	f, err := in.root.Open(logName)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		offset = max(offset, info.Size()-64<<10)
	}
	b, _ := io.ReadAll(io.NewSectionReader(f, offset, 64<<10))
	return string(b)
}

func (in *instance) logSize() int64 {
	info, err := in.root.Stat(logName)
	if err != nil {
		return 0
	}
	return info.Size()
}
