package steps

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner"
)

var goTree = map[string]string{
	"go.mod":       "module example.com/m\n\ngo 1.26\n",
	"main.go":      "package main\n\nimport \"example.com/m/db\"\n\nfunc main() { run(db.Open(\"x\")) }\n\nfunc run(p *db.Pool) { p.Close() }\n",
	"db/doc.go":    "// Package db stores.\npackage db\n",
	"db/db.go":     "package db\n\nfunc Open(name string) *Pool { return &Pool{name: clean(name)} }\n",
	"db/pool.go":   "package db\n\ntype Pool struct{ name string }\n\nfunc (p *Pool) Close() { p.flush() }\n\nfunc (p *Pool) flush() {}\n\nfunc clean(s string) string { return s }\n",
	"db/db_x.py":   "def nothing():\n    pass\n",
	"db/x_test.go": "package db\n\nimport \"testing\"\n\nfunc TestOpen(t *testing.T) { Open(\"y\").Close() }\n",
}

func TestIngestCodebase(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "m", t.TempDir())
	c.write(goTree)
	out := c.ingestAll()
	if out.FilesSeen != len(goTree) || out.FilesChanged != len(goTree) || len(out.Batches) != 1 {
		t.Errorf("scan found %+v", out)
	}
	tests := []struct {
		name, query string
		want        []string
	}{
		{"files", "select path, language, status from report.files order by path collate \"C\"", []string{
			"db/db.go | Go | ingested", "db/db_x.py | Python | ingested", "db/doc.go | Go | ingested", "db/pool.go | Go | ingested",
			"db/x_test.go | Go | ingested", "go.mod | Go Module | ingested", "main.go | Go | ingested"}},
		// db.go is named like the package, so it stands for it.
		{"imports", "select path, line, module, resolved_path from report.imports order by 1, 2", []string{
			"db/x_test.go | 3 | testing | -", "main.go | 3 | example.com/m/db | db/db.go"}},
		{"calls", "select caller_path, caller, call_line, callee_path, callee, confidence from report.calls order by 1, 3, 5", []string{
			"db/db.go | Open | 3 | db/pool.go | clean | 0.95",
			"db/pool.go | Pool.Close | 5 | db/pool.go | Pool.flush | 0.95",
			"db/x_test.go | TestOpen | 5 | db/db.go | Open | 0.95",
			"db/x_test.go | TestOpen | 5 | db/pool.go | Pool.Close | 0.6",
			"main.go | main | 5 | db/db.go | Open | 0.95",
			"main.go | main | 5 | main.go | run | 1",
			"main.go | run | 7 | db/pool.go | Pool.Close | 0.9"}},
		{"dependencies", "select path, depends_on, imports, calls from report.dependencies order by 1, 2", []string{
			"db/db.go | db/pool.go | 0 | 1", "db/x_test.go | db/db.go | 0 | 1", "db/x_test.go | db/pool.go | 0 | 1",
			"main.go | db/db.go | 1 | 1", "main.go | db/pool.go | 0 | 1"}},
		{"dependents", "select path, depth from code.dependents('db/pool.go', p_depth => 3)", []string{
			"db/db.go | 1", "db/x_test.go | 1", "main.go | 1"}},
		{"callers", "select caller_path, caller from code.callers('Pool.Close')", []string{"db/x_test.go | TestOpen", "main.go | run"}},
		{"callers by package", "select caller_path, caller from code.callers('db.Open')", []string{"db/x_test.go | TestOpen", "main.go | main"}},
		{"callees", "select callee from code.callees('main.go#main') order by 1", []string{"Open", "run"}},
		{"languages", "select language, files, lines, symbols from report.languages order by 1", []string{
			"Go | 5 | 26 | 9", "Go Module | 1 | 3 | 1", "Python | 1 | 2 | 1"}},
		{"ingestion", "select state, files_seen, files_changed, files_done, share_done from report.ingestions", []string{"finished | 7 | 7 | 7 | 1.000"}},
		{"versions", "select path, version, change from report.history where path = 'main.go'", []string{"main.go | 1 | added"}},
		{"texts without a vector", "select count(*) from code.unembedded_texts", []string{"0"}},
		{"vectors without a signature", "select count(*) from code.unsigned_vectors", []string{"0"}},
		{"events", "select message ->> 'event', message ->> 'files_done', message ->> 'version' from pgmq.q_code_events order by msg_id", []string{
			"codebase_ready | 7 | 1", "code_ingestion_complete | 7 | 1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, c.query(tt.query)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.query, diff)
			}
		})
	}
}

