package lang

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"sort"
	"strings"
)

var _ = register(Language{
	Name:       "SQL",
	Aliases:    []string{"psql", "postgresql", "plpgsql", "postgres"},
	Extensions: []string{".sql", ".psql", ".pgsql", ".ddl", ".tab", ".udf", ".viw", ".prc"},
	Extract:    extractSQL,
})

var (
	sqlCreate = regexp.MustCompile(`(?i)^create\s+(?:or\s+replace\s+)?(?:(?:global|local|temporary|temp|unlogged|recursive|constraint|trusted|unique)\s+)*` +
		`(table|foreign\s+table|view|materialized\s+view|function|procedure|aggregate|trigger|type|domain|schema|sequence)\s+` +
		`(?:if\s+not\s+exists\s+)?((?:"[^"]+"|[\w$]+)(?:\s*\.\s*(?:"[^"]+"|[\w$]+))*)`)
	sqlTriggerOn = regexp.MustCompile(`(?i)\bon\s+((?:"[^"]+"|[\w$]+)(?:\s*\.\s*(?:"[^"]+"|[\w$]+))*)`)
	sqlComment   = regexp.MustCompile(`(?is)^comment\s+on\s+(?:foreign\s+|materialized\s+)?(table|view|function|procedure|aggregate|type|domain|schema|sequence|column)\s+` +
		`((?:"[^"]+"|[\w$]+)(?:\s*\.\s*(?:"[^"]+"|[\w$]+))*)[^']*\bis\s+'((?:[^']|'')*)'`)
	sqlInclude  = regexp.MustCompile(`(?m)^\\(?:i|ir|include|include_relative)[ \t]+'?([^'\s]+)`)
	sqlCall     = regexp.MustCompile(`(?i)(\w+)?(\s*)\b([a-z_]\w*)\.([a-z_]\w*)\s*\(`)
	sqlDecision = regexp.MustCompile(`(?i)\bend\s+(?:if|case|loop)\b|\bif\s+(?:not\s+)?exists\b|\bfor\s+(?:update|share|no\s+key|key|each|values)\b|\b(?:if|elsif|elseif|when|while|for|foreach)\b`)

	// sqlKinds gives what a database holds its nearest name among the kinds.
	sqlKinds = map[string]string{
		"table": KindStruct, "foreign table": KindStruct, "view": KindType, "materialized view": KindType, "type": KindType, "domain": KindType,
		"function": KindFunction, "procedure": KindFunction, "aggregate": KindFunction, "trigger": KindMethod, "schema": KindModule, "sequence": KindVariable,
	}
	// sqlNoCallAfter are words after which a qualified name and a bracket are no call.
	sqlNoCallAfter = map[string]bool{
		"into": true, "table": true, "on": true, "references": true, "exists": true, "as": true, "update": true, "index": true,
		"function": true, "procedure": true, "view": true, "type": true, "column": true, "key": true,
	}
)

// maxSQL is the most that is read of one file; beyond it lie dumps of data.
const maxSQL = 4 << 20

// sqlFile is one file under extraction.
type sqlFile struct {
	*Builder
	text  []byte
	code  []byte // the text without comments, strings and function bodies
	inner []byte // the text without comments and strings, with function bodies
	shown []byte // the text without comments
	masked
	bodies []span // of dollar quotes, without these
	byName map[string]Ref
}

// extractSQL finds what statements create. It knows comments, the forms of
// quotes and where statements end; it does not parse expressions, so it takes
// every dialect, and a broken statement costs only itself.
func extractSQL(ctx context.Context, src Source) (Extraction, error) {
	if len(src.Text) > maxSQL {
		return Lines(src, fmt.Sprintf("larger than the %d bytes that are read of SQL", maxSQL)), nil
	}
	f := &sqlFile{Builder: NewBuilder(src, "lexer"), text: src.Text, byName: map[string]Ref{}}
	f.split()
	start := 0
	for start < len(f.code) {
		if ctx.Err() != nil {
			return Extraction{}, context.Cause(ctx)
		}
		end := len(f.code)
		if n := bytes.IndexByte(f.code[start:], ';'); n >= 0 {
			end = start + n + 1
		}
		f.statement(start, end)
		start = end
	}
	for _, at := range sqlInclude.FindAllSubmatchIndex(f.code, -1) {
		module := string(f.text[at[2]:at[3]])
		f.Import(at[2], Import{Module: module, Seeks: seekPaths([]string{""})(src, module)})
	}
	return f.Extraction(), nil
}

