package steps

import (
	"context"
	"fmt"
)

// graphUpdate counts the dependencies of every file of the codebase that
// resolving has marked.
func (s *steps) graphUpdate(ctx context.Context, w *work) (any, error) {
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	c, err := w.codebase(ctx, q)
	if err != nil {
		return nil, err
	}
	written, err := q.UpdateDependencies(ctx, c.CodebaseID)
	if err != nil {
		return nil, fmt.Errorf("update dependencies of codebase %s: %w", c.Name, err)
	}
	return struct {
		Dependencies int64 `json:"dependencies"` // rows written
	}{written}, nil
}

// searchIndexRebuild merges what storing has left in the pending lists of the
// search indexes; when much of a codebase was new the planner's statistics are
// renewed too.
func (s *steps) searchIndexRebuild(ctx context.Context, w *work) (any, error) {
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	much := false
	if w.wholeCodebase() {
		i, err := q.Ingestion(ctx, w.runID)
		if err != nil {
			return nil, fmt.Errorf("read progress of run %d: %w", w.runID, err)
		}
		much = i.FilesChanged > 0 && i.FilesChanged >= i.FilesSeen/10
	}
	pages, err := q.CleanSearchIndex(ctx, much)
	if err != nil {
		return nil, fmt.Errorf("merge pending search index entries: %w", err)
	}
	return struct {
		Pages int64 `json:"pages"` // of pending entries merged
	}{pages}, nil
}
