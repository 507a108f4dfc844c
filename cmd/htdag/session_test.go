package main_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/htdag/htdag/db/dbtest"
)

// TestSessions replays what is written in testdata/sessions, each file on a database
// of its own; go test -rewrite writes the answers anew.
//
//	htdag           the command with these arguments, one call a line: answers with
//	                what it says, messages after "! ", and its exit status if not 0
//	file name=NAME  write a file in the working directory
//	sql             a query; answers with its only column
//	exec            a statement
func TestSessions(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/sessions/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no sessions: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			t.Parallel()
			pool := dbtest.New(t)
			dir := t.TempDir()
			datadriven.RunTest(t, file, func(t *testing.T, d *datadriven.TestData) string {
				switch d.Cmd {
				case "htdag":
					var out strings.Builder
					for _, line := range strings.Split(d.Input, "\n") {
						answer := transcript(run(t, at(pool, words(line)...), in(dir)))
						timeless := strings.HasPrefix(line, "flow") && !strings.HasSuffix(line, "--json") || strings.HasPrefix(line, "ingest --dry-run")
						if !timeless {
							answer = maskTimes(answer)
						}
						out.WriteString(answer)
					}
					return out.String()
				case "file":
					var name string
					d.ScanArgs(t, "name", &name)
					write(t, dir, map[string]string{name: d.Input + "\n"})
					return ""
				case "exec":
					dbtest.Exec(t, pool, d.Input)
					return ""
				case "sql":
					return strings.Join(dbtest.Column[string](t, pool, "select c::text from ("+d.Input+") as q(c)"), "\n") + "\n"
				}
				d.Fatalf(t, "unknown command %q", d.Cmd)
				return ""
			})
		})
	}
}

var word = regexp.MustCompile(`'[^']*'|[^ ]+`)

// words takes a line apart as a shell does; what is between single quotes is one word.
func words(line string) []string {
	found := word.FindAllString(line, -1)
	for i, w := range found {
		found[i] = strings.Trim(w, "'")
	}
	return found
}

var (
	moments   = regexp.MustCompile(`(\d{4}-\d\d-\d\d[ T])?\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d(:\d\d)?|Z)?`)
	durations = regexp.MustCompile(`\b\d+(\.\d+)?(µs|ms|s)\b|\b0\.\d{3,}`)
	gaps      = regexp.MustCompile(`(\S)   +`)
	options   = regexp.MustCompile(`The options of a step are [^.]*`)
)

// transcript is what a reader sees of a call.
func transcript(r result) string {
	out := r.stdout
	for _, line := range strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n") {
		if line != "" {
			out += "! " + line + "\n"
		}
	}
	out = options.ReplaceAllString(out, "The options of a step are ...") // sql/test/engine/versions.test has them
	if r.code != 0 {
		out += fmt.Sprintf("exit status %d\n", r.code)
	}
	return out
}

// maskTimes hides what differs from call to call, and the gaps that are as wide as that.
func maskTimes(out string) string {
	out = durations.ReplaceAllString(moments.ReplaceAllString(out, "TIME"), "LONG")
	return gaps.ReplaceAllString(out, "$1  ")
}
