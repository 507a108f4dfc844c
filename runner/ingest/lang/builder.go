package lang

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Ref names a symbol that a Builder was given.
type Ref int

// None is the Ref of no symbol: the parent of what stands at top level.
const None Ref = -1

// Builder puts an Extraction together. It turns offsets into lines, names into
// keys, and guarantees what the Extraction type promises whatever it is given:
// order, unique keys, parents that enclose their children, ranges within the
// text, bounded and storable strings.
type Builder struct {
	ex       Extraction
	size     int
	lines    []int // offset of the first byte of each line
	lastLine int   // index into lines where the previous look-up ended
	parents  []Ref // by symbol
	callers  []Ref // by call
	users    []Ref // by type reference
	named    map[namedType]bool
}

// NewBuilder begins the extraction of src by the named parser.
func NewBuilder(src Source, parser string) *Builder {
	return &Builder{
		ex:    Extraction{Language: src.Language, Parser: parser},
		size:  len(src.Text),
		lines: lineStarts(src.Text),
	}
}

func lineStarts(text []byte) []int {
	starts := make([]int, 1, 1+bytes.Count(text, []byte{'\n'}))
	for i := 0; ; {
		n := bytes.IndexByte(text[i:], '\n')
		if n < 0 {
			return starts
		}
		i += n + 1
		starts = append(starts, i)
	}
}

// Line returns the 1-based line of an offset.
func (b *Builder) Line(offset int) int {
	// Extractors mostly ask in order, so the answer is near the last one.
	for i := b.lastLine; i < len(b.lines) && i < b.lastLine+4; i++ {
		if b.lines[i] <= offset && (i+1 == len(b.lines) || offset < b.lines[i+1]) {
			b.lastLine = i
			return i + 1
		}
	}
	i := sort.Search(len(b.lines), func(i int) bool { return b.lines[i] > offset }) - 1
	b.lastLine = max(i, 0)
	return b.lastLine + 1
}

// LineStart returns the offset at which a 1-based line begins; the size of the
// text for a line beyond its end.
func (b *Builder) LineStart(line int) int {
	if line < 1 {
		return 0
	}
	if line > len(b.lines) {
		return b.size
	}
	return b.lines[line-1]
}

// Symbol adds a definition inside parent and returns its Ref. The caller gives
// Kind, Name, StartByte and EndByte, and what it knows of Signature (folded here),
// Doc, Exported and Complexity. QualifiedName is the parent's with the name
// appended unless it is given, and so is Key from kind and qualified name; keys
// that are equal get an ordinal. Lines are filled in here.
func (b *Builder) Symbol(parent Ref, s Symbol) Ref {
	s.StartByte = min(max(s.StartByte, 0), b.size)
	s.EndByte = min(max(s.EndByte, s.StartByte), b.size)
	s.StartLine = b.Line(s.StartByte)
	s.EndLine = b.Line(max(s.StartByte, s.EndByte-1))
	s.Name = Clip(s.Name, MaxName)
	if s.QualifiedName == "" {
		s.QualifiedName = s.Name
		if parent != None {
			s.QualifiedName = b.ex.Symbols[parent].QualifiedName + "." + s.Name
		}
	}
	s.QualifiedName = Clip(s.QualifiedName, MaxQualifiedName)
	s.Signature = FoldSignature(s.Signature)
	s.Doc = Clip(s.Doc, MaxDoc)
	b.ex.Symbols = append(b.ex.Symbols, s)
	b.parents = append(b.parents, parent)
	return Ref(len(b.ex.Symbols) - 1)
}

// At returns the symbol so that a later finding (its end, a decision inside it)
// can be added. The pointer is good until the next call of Symbol.
func (b *Builder) At(r Ref) *Symbol { return &b.ex.Symbols[r] }

// Import adds a dependency declared at an offset. Line is filled in here.
func (b *Builder) Import(offset int, i Import) {
	if i.Module == "" || len(i.Module) > MaxImportName {
		return
	}
	i.Module = storable(i.Module)
	i.Alias = Clip(i.Alias, MaxName)
	for n, name := range i.Names {
		i.Names[n] = Clip(name, MaxName)
	}
	for n, name := range i.Exports {
		i.Exports[n] = Clip(name, MaxName)
	}
	i.Seeks = importNames(i.Seeks)
	i.Line = b.Line(offset)
	b.ex.Imports = append(b.ex.Imports, i)
}

// Require adds a package that is declared as needed at an offset. Line is filled in here.
func (b *Builder) Require(offset int, r Requirement) {
	if r.Name == "" {
		return
	}
	r.Name, r.Version = Clip(r.Name, MaxName), FoldSignature(r.Version)
	r.Line = b.Line(min(max(offset, 0), b.size))
	b.ex.Requirements = append(b.ex.Requirements, r)
}

// Call adds a call made inside caller at an offset.
func (b *Builder) Call(caller Ref, name, qualifier string, offset int) {
	b.CallOn(caller, name, qualifier, "", offset)
}

// CallOn is Call for a qualifier whose type is known.
func (b *Builder) CallOn(caller Ref, name, qualifier, qualifierType string, offset int) {
	if name == "" {
		return
	}
	b.ex.Calls = append(b.ex.Calls, Call{
		Name:          Clip(name, MaxName),
		Qualifier:     Clip(qualifier, MaxName),
		QualifierType: Clip(qualifierType, MaxName),
		Line:          b.Line(offset),
	})
	b.callers = append(b.callers, caller)
}

