package lang

import (
	"bytes"
	"slices"
	"strings"
	"unsafe"

	javascript "github.com/tree-sitter/tree-sitter-javascript/bindings/go"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:         "JavaScript",
	Aliases:      []string{"js", "jsx", "node", "ecmascript"},
	Extensions:   []string{".js", ".jsx", ".mjs", ".cjs", ".es6"},
	Filenames:    []string{"Jakefile"},
	Interpreters: []string{"node", "nodejs", "bun", "qjs"},
	Extract:      javascriptRules().extractor(),
})

// javascriptRules are the rules of JavaScript with JSX.
func javascriptRules() *treeRules {
	r := ecmaRules("JavaScript", javascript.Language)
	r.defines = append(r.defines,
		defineRule{node: "field_definition", where: map[string][]string{"value": ecmaFunctions},
			kind: KindMethod, name: "property", body: "value.body", callable: true, scope: true},
		defineRule{node: "field_definition", kind: "", inside: map[string]string{KindClass: KindField}, name: "property"},
	)
	r.binds = append(r.binds,
		bindRule{node: "variable_declarator", name: "name", value: "value", construct: ecmaConstruct},
		bindRule{node: "field_definition", name: "property", value: "value", construct: ecmaConstruct, field: true},
	)
	ecmaWithJSX(r)
	return r
}

// Node types that JavaScript and TypeScript share.
var (
	ecmaFunctions = []string{"arrow_function", "function_expression", "generator_function"}
	ecmaConstruct = map[string]string{"new_expression": "constructor"}

	// ecmaWrappers are functions that return their argument, a function, with
	// something added; what they are assigned to is that function.
	ecmaWrappers = []string{"asyncHandler", "cache", "debounce", "forwardRef", "memo", "memoize", "observer", "once", "throttle", "useCallback"}
)

// ecmaRules are the rules that hold for JavaScript, TypeScript and TSX.
func ecmaRules(language string, grammar func() unsafe.Pointer) *treeRules {
	function := func(node, name, body string, where map[string][]string) defineRule {
		return defineRule{node: node, where: where, kind: KindFunction, name: name, body: body, callable: true, scope: true}
	}
	named := function("function_declaration", "name", "body", nil)
	named.overload = true
	wrapped := function("variable_declarator", "name", "", map[string][]string{"value": {"call_expression"}})
	wrapped.refine = ecmaWrapped
	wrappedDefault := function("export_statement", "value", "", map[string][]string{"value": {"call_expression"}})
	wrappedDefault.refine = ecmaDefault
	unnamed := function("export_statement", "value", "value.body", map[string][]string{"value": ecmaFunctions})
	unnamed.refine = ecmaDefault
	assigned := function("assignment_expression", "left", "right.body", map[string][]string{"right": ecmaFunctions})
	assigned.refine = ecmaAssigned

	return &treeRules{
		language: language,
		grammar:  grammar,

		defines: []defineRule{
			named,
			function("generator_function_declaration", "name", "body", nil),
			{node: "class_declaration", kind: KindClass, name: "name", body: "body", scope: true},
			{node: "method_definition", kind: KindMethod, name: "name", body: "body", callable: true, scope: true, overload: true},
			{node: "pair", where: map[string][]string{"value": ecmaFunctions}, kind: KindMethod,
				name: "key", body: "value.body", callable: true, scope: true, refine: ecmaBound},
			function("variable_declarator", "name", "value.body", map[string][]string{"value": ecmaFunctions}),
			{node: "variable_declarator", where: map[string][]string{"value": {"class"}},
				kind: KindClass, name: "name", body: "value.body", scope: true},
			wrapped,
			{node: "variable_declarator", where: map[string][]string{"value": {"object"}},
				kind: KindVariable, name: "name", data: true, scope: true, refine: ecmaConst},
			{node: "variable_declarator", kind: KindVariable, name: "name", data: true, refine: ecmaConst},
			assigned,
			{node: "assignment_expression", where: map[string][]string{"right": {"class"}},
				kind: KindClass, name: "left", body: "right.body", scope: true, refine: ecmaAssigned},
			unnamed,
			wrappedDefault,
			{node: "export_statement", where: map[string][]string{"value": {"class"}},
				kind: KindClass, name: "value", body: "value.body", scope: true, refine: ecmaDefault},
			{node: "export_statement", where: map[string][]string{"value": {"object"}},
				kind: KindVariable, name: "value", data: true, scope: true, refine: ecmaDefault},
		},
		calls: []callRule{
			{node: "call_expression", callee: "function", ignore: []string{"super", "require"}},
			{node: "new_expression", callee: "constructor"},
			{node: "decorator"},
		},
		binds: []bindRule{
			{node: "arrow_function", name: "parameter", parameter: true},
			{node: "assignment_expression", name: "left", value: "right", construct: ecmaConstruct},
		},

		names: []string{"identifier", "property_identifier", "private_property_identifier", "shorthand_property_identifier_pattern",
			"computed_property_name", "this", "super"},
		members: map[string]memberRule{"member_expression": {of: "object", name: "property", separator: "."}},
		patterns: []string{"object_pattern", "array_pattern", "pair_pattern", "rest_pattern",
			"assignment_pattern", "object_assignment_pattern"},
		unwrap: map[string]string{"parenthesized_expression": "", "await_expression": ""},
		self:   []string{"this"},

		decisions: map[string]int{
			"if_statement": 1, "for_statement": 1, "for_in_statement": 1, "while_statement": 1, "do_statement": 1,
			"switch_case": 1, "catch_clause": 1, "ternary_expression": 1,
		},
		operators: []string{"&&", "||", "??"},

		comments: []string{"comment"},
		attached: []string{"decorator"},
		unsigned: []string{"decorator"},
		wrappers: []string{"export_statement", "lexical_declaration", "variable_declaration", "expression_statement"},
		local: append([]string{"if_statement", "for_statement", "for_in_statement", "while_statement", "do_statement",
			"switch_statement", "try_statement", "class_static_block"}, ecmaFunctions...),
		isDoc: isJSDoc,

		visit: map[string]func(*treeWalk, int) bool{
			"import_statement":      ecmaImport,
			"export_statement":      ecmaExport,
			"call_expression":       ecmaRequire,
			"assignment_expression": ecmaCommonExport,
			"formal_parameters":     bindParameters,
		},
		visible: ecmaVisible,
		begin:   ecmaModule,
		end:     ecmaExported,
	}
}

