// Package lang knows languages: how a file of each is recognised and what can be
// taken out of one.
//
// One file of this folder describes one language and registers it; nothing else
// has to change when a language is added. Put an input and the expected
// extraction under testdata/<language>/ and run
//
//	go test ./runner/ingest/lang -run TestGolden -update
//
// Extractors are pure functions of their Source. They must not panic, block or
// keep the text; the caller survives it if they do, but marks the file partial.
package lang

import (
	"context"
	"errors"
	"fmt"
	"path"
	"sort"
	"strings"
)

// Source is one file to extract from.
type Source struct {
	Path     string // slash separated, relative to the codebase
	Language string // the name under which the language is registered
	Text     []byte // valid UTF-8 without NUL; not to be changed
}

// ExtractFunc takes the symbols, imports and calls out of one file.
//
// Syntax errors are no error: the extraction says ParseErrors and Partial. The
// returned error means that nothing could be had at all (ErrTimeout, a parser
// that could not be started); the caller falls back to the lexer and records it.
type ExtractFunc func(ctx context.Context, src Source) (Extraction, error)

// ErrTimeout is returned by an ExtractFunc whose parser ran out of time.
var ErrTimeout = errors.New("parse timeout")

// Language is the specification of one language. It is never changed after it is
// registered.
type Language struct {
	Name    string   // as linguist spells it: "Go", "C++", "TSX"
	Aliases []string // other names, in lower case: of modelines, Markdown fences, test folders

	Extensions   []string // with the dot, in lower case: ".py"; the longest that fits a file wins
	Filenames    []string // whole base names, exact: "Makefile"
	Globs        []string // patterns of base names, as path.Match has them: "requirements*.txt"
	Interpreters []string // of a #! line, without path and version: "python"

	// Marks are texts that only this one holds among the languages that share an
	// extension with it. Of these the one with most marks in a file has it; where
	// there are none, the first by name.
	Marks []string

	// Extract is the parser; nil where there is none.
	Extract ExtractFunc

	// Scan is used where Extract is nil or has failed. Where it is nil too, chroma's
	// lexer of that name, if there is one, tells comments and strings from code.
	Scan *Scan
}

// languages is filled by the register calls of this package's files while the
// package is initialised, and only read after that.
var languages = &registry{
	names:        map[string]*Language{},
	extensions:   map[string][]string{},
	filenames:    map[string]string{},
	interpreters: map[string][]string{},
}

type registry struct {
	all          []Language
	names        map[string]*Language // lower case name or alias
	extensions   map[string][]string  // extension to names of languages
	filenames    map[string]string
	interpreters map[string][]string
	globs        []globbed
}

type globbed struct{ glob, name string }

// register adds a language; use it as `var _ = register(Language{...})`. It
// panics on a name, alias or file name that is already taken, so that the mistake
// shows in every test. An extension may be shared: content decides then.
func register(l Language) struct{} {
	p := new(Language)
	*p = l
	for _, name := range append([]string{l.Name}, l.Aliases...) {
		name = strings.ToLower(name)
		if taken, ok := languages.names[name]; ok {
			panic(fmt.Sprintf("language name %q of %s is taken by %s", name, l.Name, taken.Name))
		}
		languages.names[name] = p
	}
	for _, base := range l.Filenames {
		if taken, ok := languages.filenames[base]; ok {
			panic(fmt.Sprintf("file name %q of %s is taken by %s", base, l.Name, taken))
		}
		languages.filenames[base] = l.Name
	}
	for _, glob := range l.Globs {
		if _, err := path.Match(glob, ""); err != nil {
			panic(fmt.Sprintf("pattern %q of %s: %v", glob, l.Name, err))
		}
		languages.globs = append(languages.globs, globbed{glob, l.Name})
	}
	for _, ext := range l.Extensions {
		if !strings.HasPrefix(ext, ".") || ext != strings.ToLower(ext) {
			panic(fmt.Sprintf("extension %q of %s must begin with a dot and be in lower case", ext, l.Name))
		}
		names := append(languages.extensions[ext], l.Name)
		sort.Strings(names)
		languages.extensions[ext] = names
	}
	for _, program := range l.Interpreters {
		languages.interpreters[program] = append(languages.interpreters[program], l.Name)
	}
	languages.all = append(languages.all, l)
	return struct{}{}
}

// ByName finds a language by its name or an alias, in any case.
func ByName(name string) (Language, bool) {
	if l, ok := languages.names[strings.ToLower(name)]; ok {
		return *l, true
	}
	return Language{}, false
}

// All returns the registered languages in order of name.
func All() []Language {
	all := append([]Language(nil), languages.all...)
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// ByFilename returns the language that claims a base name, whole or by a pattern.
func ByFilename(base string) (string, bool) {
	if name, ok := languages.filenames[base]; ok {
		return name, true
	}
	for _, p := range languages.globs {
		if fits, _ := path.Match(p.glob, base); fits {
			return p.name, true
		}
	}
	return "", false
}

// ByExtension returns the languages that claim an extension, given with its dot
// and in lower case. The result must not be changed.
func ByExtension(ext string) []string { return languages.extensions[ext] }

// ByInterpreter returns the languages that claim the program of a #! line, given
// without path and version. The result must not be changed.
func ByInterpreter(program string) []string { return languages.interpreters[program] }
