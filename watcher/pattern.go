package watcher

import (
	"bytes"
	"strings"
)

// pattern is one line of an ignore file. Its meaning is that of gitignore(5),
// including what git does and the manual does not say: matching is by bytes, and
// a malformed pattern matches nothing.
type pattern struct {
	text     string // as written, without trailing spaces
	line     int    // 1-based
	negated  bool   // begins with !
	dirOnly  bool   // ends with /
	baseOnly bool   // holds no other slash: matches the last element at any depth
	prefix   string // literal bytes before the first wildcard
	suffix   bool   // is "*literal": prefix holds the literal
	rest     []token
}

// parsePatterns reads the lines of an ignore file.
func parsePatterns(data []byte) []pattern {
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	var out []pattern
	for n := 1; len(data) > 0; n++ {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		line = bytes.TrimSuffix(line, []byte("\r"))
		line, _, _ = bytes.Cut(line, []byte{0})
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		if text := trimSpaces(string(line)); text != "" {
			p := parsePattern(text)
			p.line = n
			out = append(out, p)
		}
	}
	return out
}

// trimSpaces drops spaces at the end that no backslash protects.
func trimSpaces(s string) string {
	cut := -1
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ' ':
			if cut < 0 {
				cut = i
			}
		case '\\':
			i++
			cut = -1
		default:
			cut = -1
		}
	}
	if cut >= 0 {
		return s[:cut]
	}
	return s
}

func parsePattern(text string) pattern {
	p := pattern{text: text}
	s, negated := strings.CutPrefix(text, "!")
	p.negated = negated
	s, p.dirOnly = strings.CutSuffix(s, "/")
	p.baseOnly = !strings.Contains(s, "/")
	if p.baseOnly && len(s) > 1 && s[0] == '*' && !strings.ContainsAny(s[1:], specials) {
		p.suffix, p.prefix = true, s[1:]
		return p
	}
	s = strings.TrimPrefix(s, "/")
	cut := strings.IndexAny(s, specials)
	if cut < 0 {
		cut = len(s)
	}
	p.prefix = s[:cut]
	// What follows the literal prefix is compiled on its own, so a ** right after
	// it counts as standing at a beginning: a**/b matches ab, as it does in git.
	p.rest = compile(s[cut:], !p.baseOnly)
	return p
}

