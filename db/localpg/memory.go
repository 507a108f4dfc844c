package localpg

import (
	"context"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/mem"
)

// memory returns the bytes of memory that this process may count on: the
// machine's, or less where its control group has a limit. 0 means unknown.
func memory(ctx context.Context) uint64 {
	var total uint64
	if vm, err := mem.VirtualMemoryWithContext(ctx); err == nil {
		total = vm.Total
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return total
	}
	if limit := groupLimit("/sys/fs/cgroup", string(groups)); limit > 0 && (total == 0 || limit < total) {
		return limit
	}
	return total
}

// groupLimit returns the smallest memory limit on the way from the process's
// control group up to the root, for versions 1 and 2 of control groups. In a
// container the inner groups may not be visible; the root's files are then the
// container's own. 0 means none.
func groupLimit(mount, groups string) uint64 {
	var least uint64
	for line := range strings.Lines(groups) {
		field := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(field) != 3 {
			continue
		}
		dir, file := mount, "memory.max"
		if field[1] != "" {
			if !strings.Contains(","+field[1]+",", ",memory,") {
				continue
			}
			dir, file = filepath.Join(mount, "memory"), "memory.limit_in_bytes"
		}
		for at := path.Clean("/" + field[2]); ; at = path.Dir(at) {
			b, _ := os.ReadFile(filepath.Join(dir, at, file))
			// "max" is not a number; version 1 says the same with one near 2^63.
			if n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64); err == nil && n < 1<<60 && (least == 0 || n < least) {
				least = n
			}
			if at == "/" {
				break
			}
		}
	}
	return least
}

// smallSharedMemory tells whether /dev/shm is too small for parallel queries, as
// the 64 MB that containers get by default are.
func smallSharedMemory(ctx context.Context) bool {
	usage, err := disk.UsageWithContext(ctx, "/dev/shm")
	return err == nil && usage.Total < 512<<20
}
