package steps

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/htdag/htdag/runner/ingest"
)

// Where a called name is to be looked for; values of code.calls.reach.
const (
	reachFile    = "file"    // found: calleeKey names the symbol
	reachSelf    = "self"    // a member of the caller's own type that another file holds
	reachPackage = "package" // a bare name from files of the same scope, or a star import
	reachImport  = "import"  // through an import of the file
	reachType    = "type"    // a member of a type known by name
	reachMethod  = "method"  // a member of something unknown
	reachNone    = "none"    // built into the language
)

// Confidence in what a file answers by itself.
const (
	confidentSameFile   = 1
	confidentSameMember = 0.95
)

// link is what one file tells about one of its calls. The database does the
// rest, since it knows the other files; see sql/functions/81_resolve.sql.
type link struct {
	reach      string
	name       string // with renaming on import undone
	target     string // qualified name to look for
	calleeKey  string // of a symbol of this file
	confidence float64
	importAt   int // index of the import it goes through, -1 for none
}

// linkCalls says for each call of an extraction where its callee is to be found.
// It is a pure function of the extraction: whoever changes what it returns raises
// ingest.ExtractorVersion.
func linkCalls(ex *ingest.Extraction) []link {
	l := newLinker(ex)
	links := make([]link, len(ex.Calls))
	for i := range ex.Calls {
		links[i] = l.link(&ex.Calls[i])
	}
	return links
}

type linker struct {
	language string
	keys     map[string]string // qualified name of a callable symbol -> its key
	symbols  map[string]*ingest.Symbol
	types    map[string]bool // qualified names of types
	locals   map[string]local
}

// local is a name that an import brings into the file.
type local struct {
	importAt int
	original string // the name as the module has it; empty where the module itself is meant
}

func newLinker(ex *ingest.Extraction) *linker {
	l := &linker{
		language: ex.Language,
		keys:     make(map[string]string, len(ex.Symbols)),
		symbols:  make(map[string]*ingest.Symbol, len(ex.Symbols)),
		types:    map[string]bool{},
		locals:   map[string]local{},
	}
	for i := range ex.Symbols {
		s := &ex.Symbols[i]
		l.symbols[s.Key] = s
		if callable(s) {
			if _, ok := l.keys[s.QualifiedName]; !ok {
				l.keys[s.QualifiedName] = s.Key
			}
		}
		if isType(s.Kind) {
			l.types[s.QualifiedName] = true
		}
	}
	for i := range ex.Imports {
		l.learn(i, &ex.Imports[i])
	}
	return l
}

// callable says the same as code.is_callable.
func callable(s *ingest.Symbol) bool {
	switch s.Kind {
	case ingest.KindFunction, ingest.KindMethod, ingest.KindMacro, ingest.KindClass, ingest.KindStruct:
		return true
	case ingest.KindField:
		return strings.HasPrefix(s.ParentKey, ingest.KindInterface+" ")
	}
	return false
}

func isType(kind string) bool {
	switch kind {
	case ingest.KindClass, ingest.KindStruct, ingest.KindInterface, ingest.KindTrait, ingest.KindEnum, ingest.KindType, ingest.KindModule:
		return true
	}
	return false
}

// learn notes the names under which an import is used. The first import of a
// name wins.
func (l *linker) learn(at int, i *ingest.Import) {
	add := func(name, original string) {
		if name == "" || name == "." || name == "_" || name == "*" {
			return
		}
		if _, taken := l.locals[name]; !taken {
			l.locals[name] = local{importAt: at, original: original}
		}
	}
	for _, name := range i.Names {
		original, alias, renamed := strings.Cut(name, " as ")
		if !renamed {
			alias = original
		}
		add(alias, original)
	}
	add(i.Alias, "")
	if i.Alias == "" {
		add(normal(i.Module), "")
		if len(i.Names) == 0 {
			add(lastPart(i.Module), "")
		}
	}
}

// normal writes a qualifier with dots whatever the language's separator is.
func normal(name string) string {
	if strings.ContainsAny(name, ":\\") {
		name = strings.NewReplacer("::", ".", "\\", ".").Replace(name)
	}
	return strings.Trim(name, ".")
}

func lastPart(name string) string {
	if i := strings.LastIndexAny(name, "/.:\\"); i >= 0 {
		return name[i+1:]
	}
	return name
}

func parent(qualified string) string {
	if i := strings.LastIndexByte(qualified, '.'); i >= 0 {
		return qualified[:i]
	}
	return ""
}

func (l *linker) link(c *ingest.Call) link {
	var caller string
	if s := l.symbols[c.CallerKey]; s != nil {
		caller = s.QualifiedName
	}
	switch {
	case c.QualifierType != "":
		return l.member(c.Name, normal(c.QualifierType))
	case c.Qualifier == "":
		return l.bare(c.Name, caller)
	case isSelf(l.language, c.Qualifier):
		return l.own(c.Name, caller)
	}
	return l.qualified(c.Name, c.Qualifier)
}

