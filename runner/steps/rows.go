package steps

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/runner/ingest"
)

// rows gathers what a batch of files is to be stored as: one slice per column,
// which the database takes as arrays.
type rows struct {
	files    dbsqlc.StoreFilesParams
	symbols  dbsqlc.StoreSymbolsParams
	imports  dbsqlc.StoreImportsParams
	provides dbsqlc.StoreProvidesParams
	requires dbsqlc.StoreRequirementsParams
	calls    dbsqlc.StoreCallsParams
	types    dbsqlc.StoreTypeRefsParams
	chunks   dbsqlc.StoreChunksParams
	findings dbsqlc.StoreFindingsParams

	version int32 // of what extracted them

	// What copyNew needs beside them, by call and by chunk.
	callers, callees []int // places among the symbols of the batch, -1 for none
	users, named     []int // the same, by named type
	chunkOrdinals    []int
}

// add appends everything that was found in one file.
func (r *rows) add(fileID int64, sha256 []byte, p *parsed) {
	r.addFile(fileID, sha256, p)
	first := len(r.symbols.FileIds)
	r.addSymbols(fileID, p)
	r.addImports(fileID, p.extraction.Imports)
	r.addRequirements(fileID, p.extraction.Requirements)
	for _, name := range distinct(p.extraction.Provides) {
		r.provides.FileIds = append(r.provides.FileIds, fileID)
		r.provides.Names = append(r.provides.Names, name)
	}
	for _, root := range distinctRoots(p.extraction.Roots) {
		r.provides.RootFiles = append(r.provides.RootFiles, fileID)
		r.provides.Prefixes = append(r.provides.Prefixes, root.Prefix)
		r.provides.Directories = append(r.provides.Directories, root.Directory)
	}
	links := linkCalls(&p.extraction)
	r.addCalls(fileID, p.extraction.Calls, links)
	r.placeCalls(first, p.extraction.Symbols, p.extraction.Calls, links)
	r.addTypes(fileID, first, &p.extraction)
	r.addChunks(fileID, p.chunks)
	for i := range p.findings {
		f := &p.findings[i]
		r.findings.FileIds = append(r.findings.FileIds, fileID)
		r.findings.Rules = append(r.findings.Rules, f.Rule)
		r.findings.Lines = append(r.findings.Lines, int32(f.Line))
		r.findings.Excerpts = append(r.findings.Excerpts, f.Excerpt)
	}
}

func (r *rows) addFile(fileID int64, sha256 []byte, p *parsed) {
	f := &r.files
	f.FileIds = append(f.FileIds, fileID)
	f.Sha256s = append(f.Sha256s, sha256)
	f.Statuses = append(f.Statuses, p.Status)
	f.Reasons = append(f.Reasons, p.Reason)
	f.Languages = append(f.Languages, p.language)
	f.Lines = append(f.Lines, p.lines())
	f.Encodings = append(f.Encodings, p.Encoding)
	f.Generated = append(f.Generated, p.Generated)
	f.Minified = append(f.Minified, p.Minified)
	f.Modules = append(f.Modules, p.extraction.Module)
	f.Docs = append(f.Docs, p.extraction.Doc)
	f.Parsers = append(f.Parsers, p.extraction.Parser)
	f.ParseErrors = append(f.ParseErrors, int32(p.extraction.ParseErrors))
	f.Families = append(f.Families, family(p.language))
	f.Scopes = append(f.Scopes, p.scope)
	f.Precedences = append(f.Precedences, p.precedence)
	f.Symbols = append(f.Symbols, int32(len(p.extraction.Symbols)))
	var complexity int32
	for i := range p.extraction.Symbols {
		complexity += int32(p.extraction.Symbols[i].Complexity)
	}
	f.Complexities = append(f.Complexities, complexity)
	f.GitIds = append(f.GitIds, p.gitID)
}

func (r *rows) addSymbols(fileID int64, p *parsed) {
	c := &r.symbols
	for i := range p.extraction.Symbols {
		s := &p.extraction.Symbols[i]
		c.FileIds = append(c.FileIds, fileID)
		c.Keys = append(c.Keys, s.Key)
		c.ParentKeys = append(c.ParentKeys, s.ParentKey)
		c.Kinds = append(c.Kinds, s.Kind)
		c.Names = append(c.Names, s.Name)
		c.QualifiedNames = append(c.QualifiedNames, s.QualifiedName)
		c.Signatures = append(c.Signatures, s.Signature)
		c.Docs = append(c.Docs, s.Doc)
		c.Exporteds = append(c.Exporteds, s.Exported)
		c.ExportNames = append(c.ExportNames, exportName(s, p.isDefault))
		c.StartLines = append(c.StartLines, int32(s.StartLine))
		c.EndLines = append(c.EndLines, int32(s.EndLine))
		c.StartBytes = append(c.StartBytes, int32(s.StartByte))
		c.EndBytes = append(c.EndBytes, int32(s.EndByte))
		c.Complexities = append(c.Complexities, int32(s.Complexity))
		c.BodyHashes = append(c.BodyHashes, bodyHash(p.Text, s))
	}
}

