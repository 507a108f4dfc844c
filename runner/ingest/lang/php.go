package lang

import (
	"path"
	"regexp"
	"strings"

	php "github.com/tree-sitter/tree-sitter-php/bindings/go"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:         "PHP",
	Extensions:   []string{".php", ".php5", ".phtml", ".phpt"},
	Interpreters: []string{"php"},
	Extract:      phpRules.extractor(),
})

var phpRules = &treeRules{
	language: "PHP",
	grammar:  php.LanguagePHP,

	defines: []defineRule{
		{node: "function_definition", kind: KindFunction, name: "name", body: "body", callable: true, scope: true},
		{node: "class_declaration", kind: KindClass, name: "name", body: "body", scope: true},
		{node: "interface_declaration", kind: KindInterface, name: "name", body: "body", scope: true},
		{node: "trait_declaration", kind: KindTrait, name: "name", body: "body", scope: true},
		{node: "enum_declaration", kind: KindEnum, name: "name", body: "body", scope: true},
		{node: "enum_case", kind: KindConstant, name: "name"},
		{node: "method_declaration", where: map[string][]string{"body": {"compound_statement"}},
			kind: KindMethod, name: "name", body: "body", callable: true, scope: true},
		{node: "method_declaration", kind: KindMethod, inside: map[string]string{KindInterface: KindField}, name: "name"},
		{node: "property_promotion_parameter", kind: KindField, name: "name", refine: phpPromoted},
		{node: "const_element", kind: KindConstant, name: ""},
	},
	calls: []callRule{
		{node: "function_call_expression", callee: "function", accept: phpNamed, ignore: []string{"define"}},
		{node: "member_call_expression", callee: "name", of: "object", separator: "->", accept: phpNamed},
		{node: "nullsafe_member_call_expression", callee: "name", of: "object", separator: "->", accept: phpNamed},
		{node: "scoped_call_expression", callee: "name", of: "scope", separator: "::", accept: phpNamed},
		{node: "object_creation_expression"},
	},
	binds: []bindRule{
		{node: "simple_parameter", name: "name", typ: "type"},
		{node: "property_promotion_parameter", name: "name", typ: "type"},
		{node: "catch_clause", name: "name", typ: "type."},
		{node: "assignment_expression", name: "left", value: "right", construct: map[string]string{"object_creation_expression": ""}},
	},

	names: []string{"name", "variable_name", "relative_scope", "namespace_name"},
	members: map[string]memberRule{
		"qualified_name":                    {separator: `\`},
		"member_access_expression":          {of: "object", name: "name", separator: "->"},
		"nullsafe_member_access_expression": {of: "object", name: "name", separator: "->"},
	},
	unwrap: map[string]string{"parenthesized_expression": "", "named_type": "", "optional_type": ""},
	self:   []string{"$this", "self", "static"},

	decisions: map[string]int{
		"if_statement": 1, "else_if_clause": 1, "while_statement": 1, "do_statement": 1, "for_statement": 1, "foreach_statement": 1,
		"case_statement": 1, "catch_clause": 1, "conditional_expression": 1, "match_conditional_expression": 1,
	},
	operators: []string{"&&", "||", "and", "or", "??"},

	comments: []string{"comment"},
	wrappers: []string{"const_declaration"},
	local:    []string{"anonymous_function", "arrow_function"},
	unsigned: []string{"attribute_list"},
	isDoc:    func([]byte) bool { return true },
	joinDocs: true,

	visit: map[string]func(*treeWalk, int) bool{
		"namespace_definition":      phpNamespace,
		"namespace_use_declaration": phpUse,
		"include_expression":        phpInclude,
		"include_once_expression":   phpInclude,
		"require_expression":        phpInclude,
		"require_once_expression":   phpInclude,
		"property_declaration":      phpProperties,
		"function_call_expression":  phpDefine,
		"anonymous_class":           phpAnonymous,
	},
	visible: phpVisible,
	end:     phpProvide,
}

// phpNamed says whether what is called has a name, not a variable that holds one.
func phpNamed(w *treeWalk, node int) bool {
	for _, field := range []string{"function", "name"} {
		if w.is(w.child(node, field), "name", "qualified_name") {
			return true
		}
	}
	return false
}

func phpNamespace(w *treeWalk, node int) bool {
	if name := w.child(node, "name"); name != treesitter.None && w.ex.Module == "" {
		w.Module(w.nodeText(name), "")
	}
	return true
}

// phpUse reads "use A\B\C as D;", "use function A\f;" and "use A\{B, C as D};".
func phpUse(w *treeWalk, node int) bool {
	prefix := ""
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		switch {
		case w.is(c, "namespace_name"):
			prefix = w.nodeText(c) + `\`
		case w.is(c, "namespace_use_clause"):
			phpUsed(w, "", c)
		case w.is(c, "namespace_use_group"):
			for g := w.tree.First(c); g != treesitter.None; g = w.tree.Sibling(g) {
				phpUsed(w, prefix, g)
			}
		}
	}
	return false
}

func phpUsed(w *treeWalk, prefix string, clause int) {
	first := w.tree.First(clause)
	for first != treesitter.None && !w.is(first, "name", "qualified_name") {
		first = w.tree.Sibling(first)
	}
	module := strings.TrimPrefix(prefix+w.nodeText(first), `\`)
	if first == treesitter.None || module == "" {
		return
	}
	name := module[strings.LastIndexByte(module, '\\')+1:]
	if alias := w.nodeText(w.child(clause, "alias")); alias != "" {
		name += " as " + alias
	}
	w.Import(int(w.tree.Nodes[clause].Start), Import{Module: module, Names: []string{name}, Seeks: []string{"php:" + module}})
}

var phpQuoted = regexp.MustCompile(`["']([^"'\n]+)["']`)

// phpInclude reads an included file, where its path stands in one string. What
// follows __DIR__ is relative to the file; a path that begins at the root of the
// disk cannot be resolved anyway.
func phpInclude(w *treeWalk, node int) bool {
	if found := phpQuoted.FindAllStringSubmatch(w.nodeText(node), 2); len(found) == 1 {
		module := found[0][1]
		w.Import(int(w.tree.Nodes[node].Start), Import{Module: module, Names: []string{"*"},
			Seeks: seekPaths([]string{""})(Source{Path: w.path}, strings.TrimPrefix(module, "/"))})
	}
	return true
}

// phpProperties adds each of the properties that one declaration names.
func phpProperties(w *treeWalk, node int) bool {
	w.addEach(node, &defineRule{kind: KindField}, "property_element", "name")
	typ := w.typeText(w.child(node, "type"))
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if w.is(c, "property_element") {
			w.bindField(w.top().self, strings.TrimPrefix(w.nodeText(w.child(c, "name")), "$"), typ)
		}
	}
	return true
}

// phpPromoted adds a property that a parameter of the constructor declares.
func phpPromoted(w *treeWalk, node int, s *Symbol) bool {
	s.Name = strings.TrimPrefix(s.Name, "$")
	owner := w.top().self
	w.bindField(owner, s.Name, w.typeText(w.child(node, "type")))
	s.QualifiedName = strings.TrimPrefix(owner+"."+s.Name, ".")
	return true
}

// phpDefine adds a constant that is made by calling define.
func phpDefine(w *treeWalk, node int) bool {
	if w.nodeText(w.child(node, "function")) != "define" {
		return true
	}
	argument := w.tree.First(w.tree.First(w.child(node, "arguments")))
	if name := strings.Trim(w.nodeText(argument), `'"`); w.is(argument, "string", "encapsed_string") && name != "" {
		n := w.tree.Nodes[node]
		doc, _ := w.docBefore(w.tree.Parent(node))
		w.add(node, &defineRule{kind: KindConstant}, Symbol{Kind: KindConstant, Name: name, QualifiedName: name, Doc: doc,
			Signature: w.signature(node, node, treesitter.None), StartByte: int(n.Start), EndByte: int(n.End)})
	}
	return true
}

// phpAnonymous keeps the members of a nameless class from those around it.
func phpAnonymous(w *treeWalk, node int) bool {
	w.enter(node, func(f *treeFrame) { f.kind, f.name = KindClass, strings.TrimPrefix(f.name+".class", ".") })
	return true
}

// phpVisible says whether a definition can be used outside its class.
func phpVisible(w *treeWalk, node int, _ string) bool {
	if w.is(node, "property_promotion_parameter") {
		return w.nodeText(w.child(node, "visibility")) != "private"
	}
	node = w.anchor(node)
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if w.is(c, "visibility_modifier") && w.nodeText(c) == "private" {
			return false
		}
	}
	return true
}

// phpProvide provides what the file defines at its top, and the class that it is
// named after.
func phpProvide(w *treeWalk) {
	prefix := "php:"
	if w.ex.Module != "" {
		prefix += w.ex.Module + `\`
	}
	names := []string{prefix + strings.TrimSuffix(path.Base(w.path), path.Ext(w.path))}
	for i := range w.ex.Symbols {
		if w.parents[i] == None && len(names) < maxProvided {
			names = append(names, prefix+w.ex.Symbols[i].Name)
		}
	}
	w.Provide(names...)
}
