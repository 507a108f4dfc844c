package lang

import (
	"path"
	"slices"
	"strings"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

// rustStandard are the crates that come with the compiler.
var rustStandard = []string{"std", "core", "alloc", "proc_macro", "test"}

// rustFile is where a file stands in its crate.
type rustFile struct {
	home  string // directory in which the file's modules lie
	crate string // directory of the crate's root module
	own   []string
}

func (w *treeWalk) rust() *rustFile { return w.extra.(*rustFile) }

// rustModule names the module after its path. lib.rs, main.rs and mod.rs stand for
// their directory; what Cargo builds by itself (tests, examples) is a root too.
func rustModule(w *treeWalk) {
	stem := strings.TrimSuffix(w.path, path.Ext(w.path))
	dir, base := path.Dir(w.path), path.Base(stem)
	f := &rustFile{home: stem, crate: dir, own: []string{"rs:" + stem}}
	root := base == "lib" || base == "main" || base == "build" ||
		slices.Contains([]string{"tests", "benches", "examples", "bin"}, path.Base(dir))
	if root || base == "mod" {
		f.home = dir
	}
	if base == "lib" || base == "main" || base == "mod" {
		f.own = append(f.own, "rs:"+strings.TrimSuffix(dir, "."))
	}
	if !root {
		for d := dir; d != "." && d != "/"; d = path.Dir(d) {
			if path.Base(d) == "src" || slices.Contains([]string{"tests", "benches", "examples"}, path.Base(d)) {
				f.crate = d
				break
			}
		}
	}
	w.extra = f
	w.Provide(f.own...)

	module := strings.Trim(strings.TrimPrefix(f.home, f.crate), "/.")
	if module == "" {
		module = "crate"
	}
	w.Module(strings.ReplaceAll(module, "/", "::"), w.leadingDocs(0, isRustInnerDoc))
}

// rustHome returns the directory in which modules of the innermost module lie.
func (w *treeWalk) rustHome() string {
	home := w.rust().home
	for i := len(w.frames) - 1; i > 0; i-- {
		if f := &w.frames[i]; f.kind == KindModule {
			return path.Join(home, strings.ReplaceAll(f.name, ".", "/"))
		}
	}
	return home
}

// rustSeeks returns the files that a path of a use declaration may lie in, from
// the longest path to the shortest.
func (w *treeWalk) rustSeeks(parts []string) []string {
	var seeks []string
	from := func(base string, rest []string, shortest int) {
		for n := len(rest); n >= shortest; n-- {
			name := "rs:" + strings.TrimPrefix(path.Join(base, path.Join(rest[:n]...)), ".")
			if slices.Contains(w.rust().own, name) {
				break // an item of this very file
			}
			seeks = append(seeks, name)
		}
	}
	home := w.rustHome()
	switch first := parts[0]; {
	case first == "crate":
		from(w.rust().crate, parts[1:], 0)
	case first == "self" || first == "super":
		for len(parts) > 0 && (parts[0] == "self" || parts[0] == "super") {
			if parts[0] == "super" {
				home = path.Dir(home)
			}
			parts = parts[1:]
		}
		from(home, parts, 0)
	case slices.Contains(rustStandard, first):
	default:
		from(home, parts, 1) // a module of this one may be meant
		from(path.Join(first, "src"), parts[1:], 0)
		seeks = append(seeks, "rs:"+first)
	}
	return seeks
}

// rustUse reads a use declaration; nested lists make one import each. What it says
// with pub, at the top of the file, the file's own importers see too.
func rustUse(w *treeWalk, node int) bool {
	first := len(w.ex.Imports)
	w.rustUseTree(w.child(node, "argument"), nil, maxChain)
	if len(w.frames) == 1 && w.is(w.tree.First(node), "visibility_modifier") {
		for n := range w.ex.Imports[first:] {
			i := &w.ex.Imports[first+n]
			i.Exports = i.Names
			if len(i.Names) == 0 && i.Alias != "" {
				i.Exports = []string{"* as " + i.Alias}
			}
		}
	}
	return false
}

func (w *treeWalk) rustUseTree(node int, prefix []string, depth int) {
	if depth == 0 || node == treesitter.None {
		return
	}
	switch {
	case w.is(node, "scoped_use_list"):
		prefix = append(slices.Clone(prefix), rustPath(w, w.child(node, "path"))...)
		w.rustUseTree(w.child(node, "list"), prefix, depth-1)
	case w.is(node, "use_list"):
		for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
			w.rustUseTree(c, prefix, depth-1)
		}
	case w.is(node, "use_wildcard"):
		w.rustImport(node, append(slices.Clone(prefix), rustPath(w, w.tree.First(node))...), "*", "")
	case w.is(node, "use_as_clause"):
		w.rustUseLeaf(node, append(slices.Clone(prefix), rustPath(w, w.child(node, "path"))...), w.nodeText(w.child(node, "alias")))
	case w.is(node, "identifier", "scoped_identifier", "self", "super", "crate"):
		w.rustUseLeaf(node, append(slices.Clone(prefix), rustPath(w, node)...), "")
	}
}

