package watcher

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Content is a file as it was read.
type Content struct {
	File   File
	SHA256 [32]byte
	Data   []byte // nil when the file is larger than the limit; never nil otherwise
}

// ReadFile reads and hashes a regular file of a root. Files of up to limit bytes
// come back with their data, larger ones with their hash alone. No element of the
// path may be a symbolic link, and nothing outside the root is ever read.
//
// The file must be the same before and after; one that changes is tried again
// once, then ErrBusy is returned. A path that is missing, or whose directory has
// become something else, gives fs.ErrNotExist; what is not a regular file gives
// ErrNotRegular.
func ReadFile(ctx context.Context, root, path string, limit int64) (Content, error) {
	return new(Reader).ReadFile(ctx, root, path, limit)
}

// Reader reads many files. It remembers the names of their owners, which are
// slow to look up. The zero value is ready, and may be used concurrently.
type Reader struct{ owners owners }

// ReadFile does what the function of that name does.
func (r *Reader) ReadFile(ctx context.Context, root, path string, limit int64) (Content, error) {
	c, err := r.owners.read(ctx, root, path, limit, false)
	if err == errChanged {
		pause(ctx, young)
		c, err = r.owners.read(ctx, root, path, limit, false)
	}
	if err == errChanged {
		err = ErrBusy
	}
	if err != nil {
		return Content{}, fmt.Errorf("read %s: %w", path, err)
	}
	return c, nil
}

// young is how long after a change two stats cannot be told apart by their times:
// kernels stamp files from a clock that ticks every 1 to 10 ms.
const young = 20 * time.Millisecond

var errChanged = fmt.Errorf("%w just now", ErrBusy)

// read is one try. Where torn is set, a file that keeps changing is taken as far
// as its size at the beginning, which for a file that only grows is a true state.
func (o *owners) read(ctx context.Context, root, path string, limit int64, torn bool) (Content, error) {
	name, err := localName(path)
	if err != nil {
		return Content{}, err
	}
	seen := time.Now()
	// os.Root keeps the open inside the root whatever happens meanwhile, but it
	// follows links that stay inside, so each element is looked at first.
	found, err := find(root, name)
	if err != nil {
		return Content{}, err
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return Content{}, err
	}
	defer dir.Close()
	f, err := dir.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return Content{}, notThere(err)
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return Content{}, err
	}
	if !os.SameFile(found, before) || !before.Mode().IsRegular() {
		return Content{}, errChanged // something else took the name in between
	}
	if age := time.Since(lastChange(before)); !torn && age >= 0 && age < young {
		return Content{}, errChanged
	}
	c := Content{File: o.file(name, before, seen)}
	n, err := c.fill(ctx, f, before.Size(), limit, torn)
	if err != nil {
		return Content{}, err
	}
	after, err := f.Stat()
	if err != nil {
		return Content{}, err
	}
	if !torn && (n != before.Size() || stampOf(before) != stampOf(after)) {
		return Content{}, errChanged
	}
	c.File.Size = n
	return c, nil
}

// find looks for a regular file without following any link.
func find(root, name string) (fs.FileInfo, error) {
	for i := 0; i < len(name); i++ {
		if !os.IsPathSeparator(name[i]) {
			continue
		}
		if fi, err := os.Lstat(filepath.Join(root, name[:i])); err != nil {
			return nil, notThere(err)
		} else if !fi.IsDir() {
			return nil, fmt.Errorf("%s is no longer a directory: %w", EscapePath(name[:i]), fs.ErrNotExist)
		}
	}
	fi, err := os.Lstat(filepath.Join(root, name))
	if err != nil {
		return nil, notThere(err)
	}
	if !fi.Mode().IsRegular() {
		return nil, ErrNotRegular
	}
	return fi, nil
}

// Gone returns those of the paths where no regular file is now. What cannot be
// looked at, as a directory may not be searched, is not said to be gone.
func Gone(ctx context.Context, root string, paths []string) ([]string, error) {
	var gone []string
	for _, path := range paths {
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		name, err := localName(path)
		if err != nil {
			return nil, err
		}
		if _, err := find(root, name); errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNotRegular) {
			gone = append(gone, path)
		}
	}
	return gone, nil
}

// fill reads up to size bytes, and one more unless torn to notice growth.
func (c *Content) fill(ctx context.Context, f *os.File, size, limit int64, torn bool) (int64, error) {
	most := size
	if !torn {
		most++
	}
	if size <= limit {
		data := make([]byte, most)
		n, err := io.ReadFull(f, data)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return 0, err
		}
		c.Data = data[:n:n]
		c.SHA256 = sha256.Sum256(c.Data)
		return int64(n), nil
	}
	h, buf := sha256.New(), make([]byte, 256<<10)
	var total int64
	for total < most {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		n, err := f.Read(buf[:min(int64(len(buf)), most-total)])
		h.Write(buf[:n])
		total += int64(n)
		if err == io.EOF {
			break
		} else if err != nil {
			return 0, err
		}
	}
	h.Sum(c.SHA256[:0])
	return total, nil
}

// notThere makes one error of the several that mean the path leads nowhere.
func notThere(err error) error {
	if isNoPath(err) {
		return fmt.Errorf("%w: %w", fs.ErrNotExist, err)
	}
	return err
}
