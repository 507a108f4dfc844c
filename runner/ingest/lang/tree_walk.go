package lang

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

// treeWalk applies the rules of a grammar to the tree of one file, from its first
// node to its last. Functions of a rule table use its methods.
type treeWalk struct {
	*Builder
	*treeGrammar
	tree *treesitter.Tree
	path string
	text []byte

	frames []treeFrame
	trivia []int             // comments and attached nodes so far
	known  map[string]bool   // variables that have a definition
	fields map[string]string // type of a field, by its qualified name
	onSelf []fieldCall
	last   lastDefinition
	extra  any // what functions of the table remember about the file
}

// treeFrame is a node that the walk is inside of and that matters to what is
// found there.
type treeFrame struct {
	end      int    // number of the node at which the frame is left
	ref      Ref    // symbol that definitions belong to
	kind     string // its kind, or a word of the rule table's own
	name     string // what qualified names begin with
	self     string // type that the method's object has
	callable Ref    // innermost function or method
	owner    bool   // whether callable is this frame's own
	local    bool   // variables are nobody else's business
	weight   int    // decisions, of an owner
	types    map[string]localName

	signature bool // bound names belong to the frame around
}

// localName is what is known of a name inside a function.
type localName struct {
	typ       string
	parameter bool
}

type lastDefinition struct {
	ref    Ref
	parent int // node
}

func newTreeWalk(g *treeGrammar, src Source, tree *treesitter.Tree) *treeWalk {
	return &treeWalk{
		Builder:     NewBuilder(src, "tree-sitter"),
		treeGrammar: g,
		tree:        tree,
		path:        src.Path,
		text:        src.Text,
		frames:      []treeFrame{{end: len(tree.Nodes) + 1, ref: None, callable: None}},
		known:       map[string]bool{},
		fields:      map[string]string{},
		last:        lastDefinition{ref: None},
	}
}

func (w *treeWalk) run() Extraction {
	if w.begin != nil {
		w.begin(w)
	}
	nodes := w.tree.Nodes
	for i := 0; i < len(nodes); {
		w.leave(i)
		a := w.action(i)
		if a == nil {
			i++
			continue
		}
		if a.isComment || a.isAttached {
			w.trivia = append(w.trivia, i)
		}
		if a.isSkipped {
			i = int(nodes[i].Next)
			continue
		}
		if a.weight != 0 {
			w.decide(a.weight)
		}
		if a.isOperator && nodes[i].Field == w.operator {
			w.decide(1)
		}
		if a.visit != nil && !a.visit(w, i) {
			i = int(nodes[i].Next)
			continue
		}
		for _, c := range a.calls {
			w.calls(i, c)
		}
		if !w.defines(i, a.defines) && (a.isLocal || a.isSignature) {
			w.enter(i, func(f *treeFrame) { f.local, f.signature = true, a.isSignature })
		}
		for _, b := range a.binds {
			w.bind(i, b)
		}
		i++
	}
	w.leave(len(nodes) + 1)
	if w.end != nil {
		w.end(w)
	}
	w.fieldCalls()
	w.problems()
	return w.Extraction()
}

// problems records syntax errors. A file that the grammar mostly understood is
// whole all the same: what was missed lies in the lines that are wrong.
func (w *treeWalk) problems() {
	n := w.tree.Errors + w.tree.Missing
	w.ex.ParseErrors = n
	if w.tree.ErrorBytes*5 > len(w.text) {
		w.Partial(strconv.Itoa(n) + " syntax errors")
		if n == 1 {
			w.Partial("1 syntax error")
		}
	}
}

// action returns what the rules say of a node, nil where they say nothing.
func (w *treeWalk) action(node int) *treeAction {
	if node < 0 {
		return nil
	}
	if k := int(w.tree.Nodes[node].Kind); k < len(w.actions) && w.actions[k].isAny {
		return &w.actions[k]
	}
	return nil
}

// top returns the innermost frame.
func (w *treeWalk) top() *treeFrame { return &w.frames[len(w.frames)-1] }

// enter begins a frame that lasts as long as the walk is inside node, as a copy of
// the one around it that change may alter.
func (w *treeWalk) enter(node int, change func(f *treeFrame)) {
	f := *w.top()
	f.end, f.owner, f.weight, f.types, f.signature = int(w.tree.Nodes[node].Next), false, 0, nil, false
	change(&f)
	w.frames = append(w.frames, f)
}

// leave ends the frames that do not reach the node.
func (w *treeWalk) leave(node int) {
	for len(w.frames) > 1 && w.top().end <= node {
		if f := w.top(); f.owner {
			w.At(f.callable).Complexity += max(f.weight, 0)
		}
		w.frames = w.frames[:len(w.frames)-1]
	}
}