// An edit leaves the answers of calls that it only moves, and does not look for
// them again.
func TestEditKeepsAnswers(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "m", t.TempDir())
	c.write(goTree)
	c.ingestAll()
	const answers = "select caller, callee, callee_path, confidence from report.calls where caller_path = 'main.go' order by 1, 2"
	want := append(c.query(answers), "start | Open | db/db.go | 0.95")
	c.write(map[string]string{"main.go": strings.Replace(goTree["main.go"], "func main", "func start() { db.Open(\"z\") }\n\nfunc main", 1)})
	c.ingestFile("main.go")
	if diff := cmp.Diff(want, c.query(answers)); diff != "" {
		t.Errorf("calls of main.go (-want +got):\n%s", diff)
	}
	// A mark that nobody has taken yet stands for all calls, since what it was made
	// of is not known any more.
	c.query(`select code.store_symbols(p_codebase_id => codebase_id, p_replaced => array[file_id], p_file_ids => '{}', p_keys => '{}', p_parent_keys => '{}',
		p_kinds => '{}', p_names => '{}', p_qualified_names => '{}', p_signatures => '{}', p_docs => '{}', p_exporteds => '{}', p_export_names => '{}',
		p_start_lines => '{}', p_end_lines => '{}', p_start_bytes => '{}', p_end_bytes => '{}', p_complexities => '{}', p_body_hashes => '{}')
		from code.files cross join generate_series(1, $1::integer) where path = 'db/doc.go'`, 2)
	if diff := cmp.Diff([]string{"db/doc.go | -"}, c.query("select path, calls from code.stale_links join code.files using (file_id)")); diff != "" {
		t.Errorf("marks (-want +got):\n%s", diff)
	}
}

