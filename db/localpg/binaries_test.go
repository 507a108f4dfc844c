package localpg

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// finderIn looks for servers in the directories that match, and nowhere else.
func finderIn(t *testing.T, globs ...string) finder {
	t.Helper()
	who, err := serverAccount(0)
	if err != nil {
		t.Fatal(err)
	}
	f := newFinder("", who)
	f.globs = globs
	f.look = func(string) (string, error) { return "", exec.ErrNotFound }
	return f
}

func TestFindInstalled(t *testing.T) {
	t.Parallel()
	b, err := Find(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if b.Major < OldestMajor || b.Minor < 0 || len(lacking(b.Dir)) > 0 {
		t.Errorf("found %+v", b)
	}
	same, err := Find(t.Context(), b.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, same); diff != "" {
		t.Errorf("named explicitly it differs (-looked for +named):\n%s", diff)
	}
	links := openDir(t)
	for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
		if err := os.Symlink(b.path(name), filepath.Join(links, name)); err != nil {
			t.Fatal(err)
		}
	}
	if linked, err := Find(t.Context(), links); err != nil || linked != b {
		t.Errorf("through links: %+v, %v", linked, err)
	}
}

func TestNewestFirst(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	for name, version := range map[string]string{
		"postgresql/12": "12.3", "postgresql/14": "14.2 (Debian 14.2-1.pgdg110+1)", "postgresql/19": "19beta1",
		"postgresql/9": "9.6.24", "pgsql-17": "17.5", "pgsql-old17": "17.10",
	} {
		fakeServer(t, filepath.Join(dir, name, "bin"), version)
	}
	whole := fakeServer(t, filepath.Join(dir, "postgresql/18/bin"), "18.1")
	if err := os.Remove(filepath.Join(whole, "initdb")); err != nil {
		t.Fatal(err)
	}
	broken := fakeServer(t, filepath.Join(dir, "postgresql/20/bin"), "20.1")
	if err := os.WriteFile(filepath.Join(broken, "postgres"), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}

	f := finderIn(t, dir+"/postgresql/*/bin", dir+"/pgsql-*/bin", dir+"/pgsql-17/bin")
	all, err := f.all(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, b := range all {
		got = append(got, b.Version)
	}
	if diff := cmp.Diff([]string{"17.10", "17.5", "14.2", "19beta1"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

// pg_config and the search path lead to places that no list has.
func TestFindByPath(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	configured := fakeServer(t, filepath.Join(dir, "built/bin"), "16.1")
	onPath := fakeServer(t, filepath.Join(dir, "path/bin"), "17.1")
	config := filepath.Join(dir, "pg_config")
	if err := os.WriteFile(config, []byte("#!/bin/sh\n[ \"$1\" = --bindir ] && echo "+configured+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	f := finderIn(t)
	f.look = func(name string) (string, error) {
		switch name {
		case "pg_config":
			return config, nil
		case "postgres":
			return filepath.Join(onPath, name), nil
		case "psql":
			return "/somewhere/psql", nil
		}
		return "", exec.ErrNotFound
	}
	all, err := f.all(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Binaries{
		{Dir: onPath, Version: "17.1", Major: 17, Minor: 1, PSQL: "/somewhere/psql"},
		{Dir: configured, Version: "16.1", Major: 16, Minor: 1, PSQL: "/somewhere/psql"},
	}, all); diff != "" {
		t.Errorf("found (-want +got):\n%s", diff)
	}
}

func TestNothingToRun(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	old := fakeServer(t, filepath.Join(dir, "old/bin"), "12.3")
	fakeServer(t, filepath.Join(dir, "older/bin"), "9.6.24")
	odd := fakeServer(t, filepath.Join(dir, "odd/bin"), "of unknown age")

	o := Options{Dir: filepath.Join(dir, "pg"), BinDir: old}
	_, err := Start(t.Context(), o)
	want(t, err, ErrTooOld, old, "12.3", "14 or newer", "apt install postgresql ", "postgresql-server", "brew install postgresql@17")
	_, err = Find(t.Context(), old)
	want(t, err, ErrTooOld, "12.3")
	_, err = finderIn(t, dir+"/old*/bin").all(t.Context())
	want(t, err, ErrTooOld, "12.3")

	_, err = finderIn(t, dir+"/none").all(t.Context())
	want(t, err, ErrNoBinaries, "apt install postgresql", "brew install postgresql@17")
	if errors.Is(err, ErrTooOld) {
		t.Error("nothing found is not something too old")
	}
	_, err = Find(t.Context(), dir)
	want(t, err, ErrNoBinaries, dir, "lacks postgres, initdb, pg_ctl")
	_, err = Find(t.Context(), odd)
	want(t, err, ErrNoBinaries, odd, "of unknown age", "names no version")
}

func TestOtherMajorVersion(t *testing.T) {
	t.Parallel()
	o := options(t)
	s := start(t, o)
	stop(t, o)
	o.BinDir = fakeServer(t, filepath.Join(filepath.Dir(o.Dir), "bin"), "99.1")
	_, err := Start(t.Context(), o)
	want(t, err, ErrOtherMajor, s.Status().DataDir, s.Status().Version[:2], "99.1", "pg_upgrade")
	o.BinDir = ""
	query(t, start(t, o).URL(""), "select 'works'")
}
