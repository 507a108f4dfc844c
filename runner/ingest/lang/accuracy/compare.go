package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sort"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/htdag/htdag/runner/ingest"
	"github.com/htdag/htdag/runner/ingest/lang"
)

// tag is a symbol as both sides see it.
type tag struct {
	name, class, kind string
	line              int
	inner             bool // inside the body of a function
	either            bool // ours: may be a value or a function in the oracle's eyes
}

// errNoOracle says that the oracle is not on this machine.
var errNoOracle = errors.New("its oracle is not here")

// invalid is the class of a tag that says that the oracle refuses a file.
const invalid = "invalid"

type result struct {
	files, partial, refused    int
	ours, theirs, agree, inner int
	extra, missed              map[string]int
	shown                      map[string][]string
}

func (r *result) disagree(side string, counts map[string]int, path string, t tag) {
	kind := side + " " + t.kind
	counts[kind]++
	r.shown[kind] = append(r.shown[kind], fmt.Sprintf("%s:%d %s", path, t.line, t.name))
}

// details lists the disagreements by kind, with examples spread evenly.
func (r *result) details(language string, show int) string {
	var w strings.Builder
	for _, counts := range []map[string]int{r.extra, r.missed} {
		var kinds []string
		for kind := range counts {
			kinds = append(kinds, kind)
		}
		sort.Slice(kinds, func(i, j int) bool {
			return counts[kinds[i]] > counts[kinds[j]] || counts[kinds[i]] == counts[kinds[j]] && kinds[i] < kinds[j]
		})
		for _, kind := range kinds {
			fmt.Fprintf(&w, "%s: %s: %d\n", language, kind, counts[kind])
			list := r.shown[kind]
			for i := range min(show, len(list)) {
				fmt.Fprintf(&w, "    %s\n", list[i*len(list)/min(show, len(list))])
			}
		}
	}
	return w.String()
}

// compare extracts from each file and matches what comes out with what the oracle says.
func (o *oracle) compare(files []string, most int) (*result, error) {
	var chosen []string
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil || !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 || ingest.Detect(path, text) != o.language {
			continue
		}
		if chosen = append(chosen, path); len(chosen) == most {
			break
		}
	}
	ask := o.ask
	if ask == nil {
		ask = (*oracle).tags
	}
	theirs, err := ask(o, chosen)
	if err != nil {
		return nil, err
	}
	r := &result{extra: map[string]int{}, missed: map[string]int{}, shown: map[string][]string{}}
	for _, path := range chosen {
		if len(theirs[path]) == 1 && theirs[path][0].class == invalid {
			r.refused++
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		ex, err := ingest.Extract(context.Background(), path, o.language, text)
		if err != nil {
			return nil, err
		}
		r.files++
		if ex.Partial != "" {
			r.partial++
		}
		o.match(r, path, o.ours(text, ex), theirs[path])
	}
	return r, nil
}

// match pairs the tags of one file, each at most once.
func (o *oracle) match(r *result, path string, ours, theirs []tag) {
	type key struct {
		name, class string
		line        int
	}
	left := map[key][]int{}
	for i, t := range theirs {
		k := key{t.name, t.class, t.line}
		left[k] = append(left[k], i)
	}
	taken := make([]bool, len(theirs))
	for _, t := range ours {
		classes := []string{t.class}
		if t.either {
			classes = []string{"function", "value"}
		}
		found := false
		for _, class := range classes {
			k := key{t.name, class, t.line}
			if list := left[k]; !found && len(list) > 0 {
				taken[list[0]], left[k], found = true, list[1:], true
			}
		}
		switch {
		case found:
			r.ours++
			r.agree++
		case t.inner && !o.nested:
			r.inner++
		default:
			r.ours++
			r.disagree("only ours:", r.extra, path, t)
		}
	}
	for i, t := range theirs {
		r.theirs++
		if !taken[i] {
			r.disagree("only "+cmp.Or(o.by, "ctags")+":", r.missed, path, t)
		}
	}
}

