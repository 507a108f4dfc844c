package watcher

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// repository is what the watcher needs to know of a git repository.
type repository struct {
	dir      string // its git directory: .git, or where a .git file points
	excludes [2]excludes
}

// excludes is a list of patterns for all of a repository that is not part of it. The
// first is the repository's own, the second the user's; the first wins.
type excludes struct {
	path  string // empty where there can be none
	rules *ruleFile
}

// judge asks both lists.
func (r *repository) judge(full, name string, isDir bool) Verdict {
	for _, e := range r.excludes {
		if v := e.rules.judge(full, name, isDir); v.Source != "" {
			return v
		}
	}
	return Verdict{}
}

func (r *repository) same(o *repository) bool {
	if r.dir != o.dir {
		return false
	}
	for i := range r.excludes {
		if r.excludes[i].path != o.excludes[i].path || !r.excludes[i].rules.same(o.excludes[i].rules) {
			return false
		}
	}
	return true
}

// isRepository reports whether dir is the top of a git work tree.
func isRepository(dir string) bool {
	gitDir := gitDirOf(dir)
	if gitDir == "" {
		return false
	}
	_, err := os.Lstat(filepath.Join(gitDir, "HEAD"))
	return err == nil
}

func openRepository(dir, full string, config *gitConfig, problem func(string, error)) *repository {
	r := &repository{dir: gitDirOf(dir)}
	common := r.dir
	// A linked work tree shares the exclude file of the main one.
	if data, err := readRuleFile(filepath.Join(r.dir, "commondir")); err == nil {
		common = strings.TrimSpace(string(data))
		if !filepath.IsAbs(common) {
			common = filepath.Join(r.dir, common)
		}
	}
	own := filepath.Join(common, "info/exclude")
	data, err := readRuleFile(own)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		problem(own, err)
	}
	r.excludes[0] = excludes{path: own}
	if err == nil {
		source := own
		if rel, err := filepath.Rel(dir, own); err == nil && filepath.IsLocal(rel) {
			source = filepath.ToSlash(rel)
		}
		r.excludes[0].rules = &ruleFile{source: source, text: string(data), base: offset(full), patterns: parsePatterns(data)}
	}
	users, err := config.excludesFile(dir, common)
	if err != nil {
		problem(filepath.Join(r.dir, "config"), err)
	}
	if users == "" {
		return r
	}
	if data, err = readExcludes(users); err != nil {
		problem(users, err)
	}
	r.excludes[1] = excludes{path: users}
	if len(data) > 0 {
		r.excludes[1].rules = &ruleFile{source: users, text: string(data), base: offset(full), patterns: parsePatterns(data)}
	}
	return r
}

// gitDirOf returns the git directory of a work tree whose top is dir, or "".
// Submodules and linked work trees have a .git file that names it.
func gitDirOf(dir string) string {
	path := filepath.Join(dir, ".git")
	fi, err := os.Lstat(path)
	if err != nil {
		return ""
	}
	if fi.IsDir() {
		return path
	}
	data, err := readRuleFile(path)
	if err != nil {
		return ""
	}
	to, ok := strings.CutPrefix(strings.TrimSpace(string(data)), "gitdir: ")
	if !ok {
		return ""
	}
	if !filepath.IsAbs(to) {
		to = filepath.Join(dir, to)
	}
	return to
}

// maxRuleFile bounds ignore files, in bytes. git's own bound is higher, but a
// larger file is surely not a list of patterns.
const maxRuleFile = 16 << 20

// readRuleFile reads a small regular file. Like git, it does not follow a
// symbolic link in place of an ignore file.
func readRuleFile(path string) ([]byte, error) {
	fi, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, ErrNotRegular
	}
	f, err := os.OpenFile(path, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRuleFile+1))
	if err == nil && len(data) > maxRuleFile {
		err = errors.New("ignore file is larger than 16 MiB: its rules are not applied")
	}
	if err != nil {
		return nil, err
	}
	return data, nil
}
