package lang

import (
	"bytes"
	"slices"
	"strings"

	rust "github.com/tree-sitter/tree-sitter-rust/bindings/go"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:       "Rust",
	Aliases:    []string{"rs"},
	Extensions: []string{".rs"},
	Extract:    rustRules.extractor(),
})

// Kinds of frames that are no symbols: definitions inside have the type's name.
const (
	rustImpl      = "impl"
	rustTraitImpl = "trait impl"
)

var rustMethods = map[string]string{rustImpl: KindMethod, rustTraitImpl: KindMethod, KindTrait: KindMethod}

var rustRules = &treeRules{
	language: "Rust",
	grammar:  rust.Language,

	defines: []defineRule{
		{node: "function_item", kind: KindFunction, inside: rustMethods, name: "name", body: "body", callable: true, scope: true},
		{node: "function_signature_item", kind: KindFunction, inside: map[string]string{KindTrait: KindField}, name: "name"},
		{node: "struct_item", kind: KindStruct, name: "name", body: "body", scope: true, refine: rustTuple},
		{node: "union_item", kind: KindStruct, name: "name", body: "body", scope: true},
		{node: "enum_item", kind: KindEnum, name: "name", body: "body", scope: true},
		{node: "enum_variant", kind: KindConstant, name: "name", scope: true},
		{node: "field_declaration", kind: KindField, name: "name"},
		{node: "trait_item", kind: KindTrait, name: "name", body: "body", scope: true},
		{node: "type_item", kind: KindType, name: "name"},
		{node: "associated_type", kind: KindType, name: "name"},
		{node: "const_item", kind: KindConstant, name: "name", data: true},
		{node: "static_item", kind: KindVariable, name: "name", data: true},
		{node: "macro_definition", kind: KindMacro, name: "name", refine: rustMacro},
		{node: "mod_item", where: map[string][]string{"body": {"declaration_list"}}, kind: KindModule, name: "name", body: "body", scope: true},
	},
	calls: []callRule{
		{node: "call_expression", callee: "function", ignore: []string{"Some", "Ok", "Err"}},
		{node: "macro_invocation", callee: "macro"},
	},
	binds: []bindRule{
		{node: "parameter", name: "pattern", typ: "type", parameter: true},
		{node: "let_declaration", name: "pattern", typ: "type", value: "value", construct: map[string]string{
			"call_expression": "function", "try_expression": ".function", "struct_expression": "name"}},
		{node: "field_declaration", name: "name", typ: "type", field: true},
	},

	types:        []string{"type_identifier"},
	typeDeclares: []string{"type_parameter"},
	typeFields:   map[string]string{"trait": TypeImplements},
	typeParents:  map[string]string{"block": TypeBody, "trait_bounds": TypeSignature, "type_parameters": TypeSignature},

	names: []string{"identifier", "field_identifier", "type_identifier", "primitive_type", "integer_literal", "metavariable",
		"self", "super", "crate"},
	members: map[string]memberRule{
		"field_expression":       {of: "value", name: "field", separator: "."},
		"scoped_identifier":      {of: "path", name: "name", separator: "::"},
		"scoped_type_identifier": {of: "path", name: "name", separator: "::"},
	},
	unwrap: map[string]string{
		"generic_function": "function", "generic_type": "type", "reference_type": "type", "reference_expression": "value",
		"parenthesized_expression": "", "try_expression": "", "await_expression": "",
	},
	self:        []string{"self", "Self"},
	constructor: rustConstructor,
	typeNode:    rustPointee,

	decisions: map[string]int{
		"if_expression": 1, "while_expression": 1, "for_expression": 1, "match_arm": 1, "match_expression": -1, "let_chain": 1,
	},
	operators: []string{"&&", "||"},

	comments:  []string{"line_comment", "block_comment"},
	attached:  []string{"attribute_item"},
	local:     []string{"closure_expression"},
	skip:      []string{"attribute_item", "inner_attribute_item", "macro_rule"},
	isDoc:     isRustDoc,
	joinDocs:  true,
	docInside: func(w *treeWalk, body int) string { return w.leadingDocs(body, isRustInnerDoc) },

	visit: map[string]func(*treeWalk, int) bool{
		"impl_item":                rustEnterImpl,
		"use_declaration":          rustUse,
		"extern_crate_declaration": rustExternCrate,
		"mod_item":                 rustMod,
		"token_tree":               rustTokens,
		"closure_parameters":       bindParameters,
		"match_pattern":            rustGuard,
		"let_declaration":          rustLetElse,
	},
	visible: rustVisible,
	begin:   rustModule,
}

