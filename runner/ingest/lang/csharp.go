package lang

import (
	"bytes"
	"strings"

	csharp "github.com/tree-sitter/tree-sitter-c-sharp/bindings/go"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:       "C#",
	Aliases:    []string{"csharp", "cs"},
	Extensions: []string{".cs", ".csx"},
	Extract:    csharpRules.extractor(),
})

var csharpBodies = map[string][]string{"body": {"block", "arrow_expression_clause"}}

var csharpRules = &treeRules{
	language: "C#",
	grammar:  csharp.Language,
	refuse:   csharpRefuse,

	defines: []defineRule{
		{node: "namespace_declaration", kind: KindModule, name: "name", body: "body", refine: csharpNamespace},
		{node: "file_scoped_namespace_declaration", kind: KindModule, name: "name", refine: csharpNamespace},
		{node: "class_declaration", kind: KindClass, name: "name", body: "body", scope: true},
		{node: "record_declaration", kind: KindClass, name: "name", body: "body", scope: true},
		{node: "struct_declaration", kind: KindStruct, name: "name", body: "body", scope: true},
		{node: "interface_declaration", kind: KindInterface, name: "name", body: "body", scope: true},
		{node: "enum_declaration", kind: KindEnum, name: "name", body: "body", scope: true},
		{node: "enum_member_declaration", kind: KindConstant, name: "name"},
		{node: "delegate_declaration", kind: KindType, name: "name"},
		{node: "method_declaration", where: csharpBodies, kind: KindMethod, name: "name", body: "body", callable: true, scope: true},
		{node: "method_declaration", kind: KindMethod, inside: map[string]string{KindInterface: KindField}, name: "name"},
		{node: "constructor_declaration", kind: KindMethod, name: "name", body: "body", callable: true, scope: true},
		{node: "destructor_declaration", kind: KindMethod, name: "name", body: "body", callable: true, scope: true, refine: csharpDestructor},
		{node: "operator_declaration", kind: KindMethod, name: "operator", body: "body", callable: true, scope: true, refine: csharpOperator},
		{node: "conversion_operator_declaration", kind: KindMethod, name: "type", body: "body", callable: true, scope: true, refine: csharpOperator},
		{node: "local_function_statement", kind: KindFunction, name: "name", body: "body", callable: true, scope: true},
		{node: "property_declaration", where: map[string][]string{"value": {"arrow_expression_clause"}},
			kind: KindField, name: "name", body: "value", callable: true, scope: true},
		{node: "property_declaration", kind: KindField, name: "name", body: "accessors", callable: true, scope: true, refine: csharpComputed},
		{node: "property_declaration", kind: KindField, name: "name", body: "accessors"},
		{node: "indexer_declaration", kind: KindField, name: "parameters", body: "accessors", callable: true, scope: true, refine: csharpIndexer},
		{node: "event_declaration", kind: KindField, name: "name", body: "accessors"},
	},
	calls: []callRule{
		{node: "invocation_expression", callee: "function", ignore: []string{"nameof"}},
		{node: "object_creation_expression", callee: "type"},
	},
	binds: []bindRule{
		{node: "parameter", name: "name", typ: "type"},
		{node: "foreach_statement", name: "left", typ: "type"},
		{node: "declaration_pattern", name: "name", typ: "type"},
		{node: "property_declaration", name: "name", typ: "type", field: true},
	},

	typeHeads:    []string{"base_list", "type_argument_list", "type_parameter_constraint"},
	typeFields:   map[string]string{"type": "", "returns": ""},
	typeDeclares: []string{"type_parameter"},
	typeParents: map[string]string{"base_list": TypeExtends, "block": TypeBody, "arrow_expression_clause": TypeBody,
		"type_parameter_constraints_clause": TypeSignature},

	names: []string{"identifier", "predefined_type"},
	members: map[string]memberRule{
		"member_access_expression":      {of: "expression", name: "name", separator: "."},
		"conditional_access_expression": {of: "condition", separator: "."},
		"qualified_name":                {of: "qualifier", name: "name", separator: "."},
		"alias_qualified_name":          {of: "alias", name: "name", separator: "::"},
	},
	unwrap: map[string]string{"generic_name": "", "parenthesized_expression": "", "member_binding_expression": "name",
		"nullable_type": "", "await_expression": ""},
	self: []string{"this"},
	bare: true, pascal: true,

	decisions: map[string]int{
		"if_statement": 1, "while_statement": 1, "do_statement": 1, "for_statement": 1, "foreach_statement": 1,
		"catch_clause": 1, "conditional_expression": 1, "when_clause": 1,
	},
	operators: []string{"&&", "||", "??"},

	comments: []string{"comment"},
	wrappers: []string{"field_declaration", "event_field_declaration"},
	local:    []string{"lambda_expression", "anonymous_method_expression", "block"},
	unsigned: []string{"attribute_list"},
	joinDocs: true,
	isDoc: func(comment []byte) bool {
		return bytes.HasPrefix(comment, []byte("///")) || isStarDoc(comment)
	},

	visit: map[string]func(*treeWalk, int) bool{
		"using_directive":       csharpUsing,
		"variable_declaration":  csharpVariables,
		"switch_section":        csharpArm,
		"switch_expression_arm": csharpArm,
	},
	visible: csharpVisible,
	end:     provideTypes("cs"),
}

