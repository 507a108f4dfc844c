package lang

import (
	"sort"
	"strings"
	"unicode/utf8"
)

// decisionWords make a path branch in most languages.
var decisionWords = map[string]bool{
	"if": true, "elif": true, "elsif": true, "elseif": true, "for": true, "foreach": true, "while": true, "until": true, "unless": true,
	"case": true, "when": true, "catch": true, "rescue": true, "except": true,
}

// decisionsIn returns the offsets at which a path branches.
func decisionsIn(code []byte) (at []int) {
	for i := 0; i < len(code); {
		switch c := code[i]; {
		case c >= 'a' && c <= 'z':
			start := i
			for i < len(code) && (code[i] >= 'a' && code[i] <= 'z' || code[i] >= 'A' && code[i] <= 'Z' || code[i] >= '0' && code[i] <= '9' || code[i] == '_') {
				i++
			}
			if n := i - start; n >= 2 && n <= 7 && decisionWords[string(code[start:i])] {
				at = append(at, start)
			}
		case c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_':
			for i < len(code) && (code[i] >= 'a' && code[i] <= 'z' || code[i] >= 'A' && code[i] <= 'Z' || code[i] >= '0' && code[i] <= '9' || code[i] == '_') {
				i++
			}
		case (c == '&' || c == '|') && i+1 < len(code) && code[i+1] == c:
			at = append(at, i)
			i += 2
		default:
			i++
		}
	}
	return at
}

// build turns findings into symbols, the inner ones inside the outer.
func (s *Scan) build(b *Builder, src Source, m masked, found []finding) {
	var decisions []int
	if len(found) > 0 {
		decisions = decisionsIn(m.code)
	}
	before := func(at int) int { return sort.SearchInts(decisions, at) }
	type open struct {
		ref  Ref
		kind string
		end  int
	}
	var stack []open
	taken := -1
	for _, f := range found {
		if f.start == taken {
			continue // two rules fit; the wider finding was first
		}
		for len(stack) > 0 && f.start >= stack[len(stack)-1].end {
			stack = stack[:len(stack)-1]
		}
		parent := open{ref: None}
		if len(stack) > 0 {
			parent = stack[len(stack)-1]
		}
		inFunction := parent.kind == KindFunction || parent.kind == KindMethod
		if inFunction && f.rule.Loose {
			continue
		}
		taken = f.start
		sym := Symbol{
			Kind: f.kind, Name: f.name, StartByte: f.start, EndByte: min(f.end, len(m.code)),
			Signature: signatureOf(m.uncommented(src.Text, f.start, min(max(f.head, f.start), f.start+8*MaxSignature, len(src.Text)))),
			Doc:       m.docBefore(src.Text, f.start),
		}
		if parent.ref != None && sym.EndByte > parent.end {
			sym.EndByte = parent.end
		}
		owner, name := s.owner(f)
		if owner != "" {
			sym.Name, sym.QualifiedName = name, owner+"."+name
			if parent.ref != None {
				sym.QualifiedName = b.At(parent.ref).QualifiedName + "." + sym.QualifiedName
			}
		}
		if sym.Kind == KindFunction && (owner != "" || isType(parent.kind)) {
			sym.Kind = KindMethod
		}
		first, _ := utf8.DecodeRuneInString(sym.Name)
		sym.Exported = !inFunction && first != '_' && (s.hidden == nil || !s.hidden.MatchString(sym.Signature))
		if sym.Kind == KindFunction || sym.Kind == KindMethod {
			if f.end > f.head {
				sym.Complexity = 1 + before(f.end) - before(f.head)
			}
		}
		ref := b.Symbol(parent.ref, sym)
		if f.end > f.head {
			stack = append(stack, open{ref, sym.Kind, sym.EndByte})
		}
	}
}

// owner takes a name apart that was written with its owner's: Client::send.
func (s *Scan) owner(f finding) (owner, name string) {
	if s.Owners == "" {
		return f.owner, f.name
	}
	parts := strings.FieldsFunc(f.name, func(r rune) bool { return strings.ContainsRune(s.Owners, r) })
	if len(parts) < 2 {
		return f.owner, f.name
	}
	last := len(parts) - 1
	return strings.Join(parts[:last], "."), parts[last]
}

func isType(kind string) bool {
	switch kind {
	case KindClass, KindStruct, KindInterface, KindTrait, KindEnum:
		return true
	}
	return false
}

// signatureOf drops what opens the body from a definition's head.
func signatureOf(head []byte) string {
	text := strings.TrimSpace(string(head))
	for _, opener := range []string{"{", "\\", ":", ";"} {
		text = strings.TrimSpace(strings.TrimSuffix(text, opener))
	}
	return text
}
