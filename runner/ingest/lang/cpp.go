package lang

import (
	"strings"

	cpp "github.com/tree-sitter/tree-sitter-cpp/bindings/go"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:       "C++",
	Aliases:    []string{"cpp", "cxx"},
	Extensions: []string{".cc", ".cpp", ".cxx", ".c++", ".hh", ".hpp", ".hxx", ".ipp", ".tpp", ".h"},
	Marks: []string{
		"\nclass ", "\nnamespace ", "\ntemplate <", "\ntemplate<", "std::", "\nusing namespace ", "\npublic:", "\nprivate:", "\nprotected:", " public:", " private:",
		"constexpr ", "nullptr", "static_cast<", "virtual ", "#include <string>", "#include <vector>", "#include <memory>", "typename ", "-*- C++ -*-", "operator=(",
	},
	Extract: cppRules().extractor(),
})

var cppMethods = map[string]string{KindClass: KindMethod, KindStruct: KindMethod}

// cppRules add to those of C what C++ has more.
func cppRules() *treeRules {
	r := cRules("C++", cpp.Language)
	r.defines = append(r.defines,
		defineRule{node: "class_specifier", where: map[string][]string{"body": {"field_declaration_list"}},
			kind: KindClass, name: "name", body: "body", scope: true, refine: cType},
		defineRule{node: "namespace_definition", kind: KindModule, name: "name", body: "body", scope: true, refine: cppNamespace},
		defineRule{node: "alias_declaration", kind: KindType, name: "name"},
		defineRule{node: "concept_definition", kind: KindType, name: "name"},
	)
	r.calls = append(r.calls, callRule{node: "new_expression", callee: "type"})
	r.names = append(r.names, "namespace_identifier", "this", "operator_name", "destructor_name")
	r.members["qualified_identifier"] = memberRule{of: "scope", name: "name", separator: "::"}
	for node, field := range map[string]string{"template_function": "name", "template_method": "name", "template_type": "name"} {
		r.unwrap[node] = field
	}
	r.typeParents["base_class_clause"] = TypeExtends
	r.typeDeclares = []string{"type_parameter_declaration", "optional_type_parameter_declaration", "variadic_type_parameter_declaration"}
	r.self = []string{"this"}
	r.bare = true
	r.typeNode = cppPointee
	for _, node := range []string{"for_range_loop", "catch_clause"} {
		r.decisions[node] = 1
	}
	r.operators = append(r.operators, "and", "or")
	r.wrappers = append(r.wrappers, "template_declaration")
	r.local = append(r.local, "lambda_expression")
	r.visit["access_specifier"] = cppAccess
	r.visit["namespace_definition"] = cppUnnamed
	r.visit["optional_parameter_declaration"] = cParameter
	r.visible = cppVisible
	return r
}

// cppNamed gives a symbol the name at a node. One that is written with its owner,
// as in Client::send, is a member of that.
func cppNamed(w *treeWalk, name int, s *Symbol) {
	owner := w.top().name
	for range maxChain {
		if !w.is(name, "qualified_identifier") {
			break
		}
		if scope := w.child(name, "scope"); scope != treesitter.None {
			of, _ := w.callee(scope)
			owner = strings.TrimPrefix(owner+"."+of, ".")
			if s.Kind == KindFunction {
				s.Kind = KindMethod
			}
		}
		name = w.child(name, "name")
	}
	switch {
	case w.is(name, "template_function", "template_type", "template_method"):
		s.Name, _ = w.callee(name)
	case w.is(name, "operator_name", "operator_cast", "destructor_name"):
		text, _, _ := strings.Cut(w.nodeText(name), "(")
		if rest := strings.TrimPrefix(w.nodeText(name), text); strings.HasPrefix(rest, "()") && strings.TrimSpace(text) == "operator" {
			text = "operator()"
		}
		s.Name = strings.Join(strings.Fields(text), " ")
	case w.is(name, "identifier", "field_identifier", "type_identifier", "primitive_type"):
		s.Name = w.nodeText(name)
	default:
		s.Name = ""
		return
	}
	if owner != w.top().name {
		s.QualifiedName = owner + "." + s.Name
	}
}

// memberScope says whether a definition here is a member of a class.
func (w *treeWalk) memberScope() bool {
	_, ok := cppMethods[w.top().kind]
	return ok
}

// cppNamespace reads "namespace a::b".
func cppNamespace(w *treeWalk, node int, s *Symbol) bool {
	s.Name = strings.Join(strings.Fields(w.nodeText(w.child(node, "name"))), "")
	if s.Name != "" {
		s.QualifiedName = strings.TrimPrefix(w.top().name+"."+strings.ReplaceAll(s.Name, "::", "."), ".")
	}
	return true
}

// cppUnnamed hides what a nameless namespace holds.
func cppUnnamed(w *treeWalk, node int) bool {
	if w.child(node, "name") == treesitter.None {
		w.enter(node, func(f *treeFrame) { f.access = "private" })
	}
	return true
}

// cppAccess begins a section of a class.
func cppAccess(w *treeWalk, node int) bool {
	if w.is(w.tree.Parent(node), "field_declaration_list") {
		w.top().access = w.nodeText(node)
	}
	return true
}

// cppVisible says whether other files can use a definition.
func cppVisible(w *treeWalk, node int, _ string) bool {
	around := w.top()
	switch {
	case around.access != "":
		return around.access != "private"
	case around.kind == KindClass:
		return false
	case w.memberScope() || around.local:
		return true
	}
	return !w.is(node, "function_definition", "declaration") || !cStored(w, node, "static")
}

// cppPointee looks through the pointers of the standard library.
func cppPointee(w *treeWalk, node int) int {
	typ := node
	for w.is(typ, "qualified_identifier") {
		typ = w.child(typ, "name")
	}
	if !w.is(typ, "template_type") {
		return node
	}
	switch w.nodeText(w.child(typ, "name")) {
	case "unique_ptr", "shared_ptr", "weak_ptr":
		return w.child(w.tree.First(w.child(typ, "arguments")), "type")
	}
	return node
}