// bodyHash tells texts of symbols apart, wherever in the file they stand.
func bodyHash(text []byte, s *ingest.Symbol) int64 {
	end := min(s.EndByte, len(text))
	sum := sha256.Sum256(text[min(s.StartByte, end):end])
	return int64(binary.BigEndian.Uint64(sum[:]))
}

func (r *rows) addImports(fileID int64, imports []ingest.Import) {
	c := &r.imports
	for n := range imports {
		i := &imports[n]
		c.FileIds = append(c.FileIds, fileID)
		c.Ordinals = append(c.Ordinals, int32(n))
		c.Modules = append(c.Modules, i.Module)
		c.Aliases = append(c.Aliases, i.Alias)
		c.Names = append(c.Names, arrayText(i.Names))
		c.Lines = append(c.Lines, int32(i.Line))
		c.Seeks = append(c.Seeks, arrayText(i.Seeks))
		c.Exports = append(c.Exports, arrayText(i.Exports))
	}
}

func (r *rows) addRequirements(fileID int64, requirements []ingest.Requirement) {
	c := &r.requires
	for n := range requirements {
		q := &requirements[n]
		c.FileIds = append(c.FileIds, fileID)
		c.Ordinals = append(c.Ordinals, int32(n))
		c.Ecosystems = append(c.Ecosystems, q.Ecosystem)
		c.Names = append(c.Names, q.Name)
		c.Requirements = append(c.Requirements, q.Version)
		c.Kinds = append(c.Kinds, q.Kind)
		c.Lines = append(c.Lines, int32(q.Line))
	}
}

func (r *rows) addCalls(fileID int64, calls []ingest.Call, links []link) {
	c := &r.calls
	for n := range calls {
		call, link := &calls[n], &links[n]
		c.FileIds = append(c.FileIds, fileID)
		c.Ordinals = append(c.Ordinals, int32(n))
		c.CallerKeys = append(c.CallerKeys, call.CallerKey)
		c.Names = append(c.Names, link.name)
		c.Qualifiers = append(c.Qualifiers, call.Qualifier)
		c.Lines = append(c.Lines, int32(call.Line))
		c.Reaches = append(c.Reaches, link.reach)
		c.Targets = append(c.Targets, link.target)
		c.CalleeKeys = append(c.CalleeKeys, link.calleeKey)
		c.Confidences = append(c.Confidences, link.confidence)
		c.ImportOrdinals = append(c.ImportOrdinals, int32(link.importAt))
	}
}

// placesOf says where the symbols of a file stand in the batch, where they begin at
// first; -1 for an unknown key.
func placesOf(first int, symbols []ingest.Symbol) func(key string) int {
	places := make(map[string]int, len(symbols))
	for i := range symbols {
		places[symbols[i].Key] = first + i
	}
	return func(key string) int {
		if p, ok := places[key]; ok && key != "" {
			return p
		}
		return -1
	}
}

// addTypes appends the types that a file's definitions name. A type and its user are
// told once, however many names lead to it.
func (r *rows) addTypes(fileID int64, first int, ex *ingest.Extraction) {
	c := &r.types
	place := placesOf(first, ex.Symbols)
	for n, t := range linkTypes(ex) {
		c.FileIds = append(c.FileIds, fileID)
		c.Ordinals = append(c.Ordinals, int32(n))
		c.UserKeys = append(c.UserKeys, t.userKey)
		c.Kinds = append(c.Kinds, t.kind)
		c.Lines = append(c.Lines, int32(t.line))
		c.Reaches = append(c.Reaches, t.reach)
		c.Names = append(c.Names, t.name)
		c.Targets = append(c.Targets, t.target)
		c.TypeKeys = append(c.TypeKeys, t.calleeKey)
		c.ImportOrdinals = append(c.ImportOrdinals, int32(t.importAt))
		r.users = append(r.users, place(t.userKey))
		r.named = append(r.named, place(t.calleeKey))
	}
}

// placeCalls notes where the symbols that calls name stand in the batch, of which
// those of the file begin at first.
func (r *rows) placeCalls(first int, symbols []ingest.Symbol, calls []ingest.Call, links []link) {
	place := placesOf(first, symbols)
	for i := range calls {
		r.callers = append(r.callers, place(calls[i].CallerKey))
		r.callees = append(r.callees, place(links[i].calleeKey))
	}
}

