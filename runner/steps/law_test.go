package steps

import (
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/htdag/htdag/db/dbtest"
)

// dump writes everything that is derived from the files of a codebase, without
// the ids and times that two ingestions need not have in common.
func (c *corpus) dump() []string {
	c.t.Helper()
	var lines []string
	for _, part := range []struct{ name, sql string }{
		{"file", `select path, status, reason, language, lines, module, family, scope, precedence, generated, minified, parse_errors,
			encode(sha256, 'hex'), encode(ingested_sha256, 'hex')
			from code.files where codebase_id = $1 and status <> 'deleted'`},
		{"symbol", `select f.path, s.key, s.parent_key, s.kind, s.qualified_name, s.signature, s.doc, s.exported, s.start_line, s.end_line,
			s.start_byte, s.end_byte, s.complexity
			from code.symbols s join code.files f using (file_id) where f.codebase_id = $1`},
		{"import", `select f.path, i.ordinal, i.module, i.alias, i.names, i.line, i.seeks, i.resolved_name, t.path
			from code.imports i join code.files f using (file_id) left join code.files t on t.file_id = i.resolved_file_id
			where f.codebase_id = $1`},
		{"provides", `select f.path, p.name from code.provides p join code.files f using (file_id) where f.codebase_id = $1`},
		{"root", `select f.path, r.prefix, r.directory from code.import_roots r join code.files f using (file_id) where f.codebase_id = $1`},
		{"call", `select f.path, c.ordinal, a.key, c.name, c.qualifier, c.line, c.reach, c.target, tf.path, t.key, c.confidence,
			c.callee_id is not null and t.symbol_id is null
			from code.calls c join code.files f using (file_id)
			left join code.symbols a on a.symbol_id = c.caller_id
			left join code.symbols t on t.symbol_id = c.callee_id left join code.files tf on tf.file_id = t.file_id
			where f.codebase_id = $1`},
		{"chunk", `select f.path, c.start_line, c.end_line, c.symbol_key, encode(c.text_hash, 'hex'), c.words::text
			from code.chunks c join code.files f using (file_id) where f.codebase_id = $1`},
		{"dependency", `select f.path, t.path, d.imports, d.calls
			from code.dependencies d join code.files f using (file_id) join code.files t on t.file_id = d.depends_on_id
			where d.codebase_id = $1`},
		{"unembedded", `select f.path, u.text_hash::text from code.unembedded_texts u join code.files f using (file_id) where f.codebase_id = $1`},
		{"mark", `select f.path from code.stale_links l join code.files f using (file_id) where f.codebase_id = $1
			union all select f.path from code.stale_dependencies l join code.files f using (file_id) where f.codebase_id = $1`},
	} {
		found := c.query(part.sql, c.id)
		for i := range found {
			found[i] = part.name + " " + found[i]
		}
		slices.Sort(found)
		lines = append(lines, found...)
	}
	return lines
}

// world is a made-up source tree whose files refer to each other by few names, so
// that every edit moves references.
type world struct {
	files map[string]string
}

var (
	directories = []string{"a", "b", "b/c"}
	functions   = []string{"Alpha", "Beta"}
	types       = []string{"Tree", "Leaf"}
)

// roll is fair, which rapid's ranges are not: these prefer small numbers.
func roll(t *rapid.T, sides int, label string) int {
	return int(rapid.Uint64().Draw(t, label) % uint64(sides))
}

func pick(t *rapid.T, from []string, label string) string { return from[roll(t, len(from), label)] }

func (w *world) goFile(t *rapid.T, dir, base string) (string, string) {
	var b strings.Builder
	pkg := path.Base(dir)
	name := path.Join(dir, base+".go")
	if strings.HasSuffix(base, "_test") && roll(t, 2, "external test") == 0 {
		pkg += "_test"
	}
	if roll(t, 10, "constraint") == 0 {
		b.WriteString(constraint)
	}
	fmt.Fprintf(&b, "package %s\n\n", pkg)
	imported := pick(t, directories, "import")
	alias := pick(t, []string{"", "", ". ", "other "}, "alias")
	module := pick(t, []string{"example.com/m/", "example.com/m/", "example.com/n/", ""}, "module")
	fmt.Fprintf(&b, "import %s%q\n\n", alias, module+imported)
	qualifier := path.Base(imported)
	if alias == "other " {
		qualifier = "other"
	}
	for range 1 + roll(t, 4, "definitions") {
		callee := pick(t, functions, "callee")
		call := pick(t, []string{callee + "()", qualifier + "." + callee + "()", "x." + callee + "()", "new(" + qualifier + ".Tree)." + callee + "()"}, "call")
		f := pick(t, functions, "function")
		switch roll(t, 4, "form") {
		case 0:
			fmt.Fprintf(&b, "func %s(x %s) { %s }\n", f, pick(t, types, "parameter"), call)
		case 1:
			fmt.Fprintf(&b, "func (x *%s) %s() { %s }\n", pick(t, types, "receiver"), f, call)
		case 2:
			fmt.Fprintf(&b, "type %s struct{ %s int }\n", pick(t, types, "type"), f)
		case 3:
			fmt.Fprintf(&b, "type %s interface{ %s() }\nfunc use(v any) { v.(%[1]s).%[2]s(); %s }\n", pick(t, types, "interface"), f, call)
		}
	}
	return name, b.String()
}

