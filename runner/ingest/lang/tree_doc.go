package lang

import (
	"bytes"
	"slices"
	"strings"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

// docBefore returns the documentation in the comments directly before a node, and
// where the definition begins: at the first attribute or decorator that belongs to
// it, or at the node.
func (w *treeWalk) docBefore(node int) (doc string, start int) {
	var docs []string
	start = int(w.tree.Nodes[node].Start)
	next := start
	for i := len(w.trivia) - 1; i >= 0; i-- {
		n := w.tree.Nodes[w.trivia[i]]
		if int(n.Start) >= next {
			continue // inside the node
		}
		if int(n.End) > next || !w.adjoins(int(n.End), next) {
			break
		}
		text := w.tree.Text(w.trivia[i])
		if w.action(w.trivia[i]).isAttached {
			if w.docOf == nil {
				next = int(n.Start)
				start = next
				continue
			}
			doc, ok := w.docOf(w, w.trivia[i])
			if !ok {
				break
			}
			if doc != "" {
				return doc, start
			}
			next = int(n.Start)
			continue
		}
		next = int(n.Start)
		if len(docs) > 0 && !w.joinDocs {
			break
		}
		if !w.startsLine(next) {
			break // the comment belongs to what is left of it
		}
		if w.isDoc != nil && w.isDoc(text) {
			docs = append(docs, string(clipBytes(text, 2*MaxDoc)))
		} else if len(docs) > 0 {
			break
		}
	}
	slices.Reverse(docs)
	return cleanDocs(docs), start
}

// cleanDocs joins line comments into one text; block comments are cleaned one by
// one.
func cleanDocs(docs []string) string {
	if len(docs) == 0 {
		return ""
	}
	for i, d := range docs {
		docs[i] = strings.TrimRight(d, "\r\n")
	}
	return CleanDoc(strings.Join(docs, "\n"))
}

// adjoins says whether only white space lies between two offsets, and no blank
// line unless the rules allow it.
func (w *treeWalk) adjoins(end, start int) bool {
	gap := w.text[end:start]
	if len(bytes.TrimSpace(gap)) > 0 {
		return false
	}
	return w.docLoosely || bytes.Count(gap, []byte{'\n'}) <= 1
}

// startsLine says whether only white space lies before an offset in its line.
func (w *treeWalk) startsLine(offset int) bool {
	line := w.text[bytes.LastIndexByte(w.text[:offset], '\n')+1 : offset]
	return len(bytes.TrimSpace(line)) == 0
}

// leadingDocs returns the documentation comments that a node begins with.
func (w *treeWalk) leadingDocs(node int, isDoc func(comment []byte) bool) string {
	var docs []string
	for c := w.tree.First(node); c != treesitter.None; c = w.tree.Sibling(c) {
		a := w.action(c)
		if a == nil || !a.isComment {
			break
		}
		if text := w.tree.Text(c); isDoc(text) {
			docs = append(docs, string(clipBytes(text, 2*MaxDoc)))
		} else if len(docs) > 0 {
			break
		}
	}
	return cleanDocs(docs)
}
