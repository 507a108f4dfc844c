package lang

import (
	"strings"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

// defines adds what a node defines by the first rule that fits, and says whether
// there is one that holds what is inside.
func (w *treeWalk) defines(node int, rules []*boundDefine) bool {
	for _, d := range rules {
		if !w.holds(node, d) {
			continue
		}
		if defined, entered := w.define(node, d); defined {
			return entered
		}
	}
	return false
}

func (w *treeWalk) holds(node int, d *boundDefine) bool {
	for _, where := range d.where {
		c := w.tree.Child(node, where.field)
		if c == treesitter.None || !where.kinds[w.tree.Nodes[c].Kind] {
			return false
		}
	}
	return true
}

// define adds what a node defines by one rule, and begins a frame for it where
// something inside can belong to it.
func (w *treeWalk) define(node int, d *boundDefine) (defined, entered bool) {
	around := w.top()
	s := Symbol{Kind: d.kind}
	if kind, ok := d.inside[around.kind]; ok {
		s.Kind = kind
	}
	if s.Kind == "" || d.data && around.local {
		return false, false
	}
	nameNode := w.follow(node, d.name)
	if nameNode == treesitter.None {
		return false, false
	}
	if a := w.action(nameNode); a != nil && a.isPattern {
		return w.definePattern(node, nameNode, s.Kind, d), false
	}
	s.Name = w.plainName(nameNode)
	body := treesitter.None
	if d.body != nil {
		body = w.follow(node, d.body)
	}
	if d.refine != nil && !d.refine(w, node, &s) || s.Name == "" {
		return false, false
	}
	anchor := w.anchor(node)
	doc, start := w.docBefore(anchor)
	if body != treesitter.None && w.docInside != nil {
		if inside := w.docInside(w, body); inside != "" {
			doc = inside
		}
	}
	if s.Doc == "" {
		s.Doc = doc
	}
	s.StartByte, s.EndByte = start, int(w.tree.Nodes[anchor].End)
	if s.Signature == "" {
		s.Signature = w.signature(anchor, node, body)
	}
	ref := w.add(node, d.defineRule, s)
	if ref == None || !d.scope && !d.callable {
		return true, false
	}
	w.enter(node, func(f *treeFrame) {
		f.ref, f.kind, f.name = ref, s.Kind, w.At(ref).QualifiedName
		f.local = false
		switch {
		case !d.callable:
			f.self = f.name
		case s.Kind == KindMethod:
			f.self = strings.TrimSuffix(strings.TrimSuffix(f.name, s.Name), ".")
		}
	})
	if d.callable {
		w.owns(ref)
	}
	return true, true
}

// add puts a definition into the extraction, or into the one before it of the same
// name, where the rules say that both are one.
func (w *treeWalk) add(node int, d *defineRule, s Symbol) Ref {
	around := w.top()
	if s.QualifiedName == "" {
		s.QualifiedName = s.Name
		if around.name != "" {
			s.QualifiedName = around.name + "." + s.Name
		}
	}
	if d.data && !d.each {
		if w.known[s.QualifiedName] {
			return None
		}
		w.known[s.QualifiedName] = true
	}
	if d.callable {
		s.Complexity++
	}
	parent := w.tree.Parent(w.anchor(node))
	if d.overload && w.last.ref != None && w.last.parent == parent && w.At(w.last.ref).Complexity == 0 && w.extend(w.last.ref, s) {
		return w.last.ref
	}
	s.Exported = w.visible == nil || w.visible(w, node, s.Name)
	ref := w.Symbol(around.ref, s)
	w.last = lastDefinition{ref, parent}
	return ref
}

// extend makes a definition longer by another one of the same kind and name.
func (w *treeWalk) extend(ref Ref, s Symbol) bool {
	p := w.At(ref)
	if p.Kind != s.Kind || p.QualifiedName != s.QualifiedName || p.Key != s.Key {
		return false
	}
	p.EndByte = max(p.EndByte, s.EndByte)
	p.EndLine = w.Line(max(p.StartByte, p.EndByte-1))
	p.Complexity += s.Complexity
	if p.Doc == "" {
		p.Doc = s.Doc
	}
	return true
}

// definePattern adds each name of a pattern, "a, (b, *c) = f()". It says whether the
// rule is for such.
func (w *treeWalk) definePattern(node, pattern int, kind string, d *boundDefine) bool {
	fits := d.refine == nil
	doc, _ := w.docBefore(w.anchor(node))
	w.eachName(pattern, func(i int) {
		n := w.tree.Nodes[i]
		s := Symbol{Kind: kind, Name: w.nodeText(i), Doc: doc, StartByte: int(n.Start), EndByte: int(n.End)}
		s.Signature = w.signature(w.anchor(node), node, treesitter.None)
		if d.refine == nil || d.refine(w, node, &s) {
			fits = true
			w.add(node, d.defineRule, s)
		}
	})
	return fits
}

// eachName visits the names that a pattern binds, not its keys and default values.
func (w *treeWalk) eachName(pattern int, visit func(node int)) {
	for i := pattern + 1; i < int(w.tree.Nodes[pattern].Next); i++ {
		a, p := w.action(i), w.action(w.tree.Parent(i))
		field := w.tree.Nodes[i].Field
		missing := w.tree.Nodes[i].Start == w.tree.Nodes[i].End // made up by the parser
		if a != nil && a.isName && !missing && p != nil && p.isPattern && (field == 0 || !w.notBound[field]) {
			visit(i)
		}
	}
}
