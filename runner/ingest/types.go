// Package ingest turns the bytes of one source file into rows: what language it
// is, whether it may be parsed, which symbols, imports and calls it holds, how it
// is cut into chunks, and which words and vectors find it again.
//
// Everything here is a function of its arguments: no database, no network, no
// file system. Same bytes in, same values out; that is what lets a step be
// retried anywhere and a stored result be keyed by content hash. The one
// exception is a parser that runs out of time, which Extraction.Partial says.
package ingest

import "github.com/htdag/htdag/runner/ingest/lang"

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
const ExtractorVersion = 5

// What extractors return is described where the languages are; see package lang.
type (
	Extraction = lang.Extraction
	Symbol     = lang.Symbol
	Import     = lang.Import
	Root       = lang.Root
	Call       = lang.Call
)
