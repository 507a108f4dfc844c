package treesitter

import (
	"fmt"
	"strings"
)

// None is the index of no node: the parent of the root, a child that is missing.
const None = -1

// Node is one node of a Tree. Punctuation and keywords are not in the tree unless
// the grammar gives them a field, as most do with operators.
type Node struct {
	Start, End uint32 // bytes, half open
	Row        uint32 // 0-based line of Start
	Parent     uint32 // index of the parent; its maximum for the root
	Next       uint32 // index after the node's last descendant
	Kind       Kind
	Field      Field
}

// Tree is a syntax tree in preorder: the root is node 0, the first child of node i
// is i+1, its next sibling is Nodes[i].Next. Its nodes lie in memory of the parser
// and are good only until the function that was given the Tree returns.
type Tree struct {
	Language *Language
	Source   []byte
	Nodes    []Node

	Errors     int // places that the grammar could not make sense of
	Missing    int // tokens that had to be made up
	ErrorBytes int // bytes inside Errors
}

// Text returns the source of a node, nil for None. The result must not be changed.
func (t *Tree) Text(i int) []byte {
	if i < 0 {
		return nil
	}
	return t.Source[t.Nodes[i].Start:t.Nodes[i].End]
}

// Parent returns the parent of a node, None for the root and for None.
func (t *Tree) Parent(i int) int {
	if i > 0 {
		return int(t.Nodes[i].Parent)
	}
	return None
}

// First returns the first child of a node, None where there is none.
func (t *Tree) First(i int) int {
	if i >= 0 && t.Nodes[i].Next > uint32(i+1) {
		return i + 1
	}
	return None
}

// Sibling returns the next sibling of a node, None where there is none.
func (t *Tree) Sibling(i int) int {
	if i > 0 && t.Nodes[i].Next < t.Nodes[t.Nodes[i].Parent].Next {
		return int(t.Nodes[i].Next)
	}
	return None
}

// Child returns the first child of a node that has the field, None where there is
// none.
func (t *Tree) Child(i int, f Field) int {
	for c := t.First(i); c != None; c = t.Sibling(c) {
		if t.Nodes[c].Field == f {
			return c
		}
	}
	return None
}

// String writes the tree for people who write rules for it, one node a line: its
// field, its kind, the 0-based line it begins on, and its text where it has no
// children.
func (t *Tree) String() string {
	var w strings.Builder
	depth := make([]int, len(t.Nodes))
	for i, n := range t.Nodes {
		if p := t.Parent(i); p != None {
			depth[i] = depth[p] + 1
		}
		w.WriteString(strings.Repeat(" ", depth[i]))
		if n.Field != 0 {
			w.WriteString(t.Language.names[n.Field] + ": ")
		}
		fmt.Fprintf(&w, "%s %d", t.Language.KindName(n.Kind), n.Row)
		if t.First(i) == None {
			fmt.Fprintf(&w, " %s", t.Text(i))
		}
		w.WriteByte('\n')
	}
	return w.String()
}
