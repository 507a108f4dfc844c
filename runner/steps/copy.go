package steps

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/htdag/htdag/db/dbsqlc"
)

// copyNew stores files of which nothing is stored yet. There is nothing to
// compare with, so the rows are copied straight into the tables, which takes less
// than half the time of store: on GOROOT/src it is the difference between a third
// and two thirds of all work that is not full-text indexing. The caller holds the
// codebase's lock.
func (r *rows) copyNew(ctx context.Context, tx pgx.Tx, codebaseID int32) (written, error) {
	q := dbsqlc.New(tx)
	ids, err := q.ReserveSymbolIDs(ctx, int32(len(r.symbols.FileIds)))
	if err != nil {
		return written{}, fmt.Errorf("reserve ids for %d symbols: %w", len(r.symbols.FileIds), err)
	}
	codebase := int64(codebaseID)
	var w written
	for _, table := range []struct {
		count *int64
		into  string
		rows  int
		write func(*copyText, int)
	}{
		{&w.Symbols, `code.symbols (symbol_id, codebase_id, file_id, key, parent_key, kind, name, qualified_name, signature, doc,
			exported, export_name, start_line, end_line, start_byte, end_byte, complexity, body_hash)`, len(ids), func(t *copyText, i int) {
			s := &r.symbols
			t.int(ids[i]).int(codebase).int(s.FileIds[i]).text(s.Keys[i]).optional(s.ParentKeys[i]).text(s.Kinds[i]).text(s.Names[i]).
				text(s.QualifiedNames[i]).optional(s.Signatures[i]).optional(s.Docs[i]).bool(s.Exporteds[i]).optional(s.ExportNames[i]).
				int(int64(s.StartLines[i])).int(int64(s.EndLines[i])).int(int64(s.StartBytes[i])).int(int64(s.EndBytes[i])).
				int(int64(s.Complexities[i])).int(s.BodyHashes[i])
		}},
		{&w.Imports, `code.imports (file_id, ordinal, codebase_id, module, alias, names, line, seeks, exports)`, len(r.imports.FileIds), func(t *copyText, i int) {
			m := &r.imports
			t.int(m.FileIds[i]).int(int64(m.Ordinals[i])).int(codebase).text(m.Modules[i]).optional(m.Aliases[i]).text(m.Names[i]).
				int(int64(m.Lines[i])).text(m.Seeks[i]).text(m.Exports[i])
		}},
		{&w.Requires, `code.requirements (file_id, ordinal, codebase_id, ecosystem, name, requirement, kind, line)`, len(r.requires.FileIds), func(t *copyText, i int) {
			q := &r.requires
			t.int(q.FileIds[i]).int(int64(q.Ordinals[i])).int(codebase).text(q.Ecosystems[i]).text(q.Names[i]).optional(q.Requirements[i]).
				text(q.Kinds[i]).int(int64(q.Lines[i]))
		}},
		{&w.Provides, `code.provides (file_id, name, codebase_id)`, len(r.provides.FileIds), func(t *copyText, i int) {
			t.int(r.provides.FileIds[i]).text(r.provides.Names[i]).int(codebase)
		}},
		{new(int64), `code.import_roots (file_id, prefix, codebase_id, directory)`, len(r.provides.RootFiles), func(t *copyText, i int) {
			t.int(r.provides.RootFiles[i]).text(r.provides.Prefixes[i]).int(codebase).text(r.provides.Directories[i])
		}},
		{&w.Calls, `code.calls (file_id, ordinal, codebase_id, caller_id, name, qualifier, line, reach, target, callee_id, confidence,
			import_ordinal)`, len(r.calls.FileIds), func(t *copyText, i int) {
			c := &r.calls
			t.int(c.FileIds[i]).int(int64(c.Ordinals[i])).int(codebase).id(ids, r.callers[i]).text(c.Names[i]).optional(c.Qualifiers[i]).
				int(int64(c.Lines[i])).text(c.Reaches[i]).text(c.Targets[i]).id(ids, r.callees[i])
			if r.callees[i] < 0 {
				t.null()
			} else {
				t.float(c.Confidences[i])
			}
			if c.ImportOrdinals[i] < 0 {
				t.null()
			} else {
				t.int(int64(c.ImportOrdinals[i]))
			}
		}},
		{&w.Types, `code.type_refs (file_id, ordinal, codebase_id, user_id, kind, line, reach, name, target, type_id, confidence,
			import_ordinal)`, len(r.types.FileIds), func(t *copyText, i int) {
			c := &r.types
			t.int(c.FileIds[i]).int(int64(c.Ordinals[i])).int(codebase).id(ids, r.users[i]).text(c.Kinds[i]).int(int64(c.Lines[i])).
				text(c.Reaches[i]).text(c.Names[i]).text(c.Targets[i]).id(ids, r.named[i])
			if r.named[i] < 0 {
				t.null()
			} else {
				t.int(1)
			}
			if c.ImportOrdinals[i] < 0 {
				t.null()
			} else {
				t.int(int64(c.ImportOrdinals[i]))
			}
		}},
		{&w.Chunks, `code.chunks (file_id, ordinal, codebase_id, symbol_key, start_line, end_line, text_hash, content, words)`,
			len(r.chunks.FileIds), func(t *copyText, i int) {
				c := &r.chunks
				t.int(c.FileIds[i]).int(int64(r.chunkOrdinals[i])).int(codebase).optional(c.SymbolKeys[i]).int(int64(c.StartLines[i])).
					int(int64(c.EndLines[i])).bytes(c.TextHashes[i]).text(c.Contents[i]).text(c.Words[i])
			}},
	} {
		if *table.count, err = copyTable(ctx, tx, table.into, table.rows, table.write); err != nil {
			return w, err
		}
	}
	if len(r.findings.FileIds) > 0 {
		r.findings.CodebaseID = codebaseID
		if w.Findings, err = q.StoreFindings(ctx, r.findings); err != nil {
			return w, fmt.Errorf("store findings: %w", err)
		}
	}
	if _, err := q.MarkCopied(ctx, codebaseID, r.files.FileIds); err != nil {
		return w, fmt.Errorf("mark %d files: %w", len(r.files.FileIds), err)
	}
	r.files.CodebaseID, r.files.Version = codebaseID, r.version
	if w.Files, err = q.StoreFiles(ctx, r.files); err != nil {
		return w, fmt.Errorf("store files: %w", err)
	}
	return w, nil
}

