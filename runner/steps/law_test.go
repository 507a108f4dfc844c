package steps

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/htdag/htdag/db/dbtest"
)

// dumps are the parts of a dump: everything that is derived from the files of a
// codebase, without the ids and times that two ingestions need not have in common.
var dumps = []struct{ name, sql string }{
	{"file", `select path, bytes, mode, status, reason, language, lines, encoding, module, doc, parser, family, scope, precedence, generated, minified, parse_errors,
		encode(sha256, 'hex'), encode(ingested_sha256, 'hex'), ingested_version
		from code.files where codebase_id = $1 and status <> 'deleted'`},
	{"symbol", `select f.path, s.key, s.parent_key, s.kind, s.name, s.qualified_name, s.signature, s.doc, s.exported, s.export_name, s.start_line, s.end_line,
		s.start_byte, s.end_byte, s.complexity, s.body_hash
		from code.symbols s join code.files f using (file_id) where f.codebase_id = $1`},
	{"import", `select f.path, i.ordinal, i.module, i.alias, i.names, i.line, i.seeks, i.resolved_name, t.path
		from code.imports i join code.files f using (file_id) left join code.files t on t.file_id = i.resolved_file_id
		where f.codebase_id = $1`},
	{"requirement", `select f.path, r.ordinal, r.ecosystem, r.name, r.requirement, r.kind, r.line
		from code.requirements r join code.files f using (file_id) where f.codebase_id = $1`},
	{"provides", `select f.path, p.name from code.provides p join code.files f using (file_id) where f.codebase_id = $1`},
	{"root", `select f.path, r.prefix, r.directory from code.import_roots r join code.files f using (file_id) where f.codebase_id = $1`},
	{"call", `select f.path, c.ordinal, a.key, c.name, c.qualifier, c.line, c.reach, c.target, c.import_ordinal, tf.path, t.key, c.confidence,
		c.callee_id is not null and t.symbol_id is null
		from code.calls c join code.files f using (file_id)
		left join code.symbols a on a.symbol_id = c.caller_id
		left join code.symbols t on t.symbol_id = c.callee_id left join code.files tf on tf.file_id = t.file_id
		where f.codebase_id = $1`},
	{"type", `select f.path, r.ordinal, u.key, r.kind, r.line, r.reach, r.name, r.target, tf.path, t.key, r.confidence,
		r.type_id is not null and t.symbol_id is null
		from code.type_refs r join code.files f using (file_id)
		left join code.symbols u on u.symbol_id = r.user_id
		left join code.symbols t on t.symbol_id = r.type_id left join code.files tf on tf.file_id = t.file_id
		where f.codebase_id = $1`},
	{"chunk", `select f.path, c.start_line, c.end_line, c.symbol_key, encode(c.text_hash, 'hex'), c.content, c.words::text
		from code.chunks c join code.files f using (file_id) where f.codebase_id = $1`},
	{"vector", `select f.path, c.start_line, v.dimensions, v.weights, e.signature
		from code.chunks c join code.files f using (file_id)
		left join code.vectors v using (text_hash) left join code.embeddings e using (model_id, text_hash)
		where f.codebase_id = $1`},
	{"finding", `select f.path, s.ordinal, s.rule, s.line, s.excerpt from code.findings s join code.files f using (file_id) where f.codebase_id = $1`},
	{"dependency", `select f.path, t.path, d.imports, d.calls, d.types
		from code.dependencies d join code.files f using (file_id) join code.files t on t.file_id = d.depends_on_id
		where d.codebase_id = $1`},
	{"mark", `select f.path from code.stale_links l join code.files f using (file_id) where f.codebase_id = $1
		union all select f.path from code.stale_dependencies l join code.files f using (file_id) where f.codebase_id = $1`},
}

func (c *corpus) dump() []string {
	c.t.Helper()
	parts := make([]string, len(dumps))
	for i, d := range dumps {
		parts[i] = fmt.Sprintf("select '%s', row(x.*)::text from (%s) x", d.name, d.sql)
	}
	lines := c.query(strings.Join(parts, " union all "), c.id)
	slices.Sort(lines)
	return lines
}

