package steps

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/runner"
	"github.com/htdag/htdag/runner/ingest"
	"github.com/htdag/htdag/watcher/git"
)

// osDisk reads real directories, without rules of what to ignore.
type osDisk struct{}

func (osDisk) Scan(ctx context.Context, root Root, yield func(File) error) ([]string, error) {
	var unread []string
	err := filepath.WalkDir(root.Path, func(name string, d fs.DirEntry, err error) error {
		path, _ := filepath.Rel(root.Path, name)
		if err != nil {
			unread = append(unread, filepath.ToSlash(path))
			return fs.SkipDir
		}
		if d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		return yield(osFile(filepath.ToSlash(path), info))
	})
	return unread, err
}

func (osDisk) Read(ctx context.Context, root Root, path string, limit int64) (Content, error) {
	name := filepath.Join(root.Path, path)
	info, err := os.Lstat(name)
	if err != nil {
		return Content{}, err
	}
	if !info.Mode().IsRegular() {
		return Content{}, ErrNotRegular
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return Content{}, err
	}
	c := Content{File: osFile(path, info), SHA256: sha256.Sum256(data), Data: data}
	if int64(len(data)) > limit {
		c.Data = nil
	}
	return c, nil
}

func (osDisk) Gone(_ context.Context, root Root, paths []string) (gone []string, err error) {
	for _, path := range paths {
		if info, err := os.Lstat(filepath.Join(root.Path, path)); err != nil || !info.Mode().IsRegular() {
			gone = append(gone, path)
		}
	}
	return gone, nil
}

func (osDisk) History(ctx context.Context, root Root, since string, yield func(Commit) error) (string, error) {
	head, err := git.Log(ctx, root.Path, root.Ref, since, func(c git.Commit) error {
		o := Commit{ID: c.ID, Author: c.Author, Email: c.Email, AuthoredAt: c.AuthoredAt, CommittedAt: c.CommittedAt, Subject: c.Subject}
		for _, f := range c.Files {
			o.Files = append(o.Files, FileChange(f))
		}
		return yield(o)
	})
	if errors.Is(err, git.ErrNoRepository) {
		err = ErrNoHistory
	}
	return head, err
}

func osFile(path string, info fs.FileInfo) File {
	return File{
		Path: path, Bytes: info.Size(), ModifiedNs: info.ModTime().UnixNano(), Mode: uint32(info.Mode().Perm()), SeenAt: time.Now(),
	}
}

// tester is what the harness needs of a test, a benchmark or a property check.
type tester interface {
	Helper()
	Fatal(...any)
}

// corpus is a codebase in a directory and a database, with steps to be run by
// hand, each bundle in one transaction as a runner would.
type corpus struct {
	t     tester
	ctx   context.Context
	pool  *pgxpool.Pool
	steps *steps
	kinds map[string]stepFunc
	root  string
	name  string
	id    int32
	runs  int64 // that were started
	run   int64 // that is under way; no two of one database are the same

	// transact is what each bundle runs in.
	transact func(func(pgx.Tx) error) error
}

func newCorpus(t tester, pool *pgxpool.Pool, name, root string) *corpus {
	t.Helper()
	s := &steps{pool: pool, disk: osDisk{}, embedder: ingest.HashEmbedder{}, log: slog.New(slog.DiscardHandler), limits: Limits{}.withDefaults()}
	c := &corpus{t: t, ctx: context.Background(), pool: pool, steps: s, kinds: s.kinds(), root: root, name: name}
	c.transact = func(work func(pgx.Tx) error) error { return pgx.BeginFunc(c.ctx, pool, work) }
	id, err := dbsqlc.New(pool).RegisterCodebase(c.ctx, name, root, nil)
	if err != nil {
		t.Fatal(err)
	}
	c.id = id
	return c
}

// start begins a run, which lasts until the returned function is called. A run may
// begin while another one is under way.
func (c *corpus) start() (end func()) {
	outer := c.run
	c.runs++
	c.run = int64(c.id)<<20 + c.runs
	return func() { c.run = outer }
}

