package steps

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
)

// now is the database's clock, as text that it reads again.
func (c *corpus) now() string { return c.query("select htdag.clock()")[0] }

// expect compares the rows of a query.
func (c *corpus) expect(t *testing.T, what string, want []string, sql string, args ...any) {
	t.Helper()
	if diff := cmp.Diff(want, c.query(sql, args...)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const filesAsOf = `select path, version.ordinal, convert_from(b.content, 'UTF8'), is_current
	from code.as_of($1, $2::timestamptz) version join code.blobs b using (sha256) order by path`

// Whatever happened to a file since, what it was at a moment can be read: after edits,
// deletion and return, found one by one or by a scan of the whole tree.
func TestAsOf(t *testing.T) {
	t.Parallel()
	for _, whole := range []bool{false, true} {
		t.Run(map[bool]string{true: "scans", false: "files"}[whole], func(t *testing.T) {
			t.Parallel()
			c := newCorpus(t, dbtest.New(t), "asof", t.TempDir())
			ingest := func(paths ...string) string {
				if whole {
					c.ingestAll()
				} else {
					for _, path := range paths {
						c.ingestFile(path)
					}
				}
				return c.now()
			}
			before := c.now()
			c.write(map[string]string{"a.txt": "a1", "b.txt": "b1"})
			first := ingest("a.txt", "b.txt")
			c.write(map[string]string{"a.txt": "a2 is longer"})
			second := ingest("a.txt")
			c.remove("b.txt")
			third := ingest("b.txt")
			c.write(map[string]string{"b.txt": "b1"})
			fourth := ingest("b.txt")
			for _, moment := range []struct {
				at   string
				want []string
			}{
				{before, []string{}},
				{first, []string{"a.txt | 1 | a1 | f", "b.txt | 1 | b1 | t"}},
				{second, []string{"a.txt | 2 | a2 is longer | t", "b.txt | 1 | b1 | t"}},
				{third, []string{"a.txt | 2 | a2 is longer | t"}},
				{fourth, []string{"a.txt | 2 | a2 is longer | t", "b.txt | 3 | b1 | t"}},
				{"infinity", []string{"a.txt | 2 | a2 is longer | t", "b.txt | 3 | b1 | t"}},
			} {
				c.expect(t, "files as of "+moment.at, moment.want, filesAsOf, "asof", moment.at)
			}
			c.expect(t, "content of a file", []string{"a1"}, "select convert_from(code.content_as_of('asof', 'a.txt', $1::timestamptz), 'UTF8')", first)
			c.expect(t, "content of a file that was gone", []string{"-"}, "select code.content_as_of('asof', 'b.txt', $1::timestamptz)", third)
			c.expect(t, "versions end where the next begins", []string{
				"a.txt | 1 | added | t | f", "a.txt | 2 | modified | t | t",
				"b.txt | 1 | added | t | f", "b.txt | 2 | deleted | t | f", "b.txt | 3 | restored | t | t",
			}, `select path, version, change, seen_at <= recorded_at and seen_at <= coalesce(gone_at, 'infinity'), gone_at is null
				from report.history order by path, version`)
		})
	}
}

// A file that goes is followed to where the same content comes, in whatever order the
// two are found.
func TestMoves(t *testing.T) {
	t.Parallel()
	moves := []string{"new/a.go | old/a.go", "new/b.go | old/b.go", "new/c/same.txt | old/c/same.txt", "new/d/same.txt | old/d/same.txt"}
	for _, order := range []string{"scan", "went first", "came first"} {
		t.Run(order, func(t *testing.T) {
			t.Parallel()
			c := newCorpus(t, dbtest.New(t), "moves", t.TempDir())
			files := map[string]string{"a.go": "package a\n", "b.go": "package b\n", "c/same.txt": "same", "d/same.txt": "same", "e/empty": ""}
			place := func(dir string, write bool) {
				for name, text := range files {
					if write {
						c.write(map[string]string{dir + "/" + name: text})
					} else {
						c.remove(dir + "/" + name)
					}
				}
			}
			ingest := func(dir string) {
				for name := range files {
					c.ingestFile(dir + "/" + name)
				}
			}
			place("old", true)
			c.ingestAll()
			switch order {
			case "scan":
				place("old", false)
				place("new", true)
				c.ingestAll()
			case "went first":
				place("old", false)
				ingest("old")
				place("new", true)
				ingest("new")
			case "came first":
				place("new", true)
				ingest("new")
				place("old", false)
				ingest("old")
			}
			const query = "select path, moved_from from report.history where moved_from is not null order by path"
			c.expect(t, "moves", moves, query)
			// A copy is none, and neither is what comes back to its own place.
			c.write(map[string]string{"copy.go": "package a\n"})
			c.remove("new/b.go")
			c.ingestAll()
			c.write(map[string]string{"new/b.go": "package b\n"})
			c.ingestAll()
			c.expect(t, "moves after a copy and a return", moves, query)
			// Long after it went, the same content is something else.
			dbtest.Exec(t, c.pool, "update code.file_versions set seen_at = seen_at - interval '2 hours'")
			dbtest.Exec(t, c.pool, "update code.files set seen_at = seen_at - interval '2 hours'")
			c.remove("new/a.go")
			c.ingestAll()
			dbtest.Exec(t, c.pool, "update code.files set seen_at = seen_at - interval '2 hours' where path = 'new/a.go'")
			c.write(map[string]string{"late.go": "package a\n"})
			c.ingestAll()
			c.expect(t, "moves after a return elsewhere, late", moves, query)
		})
	}
}

// Contents of former versions are kept for as long as the setting says, and those of
// files that exist for ever.
func TestKeptVersions(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "kept", t.TempDir())
	c.write(map[string]string{"a.txt": "first", "gone.txt": "gone"})
	c.ingestAll()
	for _, text := range []string{"second text", "third"} {
		c.write(map[string]string{"a.txt": text})
		c.ingestFile("a.txt")
	}
	c.remove("gone.txt")
	c.ingestFile("gone.txt")
	dbtest.Exec(t, c.pool, "update code.blobs set stored_at = stored_at - interval '1 year'")
	// Ended 40, 20 and 100 days ago; the third version of a.txt is the present one.
	for _, aged := range []struct {
		path    string
		ordinal int
		days    int
	}{{"a.txt", 2, 40}, {"a.txt", 3, 20}, {"gone.txt", 2, 100}} {
		dbtest.Exec(t, c.pool, `update code.file_versions v set seen_at = v.seen_at - make_interval(days => $3)
			from code.files f where f.file_id = v.file_id and f.path = $1 and v.ordinal = $2`, aged.path, aged.ordinal, aged.days)
	}
	kept := func() []string { return c.query("select convert_from(content, 'UTF8') from code.blobs order by 1") }
	for _, step := range []struct {
		keep string
		want []string
	}{
		{"1 year", []string{"first", "gone", "second text", "third"}},
		{"90 days", []string{"first", "second text", "third"}},
		{"30 days", []string{"second text", "third"}},
		{"1 day", []string{"third"}},
	} {
		c.query("select htdag.set_setting('keep_versions', $1)", step.keep)
		c.query("select code.upkeep()")
		if diff := cmp.Diff(step.want, kept()); diff != "" {
			t.Errorf("contents with keep_versions at %s (-want +got):\n%s", step.keep, diff)
		}
	}
	c.expect(t, "versions, which stay", []string{"a.txt | 1", "a.txt | 2", "a.txt | 3", "gone.txt | 1", "gone.txt | 2"},
		"select path, version from report.history order by 1, 2")
}

// The history of a symbol is that of its text: where it stands in the file does not
// matter, and from one file to another it is followed.
func TestSymbolHistory(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "symbols", t.TempDir())
	const keep, edit, move = "func Keep() {}\n", "func Edit() { %s }\n", "func Move(n int) int { return n }\n"
	head := "package a\n\n"
	c.write(map[string]string{"a.go": head + keep + fmt.Sprintf(edit, "") + move, "b.go": head})
	c.ingestAll()
	first := c.now()
	// What an edit does not touch has no history, wherever it goes in the file.
	c.write(map[string]string{"a.go": head + "func New() {}\n" + fmt.Sprintf(edit, "Keep()") + move + keep})
	c.ingestFile("a.go")
	second := c.now()
	c.expect(t, "changes of an edit", []string{"Edit | changed", "New | added"},
		"select name, change from code.symbol_changes order by name")
	const history = `select path, name, first_seen_at <= $1::timestamptz, last_changed_at <= $1::timestamptz, edits, moved_from
		from report.symbol_history where codebase = 'symbols' order by path, name`
	c.expect(t, "history after an edit", []string{"a.go | Edit | t | f | 1 | -", "a.go | Keep | t | t | 0 | -", "a.go | Move | t | t | 0 | -", "a.go | New | f | f | 0 | -"},
		history, first)
	// To a file that is there, found after it has gone from the other, and to a new one.
	c.write(map[string]string{"a.go": head + "func New() {}\n" + fmt.Sprintf(edit, "Keep()")})
	c.ingestFile("a.go")
	c.write(map[string]string{"b.go": head + move, "c/c.go": "package c\n\n" + keep})
	c.ingestFile("c/c.go")
	c.ingestFile("b.go")
	c.expect(t, "history after moves", []string{"a.go | Edit | t | t | 1 | -", "a.go | New | t | t | 0 | -", "b.go | Move | t | f | 0 | a.go", "c/c.go | Keep | t | f | 0 | a.go"},
		history, second)
	// With its whole file.
	c.remove("b.go")
	c.write(map[string]string{"d/b.go": head + move})
	c.ingestAll()
	c.expect(t, "history after the file moved", []string{"d/b.go | Move | b.go"},
		"select path, name, moved_from from code.symbol_history('symbols', p_name => 'Move')")
	c.expect(t, "history of a file", []string{"d/b.go | Move"}, "select path, name from code.symbol_history('symbols', 'd/b.go')")
}

