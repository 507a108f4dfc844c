package main_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/htdag/htdag/db/dbtest"
)

// Every statement that the README shows runs, on a codebase that it shows, and the
// queries find something.
func TestReadmeQueries(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	pool := dbtest.New(t)
	root := openDir(t) + "/demo"
	write(t, root, map[string]string{
		"go.mod":         "module example.com/demo\n\ngo 1.26\n",
		"main.go":        "package main\n\nimport \"example.com/demo/net\"\n\nfunc main() { net.Open(\"here\", 3) }\n",
		"net/net.go":     "package net\n\n// Open opens a connection with a timeout.\nfunc Open(address string, timeout int) {\n\tif timeout > 0 {\n\t}\n}\n\nfunc forgotten() {}\n",
		"data.bin":       "\x00\x01\x02",
		"a/package.json": `{"dependencies": {"left": "1.0.0"}}`,
		"b/package.json": `{"dependencies": {"left": "2.0.0"}}`,
	})
	succeed(t, upOnce(pool, root))
	write(t, root, map[string]string{"main.go": "package main\n\nimport \"example.com/demo/net\"\n\nfunc main() { net.Open(\"there\", 3) }\n"})
	succeed(t, upOnce(pool, root))

	blocks := regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(string(readme), -1)
	queries := 0
	for _, block := range blocks {
		for _, statement := range strings.Split(block[1], ";") {
			if statement = strings.TrimSpace(statement); statement == "" {
				continue
			}
			found := len(rows(t, pool, statement))
			if strings.Contains(statement, "\n  from ") {
				queries++
				if found == 0 {
					t.Errorf("finds nothing: %s", statement)
				}
			}
		}
	}
	if queries < 5 {
		t.Errorf("the README shows %d queries, fewer than five", queries)
	}
}

// The README's two commands are targets of the Makefile.
func TestReadmeCommands(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"up", "test", "psql", "help"} {
		if out, err := exec.CommandContext(t.Context(), "make", "-C", "../..", "-n", target, "DIR=x").CombinedOutput(); err != nil {
			t.Errorf("make %s: %v\n%s", target, err, out)
		}
	}
}
