package lang

import (
	"strings"

	lua "github.com/tree-sitter-grammars/tree-sitter-lua/bindings/go"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:         "Lua",
	Extensions:   []string{".lua", ".rockspec"},
	Interpreters: []string{"lua", "luajit"},
	Extract:      luaRules.extractor(),
})

var luaRules = &treeRules{
	language: "Lua",
	grammar:  lua.Language,

	defines: []defineRule{
		{node: "function_declaration", kind: KindFunction, name: "name", body: "body", callable: true, scope: true, refine: luaName},
		{node: "assignment_statement", kind: KindFunction, name: ".name", callable: true, scope: true, refine: luaAssigned},
		{node: "field", where: map[string][]string{"value": {"function_definition"}},
			kind: KindFunction, name: "name", body: "value.body", callable: true, scope: true},
	},
	calls: []callRule{{node: "function_call", callee: "name", ignore: []string{"require"}}},

	names: []string{"identifier"},
	members: map[string]memberRule{
		"dot_index_expression":    {of: "table", name: "field", separator: "."},
		"method_index_expression": {of: "table", name: "method", separator: ":"},
	},
	unwrap: map[string]string{"parenthesized_expression": ""},
	self:   []string{"self"},

	decisions: map[string]int{
		"if_statement": 1, "elseif_statement": 1, "while_statement": 1, "for_statement": 1, "repeat_statement": 1,
	},
	operators: []string{"and", "or"},

	comments: []string{"comment"},
	wrappers: []string{"variable_declaration"},
	local:    []string{"function_definition"},
	isDoc:    func([]byte) bool { return true },
	joinDocs: true,

	visit: map[string]func(*treeWalk, int) bool{
		"function_call": luaRequire,
		"parameters":    bindParameters,
	},
	visible: func(w *treeWalk, node int, _ string) bool {
		start := w.tree.Nodes[w.anchor(node)].Start
		return !strings.HasPrefix(string(clipBytes(w.text[start:], 6)), "local ")
	},
}

// luaName names a function after the last part of M.run and M:run, as a member of
// what comes before.
func luaName(w *treeWalk, node int, s *Symbol) bool {
	return luaNamed(w, w.child(node, "name"), s)
}

func luaNamed(w *treeWalk, name int, s *Symbol) bool {
	if w.is(name, "identifier") {
		s.Name = w.nodeText(name)
		return true
	}
	last, owner := w.callee(name)
	if last == "" || owner == "" {
		return false
	}
	s.Kind, s.Name = KindMethod, last
	s.QualifiedName = strings.TrimPrefix(w.top().name+"."+strings.ReplaceAll(owner, ":", ".")+"."+last, ".")
	return true
}

// luaAssigned keeps M.run = function() ... end.
func luaAssigned(w *treeWalk, node int, s *Symbol) bool {
	left := w.tree.First(node)
	value := w.child(w.tree.Sibling(left), "value")
	if value == treesitter.None {
		for c := left; c != treesitter.None && value == treesitter.None; c = w.tree.Sibling(c) {
			if w.is(c, "expression_list") {
				value = w.tree.First(c)
			}
		}
	}
	if !w.is(value, "function_definition") {
		return false
	}
	from := int(w.tree.Nodes[w.anchor(node)].Start)
	s.Signature = string(w.text[from:w.tree.Nodes[w.child(value, "parameters")].End])
	return luaNamed(w, w.child(left, "name"), s)
}

// luaRequire reads require "a.b", which may stand in local x = require "a.b".
func luaRequire(w *treeWalk, node int) bool {
	if w.nodeText(w.child(node, "name")) != "require" {
		return true
	}
	argument := w.tree.First(w.child(node, "arguments"))
	if !w.is(argument, "string") {
		return true
	}
	module := strings.Trim(w.nodeText(argument), `"'[]`)
	i := Import{Module: module, Seeks: seekDotted(".", []string{"", "lua", "src"}, ".lua", "/init.lua")(Source{Path: w.path}, module)}
	if list := w.tree.Parent(node); w.is(list, "expression_list") {
		if statement := w.tree.Parent(list); w.is(statement, "assignment_statement") {
			if name := w.child(w.tree.First(statement), "name"); w.is(name, "identifier") {
				i.Alias = w.nodeText(name)
			}
		}
	}
	w.Import(int(w.tree.Nodes[argument].Start), i)
	return false
}
