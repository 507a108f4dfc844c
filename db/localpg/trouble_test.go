package localpg

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestMistakeInConfiguration(t *testing.T) {
	t.Parallel()
	o := options(t)
	s := start(t, o)
	stop(t, o)
	conf := filepath.Join(s.Status().DataDir, "postgresql.conf")
	f, err := os.OpenFile(conf, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("\nshared_bufers = 1GB\n"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	_, err = Start(t.Context(), o)
	want(t, err, nil, s.Status().LogFile, "configuration file has a mistake", `unrecognized configuration parameter "shared_bufers"`)
	if strings.Contains(err.Error(), "ready to accept connections") {
		t.Errorf("the error shows what an earlier server logged: %v", err)
	}
}

func TestDirectoryRefused(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: filepath.Join(file, "pg")})
	want(t, err, syscall.ENOTDIR, file)
	_, err = Start(t.Context(), Options{Dir: file})
	want(t, err, fs.ErrExist, file)
	_, err = Start(t.Context(), Options{})
	want(t, err, nil, "set Dir")
	_, err = Start(t.Context(), Options{Dir: dir, Port: 65536})
	want(t, err, nil, "65536")

	if os.Geteuid() != 0 {
		closed := filepath.Join(dir, "closed")
		if err := os.Mkdir(closed, 0o500); err != nil {
			t.Fatal(err)
		}
		_, err = Start(t.Context(), Options{Dir: filepath.Join(closed, "pg")})
		want(t, err, fs.ErrPermission, closed, "choose a directory")
	}
}

// initdb's own words are passed on, and what it made is gone or named.
func TestInitdbFails(t *testing.T) {
	t.Parallel()
	o := options(t)
	real, err := Find(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	o.BinDir = filepath.Join(filepath.Dir(o.Dir), "bin")
	if err := os.Mkdir(o.BinDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"postgres", "pg_ctl"} {
		script := "#!/bin/sh\nexec " + real.path(name) + ` "$@"` + "\n"
		if err := os.WriteFile(filepath.Join(o.BinDir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := "#!/bin/sh\nexec " + real.path("initdb") + ` "$@" --locale=no_such_place` + "\n"
	if err := os.WriteFile(filepath.Join(o.BinDir, "initdb"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err = Start(t.Context(), o)
	want(t, err, nil, "make a database in "+o.Dir, `invalid locale name "no_such_place"`)
	if left, _ := filepath.Glob(filepath.Join(o.Dir, "data*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	o.BinDir = ""
	query(t, start(t, o).URL(""), "select 'works'")
}
