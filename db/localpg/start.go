package localpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// start joins the running server or starts one. The caller holds the lock.
func (in *instance) start(ctx context.Context, o Options) (*Server, error) {
	pm, running, err := in.join(ctx)
	if err != nil {
		return nil, err
	}
	if running {
		o.Log.Debug("joined the local database", "dir", in.path, "pid", pm.pid, "port", pm.port)
		return in.server(ctx, o, pm, true)
	}

	major, err := in.madeMajor()
	if err != nil {
		return nil, err
	}
	bins, err := in.binaries(ctx, o, major)
	if err != nil {
		return nil, err
	}
	if err := in.who.reach(ctx, in.path, bins); err != nil {
		return nil, err
	}
	if major == 0 {
		if err := in.clearForCluster(o.Log); err != nil {
			return nil, err
		}
		o.Log.Info("making a local database", "dir", in.path, "version", bins.Version, "user", in.who.name)
		if err := in.makeCluster(ctx, bins, !o.Ephemeral); err != nil {
			return nil, err
		}
	}
	if err := in.adopt(o.Log); err != nil {
		return nil, err
	}
	use, err := in.clearForStart(ctx, o.Log)
	if err != nil {
		return nil, err
	}
	if use != nil {
		defer use.Close()
	}
	if err := in.launch(ctx, o, bins, use); err != nil {
		return nil, err
	}
	if pm, running, err = in.join(ctx); err != nil {
		return nil, err
	}
	if !running {
		return nil, failed("start the local database in "+in.path, errors.New("the server ended as soon as it had started"),
			in.logFrom(0), in.file(logName))
	}
	o.Log.Info("started the local database", "dir", in.path, "version", bins.Version, "pid", pm.pid, "port", pm.port)
	return in.server(ctx, o, pm, false)
}

// join waits until the server that runs, if any, takes connections or has ended.
func (in *instance) join(ctx context.Context) (pm postmaster, running bool, err error) {
	err = waitFor(ctx, func() (bool, error) {
		var here presence
		if pm, here, err = in.postmaster(ctx); err != nil || here != alive {
			return true, err
		}
		if pm.pid < 0 {
			return true, fmt.Errorf("process %d works on %s in single-user mode; wait for it to end", -pm.pid, in.file(dataName))
		}
		running = pm.ready()
		return running, nil
	})
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("wait for the local database in %s, which is %s (see %s): %w", in.path, pm.status, in.file(logName), err)
	}
	return pm, running, err
}

// binaries finds a server for a cluster of the given major version, 0 for a new
// one, and fetches it where none is installed.
func (in *instance) binaries(ctx context.Context, o Options, major int) (Binaries, error) {
	return in.choose(ctx, o, major, newFinder(o.BinDir, in.who))
}

func (in *instance) choose(ctx context.Context, o Options, major int, f finder) (Binaries, error) {
	all, err := f.all(ctx)
	if err == nil {
		if major == 0 {
			return all[0], nil
		}
		for _, b := range all {
			if b.Major == major {
				return b, nil
			}
		}
		err = fmt.Errorf("%w: %s was made by version %d, and only %s found; %s, or move to the new version with pg_upgrade",
			ErrOtherMajor, in.file(dataName), major, versions(all), installAdvice(major))
	}
	if o.BinDir != "" || o.CacheDir == "" || !errors.Is(err, ErrNoBinaries) && !errors.Is(err, ErrOtherMajor) {
		return Binaries{}, err
	}
	if major == 0 {
		major = adviceMajor
	}
	fetched, fetchErr := fetch(ctx, o, in.who, major)
	if fetchErr != nil {
		return Binaries{}, fmt.Errorf("%w\nfetching it failed too: %w", err, fetchErr)
	}
	return fetched, nil
}

func versions(all []Binaries) string {
	var list []string
	for _, b := range all {
		list = append(list, b.Version)
	}
	if list = slices.Compact(list); len(list) > 1 {
		return strings.Join(list, ", ") + " were"
	}
	return list[0] + " was"
}

