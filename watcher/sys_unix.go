//go:build unix && !linux

package watcher

import (
	"io/fs"
	"syscall"
)

// sysOf returns what only the operating system's own record says of a file.
func sysOf(fi fs.FileInfo) sysInfo {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return sysInfo{}
	}
	return sysInfo{
		id:       fileID{dev: uint64(st.Dev), inode: uint64(st.Ino)},
		uid:      st.Uid,
		hasOwner: true,
		links:    uint64(st.Nlink),
	}
}

// remoteKind knows none of the kinds of file systems here: the setting says what to poll.
func remoteKind(string) string { return "" }