func isRustDoc(comment []byte) bool {
	return bytes.HasPrefix(comment, []byte("///")) && !bytes.HasPrefix(comment, []byte("////")) ||
		bytes.HasPrefix(comment, []byte("/**")) && !bytes.HasPrefix(comment, []byte("/***")) && !bytes.HasPrefix(comment, []byte("/**/"))
}

func isRustInnerDoc(comment []byte) bool {
	return bytes.HasPrefix(comment, []byte("//!")) || bytes.HasPrefix(comment, []byte("/*!"))
}

// rustTuple keeps the types of a tuple struct in its signature: they are all that
// it says.
func rustTuple(w *treeWalk, node int, s *Symbol) bool {
	if w.is(w.child(node, "body"), "ordered_field_declaration_list") {
		s.Signature = strings.TrimRight(string(clipBytes(w.tree.Text(node), 4*MaxSignature)), "; \t\r\n")
	}
	return true
}

func rustMacro(w *treeWalk, node int, s *Symbol) bool {
	s.Signature = "macro_rules! " + s.Name
	return true
}

// rustConstructor says by its name whether an associated function returns its own
// type.
func rustConstructor(name string) bool {
	return name == "new" || name == "default" || name == "from" ||
		strings.HasPrefix(name, "new_") || strings.HasPrefix(name, "with_") || strings.HasPrefix(name, "from_")
}

// rustPointee looks through smart pointers, whose methods are those of what they
// point to.
func rustPointee(w *treeWalk, node int) int {
	for range maxChain {
		switch {
		case w.is(node, "reference_type"):
			node = w.child(node, "type")
		case w.is(node, "generic_type") && slices.Contains([]string{"Arc", "Box", "Rc"}, w.nodeText(w.child(node, "type"))):
			node = w.tree.First(w.child(node, "type_arguments"))
		case w.is(node, "dynamic_type", "abstract_type"):
			node = w.child(node, "trait")
		default:
			return node
		}
	}
	return node
}

// rustEnterImpl gives what is defined in an impl block the name of its type.
func rustEnterImpl(w *treeWalk, node int) bool {
	typ := w.child(node, "type")
	if w.is(typ, "dynamic_type") {
		typ = w.child(typ, "trait")
	}
	name, _ := w.callee(typ)
	if name == "" {
		name = strings.Join(strings.Fields(string(clipBytes(w.tree.Text(typ), maxQualifier))), " ")
	}
	if around := w.top().name; around != "" {
		name = around + "." + name
	}
	w.enter(node, func(f *treeFrame) {
		f.kind, f.name, f.self, f.local = rustImpl, name, name, false
		if w.child(node, "trait") != treesitter.None {
			f.kind = rustTraitImpl
		}
	})
	return true
}

// rustGuard counts the condition of a match arm.
func rustGuard(w *treeWalk, node int) bool {
	if w.child(node, "condition") != treesitter.None {
		w.decide(1)
	}
	return true
}

// rustLetElse counts the else of a let.
func rustLetElse(w *treeWalk, node int) bool {
	if w.child(node, "alternative") != treesitter.None {
		w.decide(1)
	}
	return true
}

// rustVisible says whether a definition is public in any degree, which the parts
// of a public trait or enum are without saying so.
func rustVisible(w *treeWalk, node int, _ string) bool {
	switch around := w.top(); {
	case around.kind == rustTraitImpl:
		return true
	case around.kind == KindTrait, around.kind == KindEnum, around.kind == KindConstant:
		return w.At(around.ref).Exported
	}
	if w.is(node, "macro_definition") {
		_, start := w.docBefore(node)
		return bytes.Contains(w.text[start:w.tree.Nodes[node].Start], []byte("macro_export"))
	}
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if w.is(c, "visibility_modifier") {
			return strings.HasPrefix(w.nodeText(c), "pub") && w.nodeText(c) != "pub(self)"
		}
	}
	return false
}
