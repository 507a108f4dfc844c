package watcher

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// File is what the disk says about a regular file.
type File struct {
	Path      string    // relative to the root, as EscapePath writes it
	Size      int64     // bytes
	ModTimeNs int64     // nanoseconds since 1970
	Mode      uint32    // permission bits with setuid, setgid and sticky, as chmod takes them
	Inode     int64     // 0 where the system has none
	Owner     string    // user name, or the number where it has no name; empty where unknown
	SeenAt    time.Time // just before the disk was asked; of two facts about a path the one seen later holds
	Special   string    // what an entry of a commit is that is no file of its own; empty for all that has a content
}

// Errors that say what is wrong with a root. They come wrapped with its path and
// what to do about it.
var (
	ErrRootMissing      = errors.New("root is missing")
	ErrRootNotDirectory = errors.New("root is not a directory")
	ErrRootUnreadable   = errors.New("root cannot be read")
	ErrRootEmpty        = errors.New("root is empty")
)

// Errors of ReadFile besides those of package fs.
var (
	// ErrNotRegular is returned for links, directories, FIFOs, sockets and devices.
	ErrNotRegular = errors.New("not a regular file")
	// ErrBusy is returned when the file kept changing while it was read.
	ErrBusy = errors.New("file changed while it was read")
)

// CheckRoot says whether path can be a root and returns its canonical form:
// absolute and without symbolic links. An empty directory gives ErrRootEmpty
// together with the canonical path, because it may be meant; it may as well be a
// disk that is not mounted.
func CheckRoot(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("root %q: %w", path, err)
	}
	canonical, err := filepath.EvalSymlinks(abs)
	if err != nil {
		return "", rootError(abs, err)
	}
	fi, err := os.Stat(canonical)
	if err != nil {
		return "", rootError(abs, err)
	}
	if !fi.IsDir() {
		return "", fmt.Errorf("%w: %s: name the directory that holds the code", ErrRootNotDirectory, abs)
	}
	d, err := os.Open(canonical)
	if err != nil {
		return "", rootError(abs, err)
	}
	defer d.Close()
	names, err := d.Readdirnames(1)
	if len(names) == 0 {
		if err != nil && err != io.EOF {
			return "", rootError(abs, err)
		}
		return canonical, fmt.Errorf("%w: %s: if a disk belongs there, mount it", ErrRootEmpty, abs)
	}
	return canonical, nil
}

func rootError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return fmt.Errorf("%w: %s: create or mount it, or watch another directory", ErrRootMissing, path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s: give user %s read and search permission: %w", ErrRootUnreadable, path, currentUser(), err)
	}
	return fmt.Errorf("%w: %s: %w", ErrRootUnreadable, path, err)
}

func currentUser() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return strconv.Itoa(os.Getuid())
}

// fileID tells files apart on one machine; zero where the system cannot.
type fileID struct{ dev, inode uint64 }

type sysInfo struct {
	id       fileID
	uid      uint32
	hasOwner bool
	links    uint64 // names of the file; 0 where unknown
	changed  int64  // time of the last change of content or attributes, ns; 0 where unknown
}

// stamp is what two looks at a file are compared by.
type stamp struct {
	size, modified, changed int64
	mode                    fs.FileMode
	id                      fileID
}

func stampOf(fi fs.FileInfo) stamp {
	sys := sysOf(fi)
	return stamp{fi.Size(), fi.ModTime().UnixNano(), sys.changed, fi.Mode(), sys.id}
}

// lastChange is when content or attributes last changed; where the system does
// not say that, when the content did, which anyone can set to any time.
func lastChange(fi fs.FileInfo) time.Time {
	if at := sysOf(fi).changed; at != 0 {
		return time.Unix(0, at)
	}
	return fi.ModTime()
}

// owners remembers user names; looking one up reads /etc/passwd or worse.
type owners struct{ names sync.Map }

func (o *owners) name(uid uint32) string {
	if name, ok := o.names.Load(uid); ok {
		return name.(string)
	}
	name := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(name); err == nil {
		name = u.Username
	}
	o.names.Store(uid, name)
	return name
}

func (o *owners) file(name string, fi fs.FileInfo, seen time.Time) File {
	sys := sysOf(fi)
	f := File{
		Path:      EscapePath(name),
		Size:      fi.Size(),
		ModTimeNs: fi.ModTime().UnixNano(),
		Mode:      modeBits(fi.Mode()),
		Inode:     int64(sys.id.inode),
		SeenAt:    seen,
	}
	if sys.hasOwner {
		f.Owner = o.name(sys.uid)
	}
	return f
}

func modeBits(m fs.FileMode) uint32 {
	bits := uint32(m.Perm())
	for _, b := range [...]struct {
		has fs.FileMode
		bit uint32
	}{{fs.ModeSetuid, 0o4000}, {fs.ModeSetgid, 0o2000}, {fs.ModeSticky, 0o1000}} {
		if m&b.has != 0 {
			bits |= b.bit
		}
	}
	return bits
}

// isNoPath reports whether an error means that a path leads nowhere (any more).
func isNoPath(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP)
}
