package lang

import (
	"bytes"
	"strings"
)

// maskMacros returns the text with blanks in place of macros that a C grammar,
// which does not expand them, would take for types or names:
//
//	EXPORT int f(void) __THROW __nonnull ((1));
//	struct API point { int x; };
//	BEGIN_DECLS
//
// A macro is known by its spelling, without lower case letters or with two
// underscores before it, and by what stands around it. Offsets stay as they are.
// Comments, strings and directives are left alone. The text itself is not changed;
// it is returned where there is nothing to mask.
func maskMacros(text []byte) []byte {
	m := macroMask{text: text}
	m.scan()
	m.judge()
	if m.masked == nil {
		return text
	}
	return m.masked
}

// macroMask is a list of the tokens of one text.
type macroMask struct {
	text   []byte
	masked []byte
	tokens []maskToken
	last   int // the last token that was kept, before the one looked at; -1 for none
}

// maskToken is a word, or one byte of anything else.
type maskToken struct {
	start, end int
	word       bool
	newline    bool // it begins its line
	directive  bool // the token stands for a whole directive
}

func (m *macroMask) scan() {
	newline := true
	for i := 0; i < len(m.text); {
		c := m.text[i]
		start := i
		switch {
		case c == '\n':
			newline = true
			i++
			continue
		case c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v':
			i++
			continue
		case bytes.HasPrefix(m.text[i:], []byte("//")):
			i = endOfLine(m.text, i)
			continue
		case bytes.HasPrefix(m.text[i:], []byte("/*")):
			end := bytes.Index(m.text[i+2:], []byte("*/"))
			if end < 0 {
				return
			}
			i += 2 + end + 2
			continue
		case c == '#' && newline:
			i = endOfLine(m.text, i)
			m.tokens = append(m.tokens, maskToken{start: start, end: i, newline: true, directive: true})
			continue
		case c == '"' || c == '\'':
			for i++; i < len(m.text) && m.text[i] != c && m.text[i] != '\n'; i++ {
				if m.text[i] == '\\' {
					i++
				}
			}
			i = min(i+1, len(m.text))
			m.tokens = append(m.tokens, maskToken{start: start, end: i, newline: newline})
		case isWordByte(c):
			for i < len(m.text) && isWordByte(m.text[i]) {
				i++
			}
			m.tokens = append(m.tokens, maskToken{start: start, end: i, word: true, newline: newline})
		default:
			i++
			m.tokens = append(m.tokens, maskToken{start: start, end: i, newline: newline})
		}
		newline = false
	}
}

// endOfLine returns where the line of an offset ends, those that a backslash
// continues and comments that reach over its end included.
func endOfLine(text []byte, i int) int {
	for ; i < len(text) && text[i] != '\n'; i++ {
		switch {
		case text[i] == '\\':
			if i++; i < len(text) && text[i] == '\r' {
				i++
			}
		case bytes.HasPrefix(text[i:], []byte("/*")):
			end := bytes.Index(text[i+2:], []byte("*/"))
			if end < 0 {
				return len(text)
			}
			i += 2 + end + 1
		}
	}
	return min(i, len(text))
}

func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= 0x80 || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// Words of the language that can stand before and behind a macro.
var (
	maskKeywords = wordSet("alignas alignof and asm auto bool break case catch char class co_await co_return co_yield concept const consteval constexpr " +
		"constinit continue default delete do double else enum explicit export extern final float for friend goto if inline int long mutable " +
		"namespace new noexcept not operator or override private protected public register requires restrict return short signed sizeof static " +
		"struct switch template this throw try typedef typeid typename union unsigned using virtual void volatile while")
	maskTypes      = wordSet("auto bool char double float int long short signed unsigned void")
	maskSpecifiers = wordSet("const constexpr constinit consteval extern friend inline static typedef virtual explicit mutable register volatile")
	maskTags       = wordSet("class struct union enum namespace")
)

func wordSet(words string) map[string]bool {
	set := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		set[word] = true
	}
	return set
}

// isMacro knows a macro by its spelling.
func (m *macroMask) isMacro(i int) bool {
	if i < 0 || i >= len(m.tokens) || !m.tokens[i].word {
		return false
	}
	t := m.tokens[i]
	word := m.text[t.start:t.end]
	if len(word) < 3 || '0' <= word[0] && word[0] <= '9' {
		return false
	}
	if bytes.HasPrefix(word, []byte("__")) {
		switch string(word) {
		case "__attribute__", "__declspec", "__asm__", "__asm", "__typeof__", "__builtin_va_list", "__int128", "__extension__", "__int64",
			"__cdecl", "__stdcall", "__fastcall", "__based", "__inline", "__inline__", "__restrict", "__restrict__", "__volatile__", "__const":
			return false
		}
		return true
	}
	return !bytes.ContainsFunc(word, func(r rune) bool { return 'a' <= r && r <= 'z' || r >= 0x80 })
}

func (m *macroMask) is(i int, text string) bool {
	return i >= 0 && i < len(m.tokens) && string(m.text[m.tokens[i].start:m.tokens[i].end]) == text
}

func (m *macroMask) in(i int, set map[string]bool) bool {
	return i >= 0 && i < len(m.tokens) && m.tokens[i].word && set[string(m.text[m.tokens[i].start:m.tokens[i].end])]
}

