package lang

import (
	"strings"

	"github.com/alexaandru/go-sitter-forest/nix"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:       "Nix",
	Extensions: []string{".nix"},
	Extract:    nixRules.extractor(),
})

// nixRules take every binding outside functions that have a name: what a file
// returns, with what lies in it, and what it is made of.
var nixRules = &treeRules{
	language: "Nix",
	grammar:  nix.GetLanguage,

	defines: []defineRule{
		{node: "binding", where: map[string][]string{"expression": {"function_expression"}},
			kind: KindFunction, name: "attrpath", callable: true, scope: true, refine: nixBinding},
		{node: "binding", kind: KindVariable, name: "attrpath", data: true, scope: true, refine: nixBinding,
			inside: map[string]string{KindVariable: KindField, KindField: KindField}},
	},
	calls: []callRule{{node: "apply_expression", callee: "function", ignore: []string{"import"}}},

	names:   []string{"identifier", "variable_expression", "attrpath"},
	members: map[string]memberRule{"select_expression": {of: "expression", name: "attrpath", separator: "."}},
	unwrap:  map[string]string{"parenthesized_expression": "expression"},

	decisions: map[string]int{"if_expression": 1},
	operators: []string{"&&", "||", "->"},

	comments: []string{"comment"},
	isDoc:    func([]byte) bool { return true },
	joinDocs: true,

	visit: map[string]func(*treeWalk, int) bool{"path_expression": nixPath},
}

// nixBinding names a binding, unless the name is computed or the binding stands in a
// function that has a name itself.
func nixBinding(w *treeWalk, node int, s *Symbol) bool {
	name := w.nodeText(w.child(node, "attrpath"))
	if w.top().callable != None || strings.Contains(name, "${") {
		return false
	}
	s.Name = strings.ReplaceAll(name, `"`, "")
	start, value := w.tree.Nodes[node].Start, w.child(node, "expression")
	if s.Kind == KindFunction {
		for w.is(value, "function_expression") { // one for each argument
			value = w.child(value, "body")
		}
		if value != treesitter.None {
			s.Signature = strings.TrimRight(string(clipBytes(w.text[start:w.tree.Nodes[value].Start], 4*MaxSignature)), ": \t\r\n")
		}
		return true
	}
	line, _, _ := strings.Cut(string(clipBytes(w.text[start:w.tree.Nodes[node].End], 2*MaxSignature)), "\n")
	s.Signature = strings.TrimRight(line, " \t\r;{[")
	return true
}

// nixPath takes a path into the codebase for an import: that of import ./x, of
// callPackage ./x {} or of an element of imports.
func nixPath(w *treeWalk, node int) bool {
	module := w.nodeText(node)
	if !strings.HasPrefix(module, "./") && !strings.HasPrefix(module, "../") || strings.Contains(module, "${") {
		return true
	}
	endings := []string{"/default.nix", ""}
	if strings.HasSuffix(module, ".nix") {
		endings = []string{""}
	}
	w.Import(int(w.tree.Nodes[node].Start), Import{Module: module, Seeks: seekPaths(nil, endings...)(Source{Path: w.path}, module)})
	return true
}
