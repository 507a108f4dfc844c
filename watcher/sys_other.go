//go:build !unix

package watcher

import "io/fs"

// openFlags has nothing to add where there are no FIFOs in the tree to block on.
const openFlags = 0

// dirFlags likewise.
const dirFlags = 0

// sysOf knows nothing where files have no inode and no numeric owner.
func sysOf(fs.FileInfo) sysInfo { return sysInfo{} }

// remoteKind knows none of the kinds of file systems here: the setting says what to poll.
func remoteKind(string) string { return "" }