// ours turns an extraction into tags.
func (o *oracle) ours(text []byte, ex ingest.Extraction) []tag {
	inner := map[string]bool{}
	callable := map[string]bool{}
	starts := []int{0}
	for i, c := range text {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	var tags []tag
	for _, s := range ex.Symbols {
		if slices.Contains(o.unknown, s.Kind) && !(isEither(s) && strings.HasPrefix(s.ParentKey, lang.KindInterface+" ")) {
			continue
		}
		callable[s.Key] = s.Kind == lang.KindFunction || s.Kind == lang.KindMethod
		inner[s.Key] = callable[s.ParentKey] || inner[s.ParentKey]
		at := s.StartByte + nameOffset(text[s.StartByte:s.EndByte], s.Name, o.typed && (classes[s.Kind] == "function" || isEither(s)))
		head, _, _ := bytes.Cut(text[s.StartByte:s.EndByte], []byte{'{'})
		if strings.HasPrefix(s.Signature, "typedef ") && (s.Kind == lang.KindType || !bytes.Contains(head, []byte(s.Name))) {
			at = s.StartByte + max(bytes.LastIndex(text[s.StartByte:s.EndByte], []byte(s.Name)), 0)
		}
		line := sort.Search(len(starts), func(i int) bool { return starts[i] > at })
		tags = append(tags, tag{
			name: o.normal(s.Name), class: classes[s.Kind], kind: s.Kind, line: line, inner: inner[s.Key],
			either: isEither(s),
		})
	}
	return tags
}

// isEither says that a member may be declared as a function.
func isEither(s ingest.Symbol) bool {
	return s.Kind == lang.KindField && strings.Contains(s.Signature, "(")
}

// nameOffset finds a name as a whole word in the text of its definition, before a
// parenthesis if it is a function's and there is such a place.
func nameOffset(text []byte, name string, function bool) int {
	first := -1
	for at := 0; ; at++ {
		i := bytes.Index(text[at:], []byte(name))
		if i < 0 {
			return max(first, 0)
		}
		at += i
		before, _ := utf8.DecodeLastRune(text[:at])
		after, _ := utf8.DecodeRune(text[at+len(name):])
		if isWord(before) || isWord(after) {
			continue
		}
		if !function || bytes.HasPrefix(bytes.TrimLeft(text[at+len(name):], " \t\n"), []byte("(")) {
			return at
		}
		if first < 0 {
			first = at
		}
	}
}

func isWord(r rune) bool { return r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r) }

// normal writes a name as both sides can.
func (o *oracle) normal(name string) string {
	if o.name == nil {
		return name
	}
	return o.name(name)
}

// tags runs ctags over files.
func (o *oracle) tags(files []string) (map[string][]tag, error) {
	if _, err := exec.LookPath("ctags"); err != nil {
		return nil, fmt.Errorf("%w: universal-ctags: %w", errNoOracle, err)
	}
	args := append([]string{"--output-format=json", "--fields=+nK", "--sort=no", "--language-force=" + o.ctags, "-L", "-", "-f", "-"}, o.options...)
	cmd := exec.Command("ctags", args...)
	cmd.Stdin = strings.NewReader(strings.Join(files, "\n") + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run ctags: %w: %s", err, stderr.String())
	}
	tags := map[string][]tag{}
	for line := range bytes.Lines(out) {
		var t struct {
			Type             string `json:"_type"`
			Name, Path, Kind string
			Line             int
		}
		if err := json.Unmarshal(line, &t); err != nil {
			return nil, fmt.Errorf("read ctags' line %q: %w", line, err)
		}
		class, ok := o.kinds[t.Kind]
		if t.Type != "tag" || !ok || strings.HasPrefix(t.Name, "__anon") || o.ignore != nil && o.ignore(t.Path, t.Kind, t.Name) {
			continue
		}
		tags[t.Path] = append(tags[t.Path], tag{name: o.normal(t.Name), class: class, kind: t.Kind, line: t.Line})
	}
	return tags, nil
}
