package watcher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Problem is a part of a root that could not be read. What is known of files
// below it should be kept: the scan says nothing about them.
type Problem struct {
	Path string // directory or ignore file, relative to the root, as EscapePath writes it
	Err  string
}

// Summary says what a scan came across.
type Summary struct {
	Files       int
	Directories int
	Bytes       int64
	Special     int            // links, FIFOs, sockets and devices, which are passed over
	Ignored     map[string]int // entries left out, by rule: ".gitignore:3: *.log" -> 17; a directory counts once
	Problems    []Problem
}

// Passed is something that a scan leaves out: what a rule ignores, or what is no
// file of its own. A directory stands for all that is in it.
type Passed struct {
	Path      string // as EscapePath writes it
	Directory bool
	Verdict   Verdict // where it is ignored
	Special   string  // else what it is: "symbolic link", "named pipe", "socket" or "device"
}

// Scan yields every regular file below root that the rules do not ignore, by
// stat alone and in order of path elements. Directories that cannot be read are
// listed in the summary and do not end the scan. It ends with the error of yield,
// of the context, or with one of the ErrRoot errors; after ErrRootEmpty the
// summary is valid, and whether to believe it is up to the caller.
func Scan(ctx context.Context, root string, filter Filter, yield func(File) error) (Summary, error) {
	return Explore(ctx, root, filter, yield, func(Passed) {})
}

// Explore is Scan that also tells of everything it leaves out, in the same order.
func Explore(ctx context.Context, root string, filter Filter, yield func(File) error, passed func(Passed)) (Summary, error) {
	s := scan{ctx: ctx, yield: yield, passed: passed, sum: Summary{Ignored: map[string]int{}}}
	canonical, err := CheckRoot(root)
	if err != nil {
		return s.sum, err
	}
	s.root = canonical
	r := newRules(canonical, filter, s.problem)
	entries, err := readDir(canonical)
	if err != nil {
		return s.sum, rootError(canonical, err)
	}
	err = s.dir(r.top(entries), canonical, "", entries)
	if err != nil {
		return s.sum, fmt.Errorf("scan %s: %w", canonical, err)
	}
	return s.sum, nil
}

type scan struct {
	ctx    context.Context
	root   string
	yield  func(File) error
	passed func(Passed)
	sum    Summary
	owners owners
}

func (s *scan) problem(path string, err error) {
	if rel, e := filepath.Rel(s.root, path); e == nil {
		path = rel
	}
	s.sum.Problems = append(s.sum.Problems, Problem{Path: EscapePath(path), Err: plainError(err)})
}

// dir scans one directory: abs on disk, rel below the root.
func (s *scan) dir(l *level, abs, rel string, entries []fs.DirEntry) error {
	if err := context.Cause(s.ctx); err != nil {
		return err
	}
	s.sum.Directories++
	seen := time.Now()
	for _, e := range entries {
		name := e.Name()
		isDir := e.IsDir()
		path, below := filepath.Join(abs, name), filepath.Join(rel, name)
		if !isDir && !e.Type().IsRegular() {
			s.special(below, e.Type())
			continue
		}
		if v := l.verdict(name, isDir); v.Ignored {
			s.sum.Ignored[v.String()]++
			s.passed(Passed{Path: EscapePath(below), Directory: isDir, Verdict: v})
			continue
		}
		if isDir {
			inside, err := readDir(path)
			if isNoPath(err) {
				continue // gone or something else since its parent was read
			} else if err != nil {
				s.problem(path, err)
				continue
			}
			if err := s.dir(l.enter(name, inside), path, below, inside); err != nil {
				return err
			}
			continue
		}
		fi, err := e.Info()
		if isNoPath(err) {
			continue // gone since the directory was read
		} else if err != nil {
			s.problem(path, err)
			continue
		}
		if !fi.Mode().IsRegular() {
			s.special(below, fi.Mode())
			continue
		}
		f := s.owners.file(below, fi, seen)
		s.sum.Files++
		s.sum.Bytes += f.Size
		if err := s.yield(f); err != nil {
			return err
		}
	}
	return nil
}

func (s *scan) special(rel string, mode fs.FileMode) {
	s.sum.Special++
	what := "device"
	switch {
	case mode&fs.ModeSymlink != 0:
		what = "symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		what = "named pipe"
	case mode&fs.ModeSocket != 0:
		what = "socket"
	}
	s.passed(Passed{Path: EscapePath(rel), Special: what})
}

// readDir returns the entries of a directory in order of their names. Unlike
// os.ReadDir it does not follow a link in place of the directory.
func readDir(path string) ([]fs.DirEntry, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|dirFlags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// String names the rule that decided: ".gitignore:3: *.log".
func (v Verdict) String() string {
	if v.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", v.Source, v.Line, v.Pattern)
	}
	return v.Source + ": " + v.Pattern
}

// Explain says which rule, if any, decides about a path of a root; the path need
// not exist. isDir says what it is or would be. The verdict is that of the
// topmost ignored directory on the way, since nothing below one is looked at.
func Explain(root, path string, isDir bool, filter Filter) (Verdict, error) {
	canonical, err := CheckRoot(root)
	if err != nil && !errors.Is(err, ErrRootEmpty) {
		return Verdict{}, err
	}
	name, err := localName(path)
	if err != nil {
		return Verdict{}, err
	}
	entries, err := readDir(canonical)
	if err != nil {
		return Verdict{}, rootError(canonical, err)
	}
	return newRules(canonical, filter, nil).explain(canonical, entries, name, isDir)
}

// explain judges a name below the directory that has these entries.
func (r *rules) explain(dir string, entries []fs.DirEntry, name string, isDir bool) (Verdict, error) {
	l := r.top(entries)
	for {
		first, rest, more := cutElement(name)
		v := l.verdict(first, more || isDir)
		if v.Ignored || !more {
			return v, nil
		}
		dir = filepath.Join(dir, first)
		entries, err := readDir(dir)
		if err != nil && !isNoPath(err) {
			return Verdict{}, fmt.Errorf("explain %s: %w", EscapePath(name), err)
		}
		l, name = l.enter(first, entries), rest
	}
}

// localName turns an escaped path into a name that stays inside the root.
func localName(path string) (string, error) {
	name, err := UnescapePath(path)
	if err != nil {
		return "", err
	}
	if name == "." || !filepath.IsLocal(name) {
		return "", fmt.Errorf("path %q does not name something inside the root", path)
	}
	return filepath.Clean(name), nil
}

func cutElement(name string) (first, rest string, more bool) {
	for i := 0; i < len(name); i++ {
		if os.IsPathSeparator(name[i]) {
			return name[:i], name[i+1:], true
		}
	}
	return name, "", false
}

// plainError drops the absolute path that os puts into its errors.
func plainError(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}
