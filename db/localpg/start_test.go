package localpg

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLifeOfAnInstance(t *testing.T) {
	t.Parallel()
	o := options(t)

	before, err := Inspect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if before.State != Absent {
		t.Errorf("an instance that was never made is %s", before.State)
	}
	if stopped, err := Stop(t.Context(), o); err != nil || stopped {
		t.Errorf("Stop of nothing = %v, %v", stopped, err)
	}

	s := start(t, o)
	if s.Joined() {
		t.Error("the first Start says that it joined a server")
	}
	execute(t, s.URL(""), "create table kept as select 42 as n")

	running, err := Inspect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.Status(), running); diff != "" {
		t.Errorf("Start and Inspect disagree (-start +inspect):\n%s", diff)
	}
	if running.State != Running || running.Problem != "" || running.PID == 0 || running.StartedAt.IsZero() {
		t.Errorf("running instance: %+v", running)
	}
	if !strings.HasPrefix(running.Version, strconv.Itoa(running.Major)) {
		t.Errorf("version %s is not of major %d", running.Version, running.Major)
	}
	if got := query(t, running.URL, "select n::text from kept"); got != "42" {
		t.Errorf("the table says %s", got)
	}

	again := start(t, o)
	if !again.Joined() || again.URL("x") != s.URL("x") {
		t.Errorf("the second Start: joined %v, URL %s, the first had %s", again.Joined(), again.URL("x"), s.URL("x"))
	}

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := query(t, s.SocketURL(""), "select n::text from kept"); got != "42" {
		t.Errorf("after Close, by the socket, the table says %s", got)
	}
	stop(t, o)
	stopped, err := Inspect(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if stopped.State != Stopped || stopped.PID != 0 || stopped.URL != "" || stopped.Version != strconv.Itoa(running.Major) {
		t.Errorf("stopped instance: %+v", stopped)
	}

	third := start(t, o)
	if third.URL("") != s.URL("") {
		t.Errorf("the URL changed from %s to %s", s.URL(""), third.URL(""))
	}
	if got := query(t, third.URL(""), "select n::text from kept"); got != "42" {
		t.Errorf("after a restart the table says %s", got)
	}
}

// Programs that start at the same moment serialize, and share one server, which
// outlives them all and what is typed at their terminal.
func TestProgramsStartAtOnce(t *testing.T) {
	t.Parallel()
	o := options(t)
	var cmds []*exec.Cmd
	var outs []*strings.Builder
	for range 4 {
		cmd, out := helperCommand(t, "start", o.Dir), &strings.Builder{}
		cmd.Stdout = out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmds, outs = append(cmds, cmd), append(outs, out)
	}
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Fatalf("program %d: %v", i, err)
		}
		// Every process of its group has ended with it.
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != syscall.ESRCH {
			t.Errorf("an interrupt of program %d's group: %v", i, err)
		}
		if outs[i].String() != outs[0].String() {
			t.Errorf("program %d got %s, program 0 %s", i, outs[i], outs[0])
		}
	}
	s := start(t, o)
	if !s.Joined() {
		t.Error("the server ended with the programs that started it")
	}
	if got := strings.TrimSpace(outs[0].String()); got != s.URL("") {
		t.Errorf("the programs got %s, now it is %s", got, s.URL(""))
	}
	if made, _ := filepath.Glob(filepath.Join(o.Dir, "data*")); len(made) != 1 {
		t.Errorf("there should be one database: %v", made)
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	o := options(t)
	s := start(t, o)
	execute(t, s.URL(""), "create table kept as select 42 as n")
	stop(t, o)

	thief := listen(t, s.Status().Port)
	defer thief.Close()
	asked := o
	asked.Port = s.Status().Port
	_, err := Start(t.Context(), asked)
	want(t, err, syscall.EADDRINUSE, fmt.Sprint("port ", asked.Port), "ask for another port")

	moved := start(t, o)
	if moved.Status().Port == s.Status().Port {
		t.Fatalf("the server claims to listen on port %d, which is taken", s.Status().Port)
	}
	if got := query(t, moved.URL(""), "select n::text from kept"); got != "42" {
		t.Errorf("on the other port the table says %s", got)
	}
	stop(t, o)
	if err := thief.Close(); err != nil {
		t.Fatal(err)
	}
	if back := start(t, asked); back.Status().Port != asked.Port {
		t.Errorf("asked for port %d, got %d", asked.Port, back.Status().Port)
	}
}

// The choice of a port and the start are two moments; someone may come between.
func TestPortTakenMeanwhile(t *testing.T) {
	t.Parallel()
	o := options(t)
	s := start(t, o)
	stop(t, o)
	thief := listen(t, s.Status().Port)
	defer thief.Close()

	in, err := existingInstance(o.Dir)
	if err != nil {
		t.Fatal(err)
	}
	defer in.close()
	bins, err := in.binaries(t.Context(), o, s.Status().Major)
	if err != nil {
		t.Fatal(err)
	}
	o.Log = silent
	if err := in.launchOn(t.Context(), o, bins, nil, s.Status().Port); err != nil {
		t.Fatal(err)
	}
	moved := start(t, o)
	if !moved.Joined() || moved.Status().Port == s.Status().Port {
		t.Errorf("joined %v, port %d, taken %d", moved.Joined(), moved.Status().Port, s.Status().Port)
	}
}

