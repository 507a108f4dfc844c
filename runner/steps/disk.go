package steps

import (
	"context"
	"errors"
	"time"

	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/runner/ingest"
)

// Disk is what the steps need of the file system that holds the roots. A process
// that serves no root has none, and leaves the steps that need one to others.
type Disk interface {
	// Scan yields every regular file below root that is not ignored, by its
	// metadata alone, in any order. It returns the directories that could not be
	// read, relative to root; nothing is concluded about files below them.
	Scan(ctx context.Context, root Root, yield func(File) error) (unread []string, err error)

	// Read reads and hashes one file. Beyond limit bytes the content is hashed but
	// not returned. A path without a file gives fs.ErrNotExist; what is there but
	// is no regular file gives ErrNotRegular; what may not be read fs.ErrPermission.
	// Other errors are worth another try.
	Read(ctx context.Context, root Root, path string, limit int64) (Content, error)

	// Gone returns those of the paths where no regular file is now.
	Gone(ctx context.Context, root Root, paths []string) ([]string, error)

	// History yields the commits that git knows of the root, ancestors first, but
	// for those that since, the commit where it ended last, had already. It returns
	// the last one. A root that is in no repository gives ErrNoHistory; other
	// errors but those of yield and of the context say why git does not answer.
	History(ctx context.Context, root Root, since string, yield func(Commit) error) (head string, err error)
}

// Root is where the files of a codebase are: a directory or, with a ref, the tree of a
// commit in the repository at Path.
type Root struct{ Path, Ref string }

// String names it in messages.
func (r Root) String() string {
	if r.Ref == "" {
		return r.Path
	}
	return r.Ref + " of " + r.Path
}

func rootOf(c dbsqlc.CodebaseRow) Root { return Root{c.Root, c.Ref} }

// ErrNoHistory is returned by Disk.History for roots outside any repository.
var ErrNoHistory = errors.New("not in a git repository")

// ErrNotRegular is returned by Disk.Read for links, directories and devices.
var ErrNotRegular = errors.New("not a regular file")

// File is what the disk says about a file.
type File struct {
	Path       string // relative to the root, slash separated, with \xNN for bytes that are not UTF-8
	Bytes      int64
	ModifiedNs int64  // nanoseconds since 1970
	Mode       uint32 // permission bits with setuid, setgid and sticky, as chmod takes them
	Inode      int64  // 0 where there are none
	Owner      string // name or number; empty where unknown
	SeenAt     time.Time
	Special    string // what it is that has no content of its own: "symbolic link"; empty for regular files
}

// Commit is one that changed files of a root.
type Commit struct {
	ID          []byte
	Author      string
	Email       string
	AuthoredAt  time.Time
	CommittedAt time.Time
	Subject     string
	Files       []FileChange
}

// FileChange is what a commit did to a file, with paths as in File.
type FileChange struct {
	Path   string
	Change string // added, modified, deleted, renamed, copied or retyped
	Former string // where a renamed or copied file was
	Object []byte // git's id of the content afterwards; nil if there is none
}

// Content is a file with what was read of it.
type Content struct {
	File   File
	SHA256 [32]byte
	Data   []byte // nil where the file is larger than the limit
}

// Limits bound what is read and kept. The zero value means the defaults.
type Limits struct {
	ingest.Gates

	BatchBytes int64 // of contents in one batch of a whole ingestion; default 3 MiB
	BatchFiles int   // in one batch; default 200
}

func (l Limits) withDefaults() Limits {
	if l.KeepBytes <= 0 {
		l.KeepBytes = 10 << 20 // as package ingest has it
	}
	if l.BatchBytes <= 0 {
		l.BatchBytes = 3 << 20
	}
	if l.BatchFiles <= 0 {
		l.BatchFiles = 200
	}
	return l
}