func copyTable(ctx context.Context, tx pgx.Tx, into string, rows int, write func(*copyText, int)) (int64, error) {
	if rows == 0 {
		return 0, nil
	}
	// As a whole: a batch is a few megabytes, which its caller holds anyway.
	var t copyText
	for i := range rows {
		write(&t, i)
		t.end()
	}
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(t.buf), "copy "+into+" from stdin")
	if err != nil {
		return 0, fmt.Errorf("copy %d rows: %w", rows, err)
	}
	return tag.RowsAffected(), nil
}

// copyText writes rows in the text format of COPY.
type copyText struct{ buf []byte }

func (t *copyText) int(n int64) *copyText {
	t.buf = append(strconv.AppendInt(t.buf, n, 10), '\t')
	return t
}

func (t *copyText) float(x float64) *copyText {
	t.buf = append(strconv.AppendFloat(t.buf, x, 'g', -1, 64), '\t')
	return t
}

func (t *copyText) bool(b bool) *copyText {
	if b {
		t.buf = append(t.buf, 't', '\t')
	} else {
		t.buf = append(t.buf, 'f', '\t')
	}
	return t
}

func (t *copyText) bytes(b []byte) *copyText {
	t.buf = append(hex.AppendEncode(append(t.buf, `\\x`...), b), '\t')
	return t
}

func (t *copyText) null() *copyText {
	t.buf = append(t.buf, `\N`+"\t"...)
	return t
}

// id writes the id of the i-th symbol of the batch, or null where i is negative.
func (t *copyText) id(ids []int64, i int) *copyText {
	if i < 0 {
		return t.null()
	}
	return t.int(ids[i])
}

// optional writes null for an empty text.
func (t *copyText) optional(s string) *copyText {
	if s == "" {
		return t.null()
	}
	return t.text(s)
}

func (t *copyText) text(s string) *copyText {
	plain := 0
	for i := 0; i < len(s); i++ {
		var escape byte
		switch s[i] {
		case '\\':
			escape = '\\'
		case '\t':
			escape = 't'
		case '\n':
			escape = 'n'
		case '\r':
			escape = 'r'
		default:
			continue
		}
		t.buf = append(append(t.buf, s[plain:i]...), '\\', escape)
		plain = i + 1
	}
	t.buf = append(append(t.buf, s[plain:]...), '\t')
	return t
}

// end closes a row, in place of the last tab.
func (t *copyText) end() { t.buf[len(t.buf)-1] = '\n' }
