package lang

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/alecthomas/chroma/v2"
	"github.com/alecthomas/chroma/v2/lexers"
	"github.com/go-enry/go-enry/v2"
)

// Bounds of the lexer. Its regular expressions backtrack, at a few MB/s when all
// goes well, so it is given little and not for long.
const (
	maxLexed  = 256 << 10 // bytes of a file
	maxLine   = 10_000    // bytes of a line
	lexerTime = time.Second
)

// Fallback extracts without a parser: by the language's own Scan, else with
// chroma's lexer and a rule that fits most languages, else nothing but the text.
// The extraction's Partial says why it is less than that of a parser could be
// only where the file, not the language, is the reason.
func Fallback(ctx context.Context, src Source) (Extraction, error) {
	l, _ := ByName(src.Language)
	if l.Scan != nil {
		return l.Scan.Extract(ctx, src)
	}
	lexer := chromaLexer(append([]string{src.Language}, l.Aliases...))
	if lexer == nil || enry.GetLanguageType(src.Language) != enry.Programming {
		return Lines(src, ""), nil
	}
	if len(src.Text) > maxLexed {
		return Lines(src, fmt.Sprintf("larger than the %d bytes that the lexer reads", maxLexed)), nil
	}
	if n := longestLine(src.Text); n > maxLine {
		return Lines(src, fmt.Sprintf("a line of %d bytes is more than the lexer reads", n)), nil
	}
	m, err := lex(ctx, lexer, src.Text)
	if errors.Is(err, ErrTimeout) {
		return Lines(src, "lexer timeout"), nil
	} else if err != nil {
		return Extraction{}, err
	}
	anyLanguage.prepare()
	return anyLanguage.find(ctx, src, m)
}

func longestLine(text []byte) int {
	longest, start := 0, 0
	for i, c := range text {
		if c == '\n' {
			longest, start = max(longest, i-start), i+1
		}
	}
	return max(longest, len(text)-start)
}

// anyLanguage believes a keyword that most languages reserve, at the beginning
// of a line and followed by a name.
var anyLanguage = &Scan{
	Rules: []Rule{
		{
			Pattern: `^[ \t]*(?:\(|(?:pub|public|private|protected|internal|local|export|static|async|final|abstract|override|virtual|inline|pure|recursive|partial)[ \t]+)*` +
				`(?i:(?P<kind>function|func|fun|fn|def|defn|defun|defmacro|sub|proc|procedure|subroutine|method|macro|class|struct|interface|trait|protocol|enum|record|module|namespace|package))[ \t]+` +
				`(?P<name>[A-Za-z_][\w.:?!'-]*)(?:[ \t]*[({<=:;\[|]|[ \t]|$)`,
			Kinds: map[string]string{
				"function": KindFunction, "func": KindFunction, "fun": KindFunction, "fn": KindFunction, "def": KindFunction, "defn": KindFunction,
				"defun": KindFunction, "sub": KindFunction, "proc": KindFunction, "procedure": KindFunction, "subroutine": KindFunction, "method": KindFunction,
				"macro": KindMacro, "defmacro": KindMacro, "class": KindClass, "record": KindClass, "struct": KindStruct, "interface": KindInterface,
				"protocol": KindInterface, "trait": KindTrait, "enum": KindEnum, "module": KindModule, "namespace": KindModule, "package": KindModule,
			},
			Body: BodyAny,
		},
	},
	Imports: []ImportRule{
		{Pattern: `^[ \t]*(?:include|import|require|source|load)[ \t(]+["'](?P<name>[^"'\n]+)["']`, Seeks: seekPaths([]string{""})},
		{Pattern: `^[ \t]*(?:import|use|using|open)[ \t]+(?P<name>[A-Za-z_][\w.:]*)[ \t]*(?:;|$)`},
	},
	Hidden: `^(?:private|local)\b`,
}

// chromaLexers finds chroma's lexers by name and alias, in lower case.
var chromaLexers = sync.OnceValue(func() map[string]chroma.Lexer {
	byName := map[string]chroma.Lexer{}
	for _, lexer := range lexers.GlobalLexerRegistry.Lexers {
		for _, alias := range lexer.Config().Aliases {
			byName[strings.ToLower(alias)] = lexer
		}
	}
	for _, lexer := range lexers.GlobalLexerRegistry.Lexers {
		byName[strings.ToLower(lexer.Config().Name)] = lexer
	}
	return byName
})

// chromaLexer finds a lexer by any of a language's names, in the spellings that
// chroma may have for it.
func chromaLexer(names []string) chroma.Lexer {
	byName := chromaLexers()
	for _, name := range names {
		name = strings.ToLower(name)
		for _, key := range []string{name, strings.ReplaceAll(name, " ", ""), strings.ReplaceAll(name, " ", "-")} {
			if lexer, ok := byName[key]; ok {
				return lexer
			}
		}
	}
	return nil
}

// lex blanks comments and strings with a lexer. A lexer cannot be stopped while
// one of its expressions runs, so it works aside and is left behind when its time
// is over; it ends by itself at its next token.
func lex(ctx context.Context, lexer chroma.Lexer, text []byte) (masked, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, lexerTime, ErrTimeout)
	defer cancel()
	type result struct {
		masked
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r.err = fmt.Errorf("lexer of %s crashed: %v", lexer.Config().Name, p)
			}
			done <- r
		}()
		r.masked, r.err = lexAll(ctx, lexer, text)
	}()
	select {
	case r := <-done:
		return r.masked, r.err
	case <-ctx.Done():
		return masked{}, context.Cause(ctx)
	}
}

func lexAll(ctx context.Context, lexer chroma.Lexer, text []byte) (masked, error) {
	next, err := lexer.Tokenise(&chroma.TokeniseOptions{State: "root"}, string(text))
	if err != nil {
		return masked{}, fmt.Errorf("lexer of %s: %w", lexer.Config().Name, err)
	}
	m := masked{code: append([]byte(nil), text...)}
	at := 0
	for t := next(); t != chroma.EOF; t = next() {
		if ctx.Err() != nil {
			return masked{}, context.Cause(ctx)
		}
		end := min(at+len(t.Value), len(text))
		switch {
		case t.Type.InSubCategory(chroma.CommentPreproc):
		case t.Type.InCategory(chroma.Comment):
			// A line comment may hold its line break.
			trimmed := at + len(strings.TrimRight(string(text[at:end]), "\r\n"))
			m.comment(text, at, trimmed)
		case t.Type.InSubCategory(chroma.LiteralString):
			for i := at; i < end; i++ {
				if c := m.code[i]; c != '"' && c != '\'' && c != '`' && c != '\n' && c != '\r' {
					m.code[i] = ' '
				}
			}
		}
		at = end
	}
	return m, nil
}
