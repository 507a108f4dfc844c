package localpg

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestEphemeralCloses(t *testing.T) {
	t.Parallel()
	parent := openDir(t)
	s := start(t, Options{Ephemeral: true, Dir: parent})
	other := start(t, Options{Ephemeral: true, Dir: parent})
	execute(t, s.URL(""), "create table gone as select 42 as n")
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !gone(t.Context(), s.Status().PID) {
		t.Error("the server still runs")
	}
	if _, err := os.Stat(s.Status().Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its directory is still there: %v", err)
	}
	query(t, other.URL(""), "select 'works'")
	if err := other.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Not even a SIGKILL of the program leaves its ephemeral server behind.
func TestEphemeralEndsWithItsProgram(t *testing.T) {
	t.Parallel()
	parent := openDir(t)
	cmd := helperCommand(t, "ephemeral", parent)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var url, dir string
	if lines.Scan() {
		url = lines.Text()
	}
	if lines.Scan() {
		dir = lines.Text()
	}
	query(t, url, "select 'works'")
	text, err := os.ReadFile(dir + "/" + pidName)
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	eventually(t, "the server has ended", func() bool { return gone(t.Context(), pid) })
	eventually(t, "its directory is gone", func() bool {
		_, err := os.Stat(dir)
		return errors.Is(err, fs.ErrNotExist)
	})
}

// What fails leaves nothing behind either.
func TestEphemeralFails(t *testing.T) {
	t.Parallel()
	parent := openDir(t)
	_, err := Start(t.Context(), Options{Ephemeral: true, Dir: parent, Settings: map[string]string{"shared_buffers": "plenty"}})
	want(t, err, nil, "shared_buffers", "plenty", "configuration file has a mistake")
	if left, err := os.ReadDir(parent); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
