package lang

import (
	"bytes"
	"slices"
	"strings"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

// rustTokens finds calls in the arguments of a macro, which the grammar leaves as
// tokens: a name directly before an opening parenthesis, with what is joined to it
// by dots and colons.
func rustTokens(w *treeWalk, tree int) bool {
	start := int(w.tree.Nodes[tree].Start)
	if w.text[start] == '[' && bytes.HasSuffix(bytes.TrimRight(w.text[max(0, start-8):start], " \t\r\n!"), []byte("#")) {
		return false // an attribute
	}
	chain := rustChain{w: w}
	var generic []int // what stands before ::<
	last := uint32(start)
	for c := w.tree.First(tree); c != treesitter.None; c = w.tree.Sibling(c) {
		n := w.tree.Nodes[c]
		before := bytes.TrimSpace(w.text[last:n.Start])
		last = n.End
		arguments := w.is(c, "token_tree") && w.text[n.Start] == '('
		switch {
		case arguments && len(before) == 0 && w.is(chain.last(), "identifier"), // f(x)
			w.is(c, "token_tree") && string(before) == "!": // f![x]
			chain.call()
			chain.nodes = append(chain.nodes, c)
		case arguments && bytes.HasSuffix(before, []byte(">")) && generic != nil: // f::<T>(x)
			chain.nodes = generic
			chain.call()
			chain.nodes, generic = append(chain.nodes, c), nil
		case w.is(c, "identifier", "self", "super", "crate", "primitive_type", "metavariable", "integer_literal"):
			if bytes.HasSuffix(before, []byte("::<")) {
				generic, chain.nodes = chain.nodes, nil
			}
			if bytes.HasSuffix(before, []byte("fn")) {
				chain.nodes = nil // the name is defined here
				continue
			}
			if !bytes.HasSuffix(before, []byte(".")) && !bytes.HasSuffix(before, []byte("::")) {
				chain.nodes = nil
			}
			chain.nodes = append(chain.nodes, c)
		default:
			chain.nodes = []int{c} // a literal or a parenthesis may begin a chain
		}
	}
	return true
}

// rustChain is a run of tokens like a.b(1)::c.
type rustChain struct {
	w     *treeWalk
	nodes []int
}

func (c *rustChain) last() int {
	if len(c.nodes) == 0 {
		return treesitter.None
	}
	return c.nodes[len(c.nodes)-1]
}

// call records a call of the last name of the chain.
func (c *rustChain) call() {
	w, name := c.w, c.last()
	if !w.is(name, "identifier") {
		return
	}
	var qualifier strings.Builder
	for i, n := range c.nodes[:len(c.nodes)-1] {
		if w.is(n, "token_tree") && i > 0 {
			qualifier.WriteString("()")
			continue
		}
		if i > 0 {
			between := bytes.TrimSpace(w.text[w.tree.Nodes[c.nodes[i-1]].End:w.tree.Nodes[n].Start])
			if bytes.HasSuffix(between, []byte("::")) {
				qualifier.WriteString("::")
			} else {
				qualifier.WriteString(".")
			}
		}
		qualifier.Write(clipBytes(w.tree.Text(n), maxQualifier))
		if qualifier.Len() > maxQualifier {
			break
		}
	}
	text := w.nodeText(name)
	of := string(clipBytes([]byte(strings.Join(strings.Fields(qualifier.String()), " ")), maxQualifier))
	if of != "" || !slices.Contains([]string{"Some", "Ok", "Err"}, text) {
		w.called(name, text, of)
	}
}