// Text that looks random is known, but not taken apart for search.
func TestRandomText(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "m", t.TempDir())
	var noise strings.Builder
	for i := range 600 {
		sum := sha256.Sum256([]byte{byte(i), byte(i >> 8)})
		noise.WriteString(base64.StdEncoding.EncodeToString(sum[:]) + "\n")
	}
	c.write(map[string]string{"noise.txt": noise.String(), "plain.txt": "Nothing random here.\n"})
	c.ingestAll()
	if diff := cmp.Diff([]string{
		"noise.txt | partial | looks random: its text is not indexed for search | 600 | 0",
		"plain.txt | ingested | - | 1 | 1",
	}, c.query(`select f.path, f.status, f.reason, f.lines, (select count(*) from code.chunks c where c.file_id = f.file_id)
		from code.files f order by f.path`)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// A file that keeps its symbols keeps their ids, whatever moves around them, and
// so does who calls them.
func TestEditKeepsIdentity(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "m", t.TempDir())
	c.write(goTree)
	c.ingestAll()
	const ids = "select symbol_id from code.symbols where name in ('Close', 'flush', 'Open') order by name"
	const chunks = "select file_id, ordinal, xmin::text from code.chunks where content like '%Open%' order by 1, 2"
	before, others := c.query(ids), c.query(chunks)
	c.write(map[string]string{"db/pool.go": "package db\n\nimport \"os\"\n\ntype Pool struct{ name, other string }\n\n" +
		"func (p *Pool) Close() { p.flush() }\n\nfunc (p *Pool) flush() { os.Exit(1) }\n"})
	c.ingestFile("db/pool.go")
	if diff := cmp.Diff(before, c.query(ids)); diff != "" {
		t.Errorf("ids of symbols (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(others, c.query(chunks)); diff != "" {
		t.Errorf("chunks of other files were written (-before +after):\n%s", diff)
	}
	// clean is gone, so what called it is unresolved.
	want := []string{"db/db.go | clean | - | -"}
	if diff := cmp.Diff(want, c.query("select caller_path, callee, callee_path, confidence from report.calls where callee = 'clean'")); diff != "" {
		t.Errorf("calls of what is gone (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"1 | added", "2 | modified"}, c.query("select version, change from report.history where path = 'db/pool.go' order by 1")); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

// Every file that cannot be ingested has a row that says why, and stops nothing.
func TestOddFiles(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "odd", t.TempDir())
	c.steps.limits.KeepBytes = 5000
	c.write(map[string]string{
		"binary.go":  "package x\x00\x01\x02",
		"broken.go":  "package x\n\nfunc f( {\n",
		"empty.txt":  "",
		"large.txt":  strings.Repeat("a line of text\n", 500),
		"latin1.txt": "caf\xe9 au lait, s'il vous pla\xeet\n",
		"locked.go":  "package x\n",
	})
	locked := filepath.Join(c.root, "locked.go")
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	if f, err := os.Open(locked); err == nil {
		f.Close()
		c.steps.disk = denying{osDisk{}, "locked.go"} // root may read everything
	}
	want := []string{
		"binary.go | skipped | binary content: a NUL byte in the first 8 kB | -",
		"broken.go | partial | 1 syntax error | 3",
		"empty.txt | ingested | - | 0",
		"large.txt | skipped | 7.3 KiB is over the size limit of 4.9 KiB | -",
		"latin1.txt | ingested | - | 1",
		"locked.go | skipped | unreadable: permission denied | -",
	}
	const query = "select path, status, reason, lines from report.files order by path"
	c.ingestAll()
	if diff := cmp.Diff(want, c.query(query)); diff != "" {
		t.Errorf("ingested as a whole (-want +got):\n%s", diff)
	}
	if again := c.ingestAll(); again.FilesChanged != 0 {
		t.Errorf("a second scan found %d files to ingest", again.FilesChanged)
	}
	c.query("select code.forget_codebase('odd')::text")
	c = newCorpus(t, c.pool, "odd", c.root)
	c.steps.limits.KeepBytes = 5000
	c.steps.disk = denying{osDisk{}, "locked.go"}
	for _, name := range []string{"binary.go", "broken.go", "empty.txt", "large.txt", "latin1.txt", "locked.go"} {
		c.ingestFile(name)
	}
	if diff := cmp.Diff(want, c.query(query)); diff != "" {
		t.Errorf("ingested one by one (-want +got):\n%s", diff)
	}
}

// Rows are written only for what changed.
func TestUnchangedWritesNothing(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "m", t.TempDir())
	c.write(goTree)
	old := time.Now().Add(-time.Hour)
	for name := range goTree {
		if err := os.Chtimes(filepath.Join(c.root, name), old, old); err != nil {
			t.Fatal(err)
		}
	}
	c.ingestAll()
	const versions = `
		select 'file', file_id, xmin::text from code.files union all select 'symbol', symbol_id, xmin::text from code.symbols
		union all select 'call', file_id * 1000 + ordinal, xmin::text from code.calls
		union all select 'import', file_id * 1000 + ordinal, xmin::text from code.imports
		union all select 'requirement', file_id * 1000 + ordinal, xmin::text from code.requirements
		union all select 'chunk', file_id * 1000 + ordinal, xmin::text from code.chunks order by 1, 2`
	before := c.query(versions)
	if out := c.ingestAll(); out.FilesRead != 0 || out.FilesChanged != 0 {
		t.Errorf("a scan of an unchanged tree read %d files and found %d changed", out.FilesRead, out.FilesChanged)
	}
	if diff := cmp.Diff(before, c.query(versions)); diff != "" {
		t.Errorf("a scan of an unchanged tree wrote rows (-before +after):\n%s", diff)
	}
	// Touched, not changed: facts are recorded, nothing is derived again.
	if err := os.Chmod(filepath.Join(c.root, "main.go"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.ingestFile("main.go")
	if diff := cmp.Diff([]string{"384"}, c.query("select mode from code.files where path = 'main.go'")); diff != "" {
		t.Errorf("mode after chmod (-want +got):\n%s", diff)
	}
	const derived = "select symbol_id, xmin::text from code.symbols order by 1"
	symbols := c.query(derived)
	c.ingestFile("main.go")
	if diff := cmp.Diff(symbols, c.query(derived)); diff != "" {
		t.Errorf("an unchanged file wrote symbols (-before +after):\n%s", diff)
	}
}

// Each step can be retried alone, with nothing in the bundle's memory.
func TestStepsRunAlone(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "m", t.TempDir())
	c.write(goTree)
	in := input{Path: "db/pool.go"}
	outputs := map[string]string{}
	for _, kind := range []string{"file_detection", "file_validation", "content_validation", "permission_check", "language_detection",
		"ast_parsing", "metadata_extraction", "database_storage", "relationship_mapping", "embedding_generation",
		"vector_index_update", "search_index_rebuild", "graph_update", "completion_notification"} {
		outputs[kind] = string(c.bundle(in, nil, kind)[0])
	}
	want := map[string]string{
		"file_validation":      `{"bytes":151,"findings":[]}`,
		"content_validation":   `{"verdict":"ingested","lines":9,"encoding":"UTF-8","binary":false,"generated":false,"minified":false,"vendored":false,"secrets":0}`,
		"permission_check":     `{"mode":"0644","findings":[]}`,
		"language_detection":   `{"language":"Go"}`,
		"ast_parsing":          `{"parser":"go/parser","status":"ingested","symbols":5,"imports":0,"calls":1,"types":0,"chunks":1,"parse_errors":0}`,
		"metadata_extraction":  `{"module":"db","kinds":{"field":1,"function":1,"method":2,"struct":1},"total_complexity":3,"max_complexity":1,"most_complex":"Pool.Close","exported":2,"documented":0,"test":false}`,
		"database_storage":     `{"files":1,"symbols":5,"imports":0,"provides":2,"calls":1,"types":0,"chunks":1}`,
		"relationship_mapping": `{"resolved":1}`,
		"embedding_generation": `{"model":"hash-v1","texts":1,"new":1}`,
		"vector_index_update":  `{"indexed":1}`,
		"graph_update":         `{"dependencies":0}`,
	}
	for kind, text := range want {
		if diff := cmp.Diff(text, outputs[kind]); diff != "" {
			t.Errorf("output of %s (-want +got):\n%s", kind, diff)
		}
	}
	var d detected
	if err := json.Unmarshal([]byte(outputs["file_detection"]), &d); err != nil || d.Outcome != "recorded" || d.Bytes != 151 {
		t.Errorf("file_detection gave %s, %v", outputs["file_detection"], err)
	}
}

// denying refuses to read one file, as a disk does to a user without the right.
type denying struct {
	osDisk
	path string
}

func (d denying) Read(ctx context.Context, root Root, path string, limit int64) (Content, error) {
	if path == d.path {
		return Content{}, &fs.PathError{Op: "open", Path: path, Err: syscall.EACCES}
	}
	return d.osDisk.Read(ctx, root, path, limit)
}

// Which file stands for a package depends on files that the importer does not
// name: here the first becomes one for another platform, and then comes back.
func TestProviderFollowsPlatform(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "m", t.TempDir())
	x := "package b\n\nfunc X() {}\n"
	c.write(map[string]string{
		"go.mod": "module example.com/m\n", "a/a.go": "package a\n\nimport _ \"example.com/m/b\"\n", "b/x.go": x, "b/y.go": "package b\n",
	})
	c.ingestAll()
	for _, step := range []struct{ text, want string }{
		{x, "b/x.go"},
		{"//go:build windows\n\n" + x, "b/y.go"},
		{x, "b/x.go"},
	} {
		c.write(map[string]string{"b/x.go": step.text})
		c.ingestFile("b/x.go")
		if diff := cmp.Diff([]string{step.want}, c.query("select resolved_path from report.imports where path = 'a/a.go'")); diff != "" {
			t.Errorf("import resolves to (-want +got):\n%s", diff)
		}
	}
}

// A default import is known to the importer by a name of its own, so what it means
// has to follow the export and not the name.
func TestDefaultExport(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "web", t.TempDir())
	c.write(map[string]string{
		"src/app.ts":  "import load from './load'\nimport Store from './store'\n\nexport function main() {\n  load()\n  new Store()\n}\n",
		"src/load.ts": "export default function fetchAll() {}\n",
		// Exported in a statement of its own.
		"src/store.ts": "class Shelf {}\n\nexport default Shelf\n",
	})
	c.ingestAll()
	const query = "select call_line, callee_path, callee from report.calls where caller_path = 'src/app.ts' order by 1"
	want := []string{"5 | src/load.ts | fetchAll", "6 | src/store.ts | Shelf"}
	if diff := cmp.Diff(want, c.query(query)); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	c.write(map[string]string{"src/load.ts": "export function fetchAll() {}\n\nexport default function one() {}\n"})
	c.ingestFile("src/load.ts")
	want[0] = "5 | src/load.ts | one"
	if diff := cmp.Diff(want, c.query(query)); diff != "" {
		t.Errorf("calls after the default moved (-want +got):\n%s", diff)
	}
}

// Upkeep removes what nothing refers to, and nothing else.
func TestUpkeep(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "m", t.TempDir())
	c.write(map[string]string{"a.go": "package a\n", "b.go": "package a\n\nfunc B() {}\n"})
	c.ingestAll()
	c.remove("b.go")
	c.write(map[string]string{"a.go": "package a\n\nfunc A() {}\n"})
	c.ingestAll()
	age := []string{
		"update code.blobs set stored_at = stored_at - interval '1 year'",
		"update pgmq.q_code_events set enqueued_at = enqueued_at - interval '1 year' where msg_id = 1",
	}
	for _, statement := range age {
		dbtest.Exec(t, c.pool, statement)
	}
	removes := func(what, want string) {
		t.Helper()
		if diff := cmp.Diff([]string{want}, c.query("select "+what)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	removes("code.collect_blobs()", "0") // versions that were current until just now
	removes("code.collect_vectors()", "2")
	removes("code.collect_events()", "1")
	removes("code.upkeep()", "0")
	c.query("select htdag.set_setting('keep_versions', '1 microsecond')")
	removes("code.upkeep()", "2") // the first a.go, and b.go
	left := c.query("select count(*) from code.vectors union all select count(*) from code.embeddings union all select count(*) from code.blobs")
	if diff := cmp.Diff([]string{"1", "1", "1"}, left); diff != "" {
		t.Errorf("vectors, signatures, contents left (-want +got):\n%s", diff)
	}
}

// A path that leads out of the codebase is refused for good: no retry makes it lead in.
func TestPathOutsideTheCodebase(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "walled", t.TempDir())
	for _, path := range []string{"../secret.txt", "/etc/passwd", "a/../../b"} {
		_, err := c.try(input{Path: path}, nil, "file_detection")
		if err == nil || !strings.Contains(err.Error(), "is not below the codebase's root") || reflect.TypeOf(err) != reflect.TypeOf(runner.Permanent(err)) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
