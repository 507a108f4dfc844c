package localpg

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// logLimit is the size in bytes above which a start puts the log aside as log.1.
const logLimit = 16 << 20

// open opens a file of the instance; one that it makes belongs to the owner of
// the directory.
func (in *instance) open(name string, flag int, mode fs.FileMode) (*os.File, error) {
	f, err := in.root.OpenFile(name, flag, mode)
	if err != nil {
		return nil, err
	}
	if flag&os.O_CREATE != 0 && in.who.drop {
		if err := f.Chown(in.uid, in.gid); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}

// write replaces a file whole: readers, and a crash, see the old or the new.
func (in *instance) write(name, content string, mode fs.FileMode) error {
	f, err := in.open(name+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err == nil {
		err = finish(f, content, mode)
	}
	if err == nil {
		err = in.root.Rename(name+".new", name)
	}
	return refused("write "+in.file(name), err)
}

// finish writes content to disk and closes f.
func finish(f *os.File, content string, mode fs.FileMode) error {
	defer f.Close()
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if _, err := f.WriteString(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// read returns a file's text without surrounding space, empty where there is no file.
func (in *instance) read(name string) (string, error) {
	b, err := in.root.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", refused("read "+in.file(name), err)
	}
	return strings.TrimSpace(string(b)), nil
}

// aside renames what is in the way to name.word-<time>, and returns the new path.
func (in *instance) aside(root *os.Root, name, word string) (string, error) {
	to := in.vacant(root, name+"."+word)
	if err := root.Rename(name, to); err != nil {
		return "", refused(fmt.Sprintf("move %s aside", filepath.Join(root.Name(), name)), err)
	}
	return filepath.Join(root.Name(), to), nil
}

// vacant returns prefix-<time>, with a number where that is taken.
func (in *instance) vacant(root *os.Root, prefix string) string {
	stamp := prefix + "-" + time.Now().UTC().Format("20060102T150405Z")
	name := stamp
	for n := 2; ; n++ {
		if _, err := root.Lstat(name); err != nil {
			return name
		}
		name = fmt.Sprintf("%s-%d", stamp, n)
	}
}

// prepareLog makes the log writable to the server, which appends to it, and puts
// a large one aside.
func (in *instance) prepareLog() error {
	doing := "open the log " + in.file(logName)
	if info, err := in.root.Lstat(logName); err == nil && info.Size() > logLimit {
		if err := in.root.Rename(logName, logName+".1"); err != nil {
			return refused(doing, err)
		}
	}
	f, err := in.root.OpenFile(logName, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return refused(doing, err)
	}
	defer f.Close()
	if in.who.drop {
		return refused(doing, f.Chown(in.who.uid, in.who.gid))
	}
	return nil
}

// logFrom returns what was logged from an offset on, at most the last 64 kB.
func (in *instance) logFrom(offset int64) string {
	f, err := in.root.Open(logName)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		offset = max(offset, info.Size()-64<<10)
	}
	b, _ := io.ReadAll(io.NewSectionReader(f, offset, 64<<10))
	return string(b)
}

func (in *instance) logSize() int64 {
	info, err := in.root.Stat(logName)
	if err != nil {
		return 0
	}
	return info.Size()
}