// isName says whether a token is a word of the program's own.
func (m *macroMask) isName(i int) bool {
	return i >= 0 && i < len(m.tokens) && m.tokens[i].word && !m.in(i, maskKeywords)
}

// maxMacro bounds how many tokens the arguments of a macro have.
const maxMacro = 64

// after returns the token behind a macro's arguments, if it has any.
func (m *macroMask) after(i int) int {
	if !m.is(i+1, "(") {
		return i + 1
	}
	depth := 0
	for j := i + 1; j < len(m.tokens) && j < i+maxMacro; j++ {
		switch {
		case m.tokens[j].directive:
			return i + 1
		case m.is(j, "("):
			depth++
		case m.is(j, ")"):
			if depth--; depth == 0 {
				return j + 1
			}
		}
	}
	return i + 1
}

// begins says whether a statement or declaration can begin at a token.
func (m *macroMask) begins() bool {
	return m.last < 0 || m.tokens[m.last].directive || m.is(m.last, ";") || m.is(m.last, "}") || m.is(m.last, "{")
}

func (m *macroMask) judge() {
	m.last = -1
	for i := 0; i < len(m.tokens); i++ {
		end := i
		switch {
		case !m.isMacro(i):
			if m.begins() && m.isName(i) && m.storage(i) {
				end = i + 1
			}
		case m.is(m.last, ")"):
			end = m.trailing(i)
		case m.leads(i):
			end = m.after(i)
		}
		if end > i {
			m.blank(i, end)
			i = end - 1
		} else {
			m.last = i
		}
	}
}

// storage says whether a name can only be a macro by what follows it: a type, or
// two names more.
func (m *macroMask) storage(i int) bool {
	next := i + 1
	for m.is(next, "const") {
		next++
	}
	if m.in(next, maskTypes) || m.in(next, maskTags) || m.is(next, "static") || m.is(next, "inline") {
		return true
	}
	if !m.isName(next) {
		return false
	}
	rest := next + 1
	for m.is(rest, "*") || m.is(rest, "const") {
		rest++
	}
	return m.isName(rest) && m.declares(rest) && !m.isMacro(next)
}

// trailing returns the end of the macros between the parameters of a function and
// what ends its declaration, or i where they are something else.
func (m *macroMask) trailing(i int) int {
	end := i
	for m.isMacro(end) {
		end = m.after(end)
	}
	if m.is(end, ";") || m.is(end, "{") || m.is(end, "=") || m.is(end, ":") && !m.is(end+1, ":") || m.in(end, maskTrailers) {
		return end
	}
	return i
}

var maskTrailers = wordSet("noexcept override final const throw __attribute__")

// leads says whether a macro stands before something that makes sense without it.
func (m *macroMask) leads(i int) bool {
	next := m.after(i)
	if next >= len(m.tokens) {
		return m.begins()
	}
	called := next > i+1
	alone := m.tokens[i].newline && (m.tokens[next].newline || m.tokens[next].directive)
	switch {
	case m.in(m.last, maskTags): // class EXPORT Name {
		return m.isName(next) && !m.is(next+1, ";") && !m.is(next+1, "=") && !m.is(next+1, "(") && !m.is(next+1, "*") && !m.is(next+1, ",") && !m.is(next+1, "[")
	case m.in(m.last-1, maskTags) && m.isName(m.last): // namespace std VISIBILITY(default) {
		return m.is(next, "{")
	case m.begins() && alone: // BEGIN_DECLS
		return !m.is(next, "{") && !m.is(next, "(") && !m.is(next, "=") && !m.is(next, ";") && !m.is(next, "*") && !m.is(next, ",") && !m.is(next, ":")
	case m.begins() || m.in(m.last, maskSpecifiers) || m.is(m.last, ">"): // EXPORT int f(
		for m.is(next, "const") {
			next++
		}
		switch {
		case m.in(next, maskTypes), m.in(next, maskTags), m.in(next, maskSpecifiers):
			return true
		case !m.isName(next):
			return false
		}
		rest := next + 1
		for m.is(rest, "*") || m.is(rest, "&") || m.is(rest, "const") {
			rest++
		}
		return m.isName(rest) && m.declares(rest)
	case called:
		return false
	case m.is(m.last, "("): // typedef int (CALL *f)(int), (CALLP f)(int)
		for m.is(next, "*") {
			next++
		}
		return m.isName(next) && m.is(next+1, ")") && m.is(next+2, "(")
	case m.isName(m.last) && !m.isMacro(m.last) || m.in(m.last, maskTypes) || m.is(m.last, "*"): // int CALL f(
		return m.isName(next) && m.is(next+1, "(")
	}
	return false
}

// declares says whether a name is followed by what follows a declared one.
func (m *macroMask) declares(i int) bool {
	return m.is(i+1, "(") || m.is(i+1, ";") || m.is(i+1, "=") || m.is(i+1, "[") || m.is(i+1, ",") || m.isName(i+1)
}

func (m *macroMask) blank(from, to int) {
	if m.masked == nil {
		m.masked = bytes.Clone(m.text)
	}
	for i := m.tokens[from].start; i < m.tokens[min(to, len(m.tokens))-1].end; i++ {
		if m.masked[i] != '\n' {
			m.masked[i] = ' '
		}
	}
}
