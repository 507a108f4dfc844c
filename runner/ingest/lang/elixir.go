package lang

import (
	"strconv"
	"strings"

	"github.com/alexaandru/go-sitter-forest/elixir"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

var _ = register(Language{
	Name:         "Elixir",
	Aliases:      []string{"ex", "exs"},
	Extensions:   []string{".ex", ".exs"},
	Filenames:    []string{"mix.lock"},
	Interpreters: []string{"elixir"},
	Extract:      elixirRules.extractor(),
})

// In Elixir even a definition is a call, so its tables go by the called name.

// elixirDefinition says what a call of a macro like def defines.
type elixirDefinition struct {
	kind     string
	exported bool
	bodiless bool
}

var elixirDefinitions = map[string]elixirDefinition{
	"def":         {kind: KindFunction, exported: true},
	"defp":        {kind: KindFunction},
	"defn":        {kind: KindFunction, exported: true}, // of Nx
	"defnp":       {kind: KindFunction},
	"defdelegate": {kind: KindFunction, exported: true, bodiless: true},
	"defmacro":    {kind: KindMacro, exported: true},
	"defmacrop":   {kind: KindMacro},
	"defguard":    {kind: KindMacro, exported: true},
	"defguardp":   {kind: KindMacro},
}

var elixirModules = map[string]string{"defmodule": KindModule, "defimpl": KindModule, "defprotocol": KindInterface}

// elixirDecisions are weights of special forms; what has arms counts less one.
var elixirDecisions = map[string]int{"if": 1, "unless": 1, "for": 1, "with": 1, "case": -1, "cond": -1, "receive": -1}

// elixirKeywords are special forms and definitions, which are no calls.
var elixirKeywords = []string{
	"def", "defp", "defn", "defnp", "defdelegate", "defmacro", "defmacrop", "defguard", "defguardp", "defmodule", "defimpl",
	"defprotocol", "defstruct", "defexception", "defoverridable", "alias", "import", "require", "use", "if", "unless", "case", "cond", "receive",
	"for", "with", "try", "fn", "quote", "unquote", "unquote_splicing", "super", "__MODULE__", "__ENV__", "__DIR__", "__CALLER__",
}

var elixirRules = &treeRules{
	language: "Elixir",
	grammar:  elixir.GetLanguage,

	calls: []callRule{{node: "call", callee: "target", ignore: elixirKeywords, accept: elixirCalls}},

	names:   []string{"identifier", "alias", "atom", "operator_identifier"},
	members: map[string]memberRule{"dot": {of: "left", name: "right", separator: "."}},
	self:    []string{"__MODULE__"},

	decisions: map[string]int{"stab_clause": 1, "anonymous_function": -1},
	operators: []string{"and", "or", "&&", "||"},

	comments:   []string{"comment"},
	attached:   []string{"unary_operator"},
	docOf:      elixirDocOf,
	docLoosely: true,

	visit: map[string]func(*treeWalk, int) bool{
		"call":           elixirCall,
		"unary_operator": elixirUnary,
		"else_block":     elixirElse,
		"tuple":          elixirTuple,
	},
	begin: func(w *treeWalk) {
		w.extra = &elixirFile{heads: map[int]bool{}, aliases: map[string]string{}, attributes: map[string]bool{}}
	},
}

// elixirFile is what is remembered of an Elixir file.
type elixirFile struct {
	heads      map[int]bool      // calls that are the head of a definition: get(id) in def get(id)
	aliases    map[string]string // local name of a module to its full name
	attributes map[string]bool   // module attributes that have a definition
}

func (w *treeWalk) elixir() *elixirFile { return w.extra.(*elixirFile) }

// elixirCall handles what is a definition, an import or a decision in the form of
// a call.
func elixirCall(w *treeWalk, node int) bool {
	if target := w.child(node, "target"); w.is(target, "identifier") && !w.elixir().heads[node] {
		name := w.nodeText(target)
		w.decide(elixirDecisions[name])
		if kind, ok := elixirModules[name]; ok {
			w.elixirModule(node, name, kind)
		} else if d, ok := elixirDefinitions[name]; ok {
			w.elixirFunction(node, d)
		} else {
			switch name {
			case "defstruct", "defexception":
				w.elixirStruct(node, name)
			case "alias", "import", "require", "use":
				w.elixirImport(node, name)
				return name == "use" // whose options may call functions
			}
		}
	}
	return true
}

// elixirCalls says whether a call is one, and not the head of a definition, an
// attribute, or a field: user.name is a call only where user is a module.
func elixirCalls(w *treeWalk, node int) bool {
	if w.elixir().heads[node] {
		return false
	}
	if p := w.tree.Parent(node); w.is(p, "unary_operator") && w.nodeText(w.child(p, "operator")) == "@" {
		return false
	}
	target := w.child(node, "target")
	if !w.is(target, "dot") {
		return true
	}
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if w.is(c, "arguments", "do_block") {
			return true
		}
	}
	left := w.child(target, "left")
	return w.is(left, "alias", "atom") || w.nodeText(left) == "__MODULE__"
}

// elixirArguments returns the arguments node of a call.
func (w *treeWalk) elixirArguments(call int) int {
	for c := w.tree.First(call); c != treesitter.None; c = w.tree.Sibling(c) {
		if w.is(c, "arguments") {
			return c
		}
	}
	return treesitter.None
}

