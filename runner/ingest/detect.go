package ingest

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/go-enry/go-enry/v2"

	"github.com/htdag/htdag/runner/ingest/lang"
)

// maxDetect is how much of a file Detect looks at, in bytes.
const maxDetect = 64 << 10

// Detect names the language of a text file, as linguist spells it, from its
// path and the beginning of its content: "Go", "TypeScript", "TSX", "C++", "Text".
//
// The registered languages' file names, extensions, #! lines and editor modelines
// decide, in this order; where several share an extension, what marks them in the
// content. Linguist's tables and heuristics know the rest. A text of which nothing
// is known is "Text". The same arguments always give the same answer.
func Detect(file string, head []byte) string {
	base := path.Base(file)
	if name, ok := lang.ByFilename(base); ok {
		return name
	}
	head = head[:min(len(head), maxDetect)]
	candidates := byExtension(base)
	if len(candidates) == 1 {
		return candidates[0]
	}
	if name := byShebang(head); name != "" {
		return name
	}
	if name := byModeline(head); name != "" {
		return name
	}
	if len(candidates) > 1 {
		return byMarks(head, candidates)
	}
	if named := enry.GetLanguagesByFilename(base, head, nil); len(named) == 1 {
		return named[0]
	}
	if variant := byVariant(base); variant != "" {
		return variant
	}
	switch known := enry.GetLanguagesByExtension(base, head, nil); len(known) {
	case 0:
		return "Text"
	case 1:
		return known[0]
	default:
		return byContent(base, head, known)
	}
}

// byExtension returns the languages that claim the longest ending of a name:
// ".d.ts" before ".ts".
func byExtension(base string) []string {
	base = strings.ToLower(base)
	for dot := strings.IndexByte(base, '.'); dot >= 0; {
		if names := lang.ByExtension(base[dot:]); len(names) > 0 {
			return names
		}
		next := strings.IndexByte(base[dot+1:], '.')
		if next < 0 {
			break
		}
		dot += 1 + next
	}
	return nil
}

// byVariant takes a well-known name with something appended: Dockerfile.dev,
// Makefile.linux, README.old.
func byVariant(base string) string {
	stem, _, found := strings.Cut(base, ".")
	if !found || stem == "" {
		return ""
	}
	name, _ := lang.ByFilename(stem)
	return name
}

// byShebang reads the interpreter of a #! line.
func byShebang(head []byte) string {
	if !bytes.HasPrefix(head, []byte("#!")) {
		return ""
	}
	line, _, _ := bytes.Cut(head[2:], []byte{'\n'})
	for i, word := range strings.Fields(string(line)) {
		program := path.Base(word)
		if i == 0 && program == "env" || strings.HasPrefix(word, "-") || strings.Contains(word, "=") {
			continue // #!/usr/bin/env -S A=b python3 -u
		}
		for _, name := range []string{program, strings.TrimRight(program, "0123456789.-")} {
			if names := lang.ByInterpreter(name); len(names) == 1 {
				return names[0]
			}
		}
		if known := enry.GetLanguagesByShebang("", []byte("#!"+program+"\n"), nil); len(known) == 1 {
			return known[0]
		}
		return ""
	}
	return ""
}

// byModeline reads what Emacs or Vim is told in the first lines:
// -*- mode: python -*-, vim: set ft=sh:
func byModeline(head []byte) string {
	rest := head[:min(len(head), 2<<10)]
	for range 5 {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte{'\n'})
		name := ""
		if _, after, ok := bytes.Cut(line, []byte("-*-")); ok {
			if inside, _, closed := bytes.Cut(after, []byte("-*-")); closed {
				name = string(bytes.TrimSpace(inside))
				for field := range strings.SplitSeq(string(inside), ";") {
					if key, value, pair := strings.Cut(field, ":"); pair {
						name = ""
						if strings.EqualFold(strings.TrimSpace(key), "mode") {
							name = strings.TrimSpace(value)
							break
						}
					}
				}
			}
		} else if at := bytes.Index(line, []byte("vim:")); at >= 0 {
			for field := range strings.FieldsFuncSeq(string(line[at+4:]), func(r rune) bool { return r == ' ' || r == ':' }) {
				for _, key := range []string{"ft=", "filetype=", "syntax="} {
					if value, ok := strings.CutPrefix(field, key); ok {
						name = value
					}
				}
			}
		}
		if l, ok := lang.ByName(name); ok {
			return l.Name
		}
	}
	return ""
}

// byMarks chooses among registered languages that share an extension.
func byMarks(head []byte, candidates []string) string {
	best, most := "", 0
	for _, name := range candidates {
		l, _ := lang.ByName(name)
		marks := 0
		for _, mark := range l.Marks {
			if bytes.Contains(head, []byte(mark)) {
				marks++
			}
		}
		if best == "" || marks > most {
			best, most = name, marks
		}
	}
	return best
}

// maxHeuristics is how much of a file linguist's heuristics are given: they search
// it with many expressions.
const maxHeuristics = 8 << 10

// byContent chooses among languages that only linguist knows, by its heuristics.
// Where these leave it open the first is taken: linguist's classifier would be
// slow, and answers differently from call to call when in doubt.
func byContent(base string, head []byte, candidates []string) string {
	head = head[:min(len(head), maxHeuristics)]
	if named := enry.GetLanguagesByContent(base, head, candidates); len(named) == 1 && slices.Contains(candidates, named[0]) {
		return named[0]
	}
	return candidates[0]
}