const specials = `*?[\`

// match reports whether the pattern covers an entry, given its path relative to
// the directory of the ignore file and the path's last element.
func (p *pattern) match(path, base string, isDir bool) bool {
	if p.dirOnly && !isDir {
		return false
	}
	name := path
	if p.baseOnly {
		name = base
	}
	if p.suffix {
		return strings.HasSuffix(name, p.prefix)
	}
	name, ok := strings.CutPrefix(name, p.prefix)
	if !ok {
		return false
	}
	if len(p.rest) == 0 {
		return name == "" && p.prefix != ""
	}
	return matchTokens(p.rest, name)
}

type op uint8

const (
	opByte    op = iota // this byte
	opAny               // one byte, not a slash
	opSet               // one byte of a set, not a slash
	opStar              // any bytes but slashes
	opStars             // any bytes
	opSkip              // what follows, or what comes three tokens later
	opNothing           // never matches
)

type token struct {
	op  op
	b   byte
	set *byteSet
}

// compile translates a glob to tokens. Where slashes matter, ** between slashes
// (or at an end) crosses directories and **/ may also stand for nothing.
func compile(s string, slashes bool) []token {
	var out []token
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i == len(s) {
				return []token{{op: opNothing}}
			}
			out = append(out, token{op: opByte, b: s[i]})
		case '?':
			out = append(out, token{op: opAny})
		case '[':
			set, end, ok := parseSet(s, i+1)
			if !ok {
				return []token{{op: opNothing}}
			}
			out = append(out, token{op: opSet, set: set})
			i = end
		case '*':
			from := i
			for i+1 < len(s) && s[i+1] == '*' {
				i++
			}
			after := s[i+1:]
			atStart := from == 0 || s[from-1] == '/'
			if !slashes || i == from || !atStart || after != "" && after[0] != '/' && !strings.HasPrefix(after, `\/`) {
				out = append(out, token{op: opStar})
				continue
			}
			if after != "" && after[0] == '/' {
				out = append(out, token{op: opSkip}, token{op: opStars}, token{op: opByte, b: '/'})
				i++
				continue
			}
			out = append(out, token{op: opStars})
		default:
			out = append(out, token{op: opByte, b: s[i]})
		}
	}
	return out
}

// matchTokens runs the tokens as a nondeterministic automaton: time is bounded by
// tokens times bytes whatever the pattern.
func matchTokens(prog []token, s string) bool {
	var room [2][96]bool
	now, next := room[0][:], room[1][:]
	if len(prog) >= len(now) {
		now, next = make([]bool, len(prog)+1), make([]bool, len(prog)+1)
	}
	now, next = now[:len(prog)+1], next[:len(prog)+1]
	reach(prog, now, 0)
	for i := 0; i < len(s); i++ {
		c, alive := s[i], false
		clear(next)
		for at, on := range now[:len(prog)] {
			if !on {
				continue
			}
			t, to := &prog[at], -1
			switch t.op {
			case opByte:
				if c == t.b {
					to = at + 1
				}
			case opAny:
				if c != '/' {
					to = at + 1
				}
			case opSet:
				if c != '/' && t.set.has(c) {
					to = at + 1
				}
			case opStar:
				if c != '/' {
					to = at
				}
			case opStars:
				to = at
			}
			if to >= 0 {
				alive = true
				reach(prog, next, to)
			}
		}
		if !alive {
			return false
		}
		now, next = next, now
	}
	return now[len(prog)]
}

// reach turns on a state and those that follow from it without reading a byte.
func reach(prog []token, on []bool, at int) {
	for !on[at] {
		on[at] = true
		if at == len(prog) {
			return
		}
		switch prog[at].op {
		case opSkip:
			reach(prog, on, at+3)
			at++
		case opStar, opStars:
			at++
		default:
			return
		}
	}
}

type byteSet [4]uint64

func (s *byteSet) add(c byte)      { s[c>>6] |= 1 << (c & 63) }
func (s *byteSet) has(c byte) bool { return s[c>>6]&(1<<(c&63)) != 0 }

// parseSet reads a bracket expression whose [ stands before s[i]; end is the
// index of its closing bracket.
func parseSet(s string, i int) (set *byteSet, end int, ok bool) {
	set = new(byteSet)
	negated := i < len(s) && (s[i] == '!' || s[i] == '^')
	if negated {
		i++
	}
	low := -1 // the byte that a following - would make a range from
	for first := true; ; first = false {
		if i >= len(s) {
			return nil, 0, false
		}
		c := s[i]
		switch {
		case c == ']' && !first:
			if negated {
				for w := range set {
					set[w] = ^set[w]
				}
			}
			return set, i, true
		case c == '-' && low > 0 && i+1 < len(s) && s[i+1] != ']':
			i++
			if s[i] == '\\' {
				if i++; i == len(s) {
					return nil, 0, false
				}
			}
			for b := low; b <= int(s[i]); b++ {
				set.add(byte(b))
			}
			low = -1
		case c == '[' && strings.HasPrefix(s[i+1:], ":"):
			name, _, closed := strings.Cut(s[i+2:], "]")
			if !closed {
				return nil, 0, false
			}
			class, named := strings.CutSuffix(name, ":")
			if !named { // an ordinary bracket after all
				set.add('[')
				low = '['
				break
			}
			if !set.addClass(class) {
				return nil, 0, false
			}
			i += 2 + len(name)
			low = -1
		default:
			if c == '\\' {
				if i++; i == len(s) {
					return nil, 0, false
				}
				c = s[i]
			}
			set.add(c)
			low = int(c)
		}
		i++
	}
}

// addClass adds the ASCII bytes of a POSIX character class.
func (s *byteSet) addClass(name string) bool {
	var in func(c byte) bool
	lower := func(c byte) bool { return c >= 'a' && c <= 'z' }
	upper := func(c byte) bool { return c >= 'A' && c <= 'Z' }
	digit := func(c byte) bool { return c >= '0' && c <= '9' }
	graph := func(c byte) bool { return c > ' ' && c < 0x7f }
	switch name {
	case "alnum":
		in = func(c byte) bool { return lower(c) || upper(c) || digit(c) }
	case "alpha":
		in = func(c byte) bool { return lower(c) || upper(c) }
	case "blank":
		in = func(c byte) bool { return c == ' ' || c == '\t' }
	case "cntrl":
		in = func(c byte) bool { return c < ' ' || c == 0x7f }
	case "digit":
		in = digit
	case "graph":
		in = graph
	case "lower":
		in = lower
	case "print":
		in = func(c byte) bool { return c == ' ' || graph(c) }
	case "punct":
		in = func(c byte) bool { return graph(c) && !lower(c) && !upper(c) && !digit(c) }
	case "space":
		in = func(c byte) bool { return c == ' ' || c >= '\t' && c <= '\r' }
	case "upper":
		in = upper
	case "xdigit":
		in = func(c byte) bool { return digit(c) || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F' }
	default:
		return false
	}
	for c := range 0x80 {
		if in(byte(c)) {
			s.add(byte(c))
		}
	}
	return true
}
