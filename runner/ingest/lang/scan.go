package lang

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"sort"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Scan describes a language to the scanner: the extractor for languages without
// a parser, and for files on which a parser gave up. The scanner blanks comments
// and the insides of strings, then believes what a few patterns find at the
// beginnings of lines. It is linear in the size of the text, knows no calls, and
// rather misses a definition than invents one.
type Scan struct {
	LineComments  []string
	BlockComments [][2]string // opening and closing marker
	Quotes        []Quote

	Rules   []Rule
	Imports []ImportRule
	Module  string                                   // pattern; its group "name" is the module the file declares
	Provide func(src Source, module string) []string // names by which other files import this one
	Hidden  string                                   // pattern over a signature: what it fits is not exported

	// Owners separates the parts of a name that is written with its owner's: "::"
	// in Client::send. Empty where names have one part.
	Owners string
	// Raw keeps strings as they are, for languages where names stand in them.
	Raw bool

	once     sync.Once
	rules    []*regexp.Regexp
	imports  []*regexp.Regexp
	module   *regexp.Regexp
	hidden   *regexp.Regexp
	starters [256]bool // bytes that may begin a comment or a string
}

// Quote is one form of string.
type Quote struct {
	Open, Close string
	Escape      byte // 0 for none
	Multiline   bool // goes on after the end of its line; else it ends there
}

// Rule finds definitions of one sort.
type Rule struct {
	Kind string
	// Pattern is tried on the text without comments and strings, with ^ and $ at
	// lines. Group "name" is what is defined, group "owner", if there is one, what it
	// belongs to; group "kind", if there is one, is a keyword that Kinds turns into a
	// symbol kind, in place of Kind.
	Pattern string
	Kinds   map[string]string
	Body    Body
	// Loose patterns also fit statements; they are believed outside functions only.
	Loose bool
}

// Body says how the end of a definition is found.
type Body int

const (
	BodyLine      Body = iota // at the end of the line
	BodyBraces                // at the brace that closes the first one; without braces it is no definition
	BodyMaybe                 // the same, or at a semicolon, or at the end of the line if that comes first
	BodyIndent                // before the next line that is not indented further, a closing word included
	BodyStatement             // at the first semicolon
	BodyAny                   // as BodyBraces where the line opens a brace, else as BodyIndent
)

// ImportRule finds dependencies. Group "name" of Pattern is the module as
// written, group "alias", if there is one, the local name for it.
type ImportRule struct {
	Pattern string
	// Raw tries the pattern on the text with its strings, for languages in which
	// they nest; what begins in a comment or string is still not believed.
	Raw   bool
	Seeks func(src Source, module string) []string // nil for none
}

const (
	maxScan      = 2 << 20 // bytes that are read of one file
	maxStatement = 8 << 10 // bytes within which a statement's semicolon is looked for, bodies in braces not counted
)

func (s *Scan) prepare() {
	s.once.Do(func() {
		compile := func(pattern string) *regexp.Regexp {
			if pattern == "" {
				return nil
			}
			return regexp.MustCompile("(?m)" + pattern)
		}
		for _, r := range s.Rules {
			s.rules = append(s.rules, compile(r.Pattern))
		}
		for _, r := range s.Imports {
			s.imports = append(s.imports, compile(r.Pattern))
		}
		s.module, s.hidden = compile(s.Module), compile(s.Hidden)
		mark := func(text string) {
			if text != "" {
				s.starters[text[0]] = true
			}
		}
		for _, c := range s.LineComments {
			mark(c)
		}
		for _, c := range s.BlockComments {
			mark(c[0])
		}
		for _, q := range s.Quotes {
			mark(q.Open)
		}
	})
}

