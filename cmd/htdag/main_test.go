// The tests of this package build the command and use it as people do: as a
// process, on directories, against a real PostgreSQL.
package main_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// binary is the command under test.
var binary string

func TestMain(m *testing.M) {
	flag.Parse()
	// The tests wait for processes more than they compute.
	parallel := true
	flag.Visit(func(f *flag.Flag) { parallel = parallel && f.Name != "test.parallel" })
	if parallel {
		_ = flag.Set("test.parallel", "8") // a flag that exists
	}
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "htdag-e2e-")
	if err == nil {
		// Some tests run the command as somebody else.
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "htdag")
	build := exec.Command("go", append(append([]string{"build"}, raceFlag...), "-o", binary, ".")...)
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the command: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
