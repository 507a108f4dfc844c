package search_test

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"
)

type line struct {
	Path     string
	Line     int
	Text     string
	Codebase string
}

// grep finds what the line searches are to find, in the plainest way.
func grep(matches func(line string) bool) []line {
	var found []line
	for codebase, files := range sources {
		for path, text := range files {
			for i, l := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
				if matches(l) {
					found = append(found, line{path, i + 1, l, codebase})
				}
			}
		}
	}
	slices.SortFunc(found, func(a, b line) int {
		return cmp.Or(cmp.Compare(a.Codebase, b.Codebase), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
	return found
}

func matching(t fataler, pool *pgxpool.Pool, query, pattern string) []line {
	rows, err := pool.Query(t.Context(), query, pattern)
	if err != nil {
		t.Fatalf("%s %q: %v", query, pattern, err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowToStructByPos[line])
	if err != nil {
		t.Fatalf("%s %q: %v", query, pattern, err)
	}
	if len(lines) == 0 {
		return nil
	}
	return lines
}

func TestSubstringSearchFindsEveryLine(t *testing.T) {
	t.Parallel()
	pool, _ := fill(t)
	check := func(t fataler, pattern string) {
		got := matching(t, pool, "select path, line, text, codebase from code.substring_search($1, max_results => 1000)", pattern)
		if diff := gocmp.Diff(grep(func(l string) bool { return strings.Contains(l, pattern) }), got); diff != "" {
			t.Fatalf("lines with %q (-want +got):\n%s", pattern, diff)
		}
	}
	for _, pattern := range []string{
		"ReadConfig", "readconfig", "err != nil", "100%", "a_b", "a%b", "back\\slash", "'server'", "(Config, error)", "größe", ":",
		"***=", "(?i)read", "\t", " ", ".", "^", "$",
	} {
		check(t, pattern)
	}
	rapid.Check(t, func(t *rapid.T) {
		text := sources["server"][rapid.SampledFrom([]string{"main.go", "config/config.go", "http/header.py", "README.md"}).Draw(t, "path")]
		lines := strings.Split(text, "\n")
		runes := []rune(rapid.SampledFrom(lines).Draw(t, "line"))
		from := rapid.IntRange(0, len(runes)).Draw(t, "from")
		to := rapid.IntRange(from, len(runes)).Draw(t, "to")
		if from < to {
			check(t, string(runes[from:to]))
		}
	})
}

func TestRegexSearchFindsEveryLine(t *testing.T) {
	t.Parallel()
	pool, _ := fill(t)
	for _, pattern := range []string{
		`^func \w+\(`, `^}$`, `^$`, `(?i)readconfig`, `return .*,`, `err (:=|!=)`, `[0-9]+%`, `conf"\)?$`, `a.b`, `\bdata\b`,
		`^# `, `gr.+e`, `(ReadConfig|parse)\(.*\) [(]?string`, `x*`, `Config{}, err$`, `"[^"]+"`,
	} {
		oracle := regexp.MustCompile(pattern)
		inSQL := strings.ReplaceAll(pattern, `\b`, `\y`) // PostgreSQL's name for a word border
		got := matching(t, pool, "select path, line, text, codebase from code.regex_search($1, max_results => 1000)", inSQL)
		if diff := gocmp.Diff(grep(oracle.MatchString), got); diff != "" {
			t.Errorf("lines matching %q (-want +got):\n%s", pattern, diff)
		}
	}
}

func TestLinesAreCounted(t *testing.T) {
	t.Parallel()
	pool, _ := fill(t)
	all := matching(t, pool, "select path, line, text, codebase from code.regex_search($1, 'server', 1000)", ".")
	if got := matching(t, pool, "select path, line, text, codebase from code.regex_search($1, 'server', 5)", "."); len(got) != 5 || gocmp.Diff(all[:5], got) != "" {
		t.Errorf("the first five of %d lines are %+v", len(all), got)
	}
	if got := matching(t, pool, "select path, line, text, codebase from code.regex_search($1, 'client')", "ReadConfig"); len(got) != 2 {
		t.Errorf("lines of one codebase: %+v", got)
	}
}

// Of a line too long for a chunk the part around the match is shown, and its number.
func TestLongLines(t *testing.T) {
	t.Parallel()
	pool, c := fill(t)
	c.add(c.codebase("minified"), "app.js", "// one\n"+strings.Repeat("var aaa = 1; ", 2000)+"needle();"+strings.Repeat(" var bbb = 2;", 2000)+"\n// three\n")
	c.flush()
	for _, query := range []string{"select path, line, text, codebase from code.substring_search($1)", "select path, line, text, codebase from code.regex_search($1)"} {
		got := matching(t, pool, query, "needle")
		if len(got) != 1 || got[0].Line != 2 || len(got[0].Text) > 400 || !strings.Contains(got[0].Text, "needle();") {
			t.Errorf("%s found %+v", query, got)
		}
		if got := matching(t, pool, query, "three"); len(got) != 1 || got[0].Line != 3 {
			t.Errorf("%s found %+v", query, got)
		}
	}
}
