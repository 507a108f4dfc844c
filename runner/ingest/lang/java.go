package lang

import (
	"strings"

	java "github.com/tree-sitter/tree-sitter-java/bindings/go"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:       "Java",
	Extensions: []string{".java"},
	Extract:    javaRules.extractor(),
})

var javaRules = &treeRules{
	language: "Java",
	grammar:  java.Language,

	defines: []defineRule{
		{node: "class_declaration", kind: KindClass, name: "name", body: "body", scope: true},
		{node: "record_declaration", kind: KindClass, name: "name", body: "body", scope: true},
		{node: "interface_declaration", kind: KindInterface, name: "name", body: "body", scope: true},
		{node: "annotation_type_declaration", kind: KindInterface, name: "name", body: "body", scope: true},
		{node: "enum_declaration", kind: KindEnum, name: "name", body: "body", scope: true},
		{node: "enum_constant", kind: KindConstant, name: "name", body: "body", scope: true},
		{node: "method_declaration", where: map[string][]string{"body": {"block"}},
			kind: KindMethod, name: "name", body: "body", callable: true, scope: true},
		{node: "method_declaration", kind: KindMethod, inside: map[string]string{KindInterface: KindField}, name: "name"},
		{node: "constructor_declaration", kind: KindMethod, name: "name", body: "body", callable: true, scope: true},
		{node: "compact_constructor_declaration", kind: KindMethod, name: "name", body: "body", callable: true, scope: true},
		{node: "annotation_type_element_declaration", kind: KindField, name: "name"},
		{node: "module_declaration", kind: KindModule, name: "name", body: "body"},
		{node: "formal_parameter", kind: KindField, name: "name", refine: javaComponent},
	},
	calls: []callRule{
		{node: "method_invocation", callee: "name", of: "object"},
		{node: "object_creation_expression", callee: "type"},
	},
	binds: []bindRule{
		{node: "formal_parameter", name: "name", typ: "type"},
		{node: "catch_formal_parameter", name: "name"},
		{node: "resource", name: "name", typ: "type", value: "value", construct: javaConstruct},
		{node: "enhanced_for_statement", name: "name", typ: "type"},
		{node: "instanceof_expression", name: "name", typ: "right"},
		{node: "local_variable_declaration", name: "declarator.name", typ: "type", value: "declarator.value", construct: javaConstruct},
		{node: "field_declaration", name: "declarator.name", typ: "type", field: true},
	},

	types:        []string{"type_identifier"},
	typeDeclares: []string{"type_parameter"},
	typeParents: map[string]string{"superclass": TypeExtends, "extends_interfaces": TypeExtends, "super_interfaces": TypeImplements,
		"block": TypeBody, "constructor_body": TypeBody, "type_parameters": TypeSignature},

	names: []string{"identifier", "type_identifier", "this", "super"},
	members: map[string]memberRule{
		"field_access":           {of: "object", name: "field", separator: "."},
		"scoped_identifier":      {of: "scope", name: "name", separator: "."},
		"scoped_type_identifier": {separator: "."},
	},
	unwrap: map[string]string{"generic_type": "", "parenthesized_expression": "", "annotated_type": ""},
	self:   []string{"this"},
	bare:   true,

	decisions: map[string]int{
		"if_statement": 1, "while_statement": 1, "do_statement": 1, "for_statement": 1, "enhanced_for_statement": 1,
		"catch_clause": 1, "ternary_expression": 1, "guard": 1,
	},
	operators: []string{"&&", "||"},

	comments: []string{"line_comment", "block_comment"},
	local:    []string{"lambda_expression", "static_initializer", "block"},
	unsigned: []string{"marker_annotation", "annotation"},
	isDoc:    isStarDoc,

	visit: map[string]func(*treeWalk, int) bool{
		"package_declaration":  javaPackage,
		"import_declaration":   javaImport,
		"field_declaration":    javaFields,
		"constant_declaration": javaFields,
		"variable_declarator":  javaInitializer,
		"switch_label":         javaLabel,
		"inferred_parameters":  bindParameters,
	},
	visible: javaVisible,
	end:     provideTypes("jvm"),
}

var javaConstruct = map[string]string{"object_creation_expression": "type"}

// isStarDoc knows documentation by its two stars.
func isStarDoc(comment []byte) bool {
	return len(comment) > 4 && string(comment[:3]) == "/**" && comment[3] != '/'
}

// javaPackage names the module. Its documentation stands in package-info.java.
func javaPackage(w *treeWalk, node int) bool {
	doc, _ := w.docBefore(node)
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if w.is(c, "identifier", "scoped_identifier") {
			w.Module(strings.Join(strings.Fields(w.nodeText(c)), ""), doc)
		}
	}
	return false
}

