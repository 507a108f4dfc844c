package lang

import (
	"strconv"

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
	owner    int    // number of the frame that is callable's own; 0 for none
	local    bool   // variables are nobody else's business
	weight   int    // decisions, of an owner
	access   string // who may see what follows, where a word above it says so
	types    map[string]localName
	declared []string // type parameters

	signature bool // bound names belong to the frame around
}

// localName is what is known of a name inside a function.
type localName struct {
	typ       string
	parameter bool
	bound     bool // the text gives the name a meaning
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
		w.types(i, a)
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
	f.end, f.weight, f.types, f.declared, f.signature, f.access = int(w.tree.Nodes[node].Next), 0, nil, nil, false, ""
	change(&f)
	w.frames = append(w.frames, f)
}

// leave ends the frames that do not reach the node.
func (w *treeWalk) leave(node int) {
	for len(w.frames) > 1 && w.top().end <= node {
		if f := w.top(); f.owner == len(w.frames)-1 {
			w.At(f.callable).Complexity += max(f.weight, 0)
		}
		w.frames = w.frames[:len(w.frames)-1]
	}
}

// decide adds decisions to the innermost function or method.
func (w *treeWalk) decide(weight int) {
	if owner := w.top().owner; owner > 0 {
		w.frames[owner].weight += weight
	}
}

// owns makes a symbol the one that calls and decisions inside the innermost frame
// belong to.
func (w *treeWalk) owns(ref Ref) {
	f := w.top()
	f.callable, f.owner, f.local = ref, len(w.frames)-1, true
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

// nodeText returns the text of a name or of anything else that is short. What
// nests is asked for its text at every depth, so a long one is cut.
func (w *treeWalk) nodeText(node int) string {
	return string(clipBytes(w.tree.Text(node), 2*MaxImportName))
}
