// Package ingest turns the bytes of one source file into rows: what language it
// is, whether it may be parsed, which symbols, imports and calls it holds, how it
// is cut into chunks, and which words and vectors find it again.
//
// Everything here is a function of its arguments: no database, no network, no
// file system. Same bytes in, same values out; that is what lets a step be
// retried anywhere and a stored result be keyed by content hash. The one
// exception is a parser that runs out of time, which Extraction.Partial says.
package ingest

import (
	"fmt"
	"hash/fnv"

	"github.com/htdag/htdag/runner/ingest/lang"
)

// Symbol kinds, as stored in code.symbols.kind and shown by report.symbols.
const (
	KindFunction  = lang.KindFunction
	KindMethod    = lang.KindMethod
	KindClass     = lang.KindClass
	KindStruct    = lang.KindStruct
	KindInterface = lang.KindInterface
	KindTrait     = lang.KindTrait
	KindEnum      = lang.KindEnum
	KindType      = lang.KindType
	KindConstant  = lang.KindConstant
	KindVariable  = lang.KindVariable
	KindField     = lang.KindField
	KindModule    = lang.KindModule
	KindMacro     = lang.KindMacro
)

// ExtractorVersion is part of the key that says whether a stored extraction is
// still good. Raise it whenever any extractor's output changes for some input.
const ExtractorVersion = 9

// Gates are what may be told about files, beside what they are. The zero value stands
// for the defaults.
type Gates struct {
	Limits
	KeepSecrets bool // store and search secrets as they are, and do not look for them
}

// Version is the key of what is extracted behind these gates: ExtractorVersion, or with
// other gates than the default ones another number, so that files are looked at again
// when the gates change. All processes that work on a codebase need the same.
func (g Gates) Version() int32 {
	g.Limits = g.orDefaults()
	if g == (Gates{Limits: Limits{}.orDefaults()}) {
		return ExtractorVersion
	}
	h := fnv.New32a()
	fmt.Fprintf(h, "%+v", g)
	return int32(ExtractorVersion | 1<<30 | h.Sum32()&(1<<22-1)<<8)
}

// What extractors return is described where the languages are; see package lang.
type (
	Extraction = lang.Extraction
	Symbol     = lang.Symbol
	Import     = lang.Import
	Root       = lang.Root
	Call       = lang.Call
	TypeRef    = lang.TypeRef

	Requirement = lang.Requirement
)
