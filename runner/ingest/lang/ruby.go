package lang

import (
	"strings"

	ruby "github.com/tree-sitter/tree-sitter-ruby/bindings/go"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:         "Ruby",
	Aliases:      []string{"rb"},
	Extensions:   []string{".rb", ".rake", ".gemspec", ".ru", ".podspec"},
	Filenames:    []string{"Rakefile", "Gemfile", "Vagrantfile", "Guardfile", "Capfile", "Podfile", "Fastfile", "Brewfile"},
	Interpreters: []string{"ruby", "jruby", "macruby", "rake"},
	Extract:      rubyRules.extractor(),
})

var rubyMethods = map[string]string{KindClass: KindMethod, KindModule: KindMethod}

var rubyRules = &treeRules{
	language: "Ruby",
	grammar:  ruby.Language,

	defines: []defineRule{
		{node: "method", kind: KindFunction, inside: rubyMethods, name: "name", body: "body", callable: true, scope: true, refine: rubyName},
		{node: "singleton_method", kind: KindMethod, name: "name", body: "body", callable: true, scope: true, refine: rubyName},
		{node: "alias", kind: KindFunction, inside: rubyMethods, name: "name", refine: rubyName},
		{node: "class", kind: KindClass, name: "name", body: "body", scope: true, refine: rubyName},
		{node: "module", kind: KindModule, name: "name", body: "body", scope: true, refine: rubyName},
		{node: "assignment", where: map[string][]string{"left": {"constant"}, "right": {"call"}},
			kind: KindClass, name: "left", scope: true, refine: rubyMade},
		{node: "assignment", where: map[string][]string{"left": {"constant"}}, kind: KindConstant, name: "left", data: true},
	},
	calls: []callRule{{node: "call", callee: "method", of: "receiver", ignore: []string{
		"require", "require_relative", "load", "attr_reader", "attr_writer", "attr_accessor", "private", "public", "protected"}}},

	names:   []string{"identifier", "constant", "self", "instance_variable", "class_variable", "global_variable"},
	members: map[string]memberRule{"scope_resolution": {of: "scope", name: "name", separator: "::"}},
	unwrap:  map[string]string{"parenthesized_statements": ""},
	self:    []string{"self"},
	bare:    true,

	decisions: map[string]int{
		"if": 1, "elsif": 1, "unless": 1, "while": 1, "until": 1, "for": 1, "when": 1, "in_clause": 1, "rescue": 1, "conditional": 1,
		"if_modifier": 1, "unless_modifier": 1, "while_modifier": 1, "until_modifier": 1, "rescue_modifier": 1,
	},
	operators: []string{"&&", "||", "and", "or"},

	comments: []string{"comment"},
	isDoc:    func([]byte) bool { return true },
	joinDocs: true,

	visit: map[string]func(*treeWalk, int) bool{
		"call":       rubyCall,
		"identifier": rubyAccess,
		"assignment": rubyAssign,
	},
	visible: rubyVisible,
}

// rubyName takes the last part of A::B, and the whole of a method's name.
func rubyName(w *treeWalk, node int, s *Symbol) bool {
	name := w.child(node, "name")
	s.Name = strings.TrimPrefix(w.nodeText(name), ":")
	if w.is(name, "scope_resolution") {
		path := strings.TrimPrefix(s.Name, "::")
		s.Name = path[strings.LastIndexByte(path, ':')+1:]
		s.QualifiedName = strings.TrimPrefix(w.top().name+"."+strings.ReplaceAll(path, "::", "."), ".")
	}
	return true
}

// rubyMade keeps Point = Struct.new(:x) and its like, which define classes.
func rubyMade(w *treeWalk, node int, s *Symbol) bool {
	call := w.child(node, "right")
	switch w.nodeText(w.child(call, "receiver")) + "." + w.nodeText(w.child(call, "method")) {
	case "Struct.new", "Class.new", "Data.define":
		return true
	case "Module.new":
		s.Kind = KindModule
		return true
	}
	return false
}

// rubyCall reads the calls that are declarations.
func rubyCall(w *treeWalk, node int) bool {
	rubyRequirement(w, node)
	if w.child(node, "receiver") != treesitter.None {
		return true
	}
	method := w.nodeText(w.child(node, "method"))
	arguments := w.child(node, "arguments")
	switch method {
	case "require", "require_relative", "load":
		rubyRequire(w, method, w.tree.First(arguments))
	case "alias_method":
		if c := w.tree.First(arguments); w.is(c, "simple_symbol") {
			n := w.tree.Nodes[node]
			w.add(c, &defineRule{}, Symbol{Kind: KindMethod, Name: strings.TrimPrefix(w.nodeText(c), ":"),
				Signature: w.signature(node, node, treesitter.None), StartByte: int(n.Start), EndByte: int(n.End)})
		}
	case "attr_reader", "attr_writer", "attr_accessor":
		doc, _ := w.docBefore(node)
		for c := w.tree.First(arguments); c != treesitter.None; c = w.tree.Sibling(c) {
			if n := w.tree.Nodes[c]; w.is(c, "simple_symbol", "string") {
				w.add(c, &defineRule{kind: KindField}, Symbol{Kind: KindField, Name: strings.Trim(w.nodeText(c), `:"'`), Doc: doc,
					Signature: w.signature(node, node, treesitter.None), StartByte: int(n.Start), EndByte: int(n.End)})
			}
		}
	}
	return true
}

// rubyRequire reads a required file, where it is not computed.
func rubyRequire(w *treeWalk, method string, argument int) {
	content := w.tree.First(argument)
	if !w.is(argument, "string") || !w.is(content, "string_content") || w.tree.Sibling(content) != treesitter.None {
		return
	}
	module := w.nodeText(content)
	seek := seekPaths([]string{"lib", ""}, ".rb", "")
	if method == "require_relative" {
		seek = seekPaths(nil, ".rb", "")
	}
	w.Import(int(w.tree.Nodes[argument].Start), Import{Module: module, Names: []string{"*"}, Seeks: seek(Source{Path: w.path}, module)})
}

// rubyAccess reads "private" where it stands alone: it holds for what follows.
func rubyAccess(w *treeWalk, node int) bool {
	if p := w.tree.Parent(node); w.is(p, "body_statement") && !w.top().local {
		switch word := w.nodeText(node); word {
		case "private", "protected", "public":
			w.top().access = word
		}
	}
	return true
}

// rubyAssign notes the type of what is made with new.
func rubyAssign(w *treeWalk, node int) bool {
	left, right := w.child(node, "left"), w.child(node, "right")
	typ := ""
	if w.is(right, "call") && w.nodeText(w.child(right, "method")) == "new" {
		typ = w.typeText(w.child(right, "receiver"))
	}
	switch {
	case w.is(left, "identifier"):
		w.bindLocal(w.nodeText(left), localName{typ: typ})
	case w.is(left, "instance_variable"):
		w.bindField(w.top().self, w.nodeText(left), typ)
	}
	return true
}

// rubyVisible says whether a definition can be used outside its class.
func rubyVisible(w *treeWalk, node int, _ string) bool {
	if !w.is(node, "method", "alias", "simple_symbol") {
		return true
	}
	if around := w.tree.Parent(node); w.is(around, "argument_list") {
		if call := w.tree.Parent(around); w.is(call, "call") && strings.HasPrefix(w.nodeText(w.child(call, "method")), "private") {
			return false
		}
	}
	return w.top().access != "private"
}
