package lang

import (
	"bytes"
	"strings"
	"unsafe"

	c "github.com/tree-sitter/tree-sitter-c/bindings/go"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:       "C",
	Extensions: []string{".c", ".h"},
	Extract:    cRules("C", c.Language).extractor(),
})

// cRules are the rules of C, and those of C++ that C has too.
func cRules(language string, grammar func() unsafe.Pointer) *treeRules {
	braced := map[string][]string{"body": {"field_declaration_list"}}
	return &treeRules{
		language: language,
		grammar:  grammar,
		mask:     maskMacros,

		defines: []defineRule{
			{node: "function_definition", kind: KindFunction, inside: cppMethods, name: "declarator", body: "body",
				callable: true, scope: true, refine: cFunction},
			{node: "struct_specifier", where: braced, kind: KindStruct, name: "name", body: "body", scope: true, refine: cType},
			{node: "union_specifier", where: braced, kind: KindStruct, name: "name", body: "body", scope: true, refine: cType},
			{node: "enum_specifier", where: map[string][]string{"body": {"enumerator_list"}},
				kind: KindEnum, name: "name", body: "body", scope: true, refine: cType},
			{node: "type_definition", where: map[string][]string{"type": {"struct_specifier", "union_specifier"}},
				kind: KindStruct, name: "declarator", body: "type.body", scope: true, refine: cUnnamed},
			{node: "type_definition", where: map[string][]string{"type": {"enum_specifier"}},
				kind: KindEnum, name: "declarator", body: "type.body", scope: true, refine: cUnnamed},
			{node: "enumerator", kind: KindConstant, name: "name", refine: cDocumented},
			{node: "preproc_def", kind: KindMacro, name: "name", refine: cMacro},
			{node: "preproc_function_def", kind: KindMacro, name: "name", refine: cMacro},
		},
		calls: []callRule{{node: "call_expression", callee: "function"}},

		types:       []string{"type_identifier"},
		typeParents: map[string]string{"compound_statement": TypeBody},

		names:   []string{"identifier", "field_identifier", "type_identifier", "primitive_type"},
		members: map[string]memberRule{"field_expression": {of: "argument", name: "field", separator: "."}},
		unwrap:  map[string]string{"parenthesized_expression": "", "pointer_expression": "argument"},

		decisions: map[string]int{
			"if_statement": 1, "while_statement": 1, "do_statement": 1, "for_statement": 1, "conditional_expression": 1,
		},
		operators: []string{"&&", "||"},

		comments: []string{"comment"},
		wrappers: []string{"type_definition"},
		isDoc:    func([]byte) bool { return true },
		joinDocs: true,

		visit: map[string]func(*treeWalk, int) bool{
			"preproc_include":       cInclude,
			"declaration":           cDeclaration,
			"field_declaration":     cField,
			"type_definition":       cTypedef,
			"parameter_declaration": cParameter,
			"case_statement":        cCase,
			"binary_expression":     cCondition,
		},
		visible: func(w *treeWalk, node int, _ string) bool {
			return w.top().local || !w.is(node, "function_definition", "declaration") || !cStored(w, node, "static")
		},
	}
}

// cName goes down a declarator to the name that it declares, and says whether that
// is a function's: *f(void) is one, (*f)(void) is not.
func cName(w *treeWalk, node int) (name int, function bool) {
	for range maxChain {
		switch {
		case node == treesitter.None:
			return treesitter.None, false
		case w.is(node, "function_declarator"):
			function = true
		case w.is(node, "pointer_declarator", "array_declarator", "reference_declarator"):
			function = false
		case w.is(node, "init_declarator", "parenthesized_declarator", "attributed_declarator"):
		default:
			return node, function
		}
		next := w.child(node, "declarator")
		for c := w.tree.First(node); next == treesitter.None && c != treesitter.None; c = w.tree.Sibling(c) {
			if !w.is(c, "ms_call_modifier", "attribute_declaration", "comment", "ERROR") {
				next = c
			}
		}
		node = next
	}
	return treesitter.None, false
}

// cFunction names a function after its declarator. Macros that open a block look
// like functions to the grammar.
func cFunction(w *treeWalk, node int, s *Symbol) bool {
	name, function := cName(w, w.child(node, "declarator"))
	if !function || w.top().local && w.child(node, "type") == treesitter.None {
		return false
	}
	cppNamed(w, name, s)
	switch s.Name {
	case "", "if", "else", "for", "while", "switch", "return", "sizeof", "do", "defined":
		return false
	}
	return true
}

