package search_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner/ingest"
)

// corpus fills the tables that search reads, from texts, as the ingestion steps
// do: the same extraction, chunks, words and vectors.
type corpus struct {
	tb       testing.TB
	pool     *pgxpool.Pool
	model    int16
	embedder ingest.Embedder

	files, symbols, chunks, vectors, embeddings [][]any
	seen                                        map[ingest.TextHash]bool
	lastFile                                    int64
	rows                                        int // chunks written so far
	bytes                                       int // of text
	spent                                       timings
}

type timings struct{ extract, chunk, words, embed, copy time.Duration }

func newCorpus(tb testing.TB, pool *pgxpool.Pool) *corpus {
	return &corpus{
		tb: tb, pool: pool, embedder: ingest.HashEmbedder{}, seen: map[ingest.TextHash]bool{},
		model: dbtest.Value[int16](tb, pool, "select model_id from code.models where name = 'hash-v1'"),
	}
}

// codebase registers a codebase and returns its id.
func (c *corpus) codebase(name string) int32 {
	return dbtest.Value[int32](c.tb, c.pool,
		"insert into code.codebases (name, root) values ($1, '/' || $1) returning codebase_id", name)
}

// add takes in one file. It is searchable after flush.
func (c *corpus) add(codebase int32, path, text string) {
	c.tb.Helper()
	ctx := context.Background()
	start := time.Now()
	mark := func(d *time.Duration) {
		now := time.Now()
		*d += now.Sub(start)
		start = now
	}
	extraction, err := ingest.Extract(ctx, path, ingest.Detect(path, []byte(text)), []byte(text))
	if err != nil {
		c.tb.Fatal(err)
	}
	mark(&c.spent.extract)
	chunks := ingest.Chunks(text, extraction.Symbols)
	mark(&c.spent.chunk)

	c.lastFile++
	id := c.lastFile
	c.bytes += len(text)
	c.files = append(c.files, []any{id, codebase, path, len(text), 0, 0, "ingested", time.Now()})
	for _, s := range extraction.Symbols {
		c.symbols = append(c.symbols, []any{codebase, id, s.Key, s.Kind, s.Name, s.QualifiedName, s.Exported,
			s.StartLine, s.EndLine, s.StartByte, s.EndByte, s.Complexity})
	}
	for i := range chunks {
		k := &chunks[i]
		var symbol any
		if k.SymbolKey != "" {
			symbol = k.SymbolKey
		}
		c.chunks = append(c.chunks, []any{id, k.Ordinal, codebase, symbol, k.StartLine, k.EndLine, k.TextHash[:], k.Text, k.SearchVector()})
	}
	mark(&c.spent.words)
	for i := range chunks {
		k := &chunks[i]
		if c.seen[k.TextHash] {
			continue
		}
		c.seen[k.TextHash] = true
		vectors, err := c.embedder.Embed(ctx, []string{k.Text})
		if err != nil {
			c.tb.Fatal(err)
		}
		signature := vectors[0].Signature(c.embedder.Dimensions())
		c.vectors = append(c.vectors, []any{c.model, k.TextHash[:], vectors[0].Dimensions, vectors[0].Weights})
		c.embeddings = append(c.embeddings, []any{c.model, k.TextHash[:], varbit(signature)})
	}
	mark(&c.spent.embed)
	if len(c.chunks) > 5000 {
		c.flush()
	}
}

// varbit packs a signature for COPY, whose binary format has no text form of bits.
func varbit(signature string) pgtype.Bits {
	bits := pgtype.Bits{Bytes: make([]byte, (len(signature)+7)/8), Len: int32(len(signature)), Valid: true}
	for i := range len(signature) {
		if signature[i] == '1' {
			bits.Bytes[i/8] |= 0x80 >> (i % 8)
		}
	}
	return bits
}

// flush writes what was added.
func (c *corpus) flush() {
	c.tb.Helper()
	start := time.Now()
	for _, t := range []struct {
		table   string
		columns []string
		rows    *[][]any
	}{
		{"files", []string{"file_id", "codebase_id", "path", "bytes", "modified_ns", "mode", "status", "ingested_at"}, &c.files},
		{"symbols", []string{"codebase_id", "file_id", "key", "kind", "name", "qualified_name", "exported",
			"start_line", "end_line", "start_byte", "end_byte", "complexity"}, &c.symbols},
		{"chunks", []string{"file_id", "ordinal", "codebase_id", "symbol_key", "start_line", "end_line", "text_hash", "content", "words"}, &c.chunks},
		{"vectors", []string{"model_id", "text_hash", "dimensions", "weights"}, &c.vectors},
		{"embeddings", []string{"model_id", "text_hash", "signature"}, &c.embeddings},
	} {
		if _, err := c.pool.CopyFrom(c.tb.Context(), pgx.Identifier{"code", t.table}, t.columns, pgx.CopyFromRows(*t.rows)); err != nil {
			c.tb.Fatalf("copy to %s: %v", t.table, err)
		}
		if t.table == "chunks" {
			c.rows += len(*t.rows)
		}
		*t.rows = nil
	}
	c.spent.copy += time.Since(start)
}

// tree adds the Go files of the standard library until there are that many chunks.
func (c *corpus) tree(codebase int32, chunks int) {
	c.tb.Helper()
	//lint:ignore SA1019 tests run where they were built
	root := filepath.Join(runtime.GOROOT(), "src")
	for _, path := range goFiles(c.tb, root) {
		if c.rows+len(c.chunks) >= chunks {
			break
		}
		text, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			c.tb.Fatal(err)
		}
		c.add(codebase, path, string(text))
	}
	c.flush()
	dbtest.Exec(c.tb, c.pool, "vacuum analyze")
}

// goFiles lists the Go files under root that people wrote: no tests, test data or
// copies of other modules, and nothing so large that it must be a table.
func goFiles(tb testing.TB, root string) []string {
	tb.Helper()
	var files []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || d.Name() == "vendor") {
			return fs.SkipDir
		}
		if filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		if info, err := d.Info(); err != nil || info.Size() > 512<<10 {
			return err
		}
		relative, err := filepath.Rel(root, path)
		files = append(files, filepath.ToSlash(relative))
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return files
}
