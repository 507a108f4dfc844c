package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// madeMajor returns the major version of the cluster, or 0 when there is none
// that is complete.
func (in *instance) madeMajor() (int, error) {
	if _, err := in.root.Stat(filepath.Join(dataName, markerName)); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	} else if err != nil {
		return 0, refused("look at the database in "+in.file(dataName), err)
	}
	version, err := in.read(filepath.Join(dataName, "PG_VERSION"))
	if err != nil {
		return 0, err
	}
	major, err := strconv.Atoi(version)
	if err != nil {
		return 0, fmt.Errorf("the database in %s is damaged: PG_VERSION says %q where a number belongs; restore it from a backup, or move the directory away to begin anew", in.file(dataName), version)
	}
	return major, nil
}

// clearForCluster moves a data directory without the marker out of the way: the
// making of it was interrupted, or it is not ours.
func (in *instance) clearForCluster(log *slog.Logger) error {
	if _, err := in.root.Lstat(dataName); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if entries, err := fs.ReadDir(in.root.FS(), dataName); err == nil && len(entries) == 0 {
		return nil // the new one is renamed over it
	}
	to, err := in.aside(in.root, dataName, "incomplete")
	if err != nil {
		return err
	}
	log.Warn("moved aside a database that was never completed", "from", in.file(dataName), "to", to)
	return nil
}

// makeCluster runs initdb. It works in a directory that no other attempt uses and
// renames it when all is done, so that neither a crash nor an initdb left over
// from a killed caller can spoil the real one.
func (in *instance) makeCluster(ctx context.Context, bins Binaries, durable bool) error {
	doing := "make a database in " + in.path
	work := in.vacant(in.root, dataName+".incomplete")
	if err := in.root.Mkdir(work, 0o700); err != nil {
		return refused(doing, err)
	}
	if in.who.drop {
		if err := in.root.Lchown(work, in.who.uid, in.who.gid); err != nil {
			return refused(doing, err)
		}
	}

	args := []string{
		"--pgdata=" + in.file(work), "--username=" + superuser,
		"--encoding=UTF8", "--locale=C", "--auth-local=peer", "--auth-host=scram-sha-256", "--no-instructions",
	}
	if !durable {
		args = append(args, "--no-sync")
	}
	if out, err := in.who.run(ctx, in.path, bins.path("initdb"), args...); err != nil {
		_ = in.root.Remove(work) // initdb emptied it; where it could not, this fails and the rest stays
		if ctx.Err() != nil {
			return fmt.Errorf("%s: %w", doing, err)
		}
		return failed(doing, err, out, "")
	}
	if err := in.finishCluster(work); err != nil {
		return refused(doing, err)
	}
	if err := in.root.Rename(work, dataName); err != nil {
		return refused(doing, err)
	}
	return refused(doing, in.syncDir())
}

// finishCluster adds what is ours: who may log in, the include line, the marker.
func (in *instance) finishCluster(work string) error {
	data, err := in.root.OpenRoot(work)
	if err != nil {
		return err
	}
	defer data.Close()

	steps := []struct {
		name, content string
		flag          int
	}{
		{"pg_hba.conf", hba, os.O_TRUNC},
		{"pg_ident.conf", ident(in.who.name), os.O_TRUNC},
		{"postgresql.conf", includeLine, os.O_APPEND},
		{markerName, "this database was completed by htdag\n", os.O_CREATE | os.O_EXCL},
	}
	for _, s := range steps {
		f, err := data.OpenFile(s.name, os.O_WRONLY|s.flag, 0o600)
		if err != nil {
			return err
		}
		if in.who.drop {
			if err := f.Chown(in.who.uid, in.who.gid); err != nil {
				f.Close()
				return err
			}
		}
		if err := finish(f, s.content, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", s.name, err)
		}
	}
	return nil
}

const includeLine = `
# The settings that htdag keeps for this server. What is written below this line wins over them.
include '../` + confName + `'
`

// hba lets in by the socket, without a password, whoever the system says is the
// server's user or root, and by TCP from this machine whoever has a password.
const hba = `# type  database     user           address       method
local   all          ` + superuser + `                     peer map=htdag
local   replication  ` + superuser + `                     peer map=htdag
local   all          all                          scram-sha-256
host    all          all            127.0.0.1/32  scram-sha-256
host    all          all            ::1/128       scram-sha-256
host    replication  all            127.0.0.1/32  scram-sha-256
`

func ident(user string) string {
	var b strings.Builder
	b.WriteString("# map  system user  role\n")
	for _, name := range []string{"root", user} {
		fmt.Fprintf(&b, "htdag  %q  %s\n", name, superuser)
		if name == user {
			break
		}
	}
	return b.String()
}

// syncDir makes a rename in the instance directory durable.
func (in *instance) syncDir() error {
	d, err := in.root.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// adopt gives a data directory that belongs to root, such as a restored one, to
// the server's user: PostgreSQL accepts no other owner.
func (in *instance) adopt(log *slog.Logger) error {
	if !in.who.drop {
		return nil
	}
	info, err := in.root.Lstat(dataName)
	if err != nil {
		return refused("look at "+in.file(dataName), err)
	}
	if uid, _ := ownerOf(info); uid == in.who.uid {
		return nil
	}
	log.Info("giving the database to the server's user", "dir", in.file(dataName), "user", in.who.name)
	err = fs.WalkDir(in.root.FS(), dataName, func(name string, _ fs.DirEntry, err error) error {
		if err != nil || name == dataName {
			return err
		}
		return in.root.Lchown(name, in.who.uid, in.who.gid)
	})
	if err == nil { // the top last: it is what says that the rest is done
		err = in.root.Lchown(dataName, in.who.uid, in.who.gid)
	}
	return refused(fmt.Sprintf("give %s to user %s", in.file(dataName), in.who.name), err)
}
