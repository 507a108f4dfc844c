package git

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"sync"
)

// Modes of entries that are no files.
const (
	modeSymlink   = 0o120000
	modeSubmodule = 0o160000
)

// Entry is a file of a commit, or what stands in the place of one.
type Entry struct {
	Path   string // as git has it: bytes, relative to the top
	Mode   uint32 // as git has it: 0o100644, 0o100755 and the like
	Object string // in hexadecimal
	Size   int64  // of the content; 0 for submodules
}

// Special says what an entry is that is no file of its own: "symbolic link",
// "submodule", or nothing.
func (e Entry) Special() string {
	switch e.Mode & 0o170000 {
	case modeSymlink:
		return "symbolic link"
	case modeSubmodule:
		return "submodule"
	}
	return ""
}

// Resolve finds the commit that a ref means, in hexadecimal.
func Resolve(ctx context.Context, dir, ref string) (string, error) {
	out, err := output(ctx, dir, "rev-parse", "--verify", "--quiet", "--end-of-options", ref+"^{commit}")
	if err != nil {
		if errors.Is(err, ErrNoGit) || ctx.Err() != nil {
			return "", err
		}
		// Quietly, it does not say whether there is no such ref or no repository.
		if _, err := GitDir(ctx, dir); err != nil {
			return "", fmt.Errorf("%s: %w", dir, err)
		}
		return "", fmt.Errorf("%s has no branch, tag or commit %q", dir, ref)
	}
	commit, _, _ := strings.Cut(strings.TrimPrefix(string(out), "--end-of-options\n"), "\n")
	return commit, nil
}

// GitDir is the directory that holds the repository of dir, absolute.
func GitDir(ctx context.Context, dir string) (string, error) {
	out, err := output(ctx, dir, "rev-parse", "--absolute-git-dir")
	return strings.TrimSuffix(string(out), "\n"), err
}

// Tree lists the files of a commit, in order of path.
func Tree(ctx context.Context, dir, commit string) ([]Entry, error) {
	out, err := output(ctx, dir, "ls-tree", "-r", "-z", "-l", "--full-tree", commit)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for len(out) > 0 {
		line, rest, ok := bytes.Cut(out, []byte{0})
		facts, path, tab := strings.Cut(string(line), "\t")
		parts := strings.Fields(facts) // mode, type, object, size
		if !ok || !tab || len(parts) != 4 {
			return nil, fmt.Errorf("read git ls-tree: %.120q is no entry", line)
		}
		mode, err := strconv.ParseUint(parts[0], 8, 32)
		if err != nil {
			return nil, fmt.Errorf("read git ls-tree: mode %q of %s", parts[0], path)
		}
		e := Entry{Path: path, Mode: uint32(mode), Object: parts[2]}
		if parts[3] != "-" {
			if e.Size, err = strconv.ParseInt(parts[3], 10, 64); err != nil {
				return nil, fmt.Errorf("read git ls-tree: size %q of %s", parts[3], path)
			}
		}
		entries = append(entries, e)
		out = rest
	}
	return entries, nil
}

// Objects reads the contents of objects from one process, which starts with the first.
// It may be used concurrently; its readers take turns.
type Objects struct {
	dir string

	mu   sync.Mutex
	cmd  *exec.Cmd
	said *complaint
	in   io.WriteCloser
	out  *bufio.Reader
	err  error // what broke the process; nothing can be read after that
}

// NewObjects makes a reader of the repository that dir is in.
func NewObjects(dir string) *Objects { return &Objects{dir: dir} }

// Read has read called with the content of an object and its size. What read leaves is
// passed over.
func (o *Objects) Read(id string, read func(r io.Reader, size int64) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil && o.cmd == nil {
		o.err = o.start()
	}
	if o.err != nil {
		return o.err
	}
	size, err := o.ask(id)
	if err != nil {
		return err
	}
	content := &io.LimitedReader{R: o.out, N: size}
	err = read(content, size)
	_, rest := io.Copy(io.Discard, content)
	if _, end := o.out.Discard(1); rest != nil || end != nil || content.N > 0 {
		o.err = o.said.explain(errors.Join(io.ErrUnexpectedEOF, rest, end))
		return o.err
	}
	return err
}

func (o *Objects) start() (err error) {
	// Not bound to the context of whoever reads first: Close ends it.
	o.cmd, o.said = command(context.Background(), o.dir, "cat-file", "--batch")
	if o.in, err = o.cmd.StdinPipe(); err != nil {
		return fmt.Errorf("git: %w", err)
	}
	out, err := o.cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("git: %w", err)
	}
	o.out = bufio.NewReaderSize(out, 64<<10)
	if err := o.cmd.Start(); err != nil {
		o.cmd = nil
		return o.said.explain(err)
	}
	return nil
}

// ask requests an object and returns the size of what follows.
func (o *Objects) ask(id string) (int64, error) {
	_, err := io.WriteString(o.in, id+"\n")
	var head string
	if err == nil {
		head, err = o.out.ReadString('\n')
	}
	if err != nil {
		o.err = o.said.explain(err)
		return 0, o.err
	}
	parts := strings.Fields(head) // object, type, size; or object, "missing"
	if len(parts) != 3 || parts[1] != "blob" {
		return 0, fmt.Errorf("git has no content %s: %s", id, strings.TrimSpace(head))
	}
	size, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		o.err = fmt.Errorf("read git cat-file: size %q", parts[2])
	}
	return size, o.err
}

// Close ends the process, if there is one.
func (o *Objects) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cmd == nil {
		return nil
	}
	o.err = errors.New("the reader of git objects is closed")
	_ = o.in.Close()
	err := o.cmd.Wait()
	o.cmd = nil
	return err
}
