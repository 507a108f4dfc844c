package cli

import (
	"context"
	"errors"

	"github.com/htdag/htdag/runner/steps"
	"github.com/htdag/htdag/watcher"
)

// disk lets the ingestion steps see the file system as the watcher does, with the
// same rules about what is ignored. It is the one place where the two meet.
type disk struct {
	filters map[string]watcher.Filter // by root
	reader  watcher.Reader
}

// Scan implements steps.Disk.
func (d *disk) Scan(ctx context.Context, root string, yield func(steps.File) error) (unread []string, err error) {
	summary, err := watcher.Scan(ctx, root, d.filters[root], func(f watcher.File) error { return yield(file(f)) })
	for _, p := range summary.Problems {
		unread = append(unread, p.Path)
	}
	return unread, err
}

// Read implements steps.Disk.
func (d *disk) Read(ctx context.Context, root, path string, limit int64) (steps.Content, error) {
	c, err := d.reader.ReadFile(ctx, root, path, limit)
	if errors.Is(err, watcher.ErrNotRegular) {
		err = errors.Join(steps.ErrNotRegular, err)
	}
	return steps.Content{File: file(c.File), SHA256: c.SHA256, Data: c.Data}, err
}

func file(f watcher.File) steps.File {
	return steps.File{Path: f.Path, Bytes: f.Size, ModifiedNs: f.ModTimeNs, Mode: f.Mode, Inode: f.Inode, Owner: f.Owner, SeenAt: f.SeenAt}
}
