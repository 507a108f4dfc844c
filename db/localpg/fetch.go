package localpg

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// fetchable are the versions that the repository is known to have, by major.
var fetchable = map[int]embeddedpostgres.PostgresVersion{
	14: embeddedpostgres.V14,
	15: embeddedpostgres.V15,
	16: embeddedpostgres.V16,
	17: embeddedpostgres.V17,
	18: embeddedpostgres.V18,
}

// fetch returns the server of a major version from the cache, downloading it
// when it is not there. A download that ctx cuts short goes on in the background
// as long as the process lives; it can only ever complete the cache.
func fetch(ctx context.Context, o Options, who account, major int) (Binaries, error) {
	version, ok := fetchable[major]
	if !ok {
		return Binaries{}, fmt.Errorf("no build of PostgreSQL %d is known", major)
	}
	cache, err := filepath.Abs(o.CacheDir)
	if err != nil {
		return Binaries{}, fmt.Errorf("find the cache %s: %w", o.CacheDir, err)
	}
	final := filepath.Join(cache, string(version))
	if len(lacking(filepath.Join(final, "bin"))) > 0 {
		o.Log.Info("fetching PostgreSQL, since none is installed", "version", string(version), "to", cache)
		if err := makeOpen(cache, 0o755); err != nil {
			return Binaries{}, refused("make the cache "+cache, err)
		}
		done := make(chan error, 1)
		go func() { done <- download(ctx, cache, final, version, o.Repository) }()
		select {
		case err = <-done:
		case <-ctx.Done():
			err = context.Cause(ctx)
		}
		if err != nil {
			return Binaries{}, fmt.Errorf("fetch PostgreSQL %s into %s: %w", version, cache, err)
		}
	}
	all, err := newFinder(filepath.Join(final, "bin"), who).all(ctx)
	if err != nil {
		return Binaries{}, fmt.Errorf("use the fetched PostgreSQL %s: %w", version, err)
	}
	return all[0], nil
}

// download unpacks beside the final directory and renames, one process at a time.
func download(ctx context.Context, cache, final string, version embeddedpostgres.PostgresVersion, repository string) (err error) {
	// The library panics where it cannot remove its temporary files.
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	lock, err := os.OpenFile(filepath.Join(cache, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := waitFor(ctx, func() (bool, error) { return tryLock(lock) }); err != nil {
		return err
	}
	if len(lacking(filepath.Join(final, "bin"))) == 0 {
		return nil // whoever held the lock has fetched it
	}
	work, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	unpacked := filepath.Join(work, "unpacked")
	if err := unpack(work, unpacked, version, repository); err != nil {
		return err
	}
	if err := openTree(unpacked); err != nil {
		return err
	}
	return os.Rename(unpacked, final)
}

// unpack has the library fetch and unpack only. What the library can do beyond
// that, making a cluster and running it, it cannot do as root and not with our
// care for data, so it is pointed at an empty directory that claims to be a
// cluster: it fetches, unpacks, makes no cluster, and fails to start.
func unpack(work, unpacked string, version embeddedpostgres.PostgresVersion, repository string) error {
	decoy := filepath.Join(work, "decoy")
	if err := os.Mkdir(decoy, 0o700); err != nil {
		return err
	}
	major, _, _ := strings.Cut(string(version), ".")
	if err := os.WriteFile(filepath.Join(decoy, "PG_VERSION"), []byte(major+"\n"), 0o600); err != nil {
		return err
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	config := embeddedpostgres.DefaultConfig().
		Version(version).
		Port(uint32(port)).
		CachePath(filepath.Join(work, "archive")).
		RuntimePath(filepath.Join(work, "runtime")).
		BinariesPath(unpacked).
		DataPath(decoy).
		Logger(io.Discard)
	if repository != "" {
		config = config.BinaryRepositoryURL(strings.TrimSuffix(repository, "/"))
	}
	db := embeddedpostgres.NewDatabase(config)
	startErr := db.Start()
	if startErr == nil {
		startErr = db.Stop()
	}
	// Any other error may mean that the archive was unpacked in part.
	if startErr != nil && !strings.HasPrefix(startErr.Error(), "could not start postgres") {
		return startErr
	}
	if missing := lacking(filepath.Join(unpacked, "bin")); len(missing) > 0 {
		return fmt.Errorf("the archive lacks %s", strings.Join(missing, ", "))
	}
	return nil
}

// openTree lets the server's user read what the caller's umask may have closed.
func openTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode)
	})
}
