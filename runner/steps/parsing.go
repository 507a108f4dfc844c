package steps

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/htdag/htdag/runner/ingest"
)

func (s *steps) languageDetection(ctx context.Context, w *work) (any, error) {
	f, err := s.subject(ctx, w)
	if err != nil {
		return nil, err
	}
	if out, idle := f.idle(); idle {
		return out, nil
	}
	p, err := f.judgement(ctx, s, w)
	if err != nil {
		return nil, err
	}
	return struct {
		Language string `json:"language"`
	}{p.language}, nil
}

// parsedFacts is the output of ast_parsing.
type parsedFacts struct {
	Parser      string `json:"parser,omitempty"`
	Status      string `json:"status"`
	Reason      string `json:"reason,omitempty"`
	Symbols     int    `json:"symbols"`
	Imports     int    `json:"imports"`
	Calls       int    `json:"calls"`
	Types       int    `json:"types"`
	Chunks      int    `json:"chunks"`
	ParseErrors int    `json:"parse_errors"`
}

func (s *steps) astParsing(ctx context.Context, w *work) (any, error) {
	f, err := s.subject(ctx, w)
	if err != nil {
		return nil, err
	}
	if out, idle := f.idle(); idle {
		return out, nil
	}
	p, err := f.extraction(ctx, s, w)
	if err != nil {
		return nil, err
	}
	ex := &p.extraction
	return parsedFacts{
		Parser: ex.Parser, Status: p.Status, Reason: p.Reason,
		Symbols: len(ex.Symbols), Imports: len(ex.Imports), Calls: len(ex.Calls), Types: len(ex.Types), Chunks: len(p.chunks),
		ParseErrors: ex.ParseErrors,
	}, nil
}

// metadata is the output of metadata_extraction.
type metadata struct {
	Module          string         `json:"module,omitempty"`
	Kinds           map[string]int `json:"kinds"` // number of symbols of each kind
	TotalComplexity int            `json:"total_complexity"`
	MaxComplexity   int            `json:"max_complexity"`
	MostComplex     string         `json:"most_complex,omitempty"`
	Exported        int            `json:"exported"`
	Documented      int            `json:"documented"` // of the exported
	Test            bool           `json:"test"`
}

func (s *steps) metadataExtraction(ctx context.Context, w *work) (any, error) {
	f, err := s.subject(ctx, w)
	if err != nil {
		return nil, err
	}
	if out, idle := f.idle(); idle {
		return out, nil
	}
	p, err := f.extraction(ctx, s, w)
	if err != nil {
		return nil, err
	}
	return describe(&p.extraction, p.precedence == precedenceTest), nil
}

func describe(ex *ingest.Extraction, test bool) metadata {
	m := metadata{Module: ex.Module, Kinds: map[string]int{}, Test: test}
	for i := range ex.Symbols {
		sym := &ex.Symbols[i]
		m.Kinds[sym.Kind]++
		m.TotalComplexity += sym.Complexity
		if sym.Complexity > m.MaxComplexity {
			m.MaxComplexity, m.MostComplex = sym.Complexity, sym.QualifiedName
		}
		if sym.Exported {
			m.Exported++
			if sym.Doc != "" {
				m.Documented++
			}
		}
	}
	return m
}

// databaseStorage stores the file's rows by difference. It takes the codebase's
// lock, which is held until the bundle commits: relationship_mapping follows.
func (s *steps) databaseStorage(ctx context.Context, w *work) (any, error) {
	f, err := s.subject(ctx, w)
	if err != nil {
		return nil, err
	}
	if out, idle := f.idle(); idle {
		return out, nil
	}
	p, err := f.extraction(ctx, s, w)
	if err != nil {
		return nil, err
	}
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	if err := q.LockCodebase(ctx, f.codebase.CodebaseID, false); err != nil {
		return nil, fmt.Errorf("lock codebase %s: %w", f.codebase.Name, err)
	}
	// Another run of this file may have been quicker with newer content.
	now, err := q.KnownFile(ctx, f.codebase.CodebaseID, f.file.Path)
	if errors.Is(err, pgx.ErrNoRows) {
		return skippedDeleted, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up %s: %w", f.file.Path, err)
	}
	if !bytes.Equal(now.Sha256, f.file.Sha256) {
		return skipped{Skipped: "superseded"}, nil
	}
	r := rows{version: s.limits.Version()}
	r.add(f.file.FileID, f.file.Sha256, p)
	return r.store(ctx, q, f.codebase.CodebaseID)
}

// relationshipMapping resolves imports and calls: what storing this file has
// touched, or whatever is marked in the codebase.
func (s *steps) relationshipMapping(ctx context.Context, w *work) (any, error) {
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	var resolved int64
	if w.wholeCodebase() {
		c, err := w.codebase(ctx, q)
		if err != nil {
			return nil, err
		}
		resolved, err = q.ResolveCodebase(ctx, c.CodebaseID, false)
		if err != nil {
			return nil, fmt.Errorf("resolve codebase %s: %w", c.Name, err)
		}
	} else {
		f, err := s.subject(ctx, w)
		if err != nil {
			return nil, err
		}
		if !f.exists {
			return skippedDeleted, nil
		}
		resolved, err = q.ResolveFiles(ctx, f.codebase.CodebaseID, []int64{f.file.FileID})
		if err != nil {
			return nil, fmt.Errorf("resolve %s: %w", f.file.Path, err)
		}
	}
	return struct {
		Resolved int64 `json:"resolved"` // files whose marks were taken
	}{resolved}, nil
}
