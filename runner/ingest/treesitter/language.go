// Package treesitter parses source text with tree-sitter grammars and returns the
// syntax tree as one flat slice.
//
// Parsing and flattening are a single call into C, so no Go object exists per
// node and nothing has to be closed but the Pool. A parse is bounded in time, in
// input size and in nodes; any bytes are valid input. A Parser belongs to one
// goroutine at a time, which the Pool sees to.
//
// The Go binding of the runtime is linked for its C sources only. Its ParseCtx
// crashes the process when its context is cancelled, and its per-node wrappers
// cost more than the parsing.
//
// Grammars are large tables of C. Compiling one takes, in seconds of processor time
// without a build cache: PHP 14, C# 13, TypeScript with TSX 11, Kotlin 11, C++ 8,
// Ruby 6, shell 6, Python 3, and Java, C and Lua 2 or less each. All of them are
// three quarters of a minute on two processors, once, and so no grammar is behind a
// build tag: every binary extracts the same.
package treesitter

/*
#cgo CFLAGS: -O2 -std=c11
#include "flatten.h"
*/
import "C"

import (
	"fmt"
	"sync"
	"unsafe"

	_ "github.com/tree-sitter/go-tree-sitter" // the C runtime
)

// useLibcAllocator undoes what the Go binding does when it is linked: send each
// allocation of the C runtime through Go, to call malloc there. That was a fifth
// of the time of a parse. Memory of either kind may be freed by the other.
var useLibcAllocator = sync.OnceFunc(func() { C.ts_set_allocator(nil, nil, nil, nil) })

// Kind is the type of a node in one grammar.
type Kind = uint16

// Field is the role of a node in its parent in one grammar; 0 is none.
type Field = uint16

// ErrorKind is the Kind of what the grammar could not make sense of.
const ErrorKind Kind = 0xffff

// Language is a grammar with its names resolved. It is never changed and may be
// shared.
type Language struct {
	name   string
	ts     *C.TSLanguage
	kinds  []string // by Kind
	named  map[string][]Kind
	tokens map[string][]Kind
	fields map[string]Field
	names  []string // by Field
}

// NewLanguage resolves the names of a grammar, given as the pointer that the
// grammar's Go binding returns. It fails when the runtime does not know the
// grammar's format.
func NewLanguage(name string, grammar unsafe.Pointer) (*Language, error) {
	ts := (*C.TSLanguage)(grammar)
	if ts == nil {
		return nil, fmt.Errorf("grammar of %s is nil", name)
	}
	useLibcAllocator()
	p := C.ts_parser_new()
	defer C.ts_parser_delete(p)
	if !C.ts_parser_set_language(p, ts) {
		return nil, fmt.Errorf("grammar of %s has a format that the tree-sitter runtime does not know; pin another version of it", name)
	}
	l := &Language{name: name, ts: ts, named: map[string][]Kind{}, tokens: map[string][]Kind{}, fields: map[string]Field{}, names: []string{""}}
	for k := C.TSSymbol(0); k < C.TSSymbol(C.ts_language_symbol_count(ts)); k++ {
		kind := C.GoString(C.ts_language_symbol_name(ts, k))
		l.kinds = append(l.kinds, kind)
		switch C.ts_language_symbol_type(ts, k) {
		case 0: // regular
			l.named[kind] = append(l.named[kind], Kind(k))
		case 1: // anonymous
			l.tokens[kind] = append(l.tokens[kind], Kind(k))
		}
	}
	for f := C.TSFieldId(1); f <= C.TSFieldId(C.ts_language_field_count(ts)); f++ {
		field := C.GoString(C.ts_language_field_name_for_id(ts, f))
		l.fields[field] = Field(f)
		l.names = append(l.names, field)
	}
	return l, nil
}

// Name returns the name that was given to NewLanguage.
func (l *Language) Name() string { return l.name }

// Len returns how many kinds the grammar has; every Kind but ErrorKind is below it.
func (l *Language) Len() int { return len(l.kinds) }

// KindName returns the grammar's name of a kind, "ERROR" for ErrorKind.
func (l *Language) KindName(k Kind) string {
	if int(k) < len(l.kinds) {
		return l.kinds[k]
	}
	return "ERROR"
}

// Kinds returns the kinds of the named nodes called name; none for a name that the
// grammar does not have. The result must not be changed.
func (l *Language) Kinds(name string) []Kind { return l.named[name] }

// Tokens returns the kinds of the keyword or punctuation spelled text. Nodes of
// such kinds are in a Tree only where the grammar gives them a field.
func (l *Language) Tokens(text string) []Kind { return l.tokens[text] }

// Field returns the field called name.
func (l *Language) Field(name string) (Field, bool) {
	f, ok := l.fields[name]
	return f, ok
}