func (r *rows) addChunks(fileID int64, chunks []ingest.Chunk) {
	c := &r.chunks
	for i := range chunks {
		chunk := &chunks[i]
		c.FileIds = append(c.FileIds, fileID)
		c.SymbolKeys = append(c.SymbolKeys, chunk.SymbolKey)
		c.StartLines = append(c.StartLines, int32(chunk.StartLine))
		c.EndLines = append(c.EndLines, int32(chunk.EndLine))
		c.TextHashes = append(c.TextHashes, chunk.TextHash[:])
		c.Contents = append(c.Contents, chunk.Text)
		c.Words = append(c.Words, chunk.SearchVector())
		r.chunkOrdinals = append(r.chunkOrdinals, i)
	}
}

// distinct returns names without repetitions, in order of first appearance.
func distinct(names []string) []string {
	kept := names[:0:0]
	for _, name := range names {
		if !slices.Contains(kept, name) {
			kept = append(kept, name)
		}
	}
	return kept
}

// distinctRoots keeps the first root of each prefix.
func distinctRoots(roots []ingest.Root) []ingest.Root {
	kept := roots[:0:0]
	for _, root := range roots {
		if !slices.ContainsFunc(kept, func(k ingest.Root) bool { return k.Prefix == root.Prefix }) {
			kept = append(kept, root)
		}
	}
	return kept
}

// written says how many rows of each table a store has touched.
type written struct {
	Files    int64 `json:"files"`
	Symbols  int64 `json:"symbols"`
	Imports  int64 `json:"imports"`
	Provides int64 `json:"provides"`
	Requires int64 `json:"requirements,omitempty"`
	Calls    int64 `json:"calls"`
	Types    int64 `json:"types"`
	Chunks   int64 `json:"chunks"`
	Findings int64 `json:"findings,omitempty"`
}

// store replaces what is stored of the batch's files by difference. The caller
// holds the codebase's lock.
func (r *rows) store(ctx context.Context, q *dbsqlc.Queries, codebaseID int32) (written, error) {
	replaced := r.files.FileIds
	r.files.CodebaseID, r.files.Version = codebaseID, r.version
	r.symbols.CodebaseID, r.symbols.Replaced = codebaseID, replaced
	r.imports.CodebaseID, r.imports.Replaced = codebaseID, replaced
	r.provides.CodebaseID, r.provides.Replaced = codebaseID, replaced
	r.requires.CodebaseID, r.requires.Replaced = codebaseID, replaced
	r.calls.CodebaseID, r.calls.Replaced = codebaseID, replaced
	r.types.CodebaseID, r.types.Replaced = codebaseID, replaced
	r.chunks.CodebaseID, r.chunks.Replaced = codebaseID, replaced
	r.findings.CodebaseID, r.findings.Replaced = codebaseID, replaced

	// Symbols first: calls name them by key, and what moves marks them by name.
	var w written
	var err error
	if w.Symbols, err = q.StoreSymbols(ctx, r.symbols); err != nil {
		return w, fmt.Errorf("store symbols: %w", err)
	}
	if w.Imports, err = q.StoreImports(ctx, r.imports); err != nil {
		return w, fmt.Errorf("store imports: %w", err)
	}
	if w.Requires, err = q.StoreRequirements(ctx, r.requires); err != nil {
		return w, fmt.Errorf("store requirements: %w", err)
	}
	if w.Provides, err = q.StoreProvides(ctx, r.provides); err != nil {
		return w, fmt.Errorf("store provided names: %w", err)
	}
	if w.Calls, err = q.StoreCalls(ctx, r.calls); err != nil {
		return w, fmt.Errorf("store calls: %w", err)
	}
	if w.Types, err = q.StoreTypeRefs(ctx, r.types); err != nil {
		return w, fmt.Errorf("store named types: %w", err)
	}
	if w.Chunks, err = q.StoreChunks(ctx, r.chunks); err != nil {
		return w, fmt.Errorf("store chunks: %w", err)
	}
	if w.Findings, err = q.StoreFindings(ctx, r.findings); err != nil {
		return w, fmt.Errorf("store findings: %w", err)
	}
	if w.Files, err = q.StoreFiles(ctx, r.files); err != nil {
		return w, fmt.Errorf("store files: %w", err)
	}
	return w, nil
}

func (w *written) add(v written) {
	w.Files += v.Files
	w.Symbols += v.Symbols
	w.Imports += v.Imports
	w.Provides += v.Provides
	w.Requires += v.Requires
	w.Calls += v.Calls
	w.Types += v.Types
	w.Chunks += v.Chunks
	w.Findings += v.Findings
}

var arrayQuoter = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// arrayText writes a text array as PostgreSQL reads one. Arrays of arrays have to
// be rectangular, so a column of arrays travels as a column of their texts.
func arrayText(elements []string) string {
	if len(elements) == 0 {
		return "{}"
	}
	var b strings.Builder
	for i, e := range elements {
		if i == 0 {
			b.WriteString(`{"`)
		} else {
			b.WriteString(`","`)
		}
		arrayQuoter.WriteString(&b, e)
	}
	b.WriteString(`"}`)
	return b.String()
}