func TestLostPassword(t *testing.T) {
	t.Parallel()
	o := options(t)
	s := start(t, o)
	file := filepath.Join(o.Dir, passwordName)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the password file: %v, %v", info.Mode(), err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if st, err := Inspect(t.Context(), o); err != nil || !strings.Contains(st.Problem, "password is not known") {
		t.Errorf("without the password: %+v, %v", st, err)
	}
	renewed := start(t, o)
	if renewed.URL("") == s.URL("") {
		t.Error("the password is the lost one")
	}
	query(t, renewed.URL(""), "select 'works'")

	execute(t, renewed.URL(""), "alter role postgres password 'changed by its owner'")
	_, err := Start(t.Context(), o)
	want(t, err, nil, "write the right password to "+file)
	if st, err := Inspect(t.Context(), o); err != nil || !strings.Contains(st.Problem, file) {
		t.Errorf("with a wrong password: %+v, %v", st, err)
	}
	if err := os.WriteFile(file, []byte("changed by its owner\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	query(t, start(t, o).URL(""), "select 'works'")
}

// The path of a socket has a limit that directories do not have.
func TestLongPath(t *testing.T) {
	t.Parallel()
	o := options(t)
	o.Dir = filepath.Join(o.Dir, strings.Repeat("long-", 30))
	s := start(t, o)
	defer stop(t, o)
	if n := len(s.Status().SocketDir); n > 80 {
		t.Errorf("the socket's directory has %d bytes", n)
	}
	if info, err := os.Stat(s.Status().SocketDir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the socket's directory: %v, %v", info, err)
	}
	query(t, s.SocketURL(""), "select 'works'")
	t.Cleanup(func() { _ = os.Remove(s.Status().SocketDir) })
}

func TestEnsureDatabase(t *testing.T) {
	t.Parallel()
	s := start(t, Options{Ephemeral: true})
	defer s.Close()
	const name = `odd "name" / with?marks`
	errs := make(chan error)
	for range 4 {
		go func() { errs <- s.EnsureDatabase(t.Context(), name) }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got := query(t, s.URL(name), "select current_database()::text"); got != name {
		t.Errorf("connected to %q", got)
	}
	if got := query(t, s.SocketURL(name), "select current_database()::text"); got != name {
		t.Errorf("by the socket connected to %q", got)
	}
	want(t, s.EnsureDatabase(t.Context(), ""), nil, "1 to 63 bytes")
	want(t, s.EnsureDatabase(t.Context(), strings.Repeat("x", 64)), nil, "1 to 63 bytes")
}

func TestSettingsInForce(t *testing.T) {
	t.Parallel()
	settings := `select string_agg(name || '=' || setting, ' ' order by name)
	  from pg_settings
	 where name in ('fsync', 'synchronous_commit', 'full_page_writes', 'listen_addresses', 'jit', 'max_wal_size', 'random_page_cost',
	                'max_connections', 'server_encoding', 'lc_messages', 'work_mem')`
	const common = "jit=off lc_messages=C listen_addresses=127.0.0.1 max_connections=%d max_wal_size=4096 random_page_cost=1.1 server_encoding=UTF8"

	o := options(t)
	o.Settings = map[string]string{"work_mem": "7MB", "htdag.remark": `it's a \ mark`}
	s := start(t, o)
	wantText := "fsync=on full_page_writes=on " + fmt.Sprintf(common, 100) + " synchronous_commit=on work_mem=7168"
	if diff := cmp.Diff(wantText, query(t, s.URL(""), settings)); diff != "" {
		t.Errorf("durable settings (-want +got):\n%s", diff)
	}
	if got := query(t, s.URL(""), "select current_setting('htdag.remark')"); got != o.Settings["htdag.remark"] {
		t.Errorf("a value with marks came out as %q", got)
	}
	if got := query(t, s.URL(""), "select datcollate || ' ' || datctype from pg_database where datname = 'postgres'"); got != "C C" {
		t.Errorf("the locale is %s", got)
	}
	// Settings of the user's own win, wherever PostgreSQL lets them be made.
	execute(t, s.URL(""), "alter system set max_connections = 50")
	stop(t, o)
	s = start(t, o)
	if got := query(t, s.URL(""), "select current_setting('max_connections')"); got != "50" {
		t.Errorf("ALTER SYSTEM was not heeded: %s", got)
	}

	e := start(t, Options{Ephemeral: true, Settings: map[string]string{"max_connections": "20", "work_mem": "4MB"}})
	defer e.Close()
	wantText = "fsync=off full_page_writes=off " + fmt.Sprintf(common, 20) + " synchronous_commit=off work_mem=4096"
	if diff := cmp.Diff(wantText, query(t, e.URL(""), settings)); diff != "" {
		t.Errorf("ephemeral settings (-want +got):\n%s", diff)
	}

	_, err := Start(t.Context(), Options{Ephemeral: true, Settings: map[string]string{"x = 1\nfsync": "off"}})
	want(t, err, nil, "not the name of a PostgreSQL setting")
}
