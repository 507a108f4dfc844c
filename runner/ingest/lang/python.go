package lang

import (
	"path"
	"strings"

	python "github.com/tree-sitter/tree-sitter-python/bindings/go"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:         "Python",
	Aliases:      []string{"py", "python3"},
	Extensions:   []string{".py", ".pyi", ".pyw"},
	Filenames:    []string{"SConstruct", "SConscript", "wscript"},
	Interpreters: []string{"python", "python2", "python3", "pypy", "pypy3"},
	Extract:      pythonRules.extractor(),
})

var pythonRules = &treeRules{
	language: "Python",
	grammar:  python.Language,

	defines: []defineRule{
		{node: "function_definition", kind: KindFunction, inside: map[string]string{KindClass: KindMethod},
			name: "name", body: "body", callable: true, scope: true},
		{node: "class_definition", kind: KindClass, name: "name", body: "body", scope: true},
		{node: "assignment", where: map[string][]string{"left": {"identifier"}, "right": {"lambda"}},
			kind: KindFunction, inside: map[string]string{KindClass: KindMethod},
			name: "left", body: "right.body", callable: true, scope: true},
		{node: "assignment", kind: KindVariable, inside: map[string]string{KindClass: KindField},
			name: "left", data: true, refine: pythonConstant},
		{node: "type_alias_statement", kind: KindType, name: "left."},
	},
	calls: []callRule{
		{node: "call", callee: "function"},
		{node: "decorator"},
	},
	binds: []bindRule{
		{node: "typed_parameter", typ: "type", parameter: true},
		{node: "typed_default_parameter", name: "name", typ: "type", parameter: true},
		{node: "default_parameter", name: "name", parameter: true},
		{node: "list_splat_pattern", parameter: true},
		{node: "assignment", name: "left", typ: "type", value: "right", construct: map[string]string{"call": "function"}},
	},

	typeHeads:   []string{"type"},
	typeHeadsIn: []string{"argument_list"},
	typeFields:  map[string]string{"superclasses": TypeExtends},
	typeParents: map[string]string{"block": TypeBody},

	names:    []string{"identifier"},
	members:  map[string]memberRule{"attribute": {of: "object", name: "attribute", separator: "."}},
	patterns: []string{"pattern_list", "tuple_pattern", "list_pattern", "list_splat_pattern"},
	unwrap:   map[string]string{"parenthesized_expression": "", "type": ""},
	self:     []string{"self", "cls"},

	decisions: map[string]int{
		"if_statement": 1, "elif_clause": 1, "for_statement": 1, "while_statement": 1, "except_clause": 1,
		"conditional_expression": 1, "for_in_clause": 1, "if_clause": 1, "boolean_operator": 1, "case_clause": 1,
	},

	comments:  []string{"comment"},
	wrappers:  []string{"decorated_definition", "expression_statement"},
	local:     []string{"lambda"},
	unsigned:  []string{"decorator"},
	docInside: pythonDocstring,

	visit: map[string]func(*treeWalk, int) bool{
		"import_statement":        pythonImport,
		"import_from_statement":   pythonImportFrom,
		"future_import_statement": pythonImportFrom,
		"parameters":              bindParameters,
		"lambda_parameters":       bindParameters,
		"case_clause":             pythonCase,
	},
	visible: func(_ *treeWalk, _ int, name string) bool { return !strings.HasPrefix(name, "_") },
	begin:   pythonModule,
}

// pythonConstant tells constants by their spelling, as PEP 8 has it. An attribute
// of something else that is assigned to is no variable.
func pythonConstant(w *treeWalk, node int, s *Symbol) bool {
	if w.is(w.child(node, "left"), "attribute", "subscript") {
		return false
	}
	if s.Kind == KindVariable && strings.ToUpper(s.Name) == s.Name && strings.ToLower(s.Name) != s.Name {
		s.Kind = KindConstant
	}
	return true
}

// pythonCase takes back the decision of an arm whose pattern always fits: "case _:".
func pythonCase(w *treeWalk, node int) bool {
	if w.nodeText(w.tree.First(node)) == "_" {
		w.decide(-1)
	}
	return true
}

