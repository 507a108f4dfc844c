package localpg

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDefaultDir(t *testing.T) {
	for _, c := range []struct {
		uid  int
		env  map[string]string
		want string
	}{
		{0, map[string]string{"HOME": "/root"}, "/var/lib/htdag/postgres"},
		{1, map[string]string{"HOME": "/home/a"}, "/home/a/.local/share/htdag/postgres"},
		{1, map[string]string{"HOME": "/home/a", "XDG_DATA_HOME": "/data"}, "/data/htdag/postgres"},
		{1, map[string]string{"HOME": "/home/a", "XDG_DATA_HOME": "data"}, "/home/a/.local/share/htdag/postgres"},
		{1, nil, ""},
	} {
		got, err := defaultDir(c.uid, func(name string) string { return c.env[name] })
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("user %d with %v: %q, %v", c.uid, c.env, got, err)
		}
	}
}

func TestParsePid(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       postmaster
		err        string
	}{
		{"ready", "123\n/data\n1700000000\n5432\n/run/pg\n127.0.0.1\n  5432001    98304\nready   \n",
			postmaster{pid: 123, started: time.Unix(1700000000, 0), port: 5432, socketDir: "/run/pg", status: "ready"}, ""},
		{"just starting", "123\n/data\n1700000000\n5432\n/run/pg\n",
			postmaster{pid: 123, started: time.Unix(1700000000, 0), port: 5432, socketDir: "/run/pg"}, ""},
		{"single-user", "-123\n/data\n1700000000\n5432\n\n", postmaster{pid: -123, started: time.Unix(1700000000, 0), port: 5432}, ""},
		{"cut short", "123", postmaster{pid: 123}, ""},
		{"empty", "", postmaster{}, `line 1 says ""`},
		{"zero", "0\n", postmaster{}, `line 1 says "0"`},
		{"too large", "99999999999\n", postmaster{}, `line 1 says "99999999999"`},
		{"no port", "123\n/data\n1700000000\nx\n", postmaster{}, `line 4 says "x"`},
	} {
		got, err := parsePid(c.text)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(postmaster{})); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
	}
}

func TestPlan(t *testing.T) {
	p := plan{port: 1, socketDir: "/it's", id: "htdag-x", memory: 8 << 30, toast: "lz4", wal: "lz4", extra: map[string]string{"b": "2", "a.c": "x\ny"}}
	text := p.text()
	for _, line := range []string{
		"unix_socket_directories = '/it''s'", "shared_buffers = '1024MB'", "effective_cache_size = '4096MB'", "work_mem = '32MB'",
		"maintenance_work_mem = '256MB'", "fsync = 'on'", "default_toast_compression = 'lz4'", "a.c = 'x\\ny'\nb = '2'",
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("the configuration lacks %s:\n%s", line, text)
		}
	}
	if strings.Contains(text, "dynamic_shared_memory_type") {
		t.Error("the kind of shared memory is changed without need")
	}
	p.memory, p.ephemeral, p.sysvShared = 0, true, true
	for _, line := range []string{"shared_buffers = '128MB'", "work_mem = '4MB'", "fsync = 'off'", "dynamic_shared_memory_type = 'sysv'"} {
		if !strings.Contains(p.text(), "\n"+line+"\n") {
			t.Errorf("the ephemeral configuration lacks %s:\n%s", line, p.text())
		}
	}
}

