package localpg

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// prepareSocketDir returns a directory for the server's unix socket that only
// the server's user can enter, emptied of what a killed server left. It must be
// called while no server of the instance runs: a stale lock file whose process
// number belongs to someone else by now would keep the next one from starting.
//
// The directory is in the instance, unless the path of a socket in it would be
// too long: then it carries the instance's id and is in temp, or at last in /tmp.
func (in *instance) prepareSocketDir(temp string) (string, error) {
	parent, name := in.root, socketName
	if !fitsSocket(filepath.Join(in.path, socketName)) {
		if !fitsSocket(filepath.Join(temp, in.id()+"-100")) {
			temp = "/tmp"
		}
		var err error
		if parent, err = os.OpenRoot(temp); err != nil {
			return "", refused("open the directory for the socket "+temp, err)
		}
		defer parent.Close()
		name = in.id()
	}
	for n := 1; n <= 100; n++ {
		at := name
		if n > 1 {
			at = fmt.Sprintf("%s-%d", name, n)
		}
		ok, err := in.claimSocketDir(parent, at)
		if err != nil {
			return "", refused("make the directory for the socket "+filepath.Join(parent.Name(), at), err)
		}
		if ok {
			return filepath.Join(parent.Name(), at), nil
		}
	}
	return "", fmt.Errorf("make a directory for the socket in %s: %s and a hundred others belong to someone else", parent.Name(), name)
}

func fitsSocket(dir string) bool {
	return len(filepath.Join(dir, ".s.PGSQL.65535")) <= socketPathLimit
}

// claimSocketDir makes the directory or checks that it is the server's alone. In
// a directory that everyone writes to, anyone may have been there first.
func (in *instance) claimSocketDir(parent *os.Root, name string) (bool, error) {
	err := parent.Mkdir(name, 0o700)
	if err == nil && in.who.drop {
		err = parent.Lchown(name, in.who.uid, in.who.gid)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return false, err
	}
	info, err := parent.Lstat(name)
	if err != nil {
		return false, err
	}
	if uid, _ := ownerOf(info); !info.IsDir() || uid != in.who.uid || info.Mode().Perm()&0o077 != 0 {
		return false, nil
	}

	dir, err := parent.OpenRoot(name)
	if err != nil {
		return false, err
	}
	defer dir.Close()
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".s.PGSQL.") {
			if err := dir.Remove(e.Name()); err != nil {
				return false, err
			}
		}
	}
	return true, nil
}
