package ingest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/htdag/htdag/runner/ingest/lang"
)

// parseTime bounds the parser of one file. Parsers that can be stopped watch
// their context; those that cannot are bounded by the size they accept.
const parseTime = 5 * time.Second

// Extract takes symbols, imports and calls out of one text, which is what
// Inspect returned: UTF-8 without NUL. The path is relative to the codebase and
// slash separated; the language is what Detect said.
//
// Bad input is no error. A language without a parser, a parser that gives up,
// runs out of time or crashes: each falls back to the lexer, and a failed lexer to
// nothing but the text; Extraction.Partial then says why. The only error is
// that of the context.
func Extract(ctx context.Context, path, language string, text []byte) (Extraction, error) {
	src := lang.Source{Path: path, Language: language, Text: text}
	ex, err := extract(ctx, src)
	if err != nil {
		return Extraction{}, fmt.Errorf("extract %s: %w", path, err)
	}
	ex.Language = language
	if name := lang.PathProvided(path); len(name) <= lang.MaxImportName && utf8.ValidString(name) && !strings.Contains(name, "\x00") {
		ex.Provides = append(ex.Provides, name)
	}
	return ex, nil
}

func extract(ctx context.Context, src lang.Source) (Extraction, error) {
	if !utf8.Valid(src.Text) {
		return lang.Lines(src, "not valid UTF-8"), nil
	}
	l, _ := lang.ByName(src.Language)
	return extractWith(ctx, l.Extract, src)
}

// extractWith tries the parser, if there is one, then the lexer.
func extractWith(ctx context.Context, parser lang.ExtractFunc, src lang.Source) (Extraction, error) {
	why := ""
	if parser != nil {
		ex, err := attempt(ctx, parser, src, parseTime)
		if err == nil {
			return ex, nil
		}
		if ctx.Err() != nil {
			return Extraction{}, context.Cause(ctx)
		}
		why = err.Error()
	}
	ex, err := attempt(ctx, lang.Fallback, src, parseTime)
	switch {
	case ctx.Err() != nil:
		return Extraction{}, context.Cause(ctx)
	case err != nil && why != "":
		return lang.Lines(src, why+"; "+err.Error()), nil
	case err != nil:
		return lang.Lines(src, err.Error()), nil
	case why != "" && ex.Partial != "":
		ex.Partial = lang.Clip(why+"; "+ex.Partial, lang.MaxSignature)
	case why != "":
		ex.Partial = lang.Clip(why, lang.MaxSignature)
	}
	return ex, nil
}

// attempt runs an extractor with a time limit and survives its panic.
func attempt(ctx context.Context, f lang.ExtractFunc, src lang.Source, limit time.Duration) (ex Extraction, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, lang.ErrTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			ex, err = Extraction{}, fmt.Errorf("parser crashed: %v", p)
		}
	}()
	ex, err = f(ctx, src)
	if errors.Is(err, context.DeadlineExceeded) {
		err = lang.ErrTimeout
	}
	return ex, err
}
