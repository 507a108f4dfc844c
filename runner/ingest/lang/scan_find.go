package lang

import (
	"bytes"
	"context"
	"sort"
	"strings"
	"unicode"
)

// finding is a definition before it is known to be one.
type finding struct {
	rule       *Rule
	kind, name string
	owner      string
	start, end int
	head       int // end of the signature
}

// find applies the rules.
func (s *Scan) find(ctx context.Context, src Source, m masked) (Extraction, error) {
	b := NewBuilder(src, "lexer")
	braces := matchBraces(m.code)
	var found []finding
	for i := range s.Rules {
		s.rules[i].each(m.code, b.lines, func(at []int) bool {
			if f := s.Rules[i].finding(s.rules[i], m.code, at); f.name != "" && f.body(m.code, at[2*s.rules[i].name+1], braces) {
				found = append(found, f)
			}
			return ctx.Err() == nil // the end of a body may be far away, and there is one for each match
		})
		if ctx.Err() != nil {
			return Extraction{}, context.Cause(ctx)
		}
	}
	sort.SliceStable(found, func(i, j int) bool {
		if found[i].start != found[j].start {
			return found[i].start < found[j].start
		}
		return found[i].end > found[j].end
	})
	s.build(b, src, m, found)
	for i := range s.Imports {
		s.importsOf(b, src, m, i)
	}
	module := ""
	if s.module != nil {
		s.module.each(m.code, b.lines, func(at []int) bool {
			module = group(src.Text, at, s.module.name)
			b.Module(module, "")
			return false
		})
	}
	if s.Provide != nil {
		b.Provide(s.Provide(src, module)...)
	}
	return b.Extraction(), nil
}

func (s *Scan) importsOf(b *Builder, src Source, m masked, i int) {
	rule, p := &s.Imports[i], s.imports[i]
	in := m.code
	if rule.Raw {
		in = src.Text
	}
	p.each(in, b.lines, func(at []int) bool {
		module := strings.TrimSpace(group(src.Text, at, p.name))
		if module == "" || rule.Raw && m.hidden(src.Text, at[0]) {
			return true
		}
		imported := Import{Module: module, Alias: group(src.Text, at, p.alias)}
		if rule.Seeks != nil {
			imported.Seeks = rule.Seeks(src, module)
		}
		b.Import(at[2*p.name], imported)
		return true
	})
}

// finding reads what a match says; without a name it says nothing.
func (r *Rule) finding(p *pattern, code []byte, at []int) finding {
	f := finding{rule: r, kind: r.Kind, name: group(code, at, p.name), owner: group(code, at, p.owner), start: at[0]}
	if p.kind >= 0 {
		f.kind = r.Kinds[strings.ToLower(group(code, at, p.kind))]
	}
	if f.kind == "" || r.Loose && notNames[f.name] {
		return finding{}
	}
	for f.start < at[1] && code[f.start] <= ' ' {
		f.start++
	}
	return f
}

// notNames are words that a loose pattern may take for a name.
var notNames = map[string]bool{
	"if": true, "else": true, "for": true, "foreach": true, "while": true, "do": true, "switch": true, "case": true, "return": true,
	"sizeof": true, "catch": true, "try": true, "new": true, "delete": true, "throw": true, "using": true, "lock": true, "synchronized": true,
	"defined": true, "typeof": true, "and": true, "or": true, "not": true, "in": true, "is": true, "end": true, "then": true, "elseif": true,
	"static_assert": true, "alignas": true, "decltype": true, "when": true, "match": true, "unless": true, "until": true,
}

