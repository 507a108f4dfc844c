package main_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
)

// polyglot makes the tree of testdata/polyglot.txtar and adds what text cannot
// hold. A command that is run with the returned option is not root's, so that it
// cannot read everything.
func polyglot(t *testing.T) (root string, ordinary option) {
	t.Helper()
	dir := openDir(t)
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	root = filepath.Join(dir, "polyglot")
	unpack(t, "testdata/polyglot.txtar", root)
	writeOdd(t, filepath.Join(root, "odd"))
	return root, ordinaryUser(t, home)
}

// writeOdd fills a directory with what text cannot hold, and with a file
// secret.py that nobody may read.
func writeOdd(t *testing.T, odd string) {
	t.Helper()
	write(t, odd, map[string]string{
		"picture.png":             "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + strings.Repeat("\x00\x01\x02\xfe", 100),
		"large.txt":               strings.Repeat("eleven\n", 11<<20/7),
		"invalid.txt":             "good\nnot \xff\xfe\xc3( good\n",
		"latin1.py":               "# -*- coding: latin-1 -*-\n\ndef caf\xe9():\n    return 'd\xe9j\xe0 vu'\n",
		"empty.py":                "",
		"a name with  spaces.go":  "package odd\n\nfunc Spaced() {}\n",
		"a name\nin two lines.py": "def two_lines():\n    pass\n",
		"secret.py":               "def secret():\n    pass\n",
		"nul.py":                  "def nul():\n    return '\x00'\n",
		"utf16.txt":               "\xff\xfeh\x00e\x00l\x00l\x00o\x00\n\x00",
		"bom.go":                  "\ufeffpackage odd\n\nfunc WithMark() {}\n",
		"crlf.go":                 "package odd\r\n\r\nfunc Returns() {\r\n}\r\n",
		"no newline.go":           "package odd\n\nfunc Endless() {}",
	})
	for link, target := range map[string]string{"link.go": "../go/main.go", "loop": "..", "dangling": "nowhere"} {
		if err := os.Symlink(target, filepath.Join(odd, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(odd, "fifo.go"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(odd, "secret.py"), 0); err != nil {
		t.Fatal(err)
	}
}

// reports are the stable views over a codebase, in the form of goldens.
func reports(t *testing.T, pool *pgxpool.Pool, codebase string) []section {
	t.Helper()
	var all []section
	for _, q := range reportQueries {
		lines := rows(t, pool, q.text, codebase)
		if q.name == "files" {
			for i, line := range lines { // the hash of a content is not for reading; who runs the tests varies
				line = regexp.MustCompile(`\t([0-9a-f]{8})[0-9a-f]{56}\t`).ReplaceAllString(line, "\t$1\t")
				lines[i] = regexp.MustCompile(`user \S+ may not`).ReplaceAllString(line, "user NAME may not")
			}
		}
		all = append(all, section{q.name, strings.Join(lines, "\n") + "\n"})
	}
	return all
}

func TestUpOnce(t *testing.T) {
	t.Parallel()
	pool := dbtest.Empty(t)
	root, ordinary := polyglot(t)

	r := succeed(t, upOnce(pool, root), ordinary)
	dbtest.CheckInvariants(t, pool)
	golden(t, "testdata/polyglot.golden", append(reports(t, pool, "polyglot"), section{"stdout", mask(r.stdout)}))

	// The summary counts what the reports hold.
	for _, part := range []struct{ pattern, query string }{
		{`in all +│ +([\d,]+) │`, "select count(*) from report.files"},
		{`in all .*│ +([\d,]+) │\n`, "select count(*) from report.symbols"},
		{`\n([\d,]+) imports, `, "select count(*) from report.imports"},
		{`([\d,]+) calls, `, "select count(*) from report.calls"},
	} {
		want := fmt.Sprint(dbtest.Value[int](t, pool, part.query))
		m := regexp.MustCompile(part.pattern).FindStringSubmatch(r.stdout)
		if m == nil || strings.ReplaceAll(m[1], ",", "") != want {
			t.Errorf("the summary says %q for %s, want %s", m, part.pattern, want)
		}
	}
	// Where standard error is no terminal, progress is plain lines.
	if !regexp.MustCompile(`(?m)^ +\d+s  \S.*$`).MatchString(r.stderr) {
		t.Errorf("no line of progress on standard error: %q", r.stderr)
	}
	for line := range strings.Lines(r.stderr) {
		if !regexp.MustCompile(`^ +\d+s  [ -~]+\n$`).MatchString(line) {
			t.Errorf("standard error has a line that is no progress: %q", line)
		}
	}

	t.Run("again", func(t *testing.T) {
		before := corpus(t, pool, "polyglot")
		ids := rows(t, pool, "select symbol_id from code.symbols order by 1")
		versions := dbtest.Value[int](t, pool, "select count(*) from report.history")
		again := succeed(t, upOnce(pool, root), ordinary)
		if a, b := mask(again.stdout), mask(r.stdout); a != b {
			t.Errorf("the summary has changed to\n%s", a)
		}
		if fmt.Sprint(before) != fmt.Sprint(corpus(t, pool, "polyglot")) || fmt.Sprint(ids) != fmt.Sprint(rows(t, pool, "select symbol_id from code.symbols order by 1")) {
			t.Error("the corpus has changed without any change on disk")
		}
		if n := dbtest.Value[int](t, pool, "select count(*) from report.history"); n != versions {
			t.Errorf("history has grown from %d to %d", versions, n)
		}
		if n := dbtest.Value[int](t, pool, "select files_changed from report.ingestions order by run_id desc limit 1"); n != 0 {
			t.Errorf("%d files were ingested again", n)
		}
	})
}

// Every regular file that is not ignored has a row, and nothing else has.
func TestEveryFileHasARow(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	root, ordinary := polyglot(t)
	succeed(t, upOnce(pool, root), ordinary)
	known := map[string]bool{}
	for _, path := range rows(t, pool, "select path from report.files") {
		known[path] = true
	}
	for _, path := range regularFiles(t, root) {
		ignored := strings.HasPrefix(path, "build/") || path == "debug.log"
		path = strings.ReplaceAll(path, "\n", `\x0a`)
		if known[path] == ignored {
			t.Errorf("%q: row %v, ignored %v", path, known[path], ignored)
		}
		delete(known, path)
	}
	if len(known) > 0 {
		t.Errorf("rows of what is no regular file: %v", known)
	}
}

// Several directories at once are several codebases; one inside another keeps its
// files to itself.
func TestSeveralRoots(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dir := openDir(t)
	outer, inner, other := filepath.Join(dir, "outer"), filepath.Join(dir, "outer", "inner"), filepath.Join(dir, "other")
	write(t, outer, map[string]string{"a.go": "package a\n\nfunc A() {}\n", "inner/b.go": "package b\n\nfunc B() {}\n"})
	write(t, other, map[string]string{"c.go": "package c\n\nfunc C() {}\n"})
	r := succeed(t, upOnce(pool, outer, inner, other))
	got := strings.Join(rows(t, pool, `select codebase, path from report.files order by 1, 2`), "\n")
	if want := "inner\tb.go\nother\tc.go\nouter\ta.go"; got != want {
		t.Errorf("files are\n%s\nwant\n%s", got, want)
	}
	if !strings.Contains(r.stdout, "outer, inner, other") {
		t.Errorf("the summary does not name the codebases:\n%s", r.stdout)
	}
}

// A directory that cannot be read is named, and what is known of it is kept.
func TestUnreadableDirectory(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dir := openDir(t)
	root, home := filepath.Join(dir, "tree"), filepath.Join(dir, "home")
	write(t, dir, map[string]string{"tree/open/a.py": "def a(): pass\n", "tree/closed/deep/b.py": "def b(): pass\n", "home/x": ""})
	ordinary := ordinaryUser(t, home)
	closed := filepath.Join(root, "closed")
	for _, mode := range []os.FileMode{0o755, 0} {
		if err := os.Chmod(closed, mode); err != nil {
			t.Fatal(err)
		}
		r := succeed(t, upOnce(pool, root), ordinary)
		if named := strings.Contains(r.stderr, "path=closed") && strings.Contains(r.stderr, "permission denied"); named != (mode == 0) {
			t.Errorf("with mode %o standard error says\n%s", mode, r.stderr)
		}
		if n := dbtest.Value[int](t, pool, "select count(*) from report.files where status = 'ingested'"); n != 2 {
			t.Errorf("with mode %o %d files are there, want 2", mode, n)
		}
	}
	if err := os.Chmod(closed, 0o755); err != nil {
		t.Fatal(err)
	}
}

// People start it twice, and on a database that has nothing yet.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	pool := dbtest.Empty(t)
	root := filepath.Join(openDir(t), "shop")
	unpack(t, "testdata/polyglot.txtar", root)
	twice := []*process{start(t, upOnce(pool, root)), start(t, upOnce(pool, root))}
	for _, p := range twice {
		if r := p.wait(); r.code != 0 {
			t.Errorf("exit status %d, said\n%s", r.code, r.stderr)
		}
	}
	dbtest.CheckInvariants(t, pool)
	fresh := dbtest.New(t)
	succeed(t, upOnce(fresh, root))
	sameCorpus(t, fresh, pool, "shop")
}

// A directory may be named in any way.
func TestNamesOfDirectories(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dir := openDir(t)
	root := filepath.Join(dir, "real")
	write(t, root, map[string]string{"a.py": "def a(): pass\n"})
	if err := os.Symlink("real", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".", "../real", "../real/", "../link", root} {
		succeed(t, upOnce(pool, name), in(root))
	}
	want, err := filepath.EvalSymlinks(root)
	if err != nil {
		t.Fatal(err)
	}
	if got := rows(t, pool, "select name, root from code.codebases"); len(got) != 1 || got[0] != "real\t"+want {
		t.Errorf("codebases are %q, want real at %s", got, want)
	}
}

// Names and contents that could be taken for something else arrive as they are.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	root := filepath.Join(openDir(t), "odd 'names' \"here\" %s")
	files := map[string]string{
		"'; drop table code.files; --.py":  "def a(): pass\n",
		"{a,b}.py":                         "def b(): pass\n",
		`back\slash.py`:                    "def c(): pass\n",
		"not-utf8-\xff.py":                 "def d(): pass\n",
		"-rf.py":                           "def e(): pass\n",
		"NULL":                             "null\n",
		"\u202egnp.py":                     "def f(): pass\n",
		strings.Repeat("long", 60) + ".py": "def g(): pass\n",
	}
	write(t, root, files)
	succeed(t, upOnce(pool, root))
	contents := map[string]bool{}
	rows, err := pool.Query(t.Context(), "select b.content from code.files f join code.blobs b using (sha256) where f.status = 'ingested'")
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var content []byte
		if err := rows.Scan(&content); err != nil {
			t.Fatal(err)
		}
		contents[string(bytes.TrimSpace(content))] = true
	}
	for name, text := range files {
		if !contents[strings.TrimSpace(text)] {
			t.Errorf("%q is not ingested", name)
		}
	}
	if n := dbtest.Value[int](t, pool, "select count(*) from report.files where codebase = $1", filepath.Base(root)); n != len(files) {
		t.Errorf("%d files, want %d", n, len(files))
	}
}
