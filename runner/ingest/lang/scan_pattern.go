package lang

import (
	"bytes"
	"regexp"
	"regexp/syntax"
	"strings"
)

// pattern is a compiled regular expression of a Scan, applied so that its cost
// stays small: one that begins with ^ is tried at the beginnings of lines that
// hold one of the literals which every match must hold. Searching a whole text
// with such expressions runs at 1 to 2 MB/s, this at ten times as much.
type pattern struct {
	re                       *regexp.Regexp
	atLine                   bool
	across                   bool     // may match more than one line
	needs                    []string // one of these is in every match; nil if that cannot be told
	name, kind, owner, alias int
}

// maxMatch is how far a match at the beginning of a line may reach, in bytes.
const maxMatch = 512

func newPattern(text string) *pattern {
	p := &pattern{across: strings.Contains(text, `\s`)}
	if rest, ok := strings.CutPrefix(text, "^"); ok {
		p.atLine = true
		text = `\A(?:` + rest + `)`
	}
	p.re = regexp.MustCompile("(?m)" + text)
	p.name, p.kind, p.owner, p.alias = p.re.SubexpIndex("name"), p.re.SubexpIndex("kind"), p.re.SubexpIndex("owner"), p.re.SubexpIndex("alias")
	if tree, err := syntax.Parse(text, syntax.Perl); err == nil {
		p.needs, _ = literals(tree)
	}
	return p
}

// group returns a group of a match; empty where it took no part.
func group(text []byte, at []int, i int) string {
	if i < 0 || at[2*i] < 0 {
		return ""
	}
	return string(text[at[2*i]:at[2*i+1]])
}

// each calls f with the groups of each match until f returns false. The lines are
// the offsets at which the text's lines begin.
func (p *pattern) each(text []byte, lines []int, f func(at []int) bool) {
	if !p.atLine {
		if !p.possible(text) {
			return
		}
		for _, at := range p.re.FindAllSubmatchIndex(text, -1) {
			if !f(at) {
				return
			}
		}
		return
	}
	done := 0 // end of the last match
	for i, start := range lines {
		if start < done {
			continue
		}
		end := len(text)
		if i+1 < len(lines) {
			end = lines[i+1]
		}
		if p.across {
			end = max(min(start+maxMatch, len(text)), min(end, start+maxMatch))
		} else {
			end = min(end, start+8*maxMatch)
		}
		window := text[start:end]
		if len(window) == 0 || window[0] == '\n' || !p.possible(window) {
			continue
		}
		at := p.re.FindSubmatchIndex(window)
		if at == nil {
			continue
		}
		for k := range at {
			if at[k] >= 0 {
				at[k] += start
			}
		}
		done = max(at[1], start+1)
		if !f(at) {
			return
		}
	}
}

func (p *pattern) possible(text []byte) bool {
	if p.needs == nil {
		return true
	}
	for _, literal := range p.needs {
		if bytes.Contains(text, []byte(literal)) {
			return true
		}
	}
	return false
}

// maxLiterals bounds the set of which a pattern needs one.
const maxLiterals = 32

// literals returns strings of which every match of an expression holds one, and
// whether it matches just these; nil where there are none.
func literals(re *syntax.Regexp) (set []string, exact bool) {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase != 0 {
			return nil, false
		}
		return []string{string(re.Rune)}, true
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if set = append(set, string(r)); len(set) > 4 {
					return nil, false
				}
			}
		}
		return set, true
	case syntax.OpCapture:
		return literals(re.Sub[0])
	case syntax.OpPlus:
		set, _ = literals(re.Sub[0])
		return set, false
	case syntax.OpAlternate:
		exact = true
		for _, sub := range re.Sub {
			one, only := literals(sub)
			if set = append(set, one...); one == nil || len(set) > maxLiterals {
				return nil, false
			}
			exact = exact && only
		}
		return set, exact
	case syntax.OpConcat:
		return concatenated(re.Sub)
	}
	return nil, false
}

// concatenated joins the literals of neighbouring parts and returns the best set:
// the one whose shortest member is longest.
func concatenated(parts []*syntax.Regexp) (best []string, exact bool) {
	exact = true
	run := []string{""}
	end := func() {
		if shortest(run) > shortest(best) {
			best = run
		}
		run = []string{""}
	}
	for _, part := range parts {
		set, only := literals(part)
		if !only || len(run)*len(set) > maxLiterals {
			exact = false
			end()
			if shortest(set) > shortest(best) {
				best = set
			}
			continue
		}
		var joined []string
		for _, a := range run {
			for _, b := range set {
				joined = append(joined, a+b)
			}
		}
		run = joined
	}
	if exact {
		return run, true
	}
	end()
	return best, false
}

func shortest(set []string) int {
	if len(set) == 0 {
		return 0
	}
	n := len(set[0])
	for _, s := range set {
		n = min(n, len(s))
	}
	return n
}