// csharpNamespace names the module after the first namespace. Qualified names
// begin below it, whichever way it is written.
func csharpNamespace(w *treeWalk, node int, s *Symbol) bool {
	s.Name = strings.Join(strings.Fields(w.nodeText(w.child(node, "name"))), "")
	s.Signature = "namespace " + s.Name
	if w.ex.Module == "" {
		w.Module(s.Name, "")
	}
	return true
}

func csharpDestructor(_ *treeWalk, _ int, s *Symbol) bool {
	s.Name = "~" + s.Name
	return true
}

// csharpOperator names "operator +" and, of a conversion, "operator Money".
func csharpOperator(w *treeWalk, node int, s *Symbol) bool {
	name := w.child(node, "operator")
	if name == treesitter.None {
		name = w.child(node, "type")
	}
	s.Name = "operator " + w.nodeText(name)
	return true
}

func csharpIndexer(_ *treeWalk, _ int, s *Symbol) bool {
	s.Name = "this"
	return true
}

// csharpComputed says whether the accessors of a property have bodies.
func csharpComputed(w *treeWalk, node int, _ *Symbol) bool {
	for c := w.tree.First(w.child(node, "accessors")); c != treesitter.None; c = w.tree.Sibling(c) {
		if w.child(c, "body") != treesitter.None {
			return true
		}
	}
	return false
}

// csharpVariables adds fields and events, and notes the types of variables.
func csharpVariables(w *treeWalk, node int) bool {
	around := w.tree.Parent(node)
	member := w.is(around, "field_declaration", "event_field_declaration")
	if member {
		rule := defineRule{kind: KindField}
		if strings.Contains(csharpModifiers(w, around), " const ") {
			rule.kind = KindConstant
		}
		w.addEach(node, &rule, "variable_declarator", "name")
	}
	declared := w.typeText(w.child(node, "type"))
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if !w.is(c, "variable_declarator") {
			continue
		}
		typ := declared
		for v := w.tree.First(c); typ == "" && v != treesitter.None; v = w.tree.Sibling(v) {
			if w.is(v, "object_creation_expression") {
				typ = w.typeText(w.child(v, "type"))
			}
		}
		if name := w.nodeText(w.child(c, "name")); member {
			w.bindField(w.top().self, name, typ)
		} else {
			w.bindLocal(name, localName{typ: typ})
		}
	}
	return true
}

// csharpArm counts an arm of a switch but the one for all the rest.
func csharpArm(w *treeWalk, node int) bool {
	if text := w.nodeText(node); !strings.HasPrefix(text, "default") && !w.is(w.tree.First(node), "discard") {
		w.decide(1)
	}
	return true
}

// csharpUsing reads "using A.B;", "using static A.B.C;" and "using X = A.B.C;".
func csharpUsing(w *treeWalk, node int) bool {
	alias := w.nodeText(w.child(node, "name"))
	module := ""
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if w.is(c, "identifier", "qualified_name", "alias_qualified_name") && (alias == "" || c != w.child(node, "name")) {
			module = strings.Join(strings.Fields(w.nodeText(c)), "")
		}
	}
	if module == "" {
		return false
	}
	i := Import{Module: module, Seeks: []string{"cs:" + module}}
	_, last := cutLast(module)
	switch {
	case alias != "":
		i.Names = []string{last + " as " + alias}
	case !strings.Contains(" "+strings.Join(strings.Fields(w.nodeText(node)), " "), " static "):
		i.Names = []string{"*"}
	}
	w.Import(int(w.tree.Nodes[node].Start), i)
	return false
}

// csharpModifiers returns the modifiers of a definition, each between blanks.
func csharpModifiers(w *treeWalk, node int) string {
	modifiers := " "
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if w.is(c, "modifier") {
			modifiers += w.nodeText(c) + " "
		}
	}
	return modifiers
}

// csharpVisible says whether a definition can be seen outside its assembly.
func csharpVisible(w *treeWalk, node int, _ string) bool {
	modifiers := csharpModifiers(w, w.anchor(node))
	around := w.top()
	switch {
	case w.is(node, "namespace_declaration", "file_scoped_namespace_declaration"):
		return true
	case w.is(node, "enum_member_declaration"):
		return around.ref != None && w.At(around.ref).Exported
	case strings.Contains(modifiers, " private "):
		return false
	case strings.Contains(modifiers, " public "), strings.Contains(modifiers, " protected "):
		return true
	}
	return around.kind == KindInterface
}

// csharpRefuse finds a thousand angle brackets that one statement opens and does
// not close.
func csharpRefuse(text []byte) string {
	depth := 0
	for _, c := range text {
		switch c {
		case '<':
			if depth++; depth > 1000 {
				return "more than 1000 open angle brackets"
			}
		case '>':
			depth = max(depth-1, 0)
		case ';', '{', '}':
			depth = 0
		}
	}
	return ""
}