func TestGroupLimit(t *testing.T) {
	files := map[string]string{
		"memory.max":                              "max\n",
		"system.slice/memory.max":                 "2000\n",
		"system.slice/a.service/memory.max":       "3000\n",
		"free/memory.max":                         "max\n",
		"memory/memory.limit_in_bytes":            "9223372036854771712\n",
		"memory/docker/abc/memory.limit_in_bytes": "1000\n",
	}
	mount := t.TempDir()
	for name, text := range files {
		path := filepath.Join(mount, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for groups, want := range map[string]uint64{
		"0::/system.slice/a.service\n":                       2000,
		"0::/free\n":                                         0,
		"0::/not/visible/here\n":                             0,
		"5:cpu,memory:/docker/abc\n3:cpu:/x\n0::/\n":         1000,
		"5:memory:/elsewhere\n":                              0,
		"5:memory:/docker/abc\n0::/system.slice/a.service\n": 1000,
		"": 0,
	} {
		if got := groupLimit(mount, groups); got != want {
			t.Errorf("%q: limit %d, want %d", groups, got, want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	a := account{name: "postgres", home: "/var/lib/postgresql", drop: true}
	got := a.environment([]string{"PATH=/bin", "PGDATA=/elsewhere", "PGOPTIONS=-c x", "LANG=de_DE", "LC_ALL=fr_FR", "HOME=/root", "TZ=UTC"})
	want := []string{"PATH=/bin", "TZ=UTC", "HOME=/var/lib/postgresql", "USER=postgres", "LOGNAME=postgres", "LC_ALL=C"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
}

// What is typed at the caller's terminal goes to the caller's session only.
func TestSessionOfItsOwn(t *testing.T) {
	who, err := serverAccount(0)
	if err != nil {
		t.Fatal(err)
	}
	out, err := who.run(t.Context(), "/", "/bin/sh", "-c", "echo $$ $(ps -o sid= -p $$)")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if words := strings.Fields(out); len(words) != 2 || words[0] != words[1] {
		t.Errorf("process and session: %s", out)
	}
}

func TestErrorText(t *testing.T) {
	err := failed("start it", errors.New("exit status 1"), "one\n\nFATAL:  could not write: No space left on device\n", "/pg/log")
	const text = `start it: exit status 1; the disk is full; free some space or choose another directory
the last lines of /pg/log:
  one
  FATAL:  could not write: No space left on device`
	if diff := cmp.Diff(text, err.Error()); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
	if got := failed("start it", errors.New("exit status 1"), "", "").Error(); got != "start it: exit status 1" {
		t.Errorf("without a log: %q", got)
	}
	if err := refused("write it", syscall.EROFS); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), "choose another directory") {
		t.Errorf("refused by the system: %v", err)
	}
	if refused("write it", nil) != nil {
		t.Error("no error was made one")
	}
}

func TestLargeLogIsPutAside(t *testing.T) {
	dir := openDir(t)
	in, err := openInstance(filepath.Join(dir, "pg"))
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	if err := in.prepareLog(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(in.file(logName), logLimit+1); err != nil {
		t.Fatal(err)
	}
	if err := in.prepareLog(); err != nil {
		t.Fatal(err)
	}
	if n := in.logSize(); n != 0 {
		t.Errorf("the log has %d bytes", n)
	}
	if info, err := os.Stat(in.file(logName + ".1")); err != nil || info.Size() != logLimit+1 {
		t.Errorf("the old log: %v, %v", info, err)
	}
}

// Someone else who was first in a directory that all write to is not trusted.
func TestSocketDirSquatted(t *testing.T) {
	dir := openDir(t)
	in, err := openInstance(filepath.Join(dir, strings.Repeat("long-", 30)))
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	temp := filepath.Join(dir, "temp")
	if err := os.Mkdir(temp, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(temp, in.id())); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(temp, in.id()+"-2"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(temp, in.id()+"-2"), 0o777); err != nil {
		t.Fatal(err)
	}
	got, err := in.prepareSocketDir(temp)
	if err != nil || got != filepath.Join(temp, in.id()+"-3") {
		t.Fatalf("socket directory %s, %v", got, err)
	}
	stale := filepath.Join(got, ".s.PGSQL.1.lock")
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := in.prepareSocketDir(temp); err != nil || again != got {
		t.Errorf("the second time %s, %v", again, err)
	}
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the stale lock file is still there: %v", err)
	}

	deep, err := in.prepareSocketDir(in.path)
	if err != nil || deep != filepath.Join("/tmp", in.id()) {
		t.Errorf("with a long path for temporary files too: %s, %v", deep, err)
	}
	if err := os.Remove(deep); err != nil {
		t.Error(err)
	}
}
