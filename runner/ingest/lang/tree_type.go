package lang

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

// bind notes the type of a local name or of a field.
func (w *treeWalk) bind(node int, b *boundBind) {
	nameNode := w.follow(node, b.name)
	a := w.action(nameNode)
	if a == nil {
		return
	}
	typ := ""
	if b.typ != nil {
		if t := w.follow(node, b.typ); t != treesitter.None {
			typ = w.typeText(t)
		}
	}
	if v := treesitter.None; typ == "" && b.value != nil {
		if v = w.follow(node, b.value); v != treesitter.None {
			if path, ok := b.construct[w.tree.Nodes[v].Kind]; ok {
				typ = w.typeText(w.follow(v, path))
			}
		}
	}
	switch {
	case b.field:
		w.bindField(w.top().name, w.nodeText(nameNode), typ)
	case a.isPattern:
		w.eachName(nameNode, func(i int) { w.bindLocal(w.nodeText(i), localName{parameter: b.parameter}) })
	case a.isName:
		w.bindLocal(w.nodeText(nameNode), localName{typ: typ, parameter: b.parameter})
	case a.member != nil:
		name, qualifier := w.callee(nameNode)
		if w.isSelf(qualifier) {
			w.bindField(w.top().self, name, typ)
		}
	}
}

// bindLocal notes a name of the innermost function, or of the file.
func (w *treeWalk) bindLocal(name string, l localName) {
	for i := len(w.frames) - 1; i >= 0; i-- {
		f := &w.frames[i]
		if f.signature {
			continue
		}
		if i == 0 || f.local {
			if f.types == nil {
				f.types = map[string]localName{}
			}
			l.parameter = l.parameter || f.types[name].parameter
			l.bound = true
			f.types[name] = l
			return
		}
		if f.ref != None {
			return // a member of a class is no name of the function around it
		}
	}
}

// bindParameters notes the parameters in a list that are nothing but a name or a
// pattern.
func bindParameters(w *treeWalk, node int) bool {
	bind := func(i int) {
		if name := w.nodeText(i); !w.isSelf(name) {
			w.bindLocal(name, localName{parameter: true})
		}
	}
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		if a := w.action(c); a != nil && a.isPattern {
			w.eachName(c, bind)
		} else if a != nil && a.isName {
			bind(c)
		}
	}
	return true
}

// bindField notes the type of a field where it is first told.
func (w *treeWalk) bindField(owner, name, typ string) {
	if owner != "" && typ != "" && w.fields[owner+"."+name] == "" {
		w.fields[owner+"."+name] = typ
	}
}

// fieldCall is a call on a field of the method's own object. A field may be
// declared after the methods that use it, so these wait for the end of the file.
type fieldCall struct {
	call  int    // index
	field string // qualified name
}

func (w *treeWalk) callOnField(qualifier string) {
	of, name, dotted := strings.Cut(strings.Replace(qualifier, "->", ".", 1), ".")
	if !dotted && len(w.self) > 0 {
		if !w.bare || w.lookup(qualifier).bound {
			return
		}
		of, name = w.self[0], qualifier
	}
	if self := w.top().self; self != "" && w.isSelf(of) && !strings.ContainsAny(name, ".>") {
		w.onSelf = append(w.onSelf, fieldCall{len(w.ex.Calls) - 1, self + "." + name})
	}
}

func (w *treeWalk) fieldCalls() {
	for _, c := range w.onSelf {
		w.ex.Calls[c.call].QualifierType = Clip(w.fields[c.field], MaxName)
	}
}

// typeText returns the name of a type that begins with a capital letter, which
// types do and modules and primitives do not. It is empty for anything else.
func (w *treeWalk) typeText(node int) string {
	if w.typeNode != nil {
		node = w.typeNode(w, node)
	}
	s, ok := w.chain(node, maxChain)
	if !ok {
		return ""
	}
	return w.typeNamed(s)
}

func (w *treeWalk) typeNamed(s string) string {
	if len(s) > maxQualifier || strings.ContainsAny(s, "() []{}\"'") {
		return ""
	}
	last := strings.LastIndexAny(s, ".:") + 1
	if w.constructor != nil && last > 0 && w.constructor(s[last:]) {
		return w.typeNamed(strings.TrimRight(s[:last], ".:")) // Type::new
	}
	if first, _ := utf8.DecodeRuneInString(s[last:]); !unicode.IsUpper(first) {
		return ""
	}
	if w.isSelf(s) {
		return w.top().self
	}
	return s
}

// typeOf returns the type of a qualifier, where the text of the file tells it.
func (w *treeWalk) typeOf(qualifier string) string {
	if w.isSelf(qualifier) {
		return w.top().self
	}
	if made, ok := strings.CutSuffix(qualifier, "()"); ok {
		if w.pascal && strings.Contains(made, ".") {
			return ""
		}
		return w.typeNamed(made)
	}
	return w.lookup(qualifier).typ
}

func (w *treeWalk) isSelf(name string) bool { return slices.Contains(w.self, name) }

// lookup finds a local name from the inside out, and then the file's.
func (w *treeWalk) lookup(name string) localName {
	for i := len(w.frames) - 1; i > max(0, len(w.frames)-maxFrames); i-- {
		if l, ok := w.frames[i].types[name]; ok {
			return l
		}
	}
	return w.frames[0].types[name]
}
