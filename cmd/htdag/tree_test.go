package main_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// section is one part of a text archive.
type section struct{ name, text string }

var marker = regexp.MustCompile(`(?m)^-- (.+) --\n`)

// readArchive splits a file in the txtar form: a comment, then sections that each
// begin with a line "-- name --".
func readArchive(t testing.TB, name string) []section {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	var sections []section
	marks := marker.FindAllStringSubmatchIndex(text, -1)
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		sections = append(sections, section{text[m[2]:m[3]], text[m[1]:end]})
	}
	return sections
}

// golden compares sections with those of a file, or writes the file anew.
func golden(t *testing.T, name string, got []section) {
	t.Helper()
	var b strings.Builder
	for _, s := range got {
		fmt.Fprintf(&b, "-- %s --\n%s", s.name, s.text)
	}
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want := readArchive(t, name)
	if len(want) != len(got) {
		t.Errorf("%s has %d sections, want %d; go test -update writes it anew", name, len(want), len(got))
	}
	for i := range min(len(want), len(got)) {
		if diff := cmp.Diff(strings.Split(want[i].text, "\n"), strings.Split(got[i].text, "\n")); diff != "" {
			t.Errorf("%s, %s (-want +got):\n%s", name, want[i].name, diff)
		}
	}
}

// write makes files below a directory, and the directories they need.
func write(t testing.TB, root string, files map[string]string) {
	t.Helper()
	for path, text := range files {
		name := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// unpack writes the sections of an archive below a directory.
func unpack(t testing.TB, archive, root string) {
	t.Helper()
	for _, s := range readArchive(t, archive) {
		write(t, root, map[string]string{s.name: s.text})
	}
}

// generate writes n small Go packages of one file that call one another.
func generate(t testing.TB, root string, n int) {
	t.Helper()
	write(t, root, map[string]string{"go.mod": "module example.test/many\n"})
	for i := range n {
		write(t, root, map[string]string{fmt.Sprintf("p%02d/p%04d/p.go", i%50, i): fmt.Sprintf(`package p%04[1]d

import "example.test/many/p%02[2]d/p%04[3]d"

// F%[1]d calls the next package and itself.
func F%[1]d(n int) int {
	if n > 0 {
		return p%04[3]d.F%[3]d(n-1) + F%[1]d(n-1)
	}
	return help(n)
}

func help(n int) int { return n * %[1]d }
`, i, (i+1)%n%50, (i+1)%n)})
	}
}

// rows answers a query as lines of values as the server writes them, tabs between;
// - stands for null.
func rows(t testing.TB, pool *pgxpool.Pool, query string, args ...any) []string {
	t.Helper()
	answer, err := pool.Query(t.Context(), query, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, args...)...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer answer.Close()
	lines := []string{}
	for answer.Next() {
		cells := make([]string, len(answer.RawValues()))
		for i, v := range answer.RawValues() {
			cells[i] = "-"
			if v != nil {
				cells[i] = string(v)
			}
		}
		lines = append(lines, strings.Join(cells, "\t"))
	}
	if err := answer.Err(); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return lines
}

// reportQueries read the stable views over a codebase.
var reportQueries = []section{
	{"files", `select path, language, bytes, lines, sha256, status, reason from report.files
		where codebase = $1 and status <> 'deleted' order by path collate "C"`},
	{"symbols", `select path, kind, name, qualified_name, start_line, end_line, signature, complexity from report.symbols
		where codebase = $1 order by path collate "C", start_line, end_line, qualified_name collate "C", kind`},
	{"imports", `select path, line, module, resolved_path from report.imports
		where codebase = $1 order by path collate "C", line, module collate "C", resolved_path collate "C"`},
	{"calls", `select caller_path, caller, call_line, callee_path, callee, confidence from report.calls
		where codebase = $1 order by caller_path collate "C", call_line, callee collate "C", callee_path collate "C", caller collate "C"`},
	{"dependencies", `select path, depends_on, imports, calls from report.dependencies
		where codebase = $1 order by path collate "C", depends_on collate "C"`},
}

// tableQueries read the tables behind them whole, but for keys and times.
var tableQueries = []section{
	{"code.files", tableQuery("files", "'{inode,modified_ns,run_id,first_seen_at,seen_at,ingested_at,deleted_at}'", "null")},
	{"code.symbols", tableQuery("symbols", "'{symbol_id}'", "null")},
	{"code.imports", tableQuery("imports", "'{resolved_file_id}'", "(select path from code.files r where r.file_id = x.resolved_file_id)")},
	{"code.requirements", tableQuery("requirements", "'{}'", "null")},
	{"code.calls", tableQuery("calls", "'{caller_id,callee_id}'", `(select array_agg(r.path || ':' || s.key order by s.symbol_id = x.caller_id)
		from code.symbols s join code.files r using (file_id) where s.symbol_id in (x.caller_id, x.callee_id))`)},
	{"code.provides", tableQuery("provides", "'{}'", "null")},
	{"code.import_roots", tableQuery("import_roots", "'{}'", "null")},
	{"code.chunks", tableQuery("chunks", "'{ordinal}'", "(select count(*) from code.embeddings e where e.text_hash = x.text_hash)")},
}

func tableQuery(table, without, with string) string {
	return fmt.Sprintf(`select f.path, (to_jsonb(x) - '{file_id,codebase_id}'::text[] - %s::text[])::text, %s
		from code.%s x join code.files f using (file_id) join code.codebases c on c.codebase_id = f.codebase_id
		where c.name = $1 and f.status <> 'deleted' order by f.path collate "C", 2, 3`, without, with, table)
}

// corpus is all that is stored of a codebase, without keys and times.
func corpus(t testing.TB, pool *pgxpool.Pool, codebase string) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, q := range slices.Concat(reportQueries, tableQueries) {
		all[q.name] = rows(t, pool, q.text, codebase)
	}
	return all
}

// sameCorpus compares what two databases hold of a codebase.
func sameCorpus(t testing.TB, want, got *pgxpool.Pool, codebase string) {
	t.Helper()
	if diff := cmp.Diff(corpus(t, want, codebase), corpus(t, got, codebase)); diff != "" {
		t.Errorf("the corpus differs from that of a fresh ingestion (-fresh +this):\n%s", diff)
	}
}

// regularFiles are the paths of the regular files below a directory.
func regularFiles(t testing.TB, root string) []string {
	t.Helper()
	var paths []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			path, _ := filepath.Rel(root, name)
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(paths)
	return paths
}

// mask replaces what differs from one time to the next: durations, and numbers.
func mask(text string) string {
	return string(regexp.MustCompile(`[0-9]+([.,][0-9]+)*`).ReplaceAllFunc([]byte(text), func(n []byte) []byte {
		return bytes.Repeat([]byte("#"), len(n))
	}))
}
