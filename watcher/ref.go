package watcher

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/htdag/htdag/watcher/git"
)

// Ref is the tree of a commit in a git repository, read without a work tree. Its files
// are under the same rules as those of a directory, but for git's own excludes outside
// the tree (info/exclude and the user's), which are about work trees. Links and
// submodules are told of as files without a content.
//
// Files of a ref have no times. What takes the place of an inode is the beginning of
// the content's object id, so that a file that a later commit leaves alone looks the
// same, and one that it changes does not.
type Ref struct {
	Commit string // in hexadecimal

	repository string
	objects    *git.Objects
	top        *refDir
	seen       time.Time
}

// refDir is a directory of a tree.
type refDir struct {
	dirs  map[string]*refDir
	files map[string]git.Entry
}

// OpenRef lists the files of the commit that ref means now. Whoever opens one closes it.
func OpenRef(ctx context.Context, repository, ref string) (*Ref, error) {
	t := &Ref{repository: repository, seen: time.Now(), top: newRefDir()}
	var err error
	if t.Commit, err = git.Resolve(ctx, repository, ref); err != nil {
		return nil, err
	}
	entries, err := git.Tree(ctx, repository, t.Commit)
	if err != nil {
		return nil, fmt.Errorf("list %s of %s: %w", ref, repository, err)
	}
	for _, e := range entries {
		t.top.add(e, e.Path)
	}
	t.objects = git.NewObjects(repository)
	return t, nil
}

// Close ends the process that contents come from.
func (t *Ref) Close() error { return t.objects.Close() }

func newRefDir() *refDir { return &refDir{dirs: map[string]*refDir{}, files: map[string]git.Entry{}} }

func (d *refDir) add(e git.Entry, rest string) {
	name, below, deeper := strings.Cut(rest, "/")
	if !deeper {
		d.files[name] = e
		return
	}
	if d.dirs[name] == nil {
		d.dirs[name] = newRefDir()
	}
	d.dirs[name].add(e, below)
}

// find returns what a path names: a file or a directory, or neither.
func (t *Ref) find(path string) (file git.Entry, isFile, isDir bool) {
	d := t.top
	for {
		name, below, deeper := strings.Cut(path, "/")
		if !deeper {
			file, isFile = d.files[name]
			return file, isFile, d.dirs[name] != nil
		}
		if d = d.dirs[name]; d == nil {
			return file, false, false
		}
		path = below
	}
}

// Explore yields the files that the rules do not ignore, in order of path elements, and
// tells of everything that it leaves out.
func (t *Ref) Explore(ctx context.Context, filter Filter, yield func(File) error, passed func(Passed)) (Summary, error) {
	s := scan{ctx: ctx, root: t.repository, yield: yield, passed: passed, sum: Summary{Ignored: map[string]int{}}}
	r := newRules(t.repository, filter, s.problem)
	r.readFile, r.exists = t.ruleFile, func(path string) bool {
		_, isFile, isDir := t.find(t.below(path))
		return isFile || isDir
	}
	r.set()
	if err := t.dir(&s, r.load(nil, t.repository, "", t.top.entries()), t.top, ""); err != nil {
		return s.sum, fmt.Errorf("scan %s of %s: %w", t.Commit, t.repository, err)
	}
	return s.sum, nil
}

// below is a path that is written as if the tree lay in the directory of its repository.
func (t *Ref) below(path string) string {
	rel, err := filepath.Rel(t.repository, path)
	if err != nil {
		return path
	}
	return filepath.ToSlash(rel)
}

// ruleFile reads an ignore file, unless it is a link.
func (t *Ref) ruleFile(path string) (data []byte, err error) {
	e, isFile, _ := t.find(t.below(path))
	if !isFile || e.Special() != "" {
		return nil, ErrNotRegular
	}
	err = t.objects.Read(e.Object, func(r io.Reader, size int64) error {
		if size > maxRuleFile {
			return errors.New("ignore file is larger than 16 MiB: its rules are not applied")
		}
		data, err = io.ReadAll(r)
		return err
	})
	return data, err
}

func (t *Ref) dir(s *scan, l *level, d *refDir, rel string) error {
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	s.sum.Directories++
	for _, entry := range d.entries() {
		name, isDir := entry.Name(), entry.IsDir()
		below := path.Join(rel, name)
		if v := l.verdict(name, isDir); v.Ignored {
			s.sum.Ignored[v.String()]++
			s.passed(Passed{Path: EscapePath(below), Directory: isDir, Verdict: v})
			continue
		}
		if isDir {
			inside := d.dirs[name]
			if err := t.dir(s, l.enter(name, inside.entries()), inside, below); err != nil {
				return err
			}
			continue
		}
		f := t.file(d.files[name])
		if f.Special != "" {
			s.sum.Special++
		} else {
			s.sum.Files++
			s.sum.Bytes += f.Size
		}
		if err := s.yield(f); err != nil {
			return err
		}
	}
	return nil
}

func (t *Ref) file(e git.Entry) File {
	f := File{Path: EscapePath(e.Path), Size: e.Size, Mode: e.Mode & 0o7777, SeenAt: t.seen, Special: e.Special()}
	if id, err := hex.DecodeString(e.Object); err == nil && len(id) >= 8 {
		f.Inode = int64(binary.BigEndian.Uint64(id) >> 1)
	}
	return f
}

// ReadFile reads and hashes one file, as the function of that name does on disk.
func (t *Ref) ReadFile(ctx context.Context, path string, limit int64) (Content, error) {
	name, err := localName(path)
	if err != nil {
		return Content{}, err
	}
	if err := context.Cause(ctx); err != nil {
		return Content{}, err
	}
	e, isFile, isDir := t.find(filepath.ToSlash(name))
	switch {
	case isDir, isFile && e.Special() != "":
		return Content{}, fmt.Errorf("read %s: %w", path, ErrNotRegular)
	case !isFile:
		return Content{}, fmt.Errorf("read %s: %w in commit %s", path, fs.ErrNotExist, t.Commit)
	}
	c := Content{File: t.file(e)}
	err = t.objects.Read(e.Object, func(r io.Reader, size int64) error {
		c.File.Size = size
		if size <= limit {
			c.Data = make([]byte, size)
			if _, err := io.ReadFull(r, c.Data); err != nil {
				return err
			}
			c.SHA256 = sha256.Sum256(c.Data)
			return nil
		}
		h := sha256.New()
		_, err := io.Copy(h, r)
		h.Sum(c.SHA256[:0])
		return err
	})
	if err != nil {
		return Content{}, fmt.Errorf("read %s: %w", path, err)
	}
	return c, nil
}

// entries are what a directory holds, in order of name, as if they were on disk.
func (d *refDir) entries() []fs.DirEntry {
	all := make([]fs.DirEntry, 0, len(d.dirs)+len(d.files))
	for name := range d.dirs {
		all = append(all, refEntry{name, fs.ModeDir})
	}
	for name, e := range d.files {
		mode := fs.FileMode(0)
		if e.Special() != "" {
			mode = fs.ModeIrregular
		}
		all = append(all, refEntry{name, mode})
	}
	slices.SortFunc(all, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return all
}

// refEntry is the name of something in a tree, with what it is.
type refEntry struct {
	name string
	mode fs.FileMode
}

func (e refEntry) Name() string               { return e.name }
func (e refEntry) IsDir() bool                { return e.mode.IsDir() }
func (e refEntry) Type() fs.FileMode          { return e.mode }
func (e refEntry) Info() (fs.FileInfo, error) { return nil, fs.ErrInvalid }