// rustPath splits a::b::c.
func rustPath(w *treeWalk, node int) (parts []string) {
	for part := range strings.SplitSeq(w.nodeText(node), "::") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, strings.TrimPrefix(part, "r#"))
		}
	}
	return parts
}

// rustUseLeaf imports one path: its last part is a name taken from the rest, or a
// module itself where it ends in self or has no other part.
func (w *treeWalk) rustUseLeaf(node int, parts []string, alias string) {
	if len(parts) > 1 && parts[len(parts)-1] == "self" {
		parts = parts[:len(parts)-1]
		if alias == "" {
			alias = parts[len(parts)-1]
		}
		w.rustImport(node, parts, "", alias)
		return
	}
	switch len(parts) {
	case 0:
	case 1:
		if alias == "" {
			alias = parts[0]
		}
		w.rustImport(node, parts, "", alias)
	default:
		name := parts[len(parts)-1]
		if alias != "" {
			name += " as " + alias
		}
		w.rustImport(node, parts[:len(parts)-1], name, "")
	}
}

func (w *treeWalk) rustImport(node int, module []string, name, alias string) {
	if len(module) == 0 {
		return
	}
	i := Import{Module: strings.Join(module, "::"), Alias: alias}
	if whole, _, _ := strings.Cut(name, " as "); whole != "" {
		i.Names = []string{name}
		if whole != "*" {
			module = append(slices.Clone(module), whole)
		}
	}
	i.Seeks = w.rustSeeks(module)
	w.Import(int(w.tree.Nodes[node].Start), i)
}

// rustExternCrate reads "extern crate a as b".
func rustExternCrate(w *treeWalk, node int) bool {
	name := w.nodeText(w.child(node, "name"))
	alias := w.nodeText(w.child(node, "alias"))
	if alias == "" {
		alias = name
	}
	if name != "" && name != "self" {
		w.rustImport(node, []string{name}, "", alias)
	}
	return false
}

// rustMod reads "mod a;", which takes in a file.
func rustMod(w *treeWalk, node int) bool {
	name := w.child(node, "name")
	if w.child(node, "body") != treesitter.None || name == treesitter.None {
		return true
	}
	module := strings.TrimPrefix(w.nodeText(name), "r#")
	seek := path.Join(w.rustHome(), module)
	_, start := w.docBefore(node)
	if _, attribute, ok := strings.Cut(string(w.text[start:w.tree.Nodes[node].Start]), "path = \""); ok {
		file, _, _ := strings.Cut(attribute, "\"")
		seek = path.Join(path.Dir(w.path), strings.TrimSuffix(file, ".rs"))
	}
	w.Import(int(w.tree.Nodes[name].Start), Import{Module: module, Alias: module, Seeks: []string{"rs:" + seek}})
	return false
}
