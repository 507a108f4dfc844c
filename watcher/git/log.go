package git

import (
	"bufio"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// Commit is one that changed files, with what it did to them.
type Commit struct {
	ID          []byte
	Author      string // by .mailmap, if there is one
	Email       string
	AuthoredAt  time.Time
	CommittedAt time.Time
	Subject     string
	Files       []FileChange
}

// FileChange is what a commit did to a file.
type FileChange struct {
	Path   string // as git has it: bytes, relative to the directory that was asked about
	Change string // added, modified, deleted, renamed, copied or retyped
	Former string // where a renamed or copied file was
	Object []byte // the content afterwards; nil if there is none
}

// MaxCommits is how far back a history is read: that many commits.
const MaxCommits = 20_000

// Log yields the commits that changed files in a directory, ancestors first. With a ref
// the directory is a repository, and all of its files count; without one it is a work
// tree or part of one, and its HEAD says which history is meant. What the commit since
// already had is left out; a since that is gone, after a rebase, leaves out nothing.
// It returns the last commit that it yielded, or since.
func Log(ctx context.Context, dir, ref, since string, yield func(Commit) error) (head string, err error) {
	args := []string{"log", "-z", "--reverse", "--topo-order", "--max-count=" + strconv.Itoa(MaxCommits), "--ignore-missing",
		"--raw", "--no-abbrev", "-M", "--no-ext-diff", "--no-color", "--encoding=UTF-8",
		"--format=tformat:%x01%H%x00%aN%x00%aE%x00%at%x00%ct%x00%s"}
	if ref == "" {
		args = append(args, "--relative", "--end-of-options", "HEAD")
	} else {
		args = append(args, "--end-of-options", ref)
	}
	if since != "" {
		args = append(args, "^"+since)
	}
	args = append(args, "--")
	if ref == "" {
		args = append(args, ".")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd, said := command(ctx, dir, args...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		return "", fmt.Errorf("git: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return "", said.explain(err)
	}
	head, err = readLog(bufio.NewReaderSize(out, 64<<10), since, yield)
	if err != nil {
		cancel()
		_ = cmd.Wait()
		return "", err
	}
	if err := cmd.Wait(); ctx.Err() != nil {
		return "", context.Cause(ctx)
	} else if err != nil {
		return "", said.explain(err)
	}
	return head, nil
}

// readLog takes apart what git writes: six fields of a commit, then, for each of its
// files, the raw line and a path or two, all of them ended by a NUL.
func readLog(r *bufio.Reader, head string, yield func(Commit) error) (string, error) {
	var c *Commit
	flush := func() error {
		if c == nil {
			return nil
		}
		head = hex.EncodeToString(c.ID)
		return yield(*c)
	}
	field := func() (string, error) {
		s, err := r.ReadString(0)
		if errors.Is(err, io.EOF) && s != "" {
			return "", fmt.Errorf("read git log: it ends in %.40q", s)
		}
		return strings.TrimSuffix(s, "\x00"), err
	}
	for {
		s, err := field()
		if errors.Is(err, io.EOF) {
			return head, flush()
		} else if err != nil {
			return "", err
		}
		raw, isFile := strings.CutPrefix(strings.TrimPrefix(s, "\n"), ":")
		if !isFile {
			if err := flush(); err != nil {
				return "", err
			}
			if c, err = readCommit(s, field); err != nil {
				return "", err
			}
			continue
		}
		if c == nil {
			return "", fmt.Errorf("read git log: a file before any commit: %.80q", s)
		}
		f, err := readChange(raw, field)
		if err != nil {
			return "", err
		}
		c.Files = append(c.Files, f)
	}
}

func readCommit(id string, field func() (string, error)) (*Commit, error) {
	var c Commit
	var err error
	if c.ID, err = hex.DecodeString(strings.TrimPrefix(id, "\x01")); err != nil || len(c.ID) < 20 {
		return nil, fmt.Errorf("read git log: %.60q is no commit", id)
	}
	var fields [5]string
	for i := range fields {
		if fields[i], err = field(); err != nil {
			return nil, fmt.Errorf("read commit %x: %w", c.ID, err)
		}
		fields[i] = strings.ToValidUTF8(fields[i], "\ufffd")
	}
	c.Author, c.Email, c.Subject = fields[0], fields[1], fields[4]
	c.AuthoredAt, c.CommittedAt = seconds(fields[2]), seconds(fields[3])
	return &c, nil
}

// seconds reads a time. Commits can claim any; what lies outside the years that every
// program can write is taken for the nearest.
func seconds(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		n = 0
	}
	const last = 253_402_300_799 // the end of 9999
	return time.Unix(max(0, min(n, last)), 0)
}

var changes = map[byte]string{'A': "added", 'M': "modified", 'D': "deleted", 'R': "renamed", 'C': "copied", 'T': "retyped"}

// readChange reads "100644 100644 OLD NEW R100" and what follows it.
func readChange(raw string, field func() (string, error)) (f FileChange, err error) {
	parts := strings.Fields(raw)
	if len(parts) != 5 || changes[parts[4][0]] == "" {
		return f, fmt.Errorf("read git log: %.120q is no change of a file", raw)
	}
	f.Change = changes[parts[4][0]]
	if f.Change != "deleted" {
		if f.Object, err = hex.DecodeString(parts[3]); err != nil {
			return f, fmt.Errorf("read git log: object %.80q: %w", parts[3], err)
		}
	}
	if f.Path, err = field(); err != nil {
		return f, fmt.Errorf("read git log: %w", err)
	}
	if f.Change == "renamed" || f.Change == "copied" {
		f.Former = f.Path
		if f.Path, err = field(); err != nil {
			return f, fmt.Errorf("read git log: %w", err)
		}
	}
	return f, nil
}
