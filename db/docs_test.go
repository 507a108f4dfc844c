package db_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
)

// section returns the part of a document below a heading.
func section(t *testing.T, file, heading string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("%s has no section %q", file, heading)
	}
	body, _, _ := strings.Cut(rest, "\n## ")
	return body
}

// The table of a step's options has the options that there are.
func TestEveryOptionOfAStepIsDocumented(t *testing.T) {
	t.Parallel()
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(section(t, "../sql/README.md", "What a step can say"), -1) {
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(row[1], -1) {
			if !strings.HasPrefix(name[1], "p_") {
				documented = append(documented, name[1])
			}
		}
	}
	slices.Sort(documented)
	options := dbtest.Column[string](t, dbtest.New(t), `select key from jsonb_object_keys(htdag.normal_step('{"name": "a"}')) key order by key collate "C"`)
	if diff := cmp.Diff(options, documented); diff != "" {
		t.Errorf("options of a step (-those there are +those documented):\n%s", diff)
	}
}

// Every row of the table of features names functions that exist and scripts that run.
func TestEveryFeatureIsBuilt(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	rows := regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$`).FindAllStringSubmatch(section(t, "../README.md", "What the engine does"), -1)
	if len(rows) < 20 {
		t.Fatalf("the table has %d rows", len(rows))
	}
	for _, row := range rows[1:] {
		for _, call := range regexp.MustCompile("`(?:select \\* from )?([a-z]+)\\.([a-z_]+)\\b[^`]*`").FindAllStringSubmatch(row[2], -1) {
			known := dbtest.Value[bool](t, pool, `select exists (select from pg_proc where proname = $2 and pronamespace = to_regnamespace($1))
				or to_regclass($1 || '.' || $2) is not null`, call[1], call[2])
			if !known && call[1] != "runner" && call[1] != "runnertest" {
				t.Errorf("%s: there is no %s.%s", strings.TrimSpace(row[1]), call[1], call[2])
			}
		}
		scripts := regexp.MustCompile("`([a-z0-9_/.]+\\.(?:test|go|txt))`").FindAllStringSubmatch(row[3], -1)
		if len(scripts) == 0 && !strings.Contains(row[3], "---") {
			t.Errorf("%s: no script shows it", strings.TrimSpace(row[1]))
		}
		for _, script := range scripts {
			path := filepath.Join("..", script[1])
			if strings.HasSuffix(path, ".test") {
				path = filepath.Join("..", "sql", "test", "engine", script[1])
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: %v", strings.TrimSpace(row[1]), err)
			}
		}
	}
}
