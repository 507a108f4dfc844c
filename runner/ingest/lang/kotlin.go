package lang

import (
	"regexp"
	"strings"

	kotlin "github.com/tree-sitter-grammars/tree-sitter-kotlin/bindings/go"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:       "Kotlin",
	Aliases:    []string{"kt"},
	Extensions: []string{".kt", ".kts"},
	Extract:    kotlinRules.extractor(),
})

var kotlinMethods = map[string]string{KindClass: KindMethod, KindInterface: KindMethod, KindEnum: KindMethod, KindConstant: KindMethod}

var kotlinRules = &treeRules{
	language: "Kotlin",
	grammar:  kotlin.Language,

	defines: []defineRule{
		{node: "class_declaration", kind: KindClass, name: "name", scope: true, refine: kotlinType},
		{node: "object_declaration", kind: KindClass, name: "name", scope: true, refine: kotlinType},
		{node: "companion_object", kind: KindClass, name: "", scope: true, refine: kotlinType},
		{node: "function_declaration", kind: KindFunction, inside: kotlinMethods, name: "name", callable: true, scope: true, refine: kotlinFunction},
		{node: "function_declaration", kind: "", inside: map[string]string{KindInterface: KindField}, name: "name", refine: kotlinType},
		{node: "secondary_constructor", kind: KindMethod, name: "", callable: true, scope: true, refine: kotlinType},
		{node: "property_declaration", kind: KindVariable, name: "", data: true, refine: kotlinProperty,
			inside: map[string]string{KindClass: KindField, KindInterface: KindField, KindEnum: KindField}},
		{node: "class_parameter", kind: KindField, name: "", refine: kotlinParameter},
		{node: "enum_entry", kind: KindConstant, name: "", scope: true, refine: kotlinType},
		{node: "type_alias", kind: KindType, name: "type"},
	},
	calls: []callRule{{node: "call_expression"}, {node: "constructor_invocation"}},

	types:        []string{"user_type"},
	typeDeclares: []string{"type_parameter"},
	typeParents:  map[string]string{"delegation_specifier": TypeExtends, "function_body": TypeBody, "block": TypeBody, "type_parameters": TypeSignature},

	names:   []string{"identifier", "this_expression", "super_expression"},
	members: map[string]memberRule{"navigation_expression": {separator: "."}},
	unwrap:  map[string]string{"parenthesized_expression": "", "user_type": "", "nullable_type": "", "type_arguments": ""},
	self:    []string{"this"},
	bare:    true,

	decisions: map[string]int{
		"if_expression": 1, "for_statement": 1, "while_statement": 1, "do_while_statement": 1, "catch_block": 1,
	},
	operators: []string{"&&", "||", "?:"},

	comments: []string{"line_comment", "block_comment"},
	local:    []string{"lambda_literal", "anonymous_function", "anonymous_initializer", "getter", "setter"},
	unsigned: []string{"annotation"},
	isDoc:    isStarDoc,

	visit: map[string]func(*treeWalk, int) bool{
		"package_header": kotlinPackage,
		"import":         kotlinImport,
		"when_entry":     kotlinEntry,
		"parameter":      kotlinBind,
	},
	visible: func(w *treeWalk, node int, _ string) bool {
		return !strings.Contains(javaModifiers(w, node), " private ")
	},
	end: provideTypes("jvm"),
}

// firstOf returns the first child of one of the types.
func (w *treeWalk) firstOf(node int, types ...string) int {
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if w.is(c, types...) {
			return c
		}
	}
	return treesitter.None
}

// kotlinType names types and members whose parts have no fields in the grammar.
func kotlinType(w *treeWalk, node int, s *Symbol) bool {
	name := w.child(node, "name")
	if name == treesitter.None {
		name = w.firstOf(node, "identifier")
	}
	s.Name = w.nodeText(name)
	body := w.firstOf(node, "class_body", "enum_class_body", "function_body", "block")
	s.Signature = w.signature(node, node, body)
	switch {
	case w.is(node, "companion_object") && s.Name == "":
		s.Name = "Companion"
	case w.is(node, "secondary_constructor"):
		s.Name = "constructor"
	case w.is(body, "enum_class_body"):
		s.Kind = KindEnum
	case w.is(node, "class_declaration") && kotlinInterface.MatchString(s.Signature):
		s.Kind = KindInterface
	}
	return s.Name != ""
}

var kotlinInterface = regexp.MustCompile(`^(?:\w+\s+)*interface\s`)

// kotlinFunction keeps functions with a body; those of an interface that have none
// are its members.
func kotlinFunction(w *treeWalk, node int, s *Symbol) bool {
	if w.top().kind == KindInterface && w.firstOf(node, "function_body") == treesitter.None {
		return false
	}
	return kotlinType(w, node, s)
}

// kotlinProperty names a property, and a constant where it says so.
func kotlinProperty(w *treeWalk, node int, s *Symbol) bool {
	variable := w.firstOf(node, "variable_declaration")
	s.Name = w.nodeText(w.firstOf(variable, "identifier"))
	if strings.Contains(javaModifiers(w, node), " const ") {
		s.Kind = KindConstant
	}
	w.bindField(w.top().self, s.Name, kotlinTypeOf(w, variable))
	return true
}

// kotlinParameter keeps parameters of a constructor that are properties too.
func kotlinParameter(w *treeWalk, node int, s *Symbol) bool {
	name := w.firstOf(node, "identifier")
	s.Name = w.nodeText(name)
	if name == treesitter.None {
		return false
	}
	w.bindField(w.top().self, s.Name, kotlinTypeOf(w, node))
	words := strings.Fields(string(w.text[w.tree.Nodes[node].Start:w.tree.Nodes[name].Start]))
	return len(words) > 0 && (words[len(words)-1] == "val" || words[len(words)-1] == "var")
}

func kotlinTypeOf(w *treeWalk, node int) string {
	return w.typeText(w.firstOf(node, "user_type", "nullable_type"))
}

func kotlinBind(w *treeWalk, node int) bool {
	w.bindLocal(w.nodeText(w.firstOf(node, "identifier")), localName{typ: kotlinTypeOf(w, node)})
	return true
}

// kotlinEntry counts an arm of a when but the one for all the rest.
func kotlinEntry(w *treeWalk, node int) bool {
	if w.child(node, "condition") != treesitter.None {
		w.decide(1)
	}
	return true
}

func kotlinPackage(w *treeWalk, node int) bool {
	w.Module(strings.Join(strings.Fields(w.nodeText(w.firstOf(node, "qualified_identifier"))), ""), "")
	return false
}

// kotlinImport reads "import a.b.C", "import a.b.*" and "import a.b.C as D".
func kotlinImport(w *treeWalk, node int) bool {
	text, _, _ := strings.Cut(w.nodeText(node), "\n")
	words := strings.Fields(strings.TrimRight(text, "; \t\r"))
	if len(words) < 2 || words[0] != "import" {
		return false
	}
	module, star := strings.CutSuffix(words[1], ".*")
	alias := ""
	if len(words) == 4 && words[2] == "as" {
		alias = words[3]
	}
	i := jvmImport(module, alias, star, false)
	if before, _ := cutLast(module); !star && before != "" {
		i.Seeks = append(i.Seeks, "jvm:"+before) // a function of the package
	}
	w.Import(int(w.tree.Nodes[node].Start), i)
	return false
}