// elixirOption returns the value of a keyword argument.
func (w *treeWalk) elixirOption(call int, name string) int {
	for c := w.tree.First(w.elixirArguments(call)); c != treesitter.None; c = w.tree.Sibling(c) {
		if !w.is(c, "keywords") {
			continue
		}
		for pair := w.tree.First(c); pair != treesitter.None; pair = w.tree.Sibling(pair) {
			if strings.TrimRight(w.nodeText(w.child(pair, "key")), ": \t\r\n") == name {
				return w.child(pair, "value")
			}
		}
	}
	return treesitter.None
}

// elixirModule begins a module, a protocol, or the implementation of one, whose
// name is that of the protocol and of the type.
func (w *treeWalk) elixirModule(node int, macro, kind string) {
	around := w.top()
	first := w.tree.First(w.elixirArguments(node))
	name := w.nodeText(first)
	if !w.is(first, "alias") {
		if name = strings.TrimPrefix(name, "__MODULE__."); !w.is(first, "dot") || strings.ContainsAny(name, "{}()\n") {
			return
		}
	}
	qualified := strings.TrimPrefix(around.self+"."+name, ".") // also where it is inside a function
	if macro == "defimpl" {
		protocol := w.elixirExpand(name)
		owners := w.elixirOwners(node)
		for _, owner := range owners {
			w.Provide("ex:" + strings.TrimSuffix(protocol+"."+owner, "."))
		}
		qualified = strings.TrimSuffix(protocol+"."+owners[0], ".")
		name = qualified
	}
	ref := w.add(node, &defineRule{}, Symbol{
		Kind: kind, Name: name, QualifiedName: qualified, Signature: macro + " " + name,
		Doc:       w.elixirModuleDoc(node),
		StartByte: int(w.tree.Nodes[node].Start), EndByte: int(w.tree.Nodes[node].End),
	})
	if w.ex.Module == "" {
		w.Module(qualified, w.At(ref).Doc)
	}
	if macro != "defimpl" {
		w.Provide("ex:" + qualified)
	}
	if around.self != "" && macro != "defimpl" {
		first, _, _ := strings.Cut(name, ".")
		w.elixir().aliases[first] = around.self + "." + first // a nested module can be called by its short name
	}
	w.enter(node, func(f *treeFrame) {
		f.ref, f.kind, f.name, f.self, f.callable, f.owner = ref, kind, w.At(ref).QualifiedName, w.At(ref).QualifiedName, None, 0
	})
}

// elixirOwners returns the types that a protocol is implemented for: those of the
// option, which may be a list, or the module around.
func (w *treeWalk) elixirOwners(node int) (owners []string) {
	option := w.elixirOption(node, "for")
	if w.is(option, "alias") {
		return []string{w.elixirExpand(w.nodeText(option))}
	}
	for c := w.tree.First(option); w.is(option, "list") && c != treesitter.None; c = w.tree.Sibling(c) {
		if w.is(c, "alias") {
			owners = append(owners, w.elixirExpand(w.nodeText(c)))
		}
	}
	if len(owners) == 0 {
		return []string{w.top().self}
	}
	return owners
}

// elixirFunction adds a clause of a function or macro; clauses in a row are one.
func (w *treeWalk) elixirFunction(node int, d elixirDefinition) {
	arguments := w.elixirArguments(node)
	head := w.tree.First(arguments)
	signatureEnd := head
	for w.is(head, "binary_operator") && w.nodeText(w.child(head, "operator")) == "when" || w.is(head, "block") {
		if w.is(head, "block") {
			head = w.tree.First(head)
		} else {
			head = w.child(head, "left")
		}
	}
	name, arity := "", 0
	switch {
	case w.is(head, "identifier"):
		name = w.nodeText(head)
	case w.is(head, "call"):
		w.elixir().heads[head] = true
		if target := w.child(head, "target"); w.is(target, "identifier") {
			name = w.nodeText(target)
		}
		for c := w.tree.First(w.elixirArguments(head)); c != treesitter.None; c = w.tree.Sibling(c) {
			arity++
		}
	case w.is(head, "binary_operator"):
		name, arity = w.nodeText(w.child(head, "operator")), 2
	case w.is(head, "unary_operator"):
		name, arity = w.nodeText(w.child(head, "operator")), 1
	}
	if name == "" || name == "unquote" {
		return
	}

	around := w.top()
	doc, _ := w.docBefore(node)
	s := Symbol{
		Kind: d.kind, Name: name, QualifiedName: strings.TrimPrefix(around.name+"."+name, "."), Doc: doc,
		Signature:  string(clipBytes(w.text[w.tree.Nodes[node].Start:w.tree.Nodes[signatureEnd].End], 4*MaxSignature)),
		StartByte:  int(w.tree.Nodes[node].Start),
		EndByte:    int(w.tree.Nodes[node].End),
		Complexity: 1,
	}
	switch {
	case around.kind == KindInterface: // a protocol's functions have their bodies elsewhere
		s.Kind, s.Complexity = KindField, 0
	case d.bodiless:
		s.Complexity = 0
	}
	s.Key = s.Kind + " " + s.QualifiedName + "/" + strconv.Itoa(arity)
	ref := w.last.ref
	if ref == None || w.last.parent != w.tree.Parent(node) || !w.extend(ref, s) {
		ref = w.add(node, &defineRule{}, s)
		w.At(ref).Exported = d.exported
	}
	w.enter(node, func(f *treeFrame) {
		f.ref, f.kind, f.name = ref, s.Kind, w.At(ref).QualifiedName
	})
	if s.Complexity > 0 {
		w.owns(ref)
	}
}