// cType keeps types that the text names by itself; of a nameless one cUnnamed
// takes the name that a typedef gives it.
func cType(w *treeWalk, node int, s *Symbol) bool {
	cppNamed(w, w.child(node, "name"), s)
	return s.Name != ""
}

// cUnnamed names "typedef struct { ... } name;" after its typedef.
func cUnnamed(w *treeWalk, node int, s *Symbol) bool {
	typ := w.child(node, "type")
	if w.child(typ, "name") != treesitter.None || w.child(typ, "body") == treesitter.None {
		return false
	}
	name := w.child(node, "declarator")
	if !w.is(name, "type_identifier") {
		return false
	}
	s.Name = w.nodeText(name)
	s.Signature = "typedef " + strings.TrimSuffix(w.language.KindName(w.tree.Nodes[typ].Kind), "_specifier") + " " + s.Name
	return true
}

// cTypedef adds the names that a typedef defines, but the one that cUnnamed takes.
func cTypedef(w *treeWalk, node int) bool {
	typ := w.child(node, "type")
	unnamed := w.is(typ, "struct_specifier", "union_specifier", "enum_specifier") &&
		w.child(typ, "name") == treesitter.None && w.child(typ, "body") != treesitter.None
	for i, d := range w.declarators(node) {
		if i > 0 || !unnamed || !w.is(d, "type_identifier") {
			w.addDeclared(node, d, KindType)
		}
	}
	return true
}

// cDeclaration adds the variables that a declaration outside functions defines. A
// prototype is a member of the header it stands in; elsewhere it says nothing that
// the function does not.
func cDeclaration(w *treeWalk, node int) bool {
	local, member := w.top().local, w.memberScope()
	for _, d := range w.declarators(node) {
		name, function := cName(w, d)
		switch {
		case local:
			if !function {
				w.bindLocal(w.nodeText(name), localName{typ: cTypeOf(w, node, d)})
			}
		case function && (isHeader(w.path) || member):
			w.addDeclared(node, d, KindField)
		case function, !isHeader(w.path) && cStored(w, node, "extern"):
		case cConstant(w, node, d):
			w.addDeclared(node, d, KindConstant)
		default:
			w.addDeclared(node, d, KindVariable)
		}
	}
	return true
}

// cField adds the members that one declaration names.
func cField(w *treeWalk, node int) bool {
	for _, d := range w.declarators(node) {
		w.addDeclared(node, d, KindField)
		if name, function := cName(w, d); !function {
			w.bindField(w.top().self, w.nodeText(name), cTypeOf(w, node, d))
		}
	}
	return true
}

// cParameter notes the name and type of a parameter.
func cParameter(w *treeWalk, node int) bool {
	if name, _ := cName(w, w.child(node, "declarator")); w.is(name, "identifier") {
		w.bindLocal(w.nodeText(name), localName{typ: cTypeOf(w, node, treesitter.None), parameter: true})
	}
	return true
}

// declarators returns what a declaration declares, as there may be several.
func (w *treeWalk) declarators(node int) (found []int) {
	field, ok := w.language.Field("declarator")
	for c := w.tree.First(node); ok && c != treesitter.None; c = w.tree.Sibling(c) {
		if w.tree.Nodes[c].Field == field {
			found = append(found, c)
		}
	}
	return found
}

// addDeclared adds one of the names that a declaration declares.
func (w *treeWalk) addDeclared(node, declarator int, kind string) {
	name, function := cName(w, declarator)
	s := Symbol{Kind: kind}
	if cppNamed(w, name, &s); s.Name == "" {
		return
	}
	anchor := w.anchor(node)
	doc, start := w.docBefore(anchor)
	if s.Doc = doc; doc == "" {
		s.Doc = w.docAfter(node)
	}
	s.StartByte, s.EndByte = start, int(w.tree.Nodes[node].End)
	if list := w.declarators(node); len(list) > 1 {
		s.EndByte = int(w.tree.Nodes[declarator].End)
		if declarator != list[0] {
			s.StartByte = int(w.tree.Nodes[declarator].Start)
		}
	}
	s.Signature = w.signature(node, node, treesitter.None)
	if from, to := int(w.tree.Nodes[node].Start), int(w.tree.Nodes[node].End); function && kind == KindField {
		s.Signature = strings.TrimRight(w.withoutComments(node, from, min(to, from+4*MaxSignature)), "; \t\r\n")
	}
	w.add(node, &defineRule{kind: kind}, s)
}

