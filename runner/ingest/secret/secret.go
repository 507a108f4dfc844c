// Package secret finds secrets in source text: private keys, tokens with known
// prefixes, passwords in addresses, and values of much entropy that are assigned to
// names such as password or token.
//
// What to look for is data: the table of rules.go. A rule is tried only where one of
// its keywords stands, which one pass over the text finds out, so a text without any
// costs hardly more than reading it.
package secret

import (
	"bytes"
	"cmp"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// Finding is one secret in a text. It does not hold the secret.
type Finding struct {
	Rule    string // name of the rule that found it
	Line    int    // where it begins, from 1
	Excerpt string // that line, with all secrets replaced by asterisks; at most 200 bytes around it

	place int // of the rule
	start int
	parts []span // what is to be masked; several where a key is written over several lines
}

type span struct{ start, end int }

const (
	farthest     = 1000     // that a match reaches from its keyword, on its line
	longestBlock = 16 << 10 // of a rule with Until
	leastBlock   = 64       // bytes of base64 in one
	maxExcerpt   = 200

	leastTries  = 100 // of a rule on a line
	bytesPerTry = 20  // that a line has to have for each further one
)

// Mask finds the secrets of a text, which must be UTF-8. Both masked and parsable are
// the text with the bytes of secrets replaced one by one, so that offsets and lines stay
// what they are: by asterisks in masked, by the letter x in parsable, which no syntax
// minds. Without findings both are the text itself. The path only says which rules apply.
func Mask(path string, text []byte) (masked, parsable []byte, findings []Finding) {
	findings = search(path, text)
	if len(findings) == 0 {
		return text, text, nil
	}
	masked, parsable = bytes.Clone(text), bytes.Clone(text)
	for _, f := range findings {
		for _, p := range f.parts {
			for i := p.start; i < p.end; i++ {
				masked[i], parsable[i] = '*', 'x'
			}
		}
	}
	line, at := 1, 0
	for i := range findings {
		f := &findings[i]
		line += bytes.Count(text[at:f.start], []byte{'\n'})
		at = f.start
		f.Line, f.Excerpt = line, excerpt(masked, f.start)
	}
	return masked, parsable, findings
}

// Starred returns what was extracted from a parsable text as it would be had it been
// taken from the masked one.
func Starred(extracted string) string {
	if !strings.Contains(extracted, "xxxx") {
		return extracted
	}
	return runOfX.ReplaceAllStringFunc(extracted, func(run string) string { return strings.Repeat("*", len(run)) })
}

var runOfX = regexp.MustCompile("x{4,}")

// excerpt is the line around an offset, clipped between characters.
func excerpt(text []byte, at int) string {
	start, end := lineAround(text, at, maxExcerpt/2, maxExcerpt/2)
	for start < at && !utf8.RuneStart(text[start]) {
		start++
	}
	for end > at && end < len(text) && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.TrimSpace(string(text[start:end]))
}

// lineAround bounds the line that holds an offset, or so much of it.
func lineAround(text []byte, at, before, after int) (start, end int) {
	start, end = max(0, at-before), min(len(text), at+after)
	if n := bytes.LastIndexByte(text[start:at], '\n'); n >= 0 {
		start += n + 1
	}
	if n := bytes.IndexByte(text[at:end], '\n'); n >= 0 {
		end = at + n
	}
	return start, end
}

// search applies the rules whose keywords the text holds.
func search(path string, text []byte) []Finding {
	c := compiled()
	var found []Finding
	var l line
	c.words.each(text, func(word, at int) {
		if at >= l.end {
			l.move(text, at, len(c.rules))
		}
		for _, n := range c.byWord[word] {
			// A line of nothing but keywords must not cost more than its length.
			if l.tries[n]++; l.tries[n] > leastTries+(at-l.start)/bytesPerTry {
				continue
			}
			if r := &c.rules[n]; r.applies(path) {
				if f, ok := r.find(text, l, at); ok {
					f.place = n
					found = append(found, f)
				}
			}
		}
	})
	return united(found)
}

// united puts findings in order and makes those that overlap one, which bears the name of
// the rule that stands first: a token is reported as such, not as the value that it is.
func united(found []Finding) []Finding {
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(a.start, b.start) })
	kept := found[:0]
	for _, f := range found {
		if n := len(kept); n > 0 && f.parts[0].start < kept[n-1].end() {
			last := &kept[n-1]
			last.place, last.parts = min(last.place, f.place), append(last.parts, f.parts...)
			continue
		}
		kept = append(kept, f)
	}
	for i := range kept {
		kept[i].Rule = rules[kept[i].place].Name
	}
	return kept
}