// Extract takes out what the rules find.
func (s *Scan) Extract(ctx context.Context, src Source) (Extraction, error) {
	if len(src.Text) > maxScan {
		return Lines(src, fmt.Sprintf("larger than the %d bytes that the scanner reads", maxScan)), nil
	}
	s.prepare()
	return s.find(ctx, src, s.mask(src.Text))
}

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
			i = end
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
		if hasPrefix(rest, c) && (c != "#" || i == 0 || text[i-1] <= ' ' || text[i-1] == ';' || text[i-1] == '{' || text[i-1] == '}') {
			if n := bytes.IndexByte(rest, '\n'); n >= 0 {
				return i + n, true, nil
			}
			return len(text), true, nil
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
		if ctx.Err() != nil {
			return Extraction{}, context.Cause(ctx)
		}
		found = append(found, s.Rules[i].find(s.rules[i], m.code, braces)...)
	}
	sort.SliceStable(found, func(i, j int) bool {
		if found[i].start != found[j].start {
			return found[i].start < found[j].start
		}
		return found[i].end > found[j].end
	})
	s.build(b, src, m, found)

	for i, rule := range s.Imports {
		re := s.imports[i]
		group, alias := re.SubexpIndex("name"), re.SubexpIndex("alias")
		in := m.code
		if rule.Raw {
			in = src.Text
		}
		for _, at := range re.FindAllSubmatchIndex(in, -1) {
			if at[2*group] < 0 || rule.Raw && m.hidden(src.Text, at[0]) {
				continue
			}
			module := strings.TrimSpace(string(src.Text[at[2*group]:at[2*group+1]]))
			imported := Import{Module: module}
			if alias >= 0 && at[2*alias] >= 0 {
				imported.Alias = string(src.Text[at[2*alias]:at[2*alias+1]])
			}
			if rule.Seeks != nil {
				imported.Seeks = rule.Seeks(src, module)
			}
			b.Import(at[2*group], imported)
		}
	}
	module := ""
	if s.module != nil {
		if at := s.module.FindSubmatchIndex(m.code); at != nil {
			group := s.module.SubexpIndex("name")
			module = string(src.Text[at[2*group]:at[2*group+1]])
			b.Module(module, "")
		}
	}
	if s.Provide != nil {
		b.Provide(s.Provide(src, module)...)
	}
	return b.Extraction(), nil
}

// find returns what fits one rule.
func (r *Rule) find(re *regexp.Regexp, code []byte, braces map[int]int) []finding {
	var found []finding
	nameGroup, kindGroup, ownerGroup := re.SubexpIndex("name"), re.SubexpIndex("kind"), re.SubexpIndex("owner")
	for _, at := range re.FindAllSubmatchIndex(code, -1) {
		f := finding{rule: r, kind: r.Kind, name: string(code[at[2*nameGroup]:at[2*nameGroup+1]]), start: at[0]}
		if kindGroup >= 0 && at[2*kindGroup] >= 0 {
			f.kind = r.Kinds[strings.ToLower(string(code[at[2*kindGroup]:at[2*kindGroup+1]]))]
		}
		if ownerGroup >= 0 && at[2*ownerGroup] >= 0 {
			f.owner = string(code[at[2*ownerGroup]:at[2*ownerGroup+1]])
		}
		if f.kind == "" || f.name == "" || r.Loose && notNames[f.name] {
			continue
		}
		for f.start < at[1] && unicode.IsSpace(rune(code[f.start])) {
			f.start++
		}
		if f.body(code, at[2*nameGroup+1], braces) {
			found = append(found, f)
		}
	}
	return found
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
func (f *finding) body(code []byte, from int, braces map[int]int) bool {
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
			if closing, ok := braces[at]; ok && closing > at {
				at = closing
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
				closing, ok := braces[at]
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

// matchBraces pairs the curly braces of a text.
func matchBraces(code []byte) map[int]int {
	pairs := map[int]int{}
	var open []int
	for i, c := range code {
		switch c {
		case '{':
			open = append(open, i)
		case '}':
			if n := len(open); n > 0 {
				pairs[open[n-1]] = i
				open = open[:n-1]
			}
		}
	}
	return pairs
}

// decision matches what makes a path branch in most languages.
var decision = regexp.MustCompile(`\b(?:if|elif|elsif|elseif|for|foreach|while|until|unless|case|when|catch|rescue|except)\b|&&|\|\|`)

// build turns findings into symbols, the inner ones inside the outer.
func (s *Scan) build(b *Builder, src Source, m masked, found []finding) {
	var decisions [][]int
	if len(found) > 0 {
		decisions = decision.FindAllIndex(m.code, -1)
	}
	before := func(at int) int {
		return sort.Search(len(decisions), func(i int) bool { return decisions[i][0] >= at })
	}
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

// Lines is the extraction of a text of which nothing but the text is known.
func Lines(src Source, reason string) Extraction {
	return Extraction{Language: src.Language, Parser: "lines", Partial: Clip(reason, MaxSignature)}
}
