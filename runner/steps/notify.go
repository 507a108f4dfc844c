package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/jackc/pgx/v5"

	"github.com/htdag/htdag/db/dbsqlc"
)

// Events sent to the queue code_events.
const (
	eventComplete = "code_ingestion_complete"
	eventFailed   = "code_ingestion_failed"
	eventReady    = "codebase_ready"
	eventProgress = "progress_update"
)

// notified is the output of the steps that send events.
type notified struct {
	Event     string `json:"event"`
	MessageID int64  `json:"message_id"`
}

func (w *work) notify(ctx context.Context, q *dbsqlc.Queries, event string, details any) (notified, error) {
	encoded, err := json.Marshal(details)
	if err != nil {
		return notified{}, fmt.Errorf("encode event %s: %w", event, err)
	}
	params := dbsqlc.NotifyParams{Event: event, Codebase: w.input.Codebase, RunID: w.runID, Details: encoded}
	if !w.wholeCodebase() {
		params.Path = &w.input.Path
	}
	id, err := q.Notify(ctx, params)
	if err != nil {
		return notified{}, fmt.Errorf("send event %s: %w", event, err)
	}
	return notified{Event: event, MessageID: id}, nil
}

// counts are the numbers that an event carries.
func (w *work) counts(ctx context.Context, q *dbsqlc.Queries) (any, error) {
	if w.wholeCodebase() {
		i, err := q.Ingestion(ctx, w.runID)
		if errors.Is(err, pgx.ErrNoRows) {
			return map[string]any{}, nil // it failed before the scan had anything to say
		}
		if err != nil {
			return nil, fmt.Errorf("read progress of run %d: %w", w.runID, err)
		}
		return ingestionCounts(i), nil
	}
	totals, err := q.FileTotals(ctx, w.input.Codebase, w.input.Path)
	if err != nil {
		return nil, fmt.Errorf("count what is stored of %s: %w", w.input.Path, err)
	}
	if totals == nil {
		return map[string]any{}, nil
	}
	return totals, nil
}

func ingestionCounts(i dbsqlc.CodeIngestion) map[string]any {
	return map[string]any{
		"files_seen": i.FilesSeen, "files_changed": i.FilesChanged, "files_gone": i.FilesGone, "files_done": i.FilesDone,
		"bytes_changed": i.BytesChanged, "bytes_done": i.BytesDone,
	}
}

func (s *steps) completionNotification(ctx context.Context, w *work) (any, error) {
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	first := false
	if w.wholeCodebase() {
		if first, err = q.FinishIngestion(ctx, w.runID); err != nil {
			return nil, fmt.Errorf("finish ingestion: %w", err)
		}
		if _, err := s.embeddingSwitch(ctx, w); err != nil {
			return nil, err
		}
	}
	counts, err := w.counts(ctx, q)
	if err != nil {
		return nil, err
	}
	if first {
		if _, err := w.notify(ctx, q, eventReady, counts); err != nil {
			return nil, err
		}
	}
	return w.notify(ctx, q, eventComplete, counts)
}

func (s *steps) errorNotification(ctx context.Context, w *work) (any, error) {
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	counts, err := w.counts(ctx, q)
	if err != nil {
		return nil, err
	}
	return w.notify(ctx, q, eventFailed, counts)
}

// progressUpdate says that a layer has ended; the name of the step tells which.
func (s *steps) progressUpdate(ctx context.Context, w *work) (any, error) {
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	details := map[string]any{"step": w.step}
	if w.wholeCodebase() {
		i, err := q.Ingestion(ctx, w.runID)
		if err != nil {
			return nil, fmt.Errorf("read progress of run %d: %w", w.runID, err)
		}
		if i.FilesChanged == 0 && i.FilesGone == 0 {
			return skippedUnchanged, nil // most scans: nobody wants to hear of each
		}
		maps.Copy(details, ingestionCounts(i))
	}
	return w.notify(ctx, q, eventProgress, details)
}