var histories = flag.Int("histories", 30, "random histories for which the law of ingestion is checked")

// TestIncrementalEqualsFromScratch is the law of ingestion: whatever sequence of
// edits, renames, moves, deletions and switches led to a tree, ingested file by file
// or as a whole, the tables say what ingesting the tree from nothing says. Symbols
// that stay keep their ids, and saving what has not changed writes nothing.
func TestIncrementalEqualsFromScratch(t *testing.T) {
	t.Parallel()
	const workers = 2
	if err := flag.Set("rapid.checks", fmt.Sprint((*histories+workers-1)/workers)); err != nil {
		t.Fatal(err)
	}
	for worker := range workers {
		t.Run(fmt.Sprint("worker ", worker), func(t *testing.T) {
			t.Parallel()
			l := law{pool: dbtest.New(t), root: t.TempDir()}
			rapid.Check(t, func(t *rapid.T) {
				// All draw from one seed: each skips a number of its own, and so sees others.
				for range worker {
					rapid.Uint64().Draw(t, "skipped")
				}
				l.history(t)
			})
		})
	}
}

// law checks one history after the other in one database.
type law struct {
	pool *pgxpool.Pool
	root string
	n    int
}

func (l *law) history(t *rapid.T) {
	l.n++
	root, err := os.MkdirTemp(l.root, "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(root)
	name := fmt.Sprintf("law %d", l.n)
	w := newWorld(t, newCorpus(t, l.pool, name, root))
	for range 2 + roll(t, 4, "files") {
		w.create()
	}
	for range 1 + roll(t, 4, "rounds")/3 {
		for range 1 + roll(t, 3, "operations") {
			w.operate()
			before := w.ids()
			maps.DeleteFunc(before, func(what, _ string) bool { path, _, _ := strings.Cut(what, " | "); return w.files[path] == nil })
			clear(w.dropped)
			switch roll(t, 5, "ingest") {
			case 0:
				w.scan()
			case 1, 2, 3:
				w.catchUp()
			default:
				continue
			}
			l.keepsIdentity(w, before)
		}
		w.catchUp()
		l.equalsFromScratch(w)
	}
	if roll(t, 3, "as it is") == 0 {
		l.unchangedWritesNothing(t, w)
	}
	w.query("select code.forget_codebase($1)::text", name)
}

func (l *law) equalsFromScratch(w *world) {
	fresh := newCorpus(w.rt, l.pool, w.name+" afresh", w.root)
	fresh.ingestAll()
	if diff := cmp.Diff(fresh.dump(), w.dump()); diff != "" {
		w.fail("incremental state differs from a fresh ingestion (-fresh +incremental):\n%s", diff)
	}
	if broken := w.query("select invariant, file_id, detail from code.invariant_violations"); len(broken) > 0 {
		w.fail("invariants are violated:\n%s", strings.Join(broken, "\n"))
	}
	fresh.query("select code.forget_codebase($1)::text", fresh.name)
}

// Symbols of a file that was gone when the ingestion looked, or beside it for a while, may
// have come back as others.
func (l *law) keepsIdentity(w *world, before map[string]string) {
	for what, id := range w.ids() {
		path, _, _ := strings.Cut(what, " | ")
		if was, ok := before[what]; ok && was != id && !w.dropped[path] {
			w.fail("symbol %s was %s and is %s", what, was, id)
		}
	}
}

func (l *law) unchangedWritesNothing(t *rapid.T, w *world) {
	before := w.versions()
	if len(w.files) > 0 {
		name := pick(t, w.paths(), "saved")
		w.tell("save %s as it is", name)
		w.touch(name)
		w.ingestFile(name)
	}
	if roll(t, 2, "scan") == 0 {
		w.ingestAll()
	}
	if diff := cmp.Diff(before, w.versions()); diff != "" {
		w.fail("nothing changed, and rows were written (-before +after):\n%s", diff)
	}
}
