// Package steps holds the handlers of the built-in flows ingest_file and
// ingest_codebase: each joins pure functions of package ingest to functions of
// schema code.
//
// Contents come out of code.blobs, so that every step but the three that look at a
// disk (file_detection, codebase_scan and history_update) runs on any host. All writes go through
// the transaction that completes the step, except contents and facts found by a
// scan, which are true whether the step succeeds or not. Within a bundle a later
// step finds the work of earlier ones in memory and makes it again where it does
// not, so each step can be retried alone.
//
// A file that cannot be ingested is no error: it gets a row with a status and a
// reason, and stops nothing.
package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/runner"
	"github.com/htdag/htdag/runner/ingest"
)

// Deps is what the handlers need. Disk may be nil in a process that serves no
// root; its steps are then not registered.
type Deps struct {
	Pool     *pgxpool.Pool // for what a scan stores before it ends
	Disk     Disk
	Embedder ingest.Embedder // nil means the built-in hash-v1
	Log      *slog.Logger
	Limits   Limits
	Remote   Remote // of an embedder that is elsewhere, or costs something

	DependencyAware bool // whole ingestions begin with files that others import
}

// Remote bounds what an embedder is asked. The zero value bounds nothing.
type Remote struct {
	AtOnce       int           // tasks that ask it, of this process; the others wait without taking a worker's place
	TokensPerDay int64         // of this model, by all processes of the database, a day in UTC
	TokensInAll  int64         // of this model, by all processes, ever
	PutOff       time.Duration // until what could not be embedded is tried again; default a minute
}

type steps struct {
	remote   Remote
	asking   chan struct{} // has room for Remote.AtOnce
	pool     *pgxpool.Pool
	disk     Disk
	embedder ingest.Embedder
	log      *slog.Logger
	limits   Limits

	dependencyAware bool
}

// Register adds the handlers of the built-in flows.
func Register(reg *runner.Registry, d Deps) {
	if d.Embedder == nil {
		d.Embedder = ingest.HashEmbedder{}
	}
	s := &steps{pool: d.Pool, disk: d.Disk, embedder: d.Embedder, log: d.Log, limits: d.Limits.withDefaults(), dependencyAware: d.DependencyAware,
		remote: d.Remote, asking: make(chan struct{}, d.Remote.AtOnce)}
	for kind, f := range s.kinds() {
		reg.Register(kind, runner.HandlerFunc(func(ctx context.Context, t *runner.Task) (any, error) {
			w, err := newWork(t)
			if err != nil {
				return nil, err
			}
			return f(ctx, w)
		}))
	}
}

type stepFunc func(ctx context.Context, w *work) (any, error)

func (s *steps) kinds() map[string]stepFunc {
	kinds := map[string]stepFunc{
		"file_validation":         s.fileValidation,
		"content_validation":      s.contentValidation,
		"permission_check":        s.permissionCheck,
		"language_detection":      s.languageDetection,
		"ast_parsing":             s.astParsing,
		"metadata_extraction":     s.metadataExtraction,
		"database_storage":        s.databaseStorage,
		"relationship_mapping":    s.relationshipMapping,
		"embedding_generation":    s.embeddingGeneration,
		"vector_index_update":     s.vectorIndexUpdate,
		"search_index_rebuild":    s.searchIndexRebuild,
		"graph_update":            s.graphUpdate,
		"completion_notification": s.completionNotification,
		"error_notification":      s.errorNotification,
		"progress_update":         s.progressUpdate,
		"batch_ingestion":         s.batchIngestion,
		"embedding_plan":          s.embeddingPlan,
		"embedding_switch":        s.embeddingSwitch,
	}
	if s.disk != nil {
		kinds["file_detection"] = s.fileDetection
		kinds["codebase_scan"] = s.codebaseScan
		kinds["history_update"] = s.historyUpdate
	}
	return kinds
}

// work is one task as the handlers see it.
type work struct {
	runID  int64
	flow   string
	step   string
	input  input
	item   json.RawMessage
	memory *runner.Memory
	tx     func(context.Context) (pgx.Tx, error)
}

// input is that of both flows; without a path a step works on the whole codebase.
type input struct {
	Codebase string `json:"codebase"`
	Path     string `json:"path"`
	Reason   string `json:"reason"`
}

func newWork(t *runner.Task) (*work, error) {
	w := &work{runID: t.RunID, flow: t.Flow, step: t.Step, item: t.Item, memory: t.Bundle(), tx: t.Tx}
	if err := json.Unmarshal(t.Input, &w.input); err != nil {
		return nil, runner.Permanent(fmt.Errorf("read input of run %d: %w", t.RunID, err))
	}
	if w.input.Codebase == "" {
		return nil, runner.Permanent(fmt.Errorf(`input of run %d names no codebase: start the flow with {"codebase": ..., "path": ...}`, t.RunID))
	}
	return w, nil
}

func (w *work) wholeCodebase() bool { return w.input.Path == "" }

// queries are bound to the transaction that completes the step.
func (w *work) queries(ctx context.Context) (*dbsqlc.Queries, error) {
	tx, err := w.tx(ctx)
	if err != nil {
		return nil, fmt.Errorf("begin transaction of step %s: %w", w.step, err)
	}
	return dbsqlc.New(tx), nil
}

func (w *work) codebase(ctx context.Context, q *dbsqlc.Queries) (dbsqlc.CodebaseRow, error) {
	c, err := q.Codebase(ctx, w.input.Codebase)
	if errors.Is(err, pgx.ErrNoRows) {
		return c, runner.Permanent(fmt.Errorf("codebase %q is not registered: add it first, or choose one of code.codebases", w.input.Codebase))
	}
	if err != nil {
		return c, fmt.Errorf("look up codebase %q: %w", w.input.Codebase, err)
	}
	return c, nil
}

// skipped is the output of a step that had nothing to do.
type skipped struct {
	Skipped string `json:"skipped"`
}

var (
	skippedDeleted   = skipped{"deleted"}
	skippedUnchanged = skipped{"unchanged"}
)
