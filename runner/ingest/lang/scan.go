package lang

import (
	"context"
	"fmt"
	"regexp"
	"sync"
)

// Scan describes a language to the scanner: the extractor for languages without
// a parser, and for files on which a parser gave up. The scanner blanks comments
// and the insides of strings, then believes what a few patterns find at the
// beginnings of lines. It is linear in the size of the text, knows no calls, and
// rather misses a definition than invents one.
type Scan struct {
	LineComments  []string
	FirstOnly     bool        // a line comment must be the first on its line: the marker means something else behind code
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
	rules    []*pattern
	imports  []*pattern
	module   *pattern
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
		for _, r := range s.Rules {
			s.rules = append(s.rules, newPattern(r.Pattern))
		}
		for _, r := range s.Imports {
			s.imports = append(s.imports, newPattern(r.Pattern))
		}
		if s.Module != "" {
			s.module = newPattern(s.Module)
		}
		if s.Hidden != "" {
			s.hidden = regexp.MustCompile(s.Hidden)
		}
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

// Lines is the extraction of a text of which nothing but the text is known.
func Lines(src Source, reason string) Extraction {
	return Extraction{Language: src.Language, Parser: "lines", Partial: Clip(reason, MaxSignature)}
}