// split finds comments, strings and dollar quotes.
func (f *sqlFile) split() {
	text := f.text
	f.code, f.inner = append([]byte(nil), text...), append([]byte(nil), text...)
	f.shown = append([]byte(nil), text...)
	f.masked.code = f.inner // comments are blanked in it as they are noted
	hide := func(start, end int) {
		blank(f.inner[start:end])
		blank(f.code[start:end])
	}
	bodyEnd := -1 // of the dollar quote that is a function's body
	for i := 0; i < len(text); {
		if i == bodyEnd {
			i += len(dollarTag(text[i:]))
			bodyEnd = -1
			continue
		}
		rest := text[i:]
		if i < bodyEnd {
			rest = text[i:bodyEnd] // nothing in a body reaches beyond it
		}
		switch c := text[i]; {
		case c == '-' && hasPrefix(rest, "--"):
			end := i + lineLength(rest)
			f.masked.comment(text, i, end)
			blank(f.code[i:end])
			blank(f.shown[i:end])
			i = end
		case c == '/' && hasPrefix(rest, "/*"):
			end := i + nestedComment(rest)
			f.masked.comment(text, i, end)
			blank(f.code[i:end])
			blank(f.shown[i:end])
			i = end
		case c == '\'':
			end := i + quoted(rest, '\'', i > 0 && (text[i-1] == 'e' || text[i-1] == 'E') && (i == 1 || !isWord(rune(text[i-2]))))
			hide(min(i+1, end), max(i+1, end-1))
			i = end
		case c == '"':
			i += quoted(rest, '"', false)
		case c == '$' && (i == 0 || !isWord(rune(text[i-1]))):
			tag := dollarTag(rest)
			if tag == "" {
				i++
				break
			}
			i += len(tag)
			rest = rest[len(tag):]
			if i < bodyEnd { // a string inside a body
				rest = rest[:min(len(rest), 64<<10)]
			}
			n := bytes.Index(rest, []byte(tag))
			switch {
			case i > bodyEnd:
				if n < 0 {
					n = len(rest)
				}
				bodyEnd = i + n
				f.bodies = append(f.bodies, span{i, bodyEnd})
			case n >= 0:
				hide(i, i+n)
				i += n + len(tag)
			}
		default:
			i++
		}
	}
	for _, body := range f.bodies {
		blank(f.code[body.start:body.end])
	}
}

func lineLength(text []byte) int {
	if n := bytes.IndexByte(text, '\n'); n >= 0 {
		return n
	}
	return len(text)
}

