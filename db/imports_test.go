package db_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The direction of imports: cmd -> {watcher, runner} -> db -> sql. The watcher and the
// runner meet in tables only, and the extraction of symbols knows nothing of ours.
func TestImports(t *testing.T) {
	t.Parallel()
	const module = "github.com/htdag/htdag/"
	allowed := map[string][]string{ // room -> rooms it may import, besides itself
		"sql":                 {},
		"db":                  {"sql"},
		"watcher":             {"db"},
		"runner":              {"db"},
		"runner/ingest":       {},
		"runner/embed":        {"runner/ingest"},
		"runner/maintenance":  {"db"},
		"runner/steps":        {"db", "runner", "runner/ingest"},
		"runner/webhook":      {"db"},
		"cmd/htdag":           {"db", "watcher", "runner", "runner/steps", "runner/ingest", "runner/embed", "runner/maintenance", "runner/webhook"},
		"db/dbtest":           {"db", "sql"},
		"sql/test":            {"db", "db/dbtest", "runner/ingest"},
		"runner/ingest/embed": {},
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	// A package belongs to the longest room that its path begins with.
	room := func(path string) string {
		best := ""
		for name := range allowed {
			if (path == name || strings.HasPrefix(path, name+"/")) && len(name) > len(best) {
				best = name
			}
		}
		return best
	}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		fields := strings.Fields(line)
		from := strings.TrimPrefix(fields[0], module)
		if room(from) == "" {
			t.Errorf("package %s is in no room of the house", from)
			continue
		}
		for _, path := range fields[1:] {
			to, ours := strings.CutPrefix(path, module)
			if !ours || room(to) == room(from) {
				continue
			}
			ok := false
			for _, name := range allowed[room(from)] {
				ok = ok || room(to) == name
			}
			if !ok {
				t.Errorf("%s imports %s, which the house does not allow", from, to)
			}
		}
	}
}
