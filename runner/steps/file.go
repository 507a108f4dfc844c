package steps

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/htdag/htdag/db/dbsqlc"
)

// subject is the file that an ingest_file run is about. The steps of a bundle
// share one; whatever of it is missing is read or made when it is asked for.
type subject struct {
	codebase dbsqlc.CodebaseRow
	file     dbsqlc.KnownFileRow
	version  int32 // of this process's extractor and gates
	exists   bool  // false once it is known to be deleted, or was never recorded

	loaded  bool
	content []byte
	judged  *parsed // with the language; its extraction is made on demand
	parsed  bool
}

type subjectKey struct{}

// subject returns the file of the run, from the bundle's memory or the database.
func (s *steps) subject(ctx context.Context, w *work) (*subject, error) {
	if v, ok := w.memory.Load(subjectKey{}); ok {
		return v.(*subject), nil
	}
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	f := &subject{version: s.limits.Version()}
	if f.codebase, err = w.codebase(ctx, q); err != nil {
		return nil, err
	}
	f.file, err = q.KnownFile(ctx, f.codebase.CodebaseID, w.input.Path)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
	case err != nil:
		return nil, fmt.Errorf("look up %s: %w", w.input.Path, err)
	default:
		f.exists = true
	}
	w.memory.Store(subjectKey{}, f)
	return f, nil
}

// unreadable says that the disk would not give the content; the row says why.
func (f *subject) unreadable() bool { return f.file.Sha256 == nil }

// unchanged says that what is stored was made from this very content by this
// very extractor behind these very gates.
func (f *subject) unchanged() bool {
	return !f.unreadable() && slices.Equal(f.file.Sha256, f.file.IngestedSha256) &&
		f.file.IngestedVersion != nil && *f.file.IngestedVersion == f.version
}

// idle says why the parsing and storage steps have nothing to do, if so.
func (f *subject) idle() (skipped, bool) {
	switch {
	case !f.exists:
		return skippedDeleted, true
	case f.unreadable():
		return skipped{Skipped: "unreadable"}, true
	case f.unchanged():
		return skippedUnchanged, true
	}
	return skipped{}, false
}

// bytes returns the content; nil where it was too large to be kept.
func (f *subject) bytes(ctx context.Context, w *work) ([]byte, error) {
	if f.loaded {
		return f.content, nil
	}
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	f.content, err = q.BlobContent(ctx, f.file.Sha256)
	if err != nil {
		return nil, fmt.Errorf("read content %x of %s: %w", f.file.Sha256, f.file.Path, err)
	}
	f.loaded = true
	return f.content, nil
}

// judgement inspects the content once.
func (f *subject) judgement(ctx context.Context, s *steps, w *work) (*parsed, error) {
	if f.judged != nil {
		return f.judged, nil
	}
	content, err := f.bytes(ctx, w)
	if err != nil {
		return nil, err
	}
	f.judged = s.judge(f.file.Path, content, f.file.Bytes)
	return f.judged, nil
}

// extraction parses the content once.
func (f *subject) extraction(ctx context.Context, s *steps, w *work) (*parsed, error) {
	p, err := f.judgement(ctx, s, w)
	if err != nil || f.parsed {
		return p, err
	}
	if err := p.extract(ctx, f.file.Path); err != nil {
		return nil, err
	}
	f.parsed = true
	return p, nil
}
