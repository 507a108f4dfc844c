package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// usage is what a program has cost.
type usage struct {
	wall, client, server time.Duration
	peak                 int64 // bytes of memory, of the program alone
	wal, disk            int64 // bytes
	hasServer            bool
}

// run runs a program to its end.
func run(ctx context.Context, name string, args ...string) (u usage, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	began := time.Now()
	out, err := cmd.CombinedOutput()
	u.wall = time.Since(began)
	if err != nil {
		return u, fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	u.client = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	u.peak = cmd.ProcessState.SysUsage().(*syscall.Rusage).Maxrss * 1024
	return u, nil
}

func (u usage) row(t *tree) []string {
	r := []string{
		fmt.Sprintf("%.1f", u.wall.Seconds()),
		fmt.Sprintf("%.0f", float64(t.files)/u.wall.Seconds()),
		fmt.Sprintf("%.1f", megabytes(t.bytes)/u.wall.Seconds()),
		fmt.Sprintf("%.1f", u.client.Seconds()),
		"", fmt.Sprintf("%.0f", megabytes(u.peak)), "", fmt.Sprintf("%.0f", megabytes(u.disk)),
	}
	if u.hasServer {
		r[4], r[6] = fmt.Sprintf("%.1f", u.server.Seconds()), fmt.Sprintf("%.0f", megabytes(u.wal))
	}
	return r
}

func megabytes(n int64) float64 { return float64(n) / 1e6 }

// indexer is another program that reads the same tree.
type indexer struct {
	name, program, out string
	args               []string
}

func (p indexer) index(ctx context.Context, t *tree) (usage, error) {
	u, err := run(ctx, p.program, append(p.args, t.root)...)
	if err != nil {
		return u, err
	}
	err = filepath.WalkDir(p.out, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && fi.Mode().IsRegular() {
			u.disk += fi.Size()
		}
		return err
	})
	return u, err
}
