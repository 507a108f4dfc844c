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
		id:       fileID{dev: uint64(st.Dev), inode: st.Ino},
		uid:      st.Uid,
		hasOwner: true,
		links:    uint64(st.Nlink),
		changed:  st.Ctim.Nano(),
	}
}

// remoteKinds are file systems that others may write to, on another machine or on the
// other side of a virtual one: of that the kernel here makes no events. File systems
// in user space are among them, since nobody knows what is behind one.
var remoteKinds = map[uint32]string{
	0x6969:     "nfs",
	0x517b:     "smb",
	0xff534d42: "cifs",
	0xfe534d42: "smb2",
	0x01021997: "9p",
	0x65735546: "fuse",
	0x5346414f: "afs",
	0x73757245: "coda",
	0x00c36400: "ceph",
	0x0bd00bd0: "lustre",
	0x47504653: "gpfs",
	0x786f4256: "vboxsf",
	0x7c7c6673: "prl_fs",
}

// remoteKind names the file system of a directory if it is one of those; empty where it
// is none of them, or cannot be told.
func remoteKind(dir string) string {
	var st syscall.Statfs_t
	if syscall.Statfs(dir, &st) != nil {
		return ""
	}
	return remoteKinds[uint32(st.Type)]
}
