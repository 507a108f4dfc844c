package lang

import (
	"bytes"
	"strings"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

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
		start, _ = w.afterUnsigned(around, start)
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

// afterUnsigned returns where the signature of what a node holds begins: after
// decorators and the like, also those among its modifiers. Whole says that nothing
// else is in the node.
func (w *treeWalk) afterUnsigned(node, start int) (after int, whole bool) {
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		a := w.action(c)
		if a != nil && a.isUnsigned {
			start = int(w.tree.Nodes[c].End)
			continue
		}
		if first := w.action(w.tree.First(c)); first != nil && first.isUnsigned {
			if start, whole = w.afterUnsigned(c, start); whole {
				continue
			}
		}
		return start, false
	}
	return start, true
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
