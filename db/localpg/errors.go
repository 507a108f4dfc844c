package localpg

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

var (
	// ErrNoBinaries means that no PostgreSQL server is installed and none could be fetched.
	ErrNoBinaries = errors.New("no PostgreSQL server found")

	// ErrTooOld means that only servers older than [OldestMajor] are installed.
	ErrTooOld = errors.New("PostgreSQL is too old")

	// ErrOtherMajor means that the cluster was made by a major version of which no
	// server is installed.
	ErrOtherMajor = errors.New("the database belongs to another major version of PostgreSQL")

	// ErrElsewhere means that the cluster is in use by a server that this process
	// cannot see, such as one in another container.
	ErrElsewhere = errors.New("the database is in use out of sight")
)

// Error is the failure of one of PostgreSQL's own programs, or of the operating
// system while it was prepared.
type Error struct {
	Doing string // what was being done, to what
	Err   error
	Hint  string // what to do about it, empty when that is not known
	Log   string // the last lines that the program wrote
	File  string // where the whole log is, empty when Log is all there is
}

// Error gives everything: cause and remedy on the first line, the log below.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v", e.Doing, e.Err)
	if e.Hint != "" {
		fmt.Fprintf(&b, "; %s", e.Hint)
	}
	if e.Log == "" {
		return b.String()
	}
	if e.File != "" {
		fmt.Fprintf(&b, "\nthe last lines of %s:", e.File)
	} else {
		b.WriteString("\nit said:")
	}
	for line := range strings.Lines(e.Log) {
		b.WriteString("\n  " + strings.TrimRight(line, "\r\n"))
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// failed explains err by what the program wrote; where it wrote nothing, by err.
func failed(doing string, err error, log, file string) error {
	log = lastLines(log, 15)
	return &Error{Doing: doing, Err: err, Hint: remedy(log + "\n" + err.Error()), Log: log, File: file}
}

// remedies are tried in order. The patterns are PostgreSQL's and the C library's
// English messages; the programs are always run with LC_ALL=C.
var remedies = []struct{ pattern, hint string }{
	{"could not create semaphores", "the kernel has no semaphores left (kernel.sem); stop other servers or raise the limit"},
	{"could not create shared memory segment", "the kernel's limit on shared memory is reached (kernel.shmmax, kernel.shmall); raise it or lower shared_buffers"},
	{"could not map anonymous shared memory", "there is too little memory for shared_buffers; free some or set shared_buffers lower"},
	{"Cannot allocate memory", "there is too little memory; free some or set shared_buffers lower"},
	{"No space left on device", "the disk is full; free some space or choose another directory"},
	{"no space left on device", "the disk is full; free some space or choose another directory"},
	{"Check free disk space", "the disk is full; free some space or choose another directory"},
	{"Disk quota exceeded", "the disk quota is used up; free some space or choose another directory"},
	{"disk quota exceeded", "the disk quota is used up; free some space or choose another directory"},
	{"ead-only file system", "the file system is read-only; choose another directory"},
	{"could not look up effective user ID", "this user id has no name; add it to /etc/passwd, or run as a named user"},
	{"Address already in use", "the port is taken by another program; stop that or ask for another port"},
	{"database files are incompatible", "the database was made by another build of PostgreSQL; use the one that made it"},
	{"could not find a valid checkpoint", "the database is damaged: it was perhaps copied while it ran; restore it from a backup"},
	{"could not locate a valid checkpoint", "the database is damaged: it was perhaps copied while it ran; restore it from a backup"},
	{"contains errors", "a configuration file has a mistake; the line is named below"},
	{"syntax error in file", "a configuration file has a mistake; the line is named below"},
	{"is still in use", "processes of an earlier server are still at work; end them and try again"},
	{"ermission denied", "choose a directory that belongs to the user who runs this, or have its owner open it"},
}

func remedy(log string) string {
	for _, r := range remedies {
		if strings.Contains(log, r.pattern) {
			return r.hint
		}
	}
	return ""
}

// refused wraps an error of the operating system with what to do about it.
func refused(doing string, err error) error {
	if err == nil {
		return nil
	}
	for _, known := range []error{syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.ENOSPC, syscall.EDQUOT} {
		if errors.Is(err, known) {
			return &Error{Doing: doing, Err: err, Hint: remedy(err.Error())}
		}
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// lastLines returns the last n lines that are not empty.
func lastLines(s string, n int) string {
	lines := strings.FieldsFunc(s, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) > n {
		lines = lines[len(lines)-n:]
	}
	return strings.Join(lines, "\n")
}