// clearForStart deals with what a server left that did not stop in order, and
// returns the lock file that the next one is to hold while any process of it
// lives. The kernel keeps that lock where process numbers mislead: in another
// container on the same directory, the running server's number means nothing.
func (in *instance) clearForStart(ctx context.Context, log *slog.Logger) (use *os.File, err error) {
	pm, here, err := in.postmaster(ctx)
	if err != nil {
		return nil, err
	}
	if use, err = in.open(useName, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, refused("open "+in.file(useName), err)
	}
	if here == none {
		// The server stopped in order. Should a program that it had started still
		// hold the lock, that is no harm.
		if ok, _ := tryLock(use); !ok {
			use.Close()
			return nil, nil
		}
		return use, nil
	}

	log.Warn("recovering from a server that did not stop in order", "dir", in.path, "pid", pm.pid)
	if err := in.endOrphans(ctx, log); err != nil {
		use.Close()
		return nil, err
	}
	wait, cancel := context.WithTimeoutCause(ctx, 5*time.Second,
		fmt.Errorf("%w: %s is locked, though process %d, which wrote %s, is not to be seen here; stop the server where it runs, perhaps another container",
			ErrElsewhere, in.file(useName), pm.pid, in.file(pidName)))
	defer cancel()
	if err := waitFor(wait, func() (bool, error) { return tryLock(use) }); err != nil {
		use.Close()
		return nil, err
	}
	if here == replaced {
		err = in.asidePid(log)
	}
	if err != nil {
		use.Close()
		return nil, err
	}
	return use, nil
}

// asidePid moves away a pid file whose number belongs to another process now,
// which would have PostgreSQL believe that its server still runs.
func (in *instance) asidePid(log *slog.Logger) error {
	data, err := in.root.OpenRoot(dataName)
	if err != nil {
		return refused("open "+in.file(dataName), err)
	}
	defer data.Close()
	to, err := in.aside(data, "postmaster.pid", "stale")
	if err == nil {
		log.Warn("moved aside a stale pid file", "to", to)
	}
	return err
}

// launch starts the server, which outlives this process.
func (in *instance) launch(ctx context.Context, o Options, bins Binaries, use *os.File) error {
	port, err := in.choosePort(o)
	if err != nil {
		return err
	}
	return in.launchOn(ctx, o, bins, use, port)
}

// launchOn writes the settings and starts the server on a port, or on another if
// that has been taken since it was chosen.
func (in *instance) launchOn(ctx context.Context, o Options, bins Binaries, use *os.File, port int) error {
	socketDir, err := in.prepareSocketDir(os.TempDir())
	if err != nil {
		return err
	}
	if err := in.prepareLog(); err != nil {
		return err
	}
	p := plan{
		port: port, socketDir: socketDir, id: in.id(), ephemeral: o.Ephemeral, extra: o.Settings,
		memory: memory(ctx), sysvShared: smallSharedMemory(ctx),
		toast: in.supported(ctx, bins, "default_toast_compression", "lz4", "pglz"),
		wal:   in.supported(ctx, bins, "wal_compression", "lz4", "on"),
	}
	for try := 1; ; try++ {
		if err := in.write(confName, p.text(), 0o644); err != nil {
			return err
		}
		before := in.logSize()
		err := in.pgCtl(ctx, bins, use)
		if err == nil {
			return in.write(portName, strconv.Itoa(p.port)+"\n", 0o644)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for the local database in %s to start (it goes on; see %s): %w", in.path, in.file(logName), context.Cause(ctx))
		}
		log := in.logFrom(before)
		if o.Port == 0 && try < 5 && strings.Contains(log, "Address already in use") {
			o.Log.Warn("the port was taken meanwhile, choosing another", "port", p.port)
			if p.port, err = freePort(); err != nil {
				return err
			}
			continue
		}
		var pe *Error
		if errors.As(err, &pe) && log != "" {
			return failed(pe.Doing, pe.Err, log, in.file(logName))
		}
		return err
	}
}

// pgCtl starts the server and waits until it takes connections or ends. How long
// recovery takes after a crash cannot be known: ctx is the only limit.
func (in *instance) pgCtl(ctx context.Context, bins Binaries, use *os.File) error {
	const aDay = "86400" // seconds
	cmd := in.who.command(ctx, in.path, bins.path("pg_ctl"), "start", "--wait", "--silent",
		"--timeout="+aDay, "--pgdata="+in.file(dataName), "--log="+in.file(logName))
	if use != nil {
		cmd.ExtraFiles = []*os.File{use}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return failed("start the local database in "+in.path, err, string(out), "")
	}
	return nil
}
