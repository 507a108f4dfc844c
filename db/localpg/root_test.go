package localpg

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can")
	}
}

// The whole of the tests once more, as somebody who is not root.
func TestAsOrdinaryUser(t *testing.T) {
	needRoot(t)
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	who, err := droppedTo(nobody)
	if err != nil {
		t.Fatal(err)
	}
	dir := openDir(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyFile(t, self, filepath.Join(dir, "localpg.test"), 0o755)
	if err := os.CopyFS(filepath.Join(dir, "testdata"), os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(tmp, who.uid, who.gid); err != nil {
		t.Fatal(err)
	}
	some := "."
	if testing.Short() {
		some = "Life|Killed|Stale|Ephemeral|Refused"
	}
	cmd := who.command(t.Context(), dir, filepath.Join(dir, "localpg.test"), "-test.timeout=10m", "-test.run="+some)
	cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "PASS") {
		t.Errorf("it said:\n%s", out)
	}
}

func copyFile(t *testing.T, from, to string, mode fs.FileMode) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// What root shares with the server is no more than it needs.
func TestOwnersUnderRoot(t *testing.T) {
	needRoot(t)
	t.Parallel()
	o := options(t)
	s := start(t, o)
	who, err := serverAccount(0)
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]struct {
		uid  int
		mode fs.FileMode
	}{
		".": {0, 0o755}, dataName: {who.uid, 0o700}, socketName: {who.uid, 0o700}, logName: {who.uid, 0o600},
		confName: {0, 0o644}, passwordName: {0, 0o600}, lockName: {0, 0o600}, useName: {0, 0o600},
	} {
		info, err := os.Stat(filepath.Join(o.Dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if uid, _ := ownerOf(info); uid != w.uid || info.Mode().Perm() != w.mode {
			t.Errorf("%s belongs to %d with mode %o, want %d and %o", name, uid, info.Mode().Perm(), w.uid, w.mode)
		}
	}
	info, err := os.Stat("/proc/" + strconv.Itoa(s.Status().PID))
	if err == nil {
		if uid, _ := ownerOf(info); uid == 0 {
			t.Error("the server runs as root")
		}
	}
}

func TestRestoredByRoot(t *testing.T) {
	needRoot(t)
	t.Parallel()
	o := options(t)
	s := start(t, o)
	execute(t, s.URL(""), "create table kept as select 42 as n")
	stop(t, o)
	if out, err := exec.Command("chown", "-R", "root:root", s.Status().DataDir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := query(t, start(t, o).URL(""), "select n::text from kept"); got != "42" {
		t.Errorf("the table says %s", got)
	}
}

// Root who works in the directory of an ordinary user leaves it usable to them.
func TestTurnsOfRootAndUser(t *testing.T) {
	needRoot(t)
	t.Parallel()
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Fatal(err)
	}
	who, err := droppedTo(nobody)
	if err != nil {
		t.Fatal(err)
	}
	o := options(t)
	if err := os.Mkdir(o.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(o.Dir, who.uid, who.gid); err != nil {
		t.Fatal(err)
	}
	s := start(t, o)
	execute(t, s.URL(""), "create table kept as select 42 as n")
	query(t, s.SocketURL(""), "select 'works'")
	stop(t, o)

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(filepath.Dir(o.Dir), "localpg.test")
	copyFile(t, self, program, 0o755)
	cmd := who.command(t.Context(), o.Dir, program)
	cmd.Env = append(cmd.Env, helperVariable+"=start "+o.Dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := query(t, strings.TrimSpace(string(out)), "select n::text from kept"); got != "42" {
		t.Errorf("the table says %s", got)
	}
	if again := start(t, o); !again.Joined() || again.URL("") != strings.TrimSpace(string(out)) {
		t.Errorf("root has joined %v and got %s, the user %s", again.Joined(), again.URL(""), out)
	}
}

func TestClosedParent(t *testing.T) {
	needRoot(t)
	t.Parallel()
	closed := filepath.Join(openDir(t), "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Options{Dir: filepath.Join(closed, "deep", "pg")})
	want(t, err, nil, "chmod o+x "+closed)
}

// A link planted by the server's user must not lead root astray.
func TestPlantedLinks(t *testing.T) {
	needRoot(t)
	t.Parallel()
	o := options(t)
	s := start(t, o)
	stop(t, o)
	victim := filepath.Join(filepath.Dir(o.Dir), "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(s.Status().DataDir, "postmaster.pid")
	if err := os.Symlink(victim, link); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(link)
	_, err := Start(t.Context(), o)
	want(t, err, nil, "postmaster.pid")
	if b, err := os.ReadFile(victim); err != nil || string(b) != "precious" {
		t.Errorf("the file that the link led to: %q, %v", b, err)
	}
}

// The pid file is written by the server's user: whatever it names, root signals
// nobody but a server of that user.
func TestForgedPidFile(t *testing.T) {
	needRoot(t)
	t.Parallel()
	o := options(t)
	s := start(t, o)
	stop(t, o)
	// A process of root's that looks just like a server on this data.
	sleeper := exec.Command("/bin/sleep", "1000")
	sleeper.Args = []string{"postgres", "1000"}
	sleeper.Dir = s.Status().DataDir
	if err := sleeper.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() }()
	pid := strconv.Itoa(sleeper.Process.Pid)
	if err := os.WriteFile(filepath.Join(o.Dir, pidName), []byte(pid+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if stopped, err := Stop(t.Context(), o); stopped || err != nil {
		t.Errorf("Stop = %v, %v", stopped, err)
	}
	if err := sleeper.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("root's process was hit: %v", err)
	}
}
