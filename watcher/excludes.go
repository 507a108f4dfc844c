package watcher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// gitConfig knows where the user's own list of what git is to ignore lies, which
// git's configuration says (core.excludesFile), a repository's before the user's
// before the system's. Only git knows all the places this can be written in, so it
// is asked, and the answer is good for a while: once for all repositories whose own
// configuration cannot say anything else.
type gitConfig struct {
	env []string // of git; nil for that of the process

	mu    sync.Mutex
	known map[string]excludesPath // by the top of the work tree; "" for most of them
}

type excludesPath struct {
	path   string
	varies bool // with the place of the repository
	until  time.Time
}

const (
	configAge  = time.Minute      // for which an answer is good
	configWait = 10 * time.Second // for git to answer
)

// excludesFile returns the path of the user's list for the work tree at top, whose
// repository lies in dir; empty where there can be none.
func (c *gitConfig) excludesFile(top, dir string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	answer, err := c.lookUp("", "/")
	if err == nil && (answer.varies || configures(filepath.Join(dir, "config")) || configures(filepath.Join(dir, "config.worktree"))) {
		answer, err = c.lookUp(top, top)
	}
	if path := answer.path; path == "" || filepath.IsAbs(path) {
		return path, err
	}
	return filepath.Join(top, answer.path), err
}

// configures reports whether a repository's own configuration may have to do with the
// list. One that cannot be read says nothing to git either.
func configures(path string) bool {
	text, err := readRuleFile(path)
	text = bytes.ToLower(text)
	return err == nil && (bytes.Contains(text, []byte("excludesfile")) || bytes.Contains(text, []byte("include")))
}

func (c *gitConfig) lookUp(key, dir string) (excludesPath, error) {
	if known, ok := c.known[key]; ok && time.Now().Before(known.until) {
		return known, nil
	}
	answer := excludesPath{until: time.Now().Add(configAge)}
	var err error
	if answer.path, err = c.ask(dir); key == "" && err == nil {
		var conditions string
		conditions, _, err = c.git(dir, "--name-only", "--get-regexp", `^includeif\..*\.path$`)
		answer.varies = conditions != ""
	}
	if c.known == nil {
		c.known = map[string]excludesPath{}
	}
	c.known[key] = answer
	return answer, err
}

// ask asks git. Where it is not installed the list lies where git looks when nothing
// is configured.
func (c *gitConfig) ask(dir string) (string, error) {
	path, set, err := c.git(dir, "--type=path", "--get", "core.excludesFile")
	if !set {
		path = c.usual()
	}
	return path, err
}

// git asks git for a part of the configuration that holds in dir.
func (c *gitConfig) git(dir string, args ...string) (answer string, set bool, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), configWait)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", append([]string{"config"}, args...)...)
	cmd.Dir = dir
	if cmd.Env = c.env; cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	// Who starts us from a hook means his repository, not ours.
	cmd.Env = slices.DeleteFunc(slices.Clone(cmd.Env), func(v string) bool {
		return strings.HasPrefix(v, "GIT_DIR=") || strings.HasPrefix(v, "GIT_WORK_TREE=") || strings.HasPrefix(v, "GIT_COMMON_DIR=")
	})
	cmd.WaitDelay = time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return strings.TrimSuffix(string(out), "\n"), true, nil
	case errors.As(err, &exit) && exit.ExitCode() == 1, errors.Is(err, exec.ErrNotFound): // not set, or no git
		return "", false, nil
	}
	return "", false, fmt.Errorf("ask git for its configuration in %s: %w: %s", dir, err, strings.TrimSpace(stderr.String()))
}

// usual is where the list lies when nothing else is configured.
func (c *gitConfig) usual() string {
	if dir := c.getenv("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(dir, "git/ignore")
	}
	if home := c.getenv("HOME"); home != "" {
		return filepath.Join(home, ".config/git/ignore")
	}
	return ""
}

func (c *gitConfig) getenv(name string) (value string) {
	if c.env == nil {
		return os.Getenv(name)
	}
	for _, v := range c.env { // the last one holds
		if rest, ok := strings.CutPrefix(v, name+"="); ok {
			value = rest
		}
	}
	return value
}

// readExcludes reads the user's list. Unlike a .gitignore file it may be a symbolic
// link. One that is missing says nothing.
func readExcludes(path string) ([]byte, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		data, err := readRuleFile(real)
		if err == nil || !isNoPath(err) {
			return data, err
		}
	}
	if isNoPath(err) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return nil, err
}
