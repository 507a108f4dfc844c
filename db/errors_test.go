package db_test

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db"
)

var (
	raising = regexp.MustCompile(`(?s)raise exception using (.*?);\n`)
	errcode = regexp.MustCompile(`errcode = '(\w+)'`)
	message = regexp.MustCompile(`message = (?:format\()?(?:case when .*? then )?'((?:[^']|'')*)'`)
	hinted  = regexp.MustCompile(`hint = '|hint = \w+\(|hint = case`)
	states  = regexp.MustCompile("(?m)^\\| (HT\\d{3}) \\| `db\\.(\\w+)` \\| [^|]+ \\| [^|]+ \\|$")
	shown   = regexp.MustCompile(`(?m)^ERROR (HT\d{3}): (.*)\n(HINT)?`)
	comment = regexp.MustCompile(`(?m)^\t(Err\w+) .*// (HT\d{3})$`)
)

// The SQLSTATEs that functions raise, those that README.md explains, those that Go
// translates and those that scripts have seen are the same; each comes with a hint,
// and each message is shown by some script.
func TestErrorStates(t *testing.T) {
	t.Parallel()
	known := map[string]string{} // name in Go by SQLSTATE
	for _, m := range comment.FindAllStringSubmatch(text(t, "errors.go"), -1) {
		known[m[2]] = m[1]
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(db.States)), slices.Sorted(maps.Keys(known))); diff != "" {
		t.Errorf("States and the sentinels of errors.go (-States +sentinels):\n%s", diff)
	}
	documented := map[string]string{}
	for _, m := range states.FindAllStringSubmatch(text(t, "../sql/README.md"), -1) {
		documented[m[1]] = m[2]
	}
	if diff := cmp.Diff(known, documented); diff != "" {
		t.Errorf("SQLSTATEs (-db/errors.go +sql/README.md):\n%s", diff)
	}

	var seen []string
	scripts := strings.Builder{} // what fails a step is in its log, not an answer
	raised := map[string]bool{}
	for _, path := range files(t, "../sql/test", ".test") {
		script := text(t, path)
		scripts.WriteString(script)
		for _, m := range shown.FindAllStringSubmatch(script, -1) {
			seen = append(seen, m[1]+" "+m[2])
			if raised[m[1]] = true; m[3] == "" {
				t.Errorf("%s: an error without a hint: %s %s", path, m[1], m[2])
			}
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(known)), slices.Sorted(maps.Keys(raised))); diff != "" {
		t.Errorf("SQLSTATEs (-db/errors.go +scripts):\n%s", diff)
	}
	for _, path := range files(t, "../sql/functions", ".sql") {
		for _, m := range raising.FindAllStringSubmatch(text(t, path), -1) {
			code, says := errcode.FindStringSubmatch(m[1]), message.FindStringSubmatch(m[1])
			switch {
			case code == nil || known[code[1]] == "":
				t.Errorf("%s raises something that is not of class HT: %s", path, m[1])
			case !hinted.MatchString(m[1]):
				t.Errorf("%s raises an error without a hint: %s", path, m[1])
			case says != nil:
				says[1] = pattern(says[1])
				inAnswer := regexp.MustCompile("^" + code[1] + " " + says[1])
				if !slices.ContainsFunc(seen, inAnswer.MatchString) && !regexp.MustCompile(says[1]).MatchString(scripts.String()) {
					t.Errorf("%s: no script shows %s %q", path, code[1], says[1])
				}
			}
		}
	}
}

// pattern turns a template of format() into a regular expression.
func pattern(template string) string {
	template = strings.ReplaceAll(template, "''", "'")
	return regexp.MustCompile(`%(\d+\\\$)?[sLI]`).ReplaceAllString(regexp.QuoteMeta(template), ".*")
}

func text(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func files(t *testing.T, dir, extension string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == extension {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil || len(paths) == 0 {
		t.Fatal(fmt.Errorf("no %s files below %s: %w", extension, dir, err))
	}
	return paths
}
