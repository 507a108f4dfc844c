package lang

import (
	"bytes"
	"context"
	"path"
	"regexp"
	"strings"
)

// pipName is the name that a requirement of PEP 508 begins with, and its extras.
var pipName = regexp.MustCompile(`^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[[^\]]*\])?\s*`)

// pythonRequirement takes name[extras] (>=1,<2) ; marker apart. It is empty where
// there is no name: the URL of an archive, an option.
func pythonRequirement(text string) (name, version string) {
	at := pipName.FindStringSubmatchIndex(text)
	if at == nil {
		return "", ""
	}
	name, version = text[at[2]:at[3]], text[at[1]:]
	if version != "" && !strings.ContainsRune("<>=!~(;@", rune(version[0])) {
		return "", ""
	}
	url := strings.HasPrefix(version, "@") // in which a semicolon is only a marker's after a blank
	separator := ";"
	if url {
		separator = " ;"
	}
	version, _, _ = strings.Cut(version, separator)
	version = strings.TrimSpace(strings.TrimPrefix(version, "@"))
	return name, strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(version, "("), ")"))
}

var pipEgg = regexp.MustCompile(`[#&]egg=([A-Za-z0-9._-]+)`)

// extractPip reads a requirements file of pip: one requirement a line, options, and
// other files that belong to it.
func extractPip(_ context.Context, src Source) (Extraction, error) {
	f, ok := newDataFile(src)
	if !ok {
		return tooMuchData(src), nil
	}
	kind := NeedRuntime
	for _, word := range []string{"dev", "test", "lint", "doc", "ci", "typing"} {
		for part := range strings.FieldsFuncSeq(strings.ToLower(path.Base(src.Path)), func(r rune) bool { return strings.ContainsRune("-_.", r) }) {
			if part == word || part == word+"s" || part == word+"ing" {
				kind = NeedDev
			}
		}
	}
	at := 0
	for line := range bytes.Lines(src.Text) {
		f.pipLine(at, kind, string(line))
		at += len(line)
	}
	return f.Extraction(), nil
}

func (f *dataFile) pipLine(at int, kind, line string) {
	if n := strings.Index(" "+line, " #"); n >= 0 {
		line = line[:max(n-1, 0)]
	}
	line = strings.TrimSpace(strings.TrimSuffix(strings.TrimRight(line, "\r\n"), `\`))
	option, rest, _ := strings.Cut(strings.Replace(line, "=", " ", 1), " ")
	rest = strings.TrimSpace(rest)
	switch {
	case line == "":
	case option == "-r" || option == "--requirement" || option == "-c" || option == "--constraint":
		f.Import(at, Import{Module: rest, Seeks: []string{PathProvided(path.Join(path.Dir(f.src.Path), rest))}})
	case strings.Contains(line, "://") && !strings.Contains(line, " @ "):
		// A source, which may say what its package is called.
		if egg := pipEgg.FindStringSubmatch(line); egg != nil {
			f.Require(at, Requirement{Ecosystem: "pypi", Name: egg[1], Version: strings.TrimSpace(strings.TrimPrefix(line, "-e ")), Kind: kind})
		}
	case strings.HasPrefix(line, "-"):
	default:
		line, _, _ = strings.Cut(line, " --") // hashes and other options of the line
		name, version := pythonRequirement(line)
		f.Require(at, Requirement{Ecosystem: "pypi", Name: name, Version: version, Kind: kind})
	}
}
