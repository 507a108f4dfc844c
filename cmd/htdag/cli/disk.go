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
)

// disk lets the ingestion steps see the file system as the watcher does, with the
// same rules about what is ignored. It is the one place where the two meet.
type disk struct {
	reader watcher.Reader
	log    *slog.Logger

	mu      sync.Mutex
	filters map[string]watcher.Filter // by root
	saw     func(root, path string)   // told of each file that a scan comes across; may be nil
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
func (d *disk) Scan(ctx context.Context, root string, yield func(steps.File) error) (unread []string, err error) {
	summary, err := watcher.Scan(ctx, root, d.filter(root), func(f watcher.File) error {
		if d.saw != nil {
			d.saw(root, f.Path)
		}
		return yield(file(f))
	})
	for _, p := range summary.Problems {
		d.log.WarnContext(ctx, "cannot be read; what is known of it is kept", "root", root, "path", p.Path, "error", p.Err)
		unread = append(unread, p.Path)
	}
	return unread, err
}

// Read implements steps.Disk.
func (d *disk) Read(ctx context.Context, root, path string, limit int64) (steps.Content, error) {
	c, err := d.reader.ReadFile(ctx, root, path, limit)
	switch {
	case errors.Is(err, watcher.ErrNotRegular):
		err = errors.Join(steps.ErrNotRegular, err)
	case errors.Is(err, fs.ErrPermission):
		err = forbidden(watcher.Reason(err))
	}
	return steps.Content{File: file(c.File), SHA256: c.SHA256, Data: c.Data}, err
}

// Gone implements steps.Disk.
func (d *disk) Gone(ctx context.Context, root string, paths []string) ([]string, error) {
	return watcher.Gone(ctx, root, paths)
}

// forbidden says that a file may not be read in the words in which the watcher
// reports it, so that it makes no difference which of the two came first.
type forbidden string

func (f forbidden) Error() string { return string(f) }

// Is makes it the error that the steps know.
func (f forbidden) Is(target error) bool { return target == fs.ErrPermission }

func file(f watcher.File) steps.File {
	return steps.File{Path: f.Path, Bytes: f.Size, ModifiedNs: f.ModTimeNs, Mode: f.Mode, Inode: f.Inode, Owner: f.Owner, SeenAt: f.SeenAt}
}
