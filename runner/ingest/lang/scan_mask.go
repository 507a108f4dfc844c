package lang

import (
	"bytes"
	"sort"
	"strings"
)

// masked is a text of the same length without its comments and strings.
type masked struct {
	code     []byte
	comments []span // in order; neighbouring line comments are one
}

type span struct{ start, end int }

// mask blanks comments and the insides of strings.
func (s *Scan) mask(text []byte) masked {
	m := masked{code: append([]byte(nil), text...)}
	hopeless := make([]int, len(s.Quotes)) // by quote: before this offset nothing closes it
	for i := 0; i < len(text); {
		if !s.starters[text[i]] {
			i++
			continue
		}
		if end, comment, quote := s.skip(text, i, hopeless); comment {
			m.comment(text, i, end)
			i = max(end, i+1)
		} else if quote != nil {
			if !s.Raw {
				blank(m.code[min(i+len(quote.Open), end):max(i, end-len(quote.Close))])
			}
			i = end
		} else {
			i++
		}
	}
	return m
}

// skip says where the comment or string that begins at i ends.
func (s *Scan) skip(text []byte, i int, hopeless []int) (end int, comment bool, quote *Quote) {
	rest := text[i:]
	for _, c := range s.BlockComments {
		if hasPrefix(rest, c[0]) {
			if n := bytes.Index(rest[len(c[0]):], []byte(c[1])); n >= 0 {
				return i + len(c[0]) + n + len(c[1]), true, nil
			}
			return len(text), true, nil
		}
	}
	for _, c := range s.LineComments {
		// "#" must not begin inside a word: $#, a#b.
		if hasPrefix(rest, c) && (!s.FirstOnly || ownLine(text, i)) && (c != "#" || i == 0 || text[i-1] <= ' ' || text[i-1] == ';' || text[i-1] == '{' || text[i-1] == '}') {
			return i + lineLength(rest), true, nil
		}
	}
	for k := range s.Quotes {
		q := &s.Quotes[k]
		if !hasPrefix(rest, q.Open) {
			continue
		}
		if i < hopeless[k] {
			return i, false, nil
		}
		j := i + len(q.Open)
		for ; j < len(text) && (q.Multiline || text[j] != '\n'); j++ {
			if q.Escape != 0 && text[j] == q.Escape {
				j++
			} else if hasPrefix(text[j:], q.Close) {
				return j + len(q.Close), false, q
			}
		}
		// Not a string after all: an apostrophe, a lifetime, a broken text.
		hopeless[k] = j
		return i, false, nil
	}
	return i, false, nil
}

func hasPrefix(text []byte, prefix string) bool {
	return len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix
}

func blank(b []byte) {
	for i, c := range b {
		if c != '\n' && c != '\r' {
			b[i] = ' '
		}
	}
}

// comment blanks a comment and notes it, as one with the comment on the line above.
func (m *masked) comment(text []byte, start, end int) {
	blank(m.code[start:end])
	if n := len(m.comments); n > 0 {
		last := &m.comments[n-1]
		between := string(text[last.end:start])
		if strings.Count(between, "\n") <= 1 && strings.TrimSpace(between) == "" && ownLine(text, last.start) {
			last.end = end
			return
		}
	}
	m.comments = append(m.comments, span{start, end})
}

func ownLine(text []byte, at int) bool {
	for at--; at >= 0 && text[at] != '\n'; at-- {
		if text[at] != ' ' && text[at] != '\t' {
			return false
		}
	}
	return true
}

// hidden says whether the first visible byte from an offset on was blanked.
func (m *masked) hidden(text []byte, at int) bool {
	for at < len(text) && text[at] <= ' ' {
		at++
	}
	return at < len(text) && m.code[at] != text[at]
}

// uncommented returns the text between two offsets without its comments.
func (m *masked) uncommented(text []byte, start, end int) []byte {
	var kept []byte
	first := sort.Search(len(m.comments), func(i int) bool { return m.comments[i].end > start })
	for _, c := range m.comments[first:] {
		if c.start >= end {
			break
		}
		kept = append(append(kept, text[start:max(start, c.start)]...), ' ')
		start = min(c.end, end)
	}
	return append(kept, text[start:end]...)
}

// docBefore returns the comment that stands directly above an offset.
func (m *masked) docBefore(text []byte, at int) string {
	i := sort.Search(len(m.comments), func(i int) bool { return m.comments[i].start >= at }) - 1
	if i < 0 || m.comments[i].end > at || !ownLine(text, m.comments[i].start) {
		return ""
	}
	if at-m.comments[i].end > 4*MaxSignature {
		return ""
	}
	// Annotations may stand between: @Override, [Test], #[test].
	lines := strings.Split(string(text[m.comments[i].end:at]), "\n")
	for n, line := range lines {
		line = strings.TrimSpace(line)
		inside := n > 0 && n < len(lines)-1
		if inside != (line != "") || inside && !strings.ContainsAny(line[:1], "@[#") {
			return ""
		}
	}
	return CleanDoc(string(text[m.comments[i].start:m.comments[i].end]))
}