func (c *corpus) write(files map[string]string) {
	c.t.Helper()
	for path, text := range files {
		name := filepath.Join(c.root, path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			c.t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *corpus) remove(path string) {
	c.t.Helper()
	if err := os.Remove(filepath.Join(c.root, path)); err != nil {
		c.t.Fatal(err)
	}
}

// bundle runs steps in a row in one transaction and returns their outputs.
func (c *corpus) bundle(in input, item any, kinds ...string) []json.RawMessage {
	c.t.Helper()
	outputs, err := c.try(in, item, kinds...)
	if err != nil {
		c.t.Fatal(err)
	}
	return outputs
}

func (c *corpus) try(in input, item any, kinds ...string) (outputs []json.RawMessage, err error) {
	in.Codebase = c.name
	var encoded json.RawMessage
	if item != nil {
		if encoded, err = json.Marshal(item); err != nil {
			return nil, err
		}
	}
	err = c.transact(func(tx pgx.Tx) error {
		memory := new(runner.Memory)
		for _, kind := range kinds {
			w := &work{runID: c.run, step: kind, input: in, item: encoded, memory: memory,
				tx: func(context.Context) (pgx.Tx, error) { return tx, nil }}
			out, err := c.kinds[kind](c.ctx, w)
			if err != nil {
				return err
			}
			text, err := json.Marshal(out)
			if err != nil {
				return err
			}
			outputs = append(outputs, text)
		}
		return nil
	})
	return outputs, err
}

// ingestFile runs what ingest_file does.
func (c *corpus) ingestFile(path string) {
	c.t.Helper()
	defer c.start()()
	in := input{Path: path}
	c.bundle(in, nil, "file_detection", "file_validation", "content_validation", "permission_check")
	c.bundle(in, nil, "language_detection", "ast_parsing", "metadata_extraction", "database_storage", "relationship_mapping")
	c.bundle(in, nil, "embedding_generation")
	c.bundle(in, nil, "vector_index_update", "search_index_rebuild", "graph_update", "completion_notification")
}

// ingestAll runs what ingest_codebase does and says what the
// scan found.
func (c *corpus) ingestAll() scanned {
	c.t.Helper()
	defer c.start()()
	out := c.scanOnly()
	for _, b := range out.Batches {
		c.bundle(input{}, b, "batch_ingestion")
	}
	c.afterBatches()
	return out
}

// ingestBatches is ingestAll with something before each batch and after the last
// one; where that says no, the run ends there.
func (c *corpus) ingestBatches(before func(n int) bool) bool {
	c.t.Helper()
	defer c.start()()
	for n, b := range c.scanOnly().Batches {
		if !before(n) {
			return false
		}
		c.bundle(input{}, b, "batch_ingestion")
	}
	c.afterBatches()
	return true
}

func (c *corpus) scanOnly() (out scanned) {
	c.t.Helper()
	if err := json.Unmarshal(c.bundle(input{}, nil, "codebase_scan")[0], &out); err != nil {
		c.t.Fatal(err)
	}
	return out
}

func (c *corpus) afterBatches() {
	c.t.Helper()
	c.bundle(input{}, nil, "relationship_mapping")
	var plan struct{ Batches []hashRange }
	if err := json.Unmarshal(c.bundle(input{}, nil, "embedding_plan")[0], &plan); err != nil {
		c.t.Fatal(err)
	}
	for _, b := range plan.Batches {
		c.bundle(input{}, b, "embedding_generation")
	}
	for _, b := range plan.Batches {
		c.bundle(input{}, b, "vector_index_update")
	}
	c.bundle(input{}, nil, "search_index_rebuild")
	c.bundle(input{}, nil, "graph_update")
	c.bundle(input{}, nil, "completion_notification")
}

// query returns the rows of a query, their columns joined by " | ".
func (c *corpus) query(sql string, args ...any) []string {
	c.t.Helper()
	rows, err := c.pool.Query(c.ctx, sql, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, args...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		values := row.RawValues()
		texts := make([]string, len(values))
		for i, v := range values {
			texts[i] = string(v)
			if v == nil {
				texts[i] = "-"
			}
		}
		return strings.Join(texts, " | "), nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return lines
}
