// Package localpg runs a private PostgreSQL server for people who have not been
// given one.
//
// Everything lives in one instance directory: the database cluster, the server's
// log, its password and the lock that serializes callers. [Start] makes the
// cluster when there is none, starts the server when it does not run and
// otherwise joins the one that does, so any number of processes may call it at
// once and all get the same URL. The server outlives the process that started
// it, until [Stop]. What earlier crashes left behind (a stale pid file, a killed
// server, a half-made cluster, a port that someone else took) is recovered;
// nothing that could hold data is ever removed, only moved aside.
//
// The server listens on 127.0.0.1 and on a unix socket that only its own user
// and root can reach. It never runs as root: a caller who is root has it run as
// postgres, or else nobody, or else as the owner of the instance directory.
//
// An ephemeral server is the opposite: fast, not durable, in a temporary
// directory, and gone with [Server.Close] or with its process, whichever is first.
//
// Unix only.
package localpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
)

// Options say where the server lives and how it is made. The zero value is
// complete for an ephemeral server; any other needs Dir.
type Options struct {
	// Dir is the instance directory; it is made when missing. For an ephemeral
	// server it is the directory in which the temporary one is made, and empty
	// means the system's.
	Dir string

	// BinDir holds postgres, initdb and pg_ctl. Empty means the newest installed
	// ones, or fetched ones where none are installed.
	BinDir string

	// CacheDir keeps fetched binaries. Empty means the directory "binaries" of the
	// instance; an ephemeral server without a CacheDir never fetches.
	CacheDir string

	// Repository is the base URL of the Maven repository that binaries are fetched
	// from. Empty means Maven Central.
	Repository string

	// Port is the TCP port. 0 means the port used last, or another free one when
	// that is taken; a port that was asked for is never exchanged for another.
	Port int

	// Ephemeral asks for a server without durability in a temporary directory.
	Ephemeral bool

	// Settings are written after the package's own and win over them.
	Settings map[string]string

	// Log is told what is done and recovered. Nil means nobody is.
	Log *slog.Logger
}

// DefaultDir is the instance directory of a user who named none:
// /var/lib/htdag/postgres for root, $XDG_DATA_HOME/htdag/postgres or
// ~/.local/share/htdag/postgres for others. getenv is os.Getenv.
func DefaultDir(getenv func(string) string) (string, error) {
	return defaultDir(os.Geteuid(), getenv)
}

func defaultDir(uid int, getenv func(string) string) (string, error) {
	if uid == 0 {
		return "/var/lib/htdag/postgres", nil
	}
	// The XDG specification tells readers to ignore relative paths.
	if data := getenv("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "htdag", "postgres"), nil
	}
	if home := getenv("HOME"); home != "" {
		return filepath.Join(home, ".local", "share", "htdag", "postgres"), nil
	}
	return "", errors.New("no place for the local database: neither XDG_DATA_HOME nor HOME is set; name a directory")
}

// Start returns the running server of o.Dir, making its cluster and starting it
// as needed. It waits for other callers of the same directory, and for crash
// recovery, as long as ctx lasts; a server that is still recovering when ctx
// ends goes on and is joined by the next call.
func Start(ctx context.Context, o Options) (*Server, error) {
	o, err := o.check()
	if err != nil {
		return nil, err
	}
	if o.Ephemeral {
		return startEphemeral(ctx, o)
	}

	in, err := openInstance(o.Dir)
	if err != nil {
		return nil, err
	}
	defer in.close()

	unlock, err := in.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return in.start(ctx, o)
}

func (o Options) check() (Options, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dir == "" && !o.Ephemeral {
		return o, errors.New("no directory named for the local database: set Dir")
	}
	if o.Port < 0 || o.Port > 65535 {
		return o, fmt.Errorf("port %d is not within 1 and 65535", o.Port)
	}
	for name := range o.Settings {
		if !settingName.MatchString(name) {
			return o, fmt.Errorf("%q is not the name of a PostgreSQL setting", name)
		}
	}
	if o.CacheDir == "" && !o.Ephemeral {
		o.CacheDir = filepath.Join(o.Dir, "binaries")
	}
	return o, nil
}