func (l *linker) inFile(name, target string, confidence float64) (link, bool) {
	key, ok := l.keys[target]
	return link{reach: reachFile, name: name, target: target, calleeKey: key, confidence: confidence, importAt: -1}, ok
}

func elsewhere(reach, name, target string) link {
	return link{reach: reach, name: name, target: target, importAt: -1}
}

// through follows a local name to its import; inside says what is meant below it.
func through(reach string, from local, name, inside string) link {
	target := name
	switch {
	case from.original != "" && inside != "":
		target = from.original + "." + inside + "." + name
	case from.original != "":
		target = from.original + "." + name
	case inside != "":
		target = inside + "." + name
	}
	return link{reach: reach, name: name, target: target, importAt: from.importAt}
}

// bare resolves name() by the language's scoping: outward from the caller, then
// the top of the file, then what was imported by name, then the package.
func (l *linker) bare(name, caller string) link {
	implicit := implicitSelf(l.language)
	for q := caller; q != ""; q = parent(q) {
		if l.types[q] && !implicit {
			continue // a method is not in scope in its siblings
		}
		if found, ok := l.inFile(name, q+"."+name, confidentSameFile); ok {
			return found
		}
	}
	if found, ok := l.inFile(name, name, confidentSameFile); ok {
		return found
	}
	if from, ok := l.locals[name]; ok {
		if from.original == "" { // a module called as a function: import f from 'f'
			return link{reach: reachImport, name: name, target: name, importAt: from.importAt}
		}
		// An imported member has its type before it: import static a.b.C.f.
		return link{reach: reachImport, name: lastPart(from.original), target: from.original, importAt: from.importAt}
	}
	if builtin(l.language, name) {
		return elsewhere(reachNone, name, name)
	}
	if owner := parent(caller); owner != "" && (l.language == "Java" || l.language == "C#") {
		return elsewhere(reachSelf, name, owner+"."+name)
	}
	return elsewhere(reachPackage, name, name)
}

// own resolves self.name() inside a method.
func (l *linker) own(name, caller string) link {
	owner := parent(caller)
	for q := caller; q != ""; q = parent(q) {
		if l.types[q] {
			owner = q
			break
		}
	}
	if owner == "" {
		return l.method(name)
	}
	return l.member(name, owner)
}

// member resolves a call on a value of a type known by name.
func (l *linker) member(name, owner string) link {
	if owner == "error" || owner == "any" {
		return elsewhere(reachNone, name, name) // Go's predeclared interfaces
	}
	if found, ok := l.inFile(name, owner+"."+name, confidentSameMember); ok {
		return found
	}
	if from, ok := l.locals[owner]; ok {
		return through(reachType, from, name, "")
	}
	if first, rest, nested := strings.Cut(owner, "."); nested {
		if from, ok := l.locals[first]; ok {
			return through(reachType, from, name, rest)
		}
	}
	return elsewhere(reachType, name, owner+"."+name)
}

// qualified resolves q.name() where q is no value of a known type.
func (l *linker) qualified(name, qualifier string) link {
	if from, ok := l.locals[qualifier]; ok {
		return through(reachImport, from, name, "")
	}
	q := normal(qualifier)
	if from, ok := l.locals[q]; ok {
		return through(reachImport, from, name, "")
	}
	if strings.ContainsAny(q, "()[]{} ") {
		return l.method(name)
	}
	if found, ok := l.inFile(name, q+"."+name, confidentSameMember); ok && (l.types[q] || namesType(qualifier)) {
		return found
	}
	if first, rest, nested := strings.Cut(q, "."); nested {
		if from, ok := l.locals[first]; ok && (namesType(rest) || strings.Contains(qualifier, "::")) {
			return through(reachImport, from, name, rest)
		}
	}
	if namesType(qualifier) || strings.Contains(qualifier, "::") || strings.Contains(qualifier, "\\") {
		return elsewhere(reachType, name, q+"."+name)
	}
	return l.method(name)
}

// method resolves a call on something of which nothing is known.
func (l *linker) method(name string) link {
	if builtinMethod(l.language, name) {
		return elsewhere(reachNone, name, name)
	}
	return elsewhere(reachMethod, name, name)
}

// namesType says whether the last part of a qualifier is written as types are in
// most languages, beginning with a capital letter.
func namesType(qualifier string) bool {
	r, _ := utf8.DecodeRuneInString(lastPart(qualifier))
	return unicode.IsUpper(r)
}

func isSelf(language, qualifier string) bool {
	switch qualifier {
	case "self", "this":
		return language != "Go"
	case "cls":
		return language == "Python"
	case "Self":
		return language == "Rust"
	case "$this", "static":
		return language == "PHP"
	case "__MODULE__":
		return language == "Elixir"
	}
	return false
}

// implicitSelf says whether a method calls its siblings by their bare names.
func implicitSelf(language string) bool {
	switch language {
	case "Go", "Python", "JavaScript", "JSX", "TypeScript", "TSX", "Rust", "PHP":
		return false
	}
	return true
}