// cTypeOf returns the type that a declaration gives a name, or its value.
func cTypeOf(w *treeWalk, node, declarator int) string {
	if typ := w.typeText(w.child(node, "type")); typ != "" && typ != "auto" {
		return typ
	}
	if value := w.child(declarator, "value"); w.is(value, "new_expression") {
		return w.typeText(w.child(value, "type"))
	}
	return ""
}

// cDocumented takes documentation that stands behind, /**< so */.
func cDocumented(w *treeWalk, node int, s *Symbol) bool {
	if doc, _ := w.docBefore(node); doc == "" {
		s.Doc = w.docAfter(node)
	}
	return true
}

// docAfter returns the documentation behind a definition in its line.
func (w *treeWalk) docAfter(node int) string {
	next := w.tree.Sibling(node)
	if a := w.action(next); a == nil || !a.isComment {
		return ""
	}
	if bytes.IndexByte(w.text[w.tree.Nodes[node].End:w.tree.Nodes[next].Start], '\n') >= 0 {
		return ""
	}
	text := clipBytes(w.tree.Text(next), 2*MaxDoc)
	for _, mark := range []string{"/**<", "/*!<", "///<", "//!<"} {
		if rest, ok := bytes.CutPrefix(text, []byte(mark)); ok {
			return CleanDoc(mark[:len(mark)-1] + string(rest))
		}
	}
	return ""
}

// cMacro shows the head of a macro and, if it is short, its value.
func cMacro(w *treeWalk, node int, s *Symbol) bool {
	text := string(clipBytes(bytes.TrimSpace(w.tree.Text(node)), 4*MaxSignature))
	if first, _, long := strings.Cut(text, "\n"); long {
		text = strings.TrimRight(first, " \t\\\r") + " …"
	}
	s.Signature = text
	return true
}

// cCase counts an arm of a switch but the default one.
func cCase(w *treeWalk, node int) bool {
	if w.child(node, "value") != treesitter.None {
		w.decide(1)
	}
	return true
}

// cCondition leaves out what the preprocessor decides.
func cCondition(w *treeWalk, node int) bool {
	return !w.is(w.tree.Parent(node), "preproc_if", "preproc_elif")
}

// cInclude reads an #include. All that the header declares can be used then.
func cInclude(w *treeWalk, node int) bool {
	path := w.child(node, "path")
	if !w.is(path, "string_literal", "system_lib_string") {
		return false
	}
	name := strings.Trim(w.nodeText(path), `"<> `)
	folders := []string{"", "include", "src"}
	w.Import(int(w.tree.Nodes[node].Start), Import{Module: name, Names: []string{"*"},
		Seeks: seekPaths(folders)(Source{Path: w.path}, name)})
	return false
}

// cStored says whether a declaration has a storage class.
func cStored(w *treeWalk, node int, class string) bool {
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if w.is(c, "storage_class_specifier") && w.nodeText(c) == class {
			return true
		}
	}
	return false
}

// cConstant says whether a declaration is of something that cannot change: const
// before what is no pointer.
func cConstant(w *treeWalk, node, declarator int) bool {
	if w.is(declarator, "init_declarator") {
		declarator = w.child(declarator, "declarator")
	}
	if w.is(declarator, "pointer_declarator") {
		return false
	}
	for c := w.tree.First(node); c != treesitter.None && c < declarator; c = w.tree.Sibling(c) {
		if text := w.nodeText(c); w.is(c, "type_qualifier") && (text == "const" || text == "constexpr") {
			return true
		}
	}
	return false
}

// isHeader knows files to be included by their names; those of the C++ library
// have no ending.
func isHeader(path string) bool {
	dot := strings.LastIndexByte(path, '.')
	if dot < strings.LastIndexByte(path, '/') {
		dot = -1
	}
	if dot < 0 {
		return true
	}
	switch strings.ToLower(path[dot:]) {
	case ".c", ".cc", ".cpp", ".cxx", ".c++":
		return false
	}
	return true
}