// body finds the ends of the signature and of the whole; false where what was
// found cannot be a definition.
func (f *finding) body(code []byte, from int, braces pairs) bool {
	lineEnd := func(at int) int {
		for at < len(code) && code[at] != '\n' {
			at++
		}
		return at
	}
	body := f.rule.Body
	if body == BodyAny {
		body = BodyIndent
		line := code[from:lineEnd(from)]
		if n := bytes.IndexByte(line, '{'); n >= 0 {
			if trimmed := bytes.TrimRight(line, " \t\r"); trimmed[len(trimmed)-1] == '{' {
				n = len(trimmed) - 1
			}
			from, body = from+n, BodyBraces
		}
	}
	switch body {
	case BodyLine:
		f.head = lineEnd(from)
		f.end = f.head
	case BodyStatement:
		at := from
		limit := min(len(code), from+maxStatement)
		for at < limit && code[at] != ';' {
			if code[at] == '{' {
				if closing, ok := braces.closing(at); ok {
					at = closing
				}
			}
			at++
		}
		f.head = lineEnd(from)
		f.end = at + 1
		if at >= limit {
			f.end = f.head
		}
	case BodyIndent:
		f.head = lineEnd(from)
		f.end = indentedEnd(code, f.start, f.head)
	case BodyBraces, BodyMaybe:
		depth := 0
		for at := from; at < min(len(code), from+8*MaxSignature); at++ {
			switch c := code[at]; {
			case c == '(' || c == '[':
				depth++
			case c == ')' || c == ']':
				if depth--; depth < 0 {
					return body == BodyMaybe && f.endAt(lineEnd(from))
				}
			case c == '{' && depth == 0:
				closing, ok := braces.closing(at)
				if !ok {
					closing = lineEnd(at) - 1
				}
				f.head, f.end = at, closing+1
				return true
			case (c == ';' || c == '=' || c == '}') && depth == 0:
				if body == BodyBraces {
					return false
				}
				return f.endAt(lineEnd(from))
			case c == '\n' && depth == 0 && body == BodyMaybe:
				// The brace may stand alone on the next line.
				next := at + 1
				for next < len(code) && (code[next] == ' ' || code[next] == '\t' || code[next] == '\n' || code[next] == '\r') {
					next++
				}
				if next == len(code) || code[next] != '{' {
					return f.endAt(at)
				}
			}
		}
		return body == BodyMaybe && f.endAt(lineEnd(from))
	}
	return true
}

func (f *finding) endAt(at int) bool {
	f.head, f.end = at, at
	return true
}

// indentedEnd returns the end of the lines that are indented further than the
// line of start, and of the line with a closing word after them.
func indentedEnd(code []byte, start, lineEnd int) int {
	indent := 0
	for at := start - 1; at >= 0 && code[at] != '\n'; at-- {
		indent++
	}
	end := lineEnd
	for at := lineEnd + 1; at < len(code); {
		next := at
		for next < len(code) && code[next] != '\n' {
			next++
		}
		line := string(code[at:next])
		body := strings.TrimLeft(line, " \t")
		switch {
		case strings.TrimSpace(body) == "":
		case len(line)-len(body) > indent:
			end = next
		default:
			if len(line)-len(body) == indent && closes(body) {
				end = next
			}
			return end
		}
		at = next + 1
	}
	return end
}

func closes(line string) bool {
	for _, word := range []string{"end", "}", ")", "]", "fi", "done", "esac"} {
		if rest, ok := strings.CutPrefix(line, word); ok && (rest == "" || !isWord(rune(rest[0]))) {
			return true
		}
	}
	return false
}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// pairs are the curly braces of a text that match each other, in order.
type pairs struct{ open, close []int }

func matchBraces(code []byte) pairs {
	var p pairs
	var unclosed []int // indexes into p
	for i, c := range code {
		switch c {
		case '{':
			unclosed = append(unclosed, len(p.open))
			p.open, p.close = append(p.open, i), append(p.close, -1)
		case '}':
			if n := len(unclosed); n > 0 {
				p.close[unclosed[n-1]] = i
				unclosed = unclosed[:n-1]
			}
		}
	}
	return p
}

// closing returns the offset of the brace that closes the one at an offset.
func (p pairs) closing(at int) (int, bool) {
	i := sort.SearchInts(p.open, at)
	if i == len(p.open) || p.open[i] != at || p.close[i] < 0 {
		return 0, false
	}
	return p.close[i], true
}