// javaImport reads "import a.b.C;", "import a.b.*;" and "import static a.b.C.f;". The
// class is what is sought, or the package for a star.
func javaImport(w *treeWalk, node int) bool {
	module, star := "", false
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		switch {
		case w.is(c, "identifier", "scoped_identifier"):
			module = strings.Join(strings.Fields(w.nodeText(c)), "")
		case w.is(c, "asterisk"):
			star = true
		}
	}
	static := strings.HasPrefix(strings.Join(strings.Fields(w.nodeText(node)), " "), "import static ")
	w.Import(int(w.tree.Nodes[node].Start), jvmImport(module, "", star, static))
	return false
}

// jvmImport is the import of a class, of a member of one, or of all that a package
// or class holds. Names carry what of the module is meant: C, or C.f for a member.
func jvmImport(module, alias string, star, static bool) Import {
	i := Import{Module: module, Seeks: []string{"jvm:" + module}}
	if star {
		i.Names = []string{"*"}
		return i
	}
	pkg, name := cutLast(module)
	i.Names = []string{name}
	if static {
		i.Seeks = []string{"jvm:" + pkg}
		_, class := cutLast(pkg)
		i.Names[0] = class + "." + name + " as " + name
	}
	if alias != "" {
		i.Names[0] = name + " as " + alias
	}
	return i
}

// cutLast splits a dotted name before its last part.
func cutLast(name string) (before, last string) {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}

// provideTypes provides the file's module and, by their full names, what it defines
// at its top.
func provideTypes(family string) func(w *treeWalk) {
	return func(w *treeWalk) {
		if w.ex.Module == "" {
			return
		}
		seen := map[string]bool{}
		for i := range w.ex.Symbols {
			if s := &w.ex.Symbols[i]; w.parents[i] == None && s.Kind != KindModule && !seen[s.Name] && len(seen) < maxProvided {
				seen[s.Name] = true
				w.Provide(family + ":" + w.ex.Module + "." + s.Name)
			}
		}
		w.Provide(family + ":" + w.ex.Module)
	}
}

// maxProvided bounds the names that one file provides; generated files define
// thousands.
const maxProvided = 200

// javaFields adds each of the fields that one declaration names.
func javaFields(w *treeWalk, node int) bool {
	rule := defineRule{kind: KindField, data: true}
	modifiers := javaModifiers(w, node)
	if w.top().kind == KindInterface || strings.Contains(modifiers, " static ") && strings.Contains(modifiers, " final ") {
		rule.kind = KindConstant
	}
	w.addEach(node, &rule, "variable_declarator", "name")
	return true
}

// javaInitializer gives the methods of an anonymous class the name of the field
// that holds it. In a method they have the method's name.
func javaInitializer(w *treeWalk, node int) bool {
	if w.top().local {
		return true
	}
	w.enter(node, func(f *treeFrame) {
		f.name += "." + w.nodeText(w.child(node, "name"))
		f.local = true
	})
	return true
}

// addEach adds what each child of one node type defines, with the documentation
// and the signature of the whole.
func (w *treeWalk) addEach(node int, rule *defineRule, child, name string) {
	if rule.data && w.top().local {
		return
	}
	doc, start := w.docBefore(w.anchor(node))
	first := true
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if !w.is(c, child) {
			continue
		}
		s := Symbol{Kind: rule.kind, Name: strings.TrimPrefix(w.plainName(w.child(c, name)), "$"), Doc: doc, StartByte: int(w.tree.Nodes[c].Start), EndByte: int(w.tree.Nodes[c].End)}
		if first {
			s.StartByte = start
		}
		if s.Name == "" {
			continue
		}
		s.Signature = w.signature(w.anchor(node), node, treesitter.None)
		w.add(node, rule, s)
		first = false
	}
}

// javaLabel counts an arm of a switch; the default one is the way that is left.
func javaLabel(w *treeWalk, node int) bool {
	if w.tree.First(node) != treesitter.None {
		w.decide(1)
	}
	return true
}

// javaComponent keeps the components of a record; other parameters are no fields.
func javaComponent(w *treeWalk, node int, _ *Symbol) bool {
	around := w.tree.Parent(w.tree.Parent(node))
	if !w.is(around, "record_declaration") {
		return false
	}
	w.bindField(w.top().self, w.nodeText(w.child(node, "name")), w.typeText(w.child(node, "type")))
	return true
}

// javaModifiers returns the modifiers of a definition, each between blanks.
func javaModifiers(w *treeWalk, node int) string {
	if m := w.tree.First(node); w.is(m, "modifiers") {
		return " " + strings.Join(strings.Fields(w.nodeText(m)), " ") + " "
	}
	return ""
}

// javaVisible says whether a definition can be seen outside its package.
func javaVisible(w *treeWalk, node int, _ string) bool {
	modifiers := javaModifiers(w, node)
	switch around := w.top(); {
	case strings.Contains(modifiers, " private "):
		return false
	case strings.Contains(modifiers, " public "), strings.Contains(modifiers, " protected "):
		return true
	case w.is(node, "enum_constant", "formal_parameter", "module_declaration"):
		return around.ref == None || w.At(around.ref).Exported
	default:
		return around.kind == KindInterface
	}
}
