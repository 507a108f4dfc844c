//go:build unix

package watcher

import "syscall"

// openFlags keep an open from following a link or from waiting for the other end
// of a FIFO that took the place of a regular file a moment ago.
const openFlags = syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// dirFlags open a directory and nothing else.
const dirFlags = syscall.O_NOFOLLOW | syscall.O_DIRECTORY
