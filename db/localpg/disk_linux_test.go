package localpg

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// smallDisk mounts a file system of a few megabytes.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	needRoot(t)
	dir := filepath.Join(openDir(t), "disk")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size+",mode=755"); errors.Is(err, syscall.EPERM) {
		t.Skip("this container does not let root mount")
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A process that ended with a crash may be in it a moment longer.
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		var err error
		if waitFor(ctx, func() (bool, error) { err = syscall.Unmount(dir, 0); return err == nil, nil }) != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestDiskFullWhileMaking(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "20m")
	o := Options{Dir: filepath.Join(disk, "pg")}
	_, err := Start(t.Context(), o)
	want(t, err, nil, "make a database in "+o.Dir, "the disk is full; free some space", "could not")
	if left, _ := filepath.Glob(filepath.Join(o.Dir, "data*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestDiskFullAtStart(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "80m")
	o := Options{Dir: filepath.Join(disk, "pg")}
	s := start(t, o)
	execute(t, s.URL(""), "create table kept as select 42 as n")
	stop(t, o)

	ballast, err := os.Create(filepath.Join(disk, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	for buffer := make([]byte, 1<<12); ; {
		if _, err := ballast.Write(buffer); errors.Is(err, syscall.ENOSPC) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	ballast.Close()
	_, err = Start(t.Context(), o)
	want(t, err, nil, o.Dir, "the disk is full; free some space")

	if err := os.Remove(ballast.Name()); err != nil {
		t.Fatal(err)
	}
	if got := query(t, start(t, o).URL(""), "select n::text from kept"); got != "42" {
		t.Errorf("with space again the table says %s", got)
	}
	stop(t, o)
}

func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	disk := smallDisk(t, "20m")
	if err := syscall.Mount("tmpfs", disk, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: filepath.Join(disk, "pg")})
	want(t, err, syscall.EROFS, disk, "the file system is read-only; choose another directory")
}
