// Package git asks the git command what it knows of a repository: the history of a
// directory, the files of a commit and their contents. It changes nothing, takes no
// lock that somebody could wait for, and never talks to another machine.
//
// Each question is one process, however long the answer. Contents of any number of
// objects come from one process too.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Errors that say why there is no answer. They come wrapped in what git said.
var (
	ErrNoRepository = errors.New("not in a git repository")
	ErrNoGit        = errors.New("git is not installed")
)

// command prepares git to run in a directory. What the environment says about
// repositories is for somebody else's: htdag may have been started by a hook.
func command(ctx context.Context, dir string, args ...string) (*exec.Cmd, *complaint) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--no-pager", "--literal-pathspecs", "-c", "log.showSignature=false"}, args...)...)
	cmd.Dir = dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "GIT_") && !strings.HasPrefix(v, "GIT_CONFIG") && !strings.HasPrefix(v, "GIT_CEILING")
	})
	cmd.Env = append(cmd.Env, "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1")
	cmd.WaitDelay = 5 * time.Second
	said := new(complaint)
	cmd.Stderr = said
	return cmd, said
}

// complaint keeps the beginning of what git writes to its standard error.
type complaint struct{ text bytes.Buffer }

// Write implements io.Writer.
func (c *complaint) Write(p []byte) (int, error) {
	if room := 4096 - c.text.Len(); room > 0 {
		c.text.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

// explain makes an error of how a process ended and what it said.
func (c *complaint) explain(err error) error {
	said, _, _ := strings.Cut(strings.TrimSpace(c.text.String()), "\n")
	said = strings.ToValidUTF8(strings.TrimPrefix(said, "fatal: "), "?")
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return ErrNoGit
	case strings.HasPrefix(said, "not a git repository"):
		return ErrNoRepository
	case said != "":
		return fmt.Errorf("git says: %s", said)
	}
	return fmt.Errorf("git: %w", err)
}

// output runs git and returns what it writes.
func output(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd, said := command(ctx, dir, args...)
	out, err := cmd.Output()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return nil, said.explain(err)
	}
	return out, nil
}
