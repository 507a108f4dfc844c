package lang

import (
	"unsafe"

	typescript "github.com/tree-sitter/tree-sitter-typescript/bindings/go"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:         "TypeScript",
	Aliases:      []string{"ts"},
	Extensions:   []string{".ts", ".mts", ".cts"},
	Interpreters: []string{"deno", "ts-node", "tsx"},
	Extract:      typescriptRules("TypeScript", typescript.LanguageTypescript).extractor(),
})

var _ = register(Language{
	Name:       "TSX",
	Extensions: []string{".tsx"},
	Extract:    tsxRules().extractor(),
})

func tsxRules() *treeRules {
	r := typescriptRules("TSX", typescript.LanguageTSX)
	ecmaWithJSX(r)
	return r
}

// typescriptRules add types to the rules of JavaScript.
func typescriptRules(language string, grammar func() unsafe.Pointer) *treeRules {
	r := ecmaRules(language, grammar)
	members := map[string]string{KindInterface: KindField, KindType: KindField, KindField: KindField}
	methods := map[string]string{KindInterface: KindField, KindType: KindField, KindField: KindField, KindClass: KindMethod}
	object := defineRule{node: "variable_declarator", where: map[string][]string{"value": {"as_expression", "satisfies_expression"}},
		kind: KindVariable, name: "name", data: true, scope: true, refine: ecmaConst}
	r.defines = append([]defineRule{object}, r.defines...)
	r.defines = append(r.defines,
		defineRule{node: "abstract_class_declaration", kind: KindClass, name: "name", body: "body", scope: true},
		defineRule{node: "interface_declaration", kind: KindInterface, name: "name", body: "body", scope: true},
		defineRule{node: "type_alias_declaration", kind: KindType, name: "name", scope: true},
		defineRule{node: "enum_declaration", kind: KindEnum, name: "name", body: "body", scope: true},
		defineRule{node: "enum_assignment", kind: KindConstant, name: "name"},
		defineRule{node: "internal_module", kind: KindModule, name: "name", body: "body", scope: true},
		defineRule{node: "module", kind: KindModule, name: "name", body: "body", scope: true},
		defineRule{node: "function_signature", kind: KindFunction, name: "name", overload: true},
		defineRule{node: "abstract_method_signature", kind: KindMethod, name: "name", overload: true},
		defineRule{node: "method_signature", inside: methods, name: "name", overload: true},
		defineRule{node: "property_signature", inside: members, name: "name", data: true, each: true, scope: true},
		defineRule{node: "public_field_definition", where: map[string][]string{"value": ecmaFunctions},
			kind: KindMethod, name: "name", body: "value.body", callable: true, scope: true},
		defineRule{node: "public_field_definition", inside: map[string]string{KindClass: KindField}, name: "name"},
	)
	r.binds = append(r.binds,
		bindRule{node: "required_parameter", name: "pattern", typ: "type", parameter: true},
		bindRule{node: "optional_parameter", name: "pattern", typ: "type", parameter: true},
		bindRule{node: "variable_declarator", name: "name", typ: "type", value: "value", construct: ecmaConstruct},
		bindRule{node: "public_field_definition", name: "name", typ: "type", value: "value", construct: ecmaConstruct, field: true},
	)
	r.names = append(r.names, "type_identifier")
	r.members["nested_identifier"] = memberRule{of: "object", name: "property", separator: "."}
	r.members["nested_type_identifier"] = memberRule{of: "module", name: "name", separator: "."}
	for node, field := range map[string]string{
		"as_expression": "", "satisfies_expression": "", "non_null_expression": "", "instantiation_expression": "",
		"type_annotation": "", "generic_type": "name",
	} {
		r.unwrap[node] = field
	}
	r.wrappers = append(r.wrappers, "ambient_declaration")
	r.types = []string{"type_identifier"}
	r.typeHeads = []string{"extends_clause"}
	r.typeDeclares = []string{"type_parameter"}
	r.typeParents = map[string]string{"extends_clause": TypeExtends, "extends_type_clause": TypeExtends,
		"implements_clause": TypeImplements, "statement_block": TypeBody, "type_parameters": TypeSignature}
	r.signature = append(r.signature, "formal_parameters", "type_arguments", "type_parameters")
	r.visit["enum_body"] = typescriptEnum
	r.visit["required_parameter"] = typescriptParameterProperty
	r.visit["optional_parameter"] = typescriptParameterProperty
	return r
}

// typescriptEnum adds the members of an enum that have no value of their own; the
// grammar has no node around such a name.
func typescriptEnum(w *treeWalk, body int) bool {
	rule := &defineRule{kind: KindConstant}
	for c := w.tree.First(body); c != treesitter.None; c = w.tree.Sibling(c) {
		if a := w.action(c); a != nil && a.isComment {
			w.trivia = append(w.trivia, c)
		} else if name := w.plainName(c); name != "" && w.is(c, "property_identifier", "string") {
			n := w.tree.Nodes[c]
			doc, _ := w.docBefore(c)
			w.add(c, rule, Symbol{Kind: KindConstant, Name: name, Doc: doc, Signature: name, StartByte: int(n.Start), EndByte: int(n.End)})
		}
	}
	return true
}

// typescriptParameterProperty reads constructor(private readonly repo: Repo),
// which declares a field of the class in the constructor's text.
func typescriptParameterProperty(w *treeWalk, node int) bool {
	modifier := w.tree.First(node)
	if !w.is(modifier, "accessibility_modifier", "override_modifier") && !w.readonly(node) {
		return true
	}
	name := w.child(node, "pattern")
	around := w.top()
	if !w.is(name, "identifier") || around.self == "" {
		return true
	}
	w.bindField(around.self, w.nodeText(name), w.typeText(w.child(node, "type")))
	if constructor := around.ref; constructor != None && w.At(constructor).Name == "constructor" {
		n := w.tree.Nodes[node]
		s := Symbol{
			Kind: KindField, Name: w.nodeText(name), QualifiedName: around.self + "." + w.nodeText(name),
			Signature: w.nodeText(node), StartByte: int(n.Start), EndByte: int(n.End),
		}
		exported := ecmaVisible(w, node, s.Name)
		w.At(w.add(node, &defineRule{}, s)).Exported = exported
	}
	return true
}

// readonly says whether a parameter begins with that word, which is no node.
func (w *treeWalk) readonly(node int) bool {
	text := w.tree.Text(node)
	const word = "readonly "
	return len(text) > len(word) && string(text[:len(word)]) == word
}