// decide adds decisions to the innermost function or method.
func (w *treeWalk) decide(weight int) {
	for i := len(w.frames) - 1; i >= 0; i-- {
		if w.frames[i].owner {
			w.frames[i].weight += weight
			return
		}
	}
}

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
		w.definePattern(node, nameNode, s.Kind, d)
		return true, false
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
		f.local = d.callable
		switch {
		case !d.callable:
			f.self = f.name
		case s.Kind == KindMethod:
			f.self = strings.TrimSuffix(strings.TrimSuffix(f.name, s.Name), ".")
		}
		if d.callable {
			f.callable, f.owner = ref, true
		}
	})
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
	if d.data {
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

// definePattern adds each name of a pattern, "a, (b, *c) = f()".
func (w *treeWalk) definePattern(node, pattern int, kind string, d *boundDefine) {
	doc, _ := w.docBefore(w.anchor(node))
	w.eachName(pattern, func(i int) {
		n := w.tree.Nodes[i]
		s := Symbol{Kind: kind, Name: w.nodeText(i), Doc: doc, StartByte: int(n.Start), EndByte: int(n.End)}
		s.Signature = w.signature(w.anchor(node), node, treesitter.None)
		if d.refine == nil || d.refine(w, node, &s) {
			w.add(node, d.defineRule, s)
		}
	})
}

// eachName visits the names that a pattern binds, not its keys and default values.
func (w *treeWalk) eachName(pattern int, visit func(node int)) {
	for i := pattern + 1; i < int(w.tree.Nodes[pattern].Next); i++ {
		a, p := w.action(i), w.action(w.tree.Parent(i))
		field := w.tree.Nodes[i].Field
		if a != nil && a.isName && p != nil && p.isPattern && (field == 0 || !w.notBound[field]) {
			visit(i)
		}
	}
}

// anchor returns the outermost node that is nothing but the definition at node:
// the export statement or the decorated definition around it.
func (w *treeWalk) anchor(node int) int {
	for {
		p := w.tree.Parent(node)
		if p == treesitter.None {
			return node
		}
		if a := w.action(p); a == nil || !a.isWrapper {
			return node
		}
		for c := w.tree.First(p); c != treesitter.None; c = w.tree.Sibling(c) {
			if c != node && w.tree.Nodes[c].Kind == w.tree.Nodes[node].Kind {
				return node // one of several: let a = 1, b = 2
			}
		}
		node = p
	}
}

// follow goes down a path of fields; field 0 is the first child.
func (w *treeWalk) follow(node int, fields []treesitter.Field) int {
	for _, f := range fields {
		if f == 0 {
			node = w.tree.First(node)
		} else {
			node = w.tree.Child(node, f)
		}
		if node == treesitter.None {
			break
		}
	}
	return node
}

// child returns the child of a node in a field given by name.
func (w *treeWalk) child(node int, field string) int {
	f, ok := w.language.Field(field)
	if !ok {
		return treesitter.None
	}
	return w.tree.Child(node, f)
}

// is says whether a node is of one of the types.
func (w *treeWalk) is(node int, types ...string) bool {
	if node == treesitter.None {
		return false
	}
	kind := w.language.KindName(w.tree.Nodes[node].Kind)
	for _, t := range types {
		if kind == t {
			return true
		}
	}
	return false
}

func (w *treeWalk) nodeText(node int) string {
	if node == treesitter.None {
		return ""
	}
	return string(w.tree.Text(node))
}

// plainName returns the text of a name, without the quotes that some languages
// allow, and nothing for a name that is computed.
func (w *treeWalk) plainName(node int) string {
	text := w.nodeText(node)
	if a := w.action(node); a != nil && (a.isName || a.member != nil) {
		return text
	}
	if len(text) > 2 && (text[0] == '"' || text[0] == '\'') && text[len(text)-1] == text[0] {
		return text[1 : len(text)-1]
	}
	return ""
}

// signature returns the text of a definition up to its body, or its first line.
func (w *treeWalk) signature(anchor, node, body int) string {
	start, end := int(w.tree.Nodes[anchor].Start), int(w.tree.Nodes[node].End)
	for _, around := range []int{anchor, node} {
		for c := w.tree.First(around); c != treesitter.None && w.is(c, "decorator"); c = w.tree.Sibling(c) {
			start = int(w.tree.Nodes[c].End)
		}
	}
	if body != treesitter.None {
		end = start
		first := w.tree.Parent(body)
		for c := w.tree.First(first); c != treesitter.None && c < body; c = w.tree.Sibling(c) {
			if a := w.action(c); a == nil || !a.isComment {
				end = int(w.tree.Nodes[c].End)
			}
		}
		if end > start {
			return w.withoutComments(node, start, min(end, start+4*MaxSignature))
		}
		end = int(w.tree.Nodes[body].Start)
	}
	text := bytes.TrimSpace(w.text[start:max(start, end)])
	if body != treesitter.None {
		text = bytes.TrimRight(text, ":={, \t\r\n")
	}
	if i := bytes.IndexByte(text, '\n'); i >= 0 {
		return string(clipBytes(bytes.TrimRight(text[:i], " \t\r"), 4*MaxSignature)) + "…"
	}
	return strings.TrimRight(string(clipBytes(text, 4*MaxSignature)), "; \t")
}

// withoutComments returns the text between two offsets that are inside node.
func (w *treeWalk) withoutComments(node, start, end int) string {
	var text []byte
	for i := node; i < len(w.tree.Nodes) && int(w.tree.Nodes[i].Start) < end; i++ {
		n := w.tree.Nodes[i]
		if a := w.action(i); a != nil && a.isComment && int(n.Start) >= start {
			text = append(append(text, w.text[start:n.Start]...), ' ')
			start = int(n.End)
		}
	}
	if start < end {
		text = append(text, clipBytes(w.text[start:], end-start)...)
	}
	return string(text)
}

// clipBytes cuts a text at a character border.
func clipBytes(text []byte, limit int) []byte {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && text[limit]&0xc0 == 0x80 {
		limit--
	}
	return text[:limit]
}