// nestedComment returns the length of a block comment, which may hold others.
func nestedComment(text []byte) int {
	depth := 0
	for i := 0; i+1 < len(text); i++ {
		switch {
		case text[i] == '/' && text[i+1] == '*':
			depth++
			i++
		case text[i] == '*' && text[i+1] == '/':
			i++
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

// quoted returns the length of a string, in which a doubled quote is one.
func quoted(text []byte, quote byte, escapes bool) int {
	for i := 1; i < len(text); i++ {
		switch {
		case escapes && text[i] == '\\':
			i++
		case text[i] == quote && i+1 < len(text) && text[i+1] == quote:
			i++
		case text[i] == quote:
			return i + 1
		}
	}
	return len(text)
}

// dollarTag returns the $tag$ that a text begins with.
func dollarTag(text []byte) string {
	for i := 1; i < len(text) && i < 64; i++ {
		switch c := text[i]; {
		case c == '$':
			return string(text[:i+1])
		case c >= '0' && c <= '9' && i == 1, !isWord(rune(c)) && c < 0x80:
			return ""
		}
	}
	return ""
}

// statement adds what the statement between two offsets creates.
func (f *sqlFile) statement(start, end int) {
	for start < end && (f.code[start] <= ' ' || f.code[start] == '\\') {
		if f.code[start] == '\\' { // a command of psql ends with its line
			start += lineLength(f.code[start:end])
			continue
		}
		start++
	}
	code := f.code[start:end]
	if len(code) == 0 {
		return
	}
	switch code[0] {
	case 'c', 'C':
	default:
		return
	}
	head := code[:min(len(code), 16<<10)]
	if at := sqlCreate.FindSubmatchIndex(head); at != nil {
		f.create(start, end, strings.ToLower(FoldSignature(string(head[at[2]:at[3]]))), string(head[at[4]:at[5]]), at[5])
		return
	}
	// A comment's words are a string, blanked above: read them from the text.
	if at := sqlComment.FindSubmatch(f.text[start:min(end, start+64<<10)]); at != nil {
		name := sqlName(string(at[2]))
		if ref, ok := f.byName[name]; ok && f.At(ref).Doc == "" {
			f.At(ref).Doc = Clip(strings.ReplaceAll(string(at[3]), "''", "'"), MaxDoc)
		}
	}
}

// sqlName folds a name as the server does: lower case unless quoted.
func sqlName(written string) string {
	parts := strings.Split(written, ".")
	for i, p := range parts {
		p = strings.TrimSpace(p)
		if unquoted := strings.Trim(p, `"`); unquoted != p {
			parts[i] = unquoted
		} else {
			parts[i] = strings.ToLower(p)
		}
	}
	return strings.Join(parts, ".")
}

func (f *sqlFile) create(start, end int, what, written string, nameEnd int) {
	name := sqlName(written)
	kind := sqlKinds[what]
	symbol := Symbol{
		Kind: kind, Name: name[strings.LastIndexByte(name, '.')+1:], QualifiedName: name, Exported: true,
		StartByte: start, EndByte: end, Doc: f.docBefore(f.text, start),
	}
	code := f.code[start:end]
	head := code[nameEnd:]
	switch what {
	case "function", "procedure", "aggregate", "trigger", "type", "domain", "sequence":
		symbol.Signature = f.head(start, end)
	default:
		symbol.Signature = string(f.shown[start : start+nameEnd])
	}
	if what == "trigger" {
		if at := sqlTriggerOn.FindSubmatch(head); at != nil {
			symbol.QualifiedName = sqlName(string(at[1])) + "." + name
		}
	}
	var body []span
	if kind == KindFunction {
		first := sort.Search(len(f.bodies), func(i int) bool { return f.bodies[i].start >= start })
		for _, b := range f.bodies[first:] {
			if b.start >= end {
				break
			}
			body = append(body, b)
		}
		if len(body) > 0 {
			symbol.Complexity = 1
		}
	}
	for _, b := range body {
		for _, m := range sqlDecision.FindAll(f.inner[b.start:b.end], -1) {
			if !bytes.ContainsAny(m, " \t\n") {
				symbol.Complexity++
			}
		}
	}
	ref := f.Symbol(None, symbol)
	if _, taken := f.byName[name]; !taken {
		f.byName[name] = ref
	}
	for _, b := range body {
		f.calls(ref, b)
	}
	if what == "table" || what == "foreign table" || what == "type" {
		f.columns(ref, start+nameEnd, end)
	}
}

// head returns a declaration up to its body.
func (f *sqlFile) head(start, end int) string {
	head := f.shown[start:end]
	for _, b := range f.bodies {
		if b.start >= start && b.start < end {
			head = f.shown[start:b.start]
			if dollar := bytes.LastIndexByte(head[:max(len(head)-1, 0)], '$'); dollar >= 0 {
				head = head[:dollar]
			}
			break
		}
	}
	text := strings.TrimRight(string(head[:min(len(head), 8*MaxSignature)]), "; \t\r\n")
	if n := len(text) - 3; n > 0 && strings.EqualFold(text[n:], " as") || n > 0 && strings.EqualFold(text[n:], "\nas") {
		text = text[:n]
	}
	return text
}

// calls records the functions that a body calls by their full names.
func (f *sqlFile) calls(caller Ref, body span) {
	code := f.inner[body.start:body.end]
	for _, at := range sqlCall.FindAllSubmatchIndex(code, -1) {
		if at[2] >= 0 && sqlNoCallAfter[strings.ToLower(string(code[at[2]:at[3]]))] {
			continue
		}
		f.Call(caller, strings.ToLower(string(code[at[8]:at[9]])), strings.ToLower(string(code[at[6]:at[7]])), body.start+at[6])
	}
}

// sqlConstraints are words that begin what is no column.
var sqlConstraints = map[string]bool{
	"constraint": true, "primary": true, "foreign": true, "unique": true, "check": true, "exclude": true, "like": true, "key": true, "index": true,
}

// columns adds what stands between the brackets of a table or composite type.
func (f *sqlFile) columns(table Ref, from, end int) {
	depth, item := 0, -1
	add := func(stop int) {
		for item < stop && f.code[item] <= ' ' {
			item++
		}
		if item >= stop {
			return
		}
		text := string(f.shown[item:min(stop, item+8*MaxSignature)])
		name, length := "", 0
		if text[0] == '"' {
			length = min(quoted([]byte(text), '"', false), len(text))
			name = strings.Trim(text[:length], `"`)
		} else {
			length = len(text) - len(strings.TrimLeftFunc(text, isWord))
			name = strings.ToLower(text[:length])
		}
		if name == "" || sqlConstraints[name] || strings.TrimSpace(text[length:]) == "" {
			return // a constraint, or the label of an enum
		}
		trimmed := len(strings.TrimRight(text, " \t\r\n"))
		f.Symbol(table, Symbol{Kind: KindField, Name: name, Signature: text, Exported: true, StartByte: item, EndByte: item + trimmed, Doc: f.docBefore(f.text, item)})
	}
	for i := from; i < end; i++ {
		switch c := f.code[i]; {
		case c == '"':
			i += quoted(f.code[i:end], '"', false) - 1
		case c == '(':
			if depth++; depth == 1 {
				item = i + 1
			}
		case c == ')':
			if depth--; depth <= 0 {
				if item >= 0 {
					add(i)
				}
				return
			}
		case c == ',' && depth == 1:
			add(i)
			item = i + 1
		case depth == 0 && c > ' ' && !strings.ContainsRune("aAsS", rune(c)):
			return // partition of, of type, ...
		}
	}
}
