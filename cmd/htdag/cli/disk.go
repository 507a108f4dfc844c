package cli

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"sync"

	"github.com/htdag/htdag/runner/steps"
	"github.com/htdag/htdag/watcher"
	"github.com/htdag/htdag/watcher/git"
)

// disk lets the ingestion steps see the file system as the watcher does, with the
// same rules about what is ignored. It is the one place where the two meet.
type disk struct {
	reader watcher.Reader
	log    *slog.Logger

	mu      sync.Mutex
	filters map[string]watcher.Filter   // by root
	trees   map[steps.Root]*watcher.Ref // that are being scanned
	saw     func(root, path string)     // told of each file that a scan comes across; may be nil
}

// setFilters says what is ignored, by root. Those of other roots stay: a step that
// reads one may be under way.
func (d *disk) setFilters(filters map[string]watcher.Filter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.filters == nil {
		d.filters = map[string]watcher.Filter{}
	}
	maps.Copy(d.filters, filters)
}

func (d *disk) filter(root string) watcher.Filter {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.filters[root]
}

// Scan implements steps.Disk.
func (d *disk) Scan(ctx context.Context, root steps.Root, yield func(steps.File) error) (unread []string, err error) {
	summary, err := d.explore(ctx, root, func(f watcher.File) error {
		if d.saw != nil {
			d.saw(root.Path, f.Path)
		}
		return yield(file(f))
	}, func(watcher.Passed) {})
	for _, p := range summary.Problems {
		d.log.WarnContext(ctx, "cannot be read; what is known of it is kept", "root", root.String(), "path", p.Path, "error", p.Err)
		unread = append(unread, p.Path)
	}
	return unread, err
}

// explore looks at a directory, or at the commit that a ref means now.
func (d *disk) explore(ctx context.Context, root steps.Root, yield func(watcher.File) error, passed func(watcher.Passed)) (watcher.Summary, error) {
	if root.Ref == "" {
		return watcher.Explore(ctx, root.Path, d.filter(root.Path), yield, passed)
	}
	tree, err := watcher.OpenRef(ctx, root.Path, root.Ref)
	if err != nil {
		return watcher.Summary{}, err
	}
	defer tree.Close()
	// While it is scanned its files are read from this commit, wherever the ref goes.
	d.scanning(root, tree)
	defer d.scanning(root, nil)
	return tree.Explore(ctx, d.filter(root.Path), yield, passed)
}

func (d *disk) scanning(root steps.Root, tree *watcher.Ref) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.trees == nil {
		d.trees = map[steps.Root]*watcher.Ref{}
	}
	d.trees[root] = tree
}

// readRef reads a file of a commit.
func (d *disk) readRef(ctx context.Context, root steps.Root, path string, limit int64) (watcher.Content, error) {
	d.mu.Lock()
	tree := d.trees[root]
	d.mu.Unlock()
	if tree == nil {
		var err error
		if tree, err = watcher.OpenRef(ctx, root.Path, root.Ref); err != nil {
			return watcher.Content{}, err
		}
		defer tree.Close()
	}
	return tree.ReadFile(ctx, path, limit)
}

// Read implements steps.Disk.
func (d *disk) Read(ctx context.Context, root steps.Root, path string, limit int64) (steps.Content, error) {
	var c watcher.Content
	var err error
	if root.Ref == "" {
		c, err = d.reader.ReadFile(ctx, root.Path, path, limit)
	} else {
		c, err = d.readRef(ctx, root, path, limit)
	}
	switch {
	case errors.Is(err, watcher.ErrNotRegular):
		err = errors.Join(steps.ErrNotRegular, err)
	case errors.Is(err, fs.ErrPermission):
		err = forbidden(watcher.Reason(err))
	}
	return steps.Content{File: file(c.File), SHA256: c.SHA256, Data: c.Data}, err
}

// Gone implements steps.Disk.
func (d *disk) Gone(ctx context.Context, root steps.Root, paths []string) ([]string, error) {
	if root.Ref != "" {
		return nil, nil // a commit does not change while it is scanned
	}
	return watcher.Gone(ctx, root.Path, paths)
}

// History implements steps.Disk.
func (d *disk) History(ctx context.Context, root steps.Root, since string, yield func(steps.Commit) error) (string, error) {
	head, err := git.Log(ctx, root.Path, root.Ref, since, func(c git.Commit) error {
		out := steps.Commit{
			ID: c.ID, Author: c.Author, Email: c.Email, AuthoredAt: c.AuthoredAt, CommittedAt: c.CommittedAt, Subject: c.Subject,
			Files: make([]steps.FileChange, len(c.Files)),
		}
		for i, f := range c.Files {
			out.Files[i] = steps.FileChange{Path: watcher.EscapePath(f.Path), Change: f.Change, Former: watcher.EscapePath(f.Former), Object: f.Object}
		}
		return yield(out)
	})
	if errors.Is(err, git.ErrNoRepository) {
		err = steps.ErrNoHistory
	}
	return head, err
}

// forbidden says that a file may not be read in the words in which the watcher
// reports it, so that it makes no difference which of the two came first.
type forbidden string

func (f forbidden) Error() string { return string(f) }

// Is makes it the error that the steps know.
func (f forbidden) Is(target error) bool { return target == fs.ErrPermission }

func file(f watcher.File) steps.File {
	return steps.File{Path: f.Path, Bytes: f.Size, ModifiedNs: f.ModTimeNs, Mode: f.Mode, Inode: f.Inode, Owner: f.Owner, SeenAt: f.SeenAt,
		Special: f.Special}
}
