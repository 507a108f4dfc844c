package lang

import (
	"strings"

	hcl "github.com/tree-sitter-grammars/tree-sitter-hcl/bindings/go"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:       "HCL",
	Aliases:    []string{"terraform", "tf"},
	Extensions: []string{".tf", ".hcl", ".tfvars", ".nomad"},
	Extract:    hclRules.extractor(),
})

var hclRules = &treeRules{
	language: "HCL",
	grammar:  hcl.Language,

	defines: []defineRule{
		{node: "block", kind: KindClass, name: "", scope: true, refine: hclBlock},
		{node: "attribute", kind: KindVariable, name: "", data: true, refine: hclAttribute},
	},
	calls: []callRule{{node: "function_call"}},

	names:    []string{"identifier"},
	comments: []string{"comment"},
	isDoc:    func([]byte) bool { return true },
	joinDocs: true,

	visit: map[string]func(*treeWalk, int) bool{"attribute": hclSource},
}

// hclKinds are those of blocks at the top level by their type; any other is a class.
var hclKinds = map[string]string{
	"variable": KindVariable, "output": KindVariable, "module": KindModule, "provider": KindModule,
}

// hclBlock names a block at the top level by its labels, the type of a resource being
// its owner: resource "aws_instance" "web" is aws_instance.web.
func hclBlock(w *treeWalk, node int, s *Symbol) bool {
	kind, labels, body := w.hclLabels(node)
	if w.top().ref != None || len(labels) == 0 {
		return false
	}
	if known := hclKinds[kind]; known != "" {
		s.Kind = known
	}
	s.Name = labels[len(labels)-1]
	s.QualifiedName = strings.Join(labels, ".")
	s.Signature = w.signature(node, node, body)
	return s.Name != ""
}

// hclLabels returns the type and the labels of a block, and its body.
func (w *treeWalk) hclLabels(block int) (kind string, labels []string, body int) {
	body = treesitter.None
	for c := w.tree.First(block); c != treesitter.None; c = w.tree.Sibling(c) {
		switch {
		case kind == "" && w.is(c, "identifier"):
			kind = w.nodeText(c)
		case w.is(c, "identifier", "string_lit"):
			labels = append(labels, strings.Trim(w.nodeText(c), `"`))
		case body == treesitter.None:
			body = c // its brace
		}
	}
	return kind, labels, body
}

// hclAttribute keeps what a file of variables sets, and locals.
func hclAttribute(w *treeWalk, node int, s *Symbol) bool {
	s.Name = w.nodeText(w.tree.First(node))
	around := w.tree.Parent(w.tree.Parent(node))
	if w.is(around, "block") {
		kind, labels, _ := w.hclLabels(around)
		if kind != "locals" || len(labels) > 0 || w.top().ref != None {
			return false
		}
		s.QualifiedName = "local." + s.Name
	}
	line, _, _ := strings.Cut(string(clipBytes(w.text[w.tree.Nodes[node].Start:w.tree.Nodes[node].End], 2*MaxSignature)), "\n")
	s.Signature = strings.TrimRight(line, " \t\r{[")
	return true
}

// hclSource takes the source of a module that is a path for an import.
func hclSource(w *treeWalk, node int) bool {
	name := w.tree.First(node)
	if w.nodeText(name) != "source" {
		return true
	}
	module := strings.Trim(strings.TrimSpace(w.nodeText(w.tree.Sibling(name))), `"`)
	if strings.HasPrefix(module, "./") || strings.HasPrefix(module, "../") {
		w.Import(int(w.tree.Nodes[node].Start), Import{Module: module, Seeks: seekPaths(nil, "/main.tf")(Source{Path: w.path}, module)})
	}
	return true
}