// ecmaWithJSX adds what grammars with JSX have: an element is a call of its
// component.
func ecmaWithJSX(r *treeRules) {
	element := func(w *treeWalk, node int) bool {
		callee := w.child(node, "name")
		name, qualifier := w.callee(callee)
		if name != "" && (qualifier != "" || name[0] < 'a' || name[0] > 'z') { // lower case is HTML
			w.called(callee, name, qualifier)
		}
		return true
	}
	r.visit["jsx_opening_element"] = element
	r.visit["jsx_self_closing_element"] = element
}

func isJSDoc(comment []byte) bool {
	return bytes.HasPrefix(comment, []byte("/**")) && !bytes.HasPrefix(comment, []byte("/**/"))
}

// ecmaConst tells constants by their keyword. A name bound to what a module
// exports is an import and no definition.
func ecmaConst(w *treeWalk, node int, s *Symbol) bool {
	if value := w.child(node, "value"); value != treesitter.None && w.requires(value) {
		return false
	}
	if s.Kind == KindVariable && w.nodeText(w.child(w.tree.Parent(node), "kind")) == "const" {
		s.Kind = KindConstant
	}
	return true
}

// ecmaDefault names what is exported as the default without a name of its own.
func ecmaDefault(w *treeWalk, node int, s *Symbol) bool {
	value := w.child(node, "value")
	s.Name = w.nodeText(w.child(value, "name"))
	if s.Name == "" {
		s.Name = "default"
	}
	return !w.is(value, "call_expression") || w.wrapsFunction(value)
}

// ecmaWrapped is for const f = memo(() => ...).
func ecmaWrapped(w *treeWalk, node int, _ *Symbol) bool {
	return w.wrapsFunction(w.child(node, "value"))
}

func (w *treeWalk) wrapsFunction(call int) bool {
	name, _ := w.callee(w.child(call, "function"))
	first := w.tree.First(w.child(call, "arguments"))
	return slices.Contains(ecmaWrappers, name) &&
		(w.is(first, ecmaFunctions...) || w.is(first, "call_expression") && w.wrapsFunction(first))
}

// ecmaBound accepts a function in an object literal where the literal itself has a
// name: const api = {get: () => 1}.
func ecmaBound(w *treeWalk, node int, _ *Symbol) bool {
	for range maxChain {
		object := w.tree.Parent(node)
		if !w.is(object, "object") {
			return false
		}
		node = w.tree.Parent(object)
		if w.is(node, "as_expression", "satisfies_expression") {
			node = w.tree.Parent(node)
		}
		if !w.is(node, "pair") {
			return w.is(node, "variable_declarator", "assignment_expression", "export_statement")
		}
	}
	return false
}