// pythonDocstring returns the string that a body begins with.
func pythonDocstring(w *treeWalk, body int) string {
	for c := w.tree.First(body); c != treesitter.None; c = w.tree.Sibling(c) {
		if w.is(c, "comment") {
			continue
		}
		s := w.tree.First(c)
		if !w.is(c, "expression_statement") || !w.is(s, "string") || w.tree.Sibling(s) != treesitter.None {
			return ""
		}
		text := strings.TrimLeft(string(clipBytes(w.tree.Text(s), 2*MaxDoc)), "rRuU")
		for _, quote := range []string{`"""`, `'''`, `"`, `'`} {
			if inner, ok := strings.CutPrefix(text, quote); ok {
				return strings.TrimSpace(Dedent(strings.TrimSuffix(inner, quote)))
			}
		}
		return ""
	}
	return ""
}

// pythonModule names the module after its path. Where the sources begin is not
// known from one file, so a leading src or lib counts as one such place.
func pythonModule(w *treeWalk) {
	module := pythonDotted(w.path)
	w.Module(module, pythonDocstring(w, 0))
	if module != "" {
		w.Provide("py:"+module, "py:"+strings.TrimPrefix(strings.TrimPrefix(module, "src."), "lib."))
	}
}

// pythonDotted turns a path into a dotted name: that of the package for its
// __init__ file.
func pythonDotted(file string) string {
	file = strings.TrimSuffix(file, path.Ext(file))
	if path.Base(file) == "__init__" {
		file = path.Dir(file)
	}
	if file == "." {
		return ""
	}
	return strings.ReplaceAll(file, "/", ".")
}

// pythonPackage returns the package that dots in front of a relative import mean:
// one dot is the file's own. It fails for dots that lead out of the codebase.
func pythonPackage(file string, dots int) (string, bool) {
	dir := path.Dir(file)
	for ; dots > 1; dots-- {
		if dir == "." {
			return "", false
		}
		dir = path.Dir(dir)
	}
	if dir == "." {
		return "", true
	}
	return strings.ReplaceAll(dir, "/", "."), true
}

// pythonImport reads "import a.b, c as d".
func pythonImport(w *treeWalk, node int) bool {
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		var i Import
		switch {
		case w.is(c, "aliased_import"):
			i = Import{Module: pythonName(w, w.child(c, "name")), Alias: w.nodeText(w.child(c, "alias"))}
		case w.is(c, "dotted_name"):
			i.Module = pythonName(w, c)
			if !strings.Contains(i.Module, ".") {
				i.Alias = i.Module // of a dotted one only the first part is bound
			}
		default:
			continue
		}
		i.Seeks = []string{"py:" + i.Module}
		w.Import(int(w.tree.Nodes[c].Start), i)
	}
	return false
}

// pythonImportFrom reads "from a.b import c, d as e". Each name is an import of its
// own, since each may be a module of its own.
func pythonImportFrom(w *treeWalk, node int) bool {
	written, module, known := "__future__", "__future__", false
	from := w.child(node, "module_name")
	if w.is(from, "dotted_name") {
		written = pythonName(w, from)
		module, known = written, true
	} else if from != treesitter.None {
		written = strings.Join(strings.Fields(w.nodeText(from)), "")
		rest := strings.TrimLeft(written, ".")
		module, known = pythonPackage(w.path, len(written)-len(rest))
		module = strings.Trim(module+"."+rest, ".")
	}
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if c == from {
			continue
		}
		name, names := "", ""
		switch {
		case w.is(c, "aliased_import"):
			name = pythonName(w, w.child(c, "name"))
			names = name + " as " + w.nodeText(w.child(c, "alias"))
		case w.is(c, "dotted_name"):
			name = pythonName(w, c)
			names = name
		case w.is(c, "wildcard_import"):
			names = "*"
		default:
			continue
		}
		i := Import{Module: written, Names: []string{names}}
		if path.Base(strings.TrimSuffix(w.path, path.Ext(w.path))) == "__init__" && len(w.frames) == 1 && known {
			i.Exports = []string{names} // a package's names are those of its modules
		}
		if known && name != "" {
			i.Seeks = append(i.Seeks, "py:"+strings.Trim(module+"."+name, "."))
		}
		if known && module != "" && module != w.ex.Module {
			i.Seeks = append(i.Seeks, "py:"+module)
		}
		w.Import(int(w.tree.Nodes[c].Start), i)
	}
	return false
}

// pythonName returns a dotted name without the blanks that may lie around dots.
func pythonName(w *treeWalk, node int) string {
	return strings.Join(strings.Fields(w.nodeText(node)), "")
}
