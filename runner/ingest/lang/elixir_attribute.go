package lang

import (
	"slices"
	"strings"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

// elixirAttribute returns the name of a module attribute and the node that says
// what it is set to, which is none where the attribute is only read.
func (w *treeWalk) elixirAttribute(node int) (name string, value int) {
	if w.nodeText(w.child(node, "operator")) != "@" {
		return "", treesitter.None
	}
	operand := w.child(node, "operand")
	if !w.is(operand, "call") {
		return "", treesitter.None
	}
	return w.nodeText(w.child(operand, "target")), w.tree.First(w.elixirArguments(operand))
}

// elixirUnary handles attributes and captures.
func elixirUnary(w *treeWalk, node int) bool {
	if w.nodeText(w.child(node, "operator")) == "&" {
		return w.elixirCapture(node)
	}
	name, value := w.elixirAttribute(node)
	if value == treesitter.None {
		return true
	}
	around := w.top()
	n := w.tree.Nodes[node]
	s := Symbol{
		StartByte: int(n.Start), EndByte: int(n.End),
		Signature: w.signature(node, node, treesitter.None),
	}
	switch name {
	case "doc", "moduledoc", "typedoc", "spec", "impl", "dialyzer", "deprecated", "since":
		return false
	case "type", "typep", "opaque", "callback", "macrocallback":
		s.Kind, s.Exported = KindType, name != "typep"
		if name == "callback" || name == "macrocallback" {
			s.Kind = KindField
		}
		// t(a) :: x, or t :: x when a: y
		for w.is(value, "binary_operator") {
			value = w.child(value, "left")
		}
		if w.is(value, "call") {
			value = w.child(value, "target")
		}
		s.Name = w.nodeText(value)
		s.Doc, _ = w.docBefore(node)
		if w.is(value, "identifier") {
			w.elixirMember(node, s)
		}
		return false
	case "behaviour":
		if module := w.nodeText(value); w.is(value, "alias") {
			w.Import(s.StartByte, Import{Module: module, Seeks: []string{"ex:" + w.elixirExpand(module)}})
		}
		return false
	}
	if qualified := around.name + ".@" + name; !around.local && !w.elixir().attributes[qualified] {
		w.elixir().attributes[qualified] = true
		s.Kind, s.Name = KindConstant, "@"+name
		w.elixirMember(node, s)
	}
	return true
}

func (w *treeWalk) elixirMember(node int, s Symbol) {
	exported := s.Exported
	ref := w.add(node, &defineRule{}, s)
	w.At(ref).Exported = exported
}

// elixirCapture records what &f/1 and &M.f/1 name as called: whoever is given the
// function calls it.
func (w *treeWalk) elixirCapture(node int) bool {
	operand := w.child(node, "operand")
	if !w.is(operand, "binary_operator") || w.nodeText(w.child(operand, "operator")) != "/" {
		return true
	}
	if left := w.child(operand, "left"); w.is(left, "identifier") {
		w.called(left, w.nodeText(left), "")
	}
	return true // M.f has the form of a call
}

// elixirDocOf reads @doc and @typedoc. Other attributes may stand between them and
// the definition.
func elixirDocOf(w *treeWalk, node int) (doc string, ok bool) {
	switch name, value := w.elixirAttribute(node); name {
	case "doc", "typedoc":
		return w.elixirQuoted(value), true
	case "spec", "impl", "dialyzer", "deprecated", "since":
		return "", true
	}
	return "", false
}

// elixirStruct adds the struct of a module, under the module's name, and its
// fields: atoms, keywords, or words of a sigil.
func (w *treeWalk) elixirStruct(node int, macro string) {
	around := w.top()
	if around.ref == None {
		return
	}
	n := w.tree.Nodes[node]
	name := w.At(around.ref).Name
	ref := w.add(node, &defineRule{}, Symbol{
		Kind: KindStruct, Name: name, QualifiedName: around.name, Signature: macro + " " + name,
		StartByte: int(n.Start), EndByte: int(n.End),
	})
	field := func(i int, name string) {
		if name = strings.Trim(name, ": \t\r\n"); name == "" {
			return
		}
		s := Symbol{Kind: KindField, Name: name, QualifiedName: around.name + "." + name, Signature: name,
			StartByte: int(w.tree.Nodes[i].Start), EndByte: int(w.tree.Nodes[i].End), Exported: true}
		w.Symbol(ref, s)
	}
	keywords := func(c int) {
		for pair := w.tree.First(c); pair != treesitter.None; pair = w.tree.Sibling(pair) {
			field(pair, w.nodeText(w.child(pair, "key")))
		}
	}
	fields := w.elixirArguments(node)
	if first := w.tree.First(fields); w.is(first, "list") {
		fields = first
	}
	for c := w.tree.First(fields); c != treesitter.None; c = w.tree.Sibling(c) {
		switch {
		case w.is(c, "atom"):
			field(c, w.nodeText(c))
		case w.is(c, "keywords"):
			keywords(c)
		case w.is(c, "sigil"):
			for _, word := range strings.Fields(w.elixirQuoted(c)) {
				field(c, word)
			}
		}
	}
}

// elixirModuleDoc reads the @moduledoc of a module.
func (w *treeWalk) elixirModuleDoc(module int) string {
	for c := w.tree.First(module); c != treesitter.None; c = w.tree.Sibling(c) {
		if !w.is(c, "do_block") {
			continue
		}
		for s := w.tree.First(c); s != treesitter.None; s = w.tree.Sibling(s) {
			if name, value := w.elixirAttribute(s); name == "moduledoc" {
				return w.elixirQuoted(value)
			}
		}
	}
	return ""
}

// elixirQuoted returns what a string or sigil says.
func (w *treeWalk) elixirQuoted(node int) string {
	if !w.is(node, "string", "sigil") {
		return ""
	}
	start, end := w.child(node, "quoted_start"), w.child(node, "quoted_end")
	if start == treesitter.None || end == treesitter.None || w.tree.Nodes[start].End > w.tree.Nodes[end].Start {
		return ""
	}
	text := clipBytes(w.text[w.tree.Nodes[start].End:w.tree.Nodes[end].Start], 2*MaxDoc)
	return strings.TrimSpace(Dedent(string(text)))
}

// elixirElse takes back one decision of an else with arms: they are one branch.
func elixirElse(w *treeWalk, node int) bool {
	if w.is(w.tree.First(node), "stab_clause") {
		w.decide(-1)
	}
	return true
}

// elixirExpand replaces the first part of a module name by what it is an alias of.
func (w *treeWalk) elixirExpand(module string) string {
	if rest, ok := strings.CutPrefix(module, "__MODULE__"); ok {
		return w.top().self + rest
	}
	first, rest, _ := strings.Cut(module, ".")
	full, ok := w.elixir().aliases[first]
	if !ok {
		return module
	}
	return strings.TrimSuffix(full+"."+rest, ".")
}

// elixirImport reads alias, import, require and use; A.{B, C} are several.
func (w *treeWalk) elixirImport(node int, macro string) {
	first := w.tree.First(w.elixirArguments(node))
	var modules []string
	switch {
	case w.is(first, "alias"), w.nodeText(first) == "__MODULE__":
		modules = []string{w.nodeText(first)}
	case w.is(first, "dot"):
		left, right := w.nodeText(w.child(first, "left")), w.child(first, "right")
		if w.is(right, "alias") {
			modules = []string{left + "." + w.nodeText(right)}
		}
		for c := w.tree.First(right); w.is(right, "tuple") && c != treesitter.None; c = w.tree.Sibling(c) {
			if w.is(c, "alias") {
				modules = append(modules, left+"."+w.nodeText(c))
			}
		}
	}
	for _, module := range modules {
		full := w.elixirExpand(module)
		i := Import{Module: module, Seeks: []string{"ex:" + full}}
		switch macro {
		case "import":
			i.Names = w.elixirOnly(node)
		case "alias":
			i.Alias = full[strings.LastIndexByte(full, '.')+1:]
		}
		if as := w.elixirOption(node, "as"); w.is(as, "alias") {
			i.Alias = w.nodeText(as)
		}
		if i.Alias != "" {
			w.elixir().aliases[i.Alias] = full
		}
		w.Import(int(w.tree.Nodes[node].Start), i)
	}
}

// elixirOnly returns the names that an import takes, "*" for all.
func (w *treeWalk) elixirOnly(node int) (names []string) {
	only := w.elixirOption(node, "only")
	for c := w.tree.First(only); w.is(only, "list") && c != treesitter.None; c = w.tree.Sibling(c) {
		for pair := w.tree.First(c); w.is(c, "keywords") && pair != treesitter.None; pair = w.tree.Sibling(pair) {
			name := strings.TrimRight(w.nodeText(w.child(pair, "key")), ": \t\r\n")
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	if len(names) == 0 {
		return []string{"*"}
	}
	return names
}
