package lang

import (
	"slices"
	"strings"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

// maxTypeNesting bounds how far outwards a type's place is looked for.
const maxTypeNesting = 16

// types adds the types that a node names, by the rules for types.
func (w *treeWalk) types(node int, a *treeAction) {
	_, inField := w.typeIn[w.tree.Nodes[node].Field]
	inField = inField && w.tree.Nodes[node].Field != 0
	switch {
	case a.isTypeHead, a.isTypeHeadIn && inField:
		for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
			w.typesBelow(c, maxTypeNesting)
		}
	case a.declaresType:
		w.declare(w.typeParameter(node))
	case a.isType, inField && (a.isName || a.member != nil || a.isUnwrapped):
		w.typeNamedAt(node)
	}
}

// typeParameter returns the name in the declaration of a type parameter.
func (w *treeWalk) typeParameter(declaration int) int {
	if w.nameIn != 0 {
		if name := w.tree.Child(declaration, w.nameIn); name != treesitter.None {
			return name
		}
	}
	return w.tree.First(declaration)
}

// declare makes a name one of a type parameter of the definition around.
func (w *treeWalk) declare(name int) {
	if name == treesitter.None {
		return
	}
	for i := len(w.frames) - 1; i >= 0; i-- {
		if f := &w.frames[i]; !f.signature || i == 0 {
			f.declared = append(f.declared, w.nodeText(name))
			return
		}
	}
}

// typesBelow adds plain names: of a base class, of an annotation. What is called or
// named by a keyword there is no type.
func (w *treeWalk) typesBelow(node, depth int) {
	a := w.action(node)
	if depth == 0 || a != nil && (a.isTypeHead || a.isType) {
		return // comes by itself
	}
	if a != nil && (a.isName || a.member != nil) {
		w.typeNamedAt(node)
		return
	}
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if w.tree.Nodes[c].Field != w.nameIn || w.nameIn == 0 || !w.is(node, "keyword_argument", "named_argument") {
			w.typesBelow(c, depth-1)
		}
	}
}

func (w *treeWalk) typeNamedAt(node int) {
	if w.namesDefinition(node) || w.is(node, "predefined_type", "primitive_type") {
		return
	}
	// A qualified name is one name, whichever of its parts was met.
	for p := w.tree.Parent(node); p != treesitter.None; p = w.tree.Parent(p) {
		a := w.action(p)
		if a == nil || a.member == nil && !a.isUnwrapped {
			break
		}
		if a.member != nil {
			node = p
		}
	}
	name, ok := w.chain(node, maxChain)
	if !ok {
		name = w.namesIn(node)
	}
	if name == "" || len(name) > maxQualifier || strings.ContainsAny(name, "() []{}<>\"'\n") || w.isSelf(name) || w.isTypeParameter(name) {
		return
	}
	user := w.top().ref
	start := int(w.tree.Nodes[node].Start)
	if last := w.last.ref; last != None {
		if s := w.At(last); s.StartByte <= start && start < s.EndByte {
			user = last // a field or variable, which holds nothing else
		}
	}
	w.Type(user, w.typeKind(node, user), name, start)
}

// namesIn joins the names that a node is made of, or takes its text where it is
// made of none.
func (w *treeWalk) namesIn(node int) string {
	if w.tree.First(node) == treesitter.None {
		return w.nodeText(node)
	}
	var names []string
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if a := w.action(c); a != nil && (a.isName || a.isType) {
			names = append(names, w.nodeText(c))
		}
	}
	return strings.Join(names, ".")
}

// namesDefinition says whether a node is the name of what is being defined.
func (w *treeWalk) namesDefinition(node int) bool {
	p := w.tree.Parent(node)
	a := w.action(p)
	if a == nil {
		return false
	}
	if a.declaresType && w.typeParameter(p) == node {
		return true
	}
	for _, d := range a.defines {
		if w.holds(p, d) && w.follow(p, d.name) == node {
			return true
		}
	}
	return w.is(p, "type_definition") && w.tree.Nodes[node].Field != 0 && w.child(p, "type") != node
}

func (w *treeWalk) isTypeParameter(name string) bool {
	for i := len(w.frames) - 1; i >= max(0, len(w.frames)-maxFrames); i-- {
		if slices.Contains(w.frames[i].declared, name) {
			return true
		}
	}
	return false
}

// typeKind says what a type is named for: what stands between it and the definition
// that names it, or else what that is.
func (w *treeWalk) typeKind(node int, user Ref) string {
	start, end, kind := 0, len(w.text), ""
	if user != None {
		s := w.At(user)
		start, end, kind = s.StartByte, s.EndByte, s.Kind
	}
	for range maxTypeNesting {
		if node == treesitter.None {
			break
		}
		n := &w.tree.Nodes[node]
		if int(n.Start) < start || int(n.End) > end {
			break
		}
		if k := w.typeIn[n.Field]; k != "" && n.Field != 0 {
			return k
		}
		if a := w.action(node); a != nil && a.typeKind != "" {
			return a.typeKind
		}
		node = w.tree.Parent(node)
	}
	switch kind {
	case KindFunction, KindMethod, KindMacro:
		return TypeSignature
	case KindVariable, KindConstant, "", KindModule:
		return TypeVariable
	case KindType:
		return TypeAlias
	}
	return TypeField
}