// ecmaAssigned names what is assigned to a name or a property: exports.f is f,
// F.prototype.m and this.m are methods of F.
func ecmaAssigned(w *treeWalk, node int, s *Symbol) bool {
	name, qualifier := w.callee(w.child(node, "left"))
	if name == "" {
		return false
	}
	s.Name = name
	around := w.top()
	switch owner := strings.TrimSuffix(qualifier, ".prototype"); {
	case qualifier == "module" && name == "exports":
		if s.Name = w.nodeText(w.child(w.child(node, "right"), "name")); s.Name == "" {
			s.Name = "default"
		}
		w.ecma().names[s.Name] = true
	case qualifier == "exports" || qualifier == "module.exports":
		w.ecma().names[name] = true
	case qualifier == "":
	case strings.ContainsAny(owner, "()[]{} …"):
		return false
	default:
		if owner == "this" {
			if owner = around.self; owner == "" {
				owner = around.name
			}
		}
		if s.Kind == KindFunction {
			s.Kind = KindMethod
		}
		if owner != "" {
			s.QualifiedName = owner + "." + name
		}
	}
	return true
}

// ecmaFile is what a JavaScript file is remembered by.
type ecmaFile struct {
	names  map[string]bool     // exported by a clause or an assignment
	others map[string][]string // and the names that clauses give them
	module bool                // whether it imports or exports anything; a script's names are global

	declarations bool // a .d.ts file, in which everything is exported
}

func (w *treeWalk) ecma() *ecmaFile { return w.extra.(*ecmaFile) }

// ecmaVisible says whether a member is not private, or whether anything else is
// part of an export statement.
func ecmaVisible(w *treeWalk, node int, name string) bool {
	if strings.HasPrefix(name, "#") {
		return false
	}
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if w.is(c, "accessibility_modifier") {
			return w.nodeText(c) == "public"
		}
	}
	if around := w.top(); around.ref != None && around.kind != KindModule {
		return true
	}
	if w.ecma().declarations || w.is(node, "module") && w.is(w.child(node, "name"), "string") {
		return true
	}
	for range 4 {
		if w.is(node, "export_statement") || w.is(node, "ambient_declaration") && w.is(w.tree.First(node), "statement_block") {
			return true // the latter is declare global {}
		}
		if node = w.tree.Parent(node); node == treesitter.None {
			break
		}
	}
	return false
}

// ecmaExported settles what is exported when all export clauses are known: what
// they name, all of a script, and the members of what is exported.
func ecmaExported(w *treeWalk) {
	f := w.ecma()
	exported := map[string]bool{} // at top level
	for ref := range w.ex.Symbols {
		s := w.At(Ref(ref))
		parent := w.parents[ref]
		owner, _, member := strings.Cut(s.QualifiedName, ".")
		switch {
		case parent != None:
			p := w.At(parent)
			property := p.Kind == KindMethod && s.Kind == KindField // declared by a parameter of the constructor
			s.Exported = s.Exported && p.Exported && (property || p.Kind != KindFunction && p.Kind != KindMethod)
		case member:
			s.Exported = exported[owner] || f.names[owner]
		default:
			s.Exported = s.Exported || f.names[s.Name] || !f.module
			exported[s.Name] = exported[s.Name] || s.Exported
		}
	}
	for n := range w.ex.Imports {
		i := &w.ex.Imports[n]
		if len(i.Exports) > 0 {
			continue // says so itself
		}
		for _, name := range i.Names {
			original, local, renamed := strings.Cut(name, " as ")
			if !renamed {
				local = original
			}
			i.Exports = append(i.Exports, f.passesOn(original, local)...)
		}
		i.Exports = append(i.Exports, f.passesOn("*", i.Alias)...)
	}
}

// passesOn says under which names a clause exports an import, known here as local.
func (f *ecmaFile) passesOn(original, local string) (exports []string) {
	if local == "" || !f.names[local] {
		return nil
	}
	names := f.others[local]
	if len(names) == 0 {
		names = []string{local}
	}
	for _, name := range names {
		if name == original {
			exports = append(exports, name)
		} else {
			exports = append(exports, original+" as "+name)
		}
	}
	return exports
}