// Without a repository files change together when they are edited within ten minutes.
func TestChurnWithoutRepository(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "churn", t.TempDir())
	text := func(name string, n int) string {
		return "package a\n\nfunc " + name + "() {\n" + strings.Repeat("\tif true {\n\t}\n", n) + "}\n"
	}
	c.write(map[string]string{"a.go": text("A", 1), "b.go": text("B", 1), "c.go": text("C", 9)})
	c.ingestAll()
	for n := 2; n < 5; n++ {
		c.write(map[string]string{"a.go": text("A", n), "b.go": text("B", n)})
		c.ingestAll()
		dbtest.Exec(t, c.pool, "update code.file_versions set seen_at = seen_at - interval '1 day'")
	}
	c.write(map[string]string{"a.go": text("A", 5)})
	c.ingestFile("a.go")
	c.expect(t, "churn", []string{"a.go | 6 | 0 | 4 | 4", "b.go | 5 | 0 | 3 | 3", "c.go | 10 | 0 | 0 | 0"},
		"select path, complexity, commits, edits, changes from report.churn where codebase = 'churn' order by path")
	c.expect(t, "hot spots", []string{"a.go | 24", "b.go | 15"}, "select path, heat from report.hot_spots order by heat desc")
	c.expect(t, "co-changes", []string{"a.go | b.go | 3 | 4 | 3 | 0.750", "b.go | a.go | 3 | 3 | 4 | 1.000"},
		"select path, other_path, together, changes, other_changes, share from report.co_changes where codebase = 'churn' order by path")
	c.expect(t, "co-changes of a file", []string{"a.go"}, "select other_path from code.co_changes('churn', 'b.go')")
	if took := c.query("select last_changed_at > first_changed_at + interval '2 days' from report.churn where path = 'a.go'"); took[0] != "t" {
		t.Errorf("a.go was not changed from %s on", time.Now().AddDate(0, 0, -3))
	}
}