func (w *world) pythonFile(t *rapid.T, dir, base string) (string, string) {
	var b strings.Builder
	module := strings.ReplaceAll(pick(t, directories, "module")+"/"+pick(t, []string{"x", "y"}, "base"), "/", ".")
	name := pick(t, functions, "name")
	b.WriteString(pick(t, []string{
		"import " + module + "\n",
		"import " + module + " as m\n",
		"from " + module + " import " + name + "\n",
		"from " + module + " import " + name + " as renamed\n",
		"from " + module + " import *\n",
		"from . import x\n",
	}, "import"))
	for range 1 + roll(t, 4, "definitions") {
		callee := pick(t, functions, "callee")
		call := pick(t, []string{callee + "()", module + "." + callee + "()", "m." + callee + "()", "renamed()", "self." + callee + "()", "x." + callee + "()"}, "call")
		switch roll(t, 2, "form") {
		case 0:
			fmt.Fprintf(&b, "def %s():\n    %s\n", pick(t, functions, "function"), call)
		case 1:
			fmt.Fprintf(&b, "class %s:\n    def %s(self):\n        %s\n", pick(t, types, "class"), pick(t, functions, "method"), call)
		}
	}
	return path.Join(dir, base+".py"), b.String()
}

func (w *world) file(t *rapid.T) (string, string) {
	dir := pick(t, directories, "directory")
	switch roll(t, 10, "language") {
	case 0, 1, 2, 3:
		return w.goFile(t, dir, pick(t, []string{"x", "y", "doc", path.Base(dir), "x_test", "y_windows"}, "base"))
	case 4, 5:
		return w.pythonFile(t, dir, pick(t, []string{"x", "y", "__init__"}, "base"))
	case 6, 7, 8:
		return pick(t, []string{"go.mod", "go.mod", "b/go.mod"}, "manifest"), "module " + pick(t, []string{"example.com/m", "example.com/n", "std"}, "module path") + "\n"
	default:
		return path.Join(dir, pick(t, []string{"x.go", "x.py", "z.bin"}, "name")), pick(t, []string{"", "\x00\x01binary", "package broken\nfunc {", "text \xff not utf-8"}, "odd content")
	}
}

// headed changes what stands above the definitions of a Go file and leaves these
// alone: its package, its platform, what its import means.
func headed(t *rapid.T, text string) string {
	switch roll(t, 4, "head") {
	case 3: // what stands below moves down, and its calls with it
		if at := strings.Index(text, "\nfunc "); at >= 0 {
			return text[:at] + fmt.Sprintf("\nfunc first(x *%s) { x.%s() }\n", pick(t, types, "type"), pick(t, functions, "callee")) + text[at:]
		}
		return text
	case 0:
		if rest, ok := strings.CutPrefix(text, constraint); ok {
			return rest
		}
		return constraint + text
	case 1:
		return strings.Replace(text, "package ", pick(t, []string{"package x", "package "}, "package"), 1)
	default:
		return strings.NewReplacer("example.com/m/", "example.com/n/", "example.com/n/", "example.com/m/").Replace(text)
	}
}

func isGo(name string) bool { return strings.HasSuffix(name, ".go") }

const constraint = "//go:build windows\n\n"

// TestIncrementalEqualsFromScratch is the law of ingestion: whatever sequence of
// edits, renames and deletions led to a tree, ingested file by file or as a whole,
// the tables say what ingesting the tree from nothing says.
func TestIncrementalEqualsFromScratch(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		root, err := os.MkdirTemp("", "law")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		c := newCorpus(t, pool, fmt.Sprintf("law %d", n), root)
		w := world{files: map[string]string{}}
		changed := map[string]bool{}
		for range 2 + roll(t, 16, "edits") {
			switch op := roll(t, 10, "edit"); {
			case op == 0 && len(w.files) > 0:
				gone := pick(t, slices.Sorted(maps.Keys(w.files)), "delete")
				c.remove(gone)
				delete(w.files, gone)
				changed[gone] = true
			case op == 1 && len(w.files) > 0:
				from := pick(t, slices.Sorted(maps.Keys(w.files)), "rename")
				to := path.Join(pick(t, directories, "to"), path.Base(from))
				text := w.files[from]
				c.remove(from)
				delete(w.files, from)
				c.write(map[string]string{to: text})
				w.files[to] = text
				changed[from], changed[to] = true, true
			case op <= 4 && slices.ContainsFunc(slices.Collect(maps.Keys(w.files)), isGo):
				name := pick(t, slices.DeleteFunc(slices.Sorted(maps.Keys(w.files)), func(n string) bool { return !isGo(n) }), "rehead")
				w.files[name] = headed(t, w.files[name])
				c.write(map[string]string{name: w.files[name]})
				changed[name] = true
			default:
				name, text := w.file(t)
				c.write(map[string]string{name: text})
				w.files[name] = text
				changed[name] = true
			}
			switch roll(t, 4, "ingest") {
			case 0:
				c.ingestAll()
				clear(changed)
			case 1, 2:
				for _, name := range rapid.Permutation(slices.Sorted(maps.Keys(changed))).Draw(t, "order") {
					c.ingestFile(name)
				}
				clear(changed)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(changed)) {
			c.ingestFile(name)
		}
		incremental := c.dump()

		fresh := newCorpus(t, pool, fmt.Sprintf("fresh %d", n), root)
		fresh.ingestAll()
		if diff := cmp.Diff(fresh.dump(), incremental); diff != "" {
			t.Fatalf("incremental state differs from a fresh ingestion (-fresh +incremental):\n%s", diff)
		}
		if broken := c.query("select invariant, file_id, detail from code.invariant_violations"); len(broken) > 0 {
			t.Fatalf("invariants are violated:\n%s", strings.Join(broken, "\n"))
		}
		for _, name := range []string{c.name, fresh.name} {
			fresh.query("select code.forget_codebase($1)::text", name)
		}
	})
}
