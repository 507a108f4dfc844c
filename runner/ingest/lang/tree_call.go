package lang

import (
	"strings"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

const (
	// maxQualifier bounds what stands before a called name, in bytes.
	maxQualifier = 200
	// maxChain bounds how far a chain like a.b().c is followed.
	maxChain = 24
	// maxFrames bounds how far outwards a name is looked for. Generated code nests
	// functions thousands deep, and every call would ask them all.
	maxFrames = 64
)

// calls records the call that a node makes.
func (w *treeWalk) calls(node int, c *boundCall) {
	if c.accept != nil && !c.accept(w, node) {
		return
	}
	callee := w.follow(node, []treesitter.Field{c.callee})
	name, qualifier := w.callee(callee)
	if c.of != 0 && qualifier == "" {
		if of := w.tree.Child(node, c.of); of != treesitter.None {
			qualifier = w.qualifier(of)
		}
	}
	if name == "" || qualifier == "" && c.ignore[name] {
		return
	}
	w.called(callee, name, qualifier)
}

// called records a call of a name unless the name is a parameter's. A call of
// one's own type, cls(), is one of the type's name.
func (w *treeWalk) called(node int, name, qualifier string) {
	var typ string
	if qualifier == "" {
		if self := w.top().self; self != "" && w.isSelf(name) {
			name = self[strings.LastIndexByte(self, '.')+1:]
		} else if w.lookup(name).parameter {
			return
		}
	} else {
		typ = w.typeOf(qualifier)
	}
	w.CallOn(w.top().callable, name, qualifier, typ, w.nameOffset(node))
	if typ == "" && qualifier != "" {
		w.callOnField(qualifier)
	}
}

// nameOffset returns where the last name of a chain is: the line of a call in a
// chain over several lines is that of its name.
func (w *treeWalk) nameOffset(node int) int {
	for range maxChain {
		a := w.action(node)
		next := treesitter.None
		switch {
		case a == nil:
		case a.member != nil:
			_, next = w.sides(node, a.member)
		case a.isUnwrapped:
			next = w.follow(node, []treesitter.Field{a.unwrap})
		}
		if next == treesitter.None {
			break
		}
		node = next
	}
	return int(w.tree.Nodes[node].Start)
}

// callee splits what is called into its name and what stands before it. The name
// is empty where what is called has none, such as a function literal.
func (w *treeWalk) callee(node int) (name, qualifier string) {
	for range maxChain {
		if node == treesitter.None {
			return "", ""
		}
		a := w.action(node)
		switch {
		case a == nil:
			return "", ""
		case a.isName:
			return w.nodeText(node), ""
		case a.member != nil:
			of, n := w.sides(node, a.member)
			if a := w.action(n); n == treesitter.None || a == nil {
				return "", ""
			}
			name, inner := w.callee(n)
			if of == treesitter.None || inner != "" {
				return name, inner
			}
			return name, w.qualifier(of)
		case a.isUnwrapped:
			node = w.follow(node, []treesitter.Field{a.unwrap})
		default:
			return "", ""
		}
	}
	return "", ""
}

// qualifier writes what a member is taken from: names as they are, calls without
// their arguments, anything else as its text.
func (w *treeWalk) qualifier(node int) string {
	s, ok := w.chain(node, maxChain)
	if !ok {
		s = strings.Join(strings.Fields(string(clipBytes(w.tree.Text(node), 2*maxQualifier))), " ")
	}
	if len(s) > maxQualifier {
		s = string(clipBytes([]byte(s), maxQualifier-len("…"))) + "…"
	}
	return s
}

// chain writes names, members, calls and indexing; it refuses anything else.
func (w *treeWalk) chain(node, depth int) (string, bool) {
	if node == treesitter.None || depth == 0 {
		return "", false
	}
	a := w.action(node)
	switch {
	case a == nil:
		return "", false
	case a.isName:
		return w.nodeText(node), true
	case a.member != nil:
		of, n := w.sides(node, a.member)
		name, ok := w.chain(n, depth-1)
		if !ok {
			return "", false
		}
		if of == treesitter.None {
			return name, true
		}
		before, ok := w.chain(of, depth-1)
		return before + a.member.separator + name, ok
	case a.isUnwrapped:
		return w.chain(w.follow(node, []treesitter.Field{a.unwrap}), depth-1)
	case len(a.calls) > 0:
		c := a.calls[0]
		callee, ok := w.chain(w.follow(node, []treesitter.Field{c.callee}), depth-1)
		if of := w.tree.Child(node, c.of); ok && c.of != 0 && of != treesitter.None {
			before, whole := w.chain(of, depth-1)
			callee, ok = before+c.separator+callee, whole
		}
		return callee + "()", ok
	}
	return "", false
}

// sides returns the two sides of a member.
func (w *treeWalk) sides(node int, m *boundMember) (of, name int) {
	of, name = treesitter.None, treesitter.None
	if m.of != 0 {
		of = w.tree.Child(node, m.of)
	} else {
		of = w.tree.First(node)
	}
	if m.name != 0 {
		name = w.tree.Child(node, m.name)
	} else {
		for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
			name = c
		}
	}
	if of == name {
		of = treesitter.None
	}
	return of, name
}