func (f *Finding) end() (end int) {
	for _, p := range f.parts {
		end = max(end, p.end)
	}
	return end
}

// line is the one that is being searched.
type line struct {
	start, end int
	tries      []int // by rule
}

func (l *line) move(text []byte, at, rules int) {
	if l.tries == nil {
		l.tries = make([]int, rules)
	}
	clear(l.tries)
	l.start, l.end = bytes.LastIndexByte(text[:at], '\n')+1, len(text)
	if n := bytes.IndexByte(text[at:], '\n'); n >= 0 {
		l.end = at + n
	}
}

// rules made ready to search with.
type ready struct {
	rules  []readyRule
	words  *words
	byWord [][]int
}

type readyRule struct {
	*Rule
	pattern, before *regexp.Regexp
}

var compiled = sync.OnceValue(func() *ready {
	c := &ready{}
	places := map[string]int{}
	var keywords []string
	for i := range rules {
		r := readyRule{Rule: &rules[i], pattern: regexp.MustCompile("^(?:" + rules[i].Pattern + ")")}
		if r.Before != "" {
			r.before = regexp.MustCompile(r.Before)
		}
		c.rules = append(c.rules, r)
		for _, k := range rules[i].Keywords {
			if _, known := places[k]; !known {
				places[k] = len(keywords)
				keywords, c.byWord = append(keywords, k), append(c.byWord, nil)
			}
			c.byWord[places[k]] = append(c.byWord[places[k]], i)
		}
	}
	c.words = newWords(keywords)
	return c
})

func (r *readyRule) applies(path string) bool {
	if len(r.Files) == 0 {
		return true
	}
	base := strings.ToLower(path[strings.LastIndexByte(path, '/')+1:])
	return slices.ContainsFunc(r.Files, func(ending string) bool { return strings.HasSuffix(base, ending) }) ||
		strings.HasPrefix(base, ".env.") && slices.Contains(r.Files, ".env")
}

// find says whether the keyword on a line begins what the rule describes.
func (r *readyRule) find(text []byte, l line, at int) (Finding, bool) {
	m := r.pattern.FindSubmatchIndex(text[at:min(l.end, at+farthest)])
	if m == nil || r.before != nil && !r.before.Match(text[max(l.start, at-farthest):at]) {
		return Finding{}, false
	}
	if r.Until != "" {
		return r.findBlock(text, at, at+m[1])
	}
	value := span{at + m[2], at + m[3]}
	return Finding{start: value.start, parts: []span{value}}, r.accepts(text[value.start:value.end])
}

// findBlock finds the base64 between the end of the pattern and the rule's end mark.
func (r *readyRule) findBlock(text []byte, at, head int) (Finding, bool) {
	body := text[head:min(len(text), head+longestBlock)]
	length := bytes.Index(body, []byte(r.Until))
	if length < 0 {
		return Finding{}, false
	}
	body = body[:length]
	f, masked := Finding{start: at}, 0
	for _, run := range base64Runs(body) {
		f.parts = append(f.parts, span{head + run.start, head + run.end})
		masked += run.end - run.start
	}
	return f, masked >= leastBlock && !bytes.Contains(body, []byte("-----BEGIN")) && entropy(body) >= r.Entropy
}

// base64Runs are the runs of characters that a key is made of. An operator or the letter
// of an escape between them, in a key that is written as strings, is none.
func base64Runs(text []byte) []span {
	var runs []span
	for i := 0; i < len(text); {
		if !base64Char(text[i]) {
			i++
			continue
		}
		run := span{start: i}
		words := false
		for ; i < len(text) && base64Char(text[i]); i++ {
			words = words || text[i] != '+' && text[i] != '/' && text[i] != '='
		}
		run.end = i
		if run.start > 0 && text[run.start-1] == '\\' {
			run.start++
		}
		if words && run.end-run.start > 1 {
			runs = append(runs, run)
		}
	}
	return runs
}

func base64Char(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '+' || c == '/' || c == '='
}