// namedType is what a type reference is told by.
type namedType struct {
	user       Ref
	kind, name string
}

// Type adds a type that user names at an offset, unless it has named it before.
func (b *Builder) Type(user Ref, kind, name string, offset int) {
	n := namedType{user, kind, name}
	if name == "" || len(name) > MaxName || b.named[n] {
		return
	}
	if b.named == nil {
		b.named = map[namedType]bool{}
	}
	b.named[n] = true
	b.ex.Types = append(b.ex.Types, TypeRef{Kind: kind, Name: storable(name), Line: b.Line(offset)})
	b.users = append(b.users, user)
}

// Module sets the module's name and documentation.
func (b *Builder) Module(name, doc string) {
	b.ex.Module, b.ex.Doc = Clip(name, MaxQualifiedName), Clip(doc, MaxDoc)
}

// Provide adds names by which the file can be imported.
func (b *Builder) Provide(names ...string) {
	b.ex.Provides = append(b.ex.Provides, importNames(names)...)
}

// Root declares that names beginning with prefix live under directory.
func (b *Builder) Root(prefix, directory string) {
	if len(prefix) <= MaxImportName {
		b.ex.Roots = append(b.ex.Roots, Root{Prefix: storable(prefix), Directory: storable(directory)})
	}
}

// Errors records syntax errors that the parser recovered from.
func (b *Builder) Errors(n int) {
	b.ex.ParseErrors += n
	switch {
	case b.ex.ParseErrors == 1:
		b.ex.Partial = "1 syntax error"
	case b.ex.ParseErrors > 1:
		b.ex.Partial = strconv.Itoa(b.ex.ParseErrors) + " syntax errors"
	}
}

// Partial records why the extraction is incomplete.
func (b *Builder) Partial(reason string) { b.ex.Partial = Clip(reason, MaxSignature) }

// Extraction ends the building and returns the result.
func (b *Builder) Extraction() Extraction {
	order := make([]int, len(b.ex.Symbols))
	for i := range order {
		order[i] = i
	}
	sorted := b.ex.Symbols
	sort.SliceStable(order, func(i, j int) bool {
		x, y := &sorted[order[i]], &sorted[order[j]]
		if x.StartByte != y.StartByte {
			return x.StartByte < y.StartByte
		}
		return x.EndByte > y.EndByte
	})

	symbols := make([]Symbol, 0, len(order))
	keys := make([]string, len(order)) // by Ref
	seen := make(map[string]int, len(order))
	for _, ref := range order {
		s := sorted[ref]
		base := s.Key
		if base == "" {
			base = s.Kind + " " + s.QualifiedName
		}
		seen[base]++
		s.Key = base
		if n := seen[base]; n > 1 {
			s.Key += "#" + strconv.Itoa(n)
		}
		keys[ref] = s.Key
		if p := b.parents[ref]; p != None && encloses(&sorted[p], &s) {
			s.ParentKey = keys[p]
		}
		symbols = append(symbols, s)
	}
	for i, caller := range b.callers {
		if caller != None {
			b.ex.Calls[i].CallerKey = keys[caller]
		}
	}
	for i, user := range b.users {
		if user != None {
			b.ex.Types[i].UserKey = keys[user]
		}
	}
	b.ex.Symbols = symbols
	sort.SliceStable(b.ex.Types, func(i, j int) bool { return b.ex.Types[i].Line < b.ex.Types[j].Line })
	sort.SliceStable(b.ex.Calls, func(i, j int) bool { return b.ex.Calls[i].Line < b.ex.Calls[j].Line })
	sort.SliceStable(b.ex.Requirements, func(i, j int) bool { return b.ex.Requirements[i].Line < b.ex.Requirements[j].Line })
	sort.SliceStable(b.ex.Imports, func(i, j int) bool { return b.ex.Imports[i].Line < b.ex.Imports[j].Line })
	return b.ex
}

func encloses(outer, inner *Symbol) bool {
	return outer.StartByte <= inner.StartByte && inner.EndByte <= outer.EndByte
}

// importNames drops names that are empty, repeated or too long to be indexed.
func importNames(names []string) []string {
	var kept []string
	for _, name := range names {
		if name == "" || len(name) > MaxImportName {
			continue
		}
		name = storable(name)
		repeated := false
		for _, k := range kept {
			repeated = repeated || k == name
		}
		if !repeated {
			kept = append(kept, name)
		}
	}
	return kept
}

// storable makes a string that PostgreSQL accepts as text: UTF-8 without NUL.
func storable(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// Clip shortens s to at most limit bytes, at a character border. What is cut off
// a name still tells names apart: a hash of the whole takes its place.
func Clip(s string, limit int) string {
	s = storable(s)
	if len(s) <= limit {
		return s
	}
	tail := "\u2026"
	if limit <= MaxQualifiedName && limit != MaxSignature {
		sum := sha256.Sum256([]byte(s))
		tail += hex.EncodeToString(sum[:6])
	}
	end := limit - len(tail)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + tail
}
