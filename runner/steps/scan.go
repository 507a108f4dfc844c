package steps

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/runner/ingest"
)

// racy is how much older than the look at it a file must be for its metadata to
// vouch for its content: within this time it can change again without a trace.
const racy = 2 * time.Second

// batch is one element of the map over batches: files to ingest together.
type batch struct {
	FileIDs []int64 `json:"file_ids"`
	Bytes   int64   `json:"bytes"`
}

// scanned is the output of codebase_scan.
type scanned struct {
	FilesSeen    int      `json:"files_seen"`
	FilesRead    int      `json:"files_read"`
	FilesChanged int      `json:"files_changed"`
	FilesGone    int      `json:"files_gone"`
	BytesChanged int64    `json:"bytes_changed"`
	Unread       []string `json:"unread,omitempty"` // directories that could not be read, at most 20
	Batches      []batch  `json:"batches"`
}

// codebaseScan compares the disk with what is known. Only files whose metadata
// differ, or are too young to be trusted, are read; contents and facts are stored
// as they are found, so that a scan that is begun again need not do it twice.
// What is to be ingested leaves as batches: what others need first, as far as the last
// ingestion knows, and then the largest first.
func (s *steps) codebaseScan(ctx context.Context, w *work) (any, error) {
	// The step's own transaction begins when the disk has been read.
	c, err := w.codebase(ctx, dbsqlc.New(s.pool))
	if err != nil {
		return nil, err
	}
	known, err := Known(ctx, dbsqlc.New(s.pool), c.CodebaseID)
	if err != nil {
		return nil, err
	}

	started := time.Now()
	sc := scan{steps: s, codebase: c, known: known, seen: make(map[string]bool, len(known))}
	unread, err := sc.run(ctx)
	if err != nil {
		return nil, err
	}

	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	gone := sc.gone(unread)
	if len(gone) > 0 {
		if _, err := q.ForgetFiles(ctx, c.CodebaseID, gone, started); err != nil {
			return nil, fmt.Errorf("forget %d files: %w", len(gone), err)
		}
	}
	if err := sc.forgetBrief(ctx, q); err != nil {
		return nil, err
	}
	batches := s.batches(sc.due, nil)
	if s.dependencyAware && len(batches) > 1 {
		levels, err := levels(ctx, q, sc.due)
		if err != nil {
			return nil, err
		}
		batches = s.batches(sc.due, levels)
	}
	out := scanned{
		FilesSeen: len(sc.seen), FilesRead: sc.read, FilesGone: len(gone), FilesChanged: len(sc.due),
		Unread: unread[:min(len(unread), 20)], Batches: batches,
	}
	for _, d := range sc.due {
		out.BytesChanged += d.bytes
	}
	err = q.BeginIngestion(ctx, dbsqlc.BeginIngestionParams{
		RunID: w.runID, CodebaseID: c.CodebaseID, Reason: w.input.Reason,
		FilesSeen: int32(out.FilesSeen), FilesChanged: int32(out.FilesChanged), FilesGone: int32(out.FilesGone), BytesChanged: out.BytesChanged,
	})
	if err != nil {
		return nil, fmt.Errorf("note what the scan found: %w", err)
	}
	return out, nil
}

// Known are the files of a codebase as the database has them, by path.
func Known(ctx context.Context, q *dbsqlc.Queries, codebaseID int32) (map[string]dbsqlc.CodeKnownFile, error) {
	files, err := q.KnownFiles(ctx, codebaseID)
	if err != nil {
		return nil, fmt.Errorf("read known files: %w", err)
	}
	known := make(map[string]dbsqlc.CodeKnownFile, len(files))
	for _, f := range files {
		known[f.Path] = f
	}
	return known, nil
}

// gone are the known files that are not on disk any more, in order.
func (sc *scan) gone(unread []string) []string {
	var gone []string
	for path := range sc.known {
		if !sc.seen[path] && !below(path, unread) {
			gone = append(gone, path)
		}
	}
	slices.Sort(gone)
	return gone
}

// forgetBrief forgets files that came and went while the scan ran. Whoever saw one go
// before it was stored here had nothing to mark: only its row makes it known. From
// then on they have, so one look after all is stored is enough.
func (sc *scan) forgetBrief(ctx context.Context, q *dbsqlc.Queries) error {
	looked := time.Now()
	gone, err := sc.disk.Gone(ctx, rootOf(sc.codebase), sc.stored)
	if err != nil {
		return fmt.Errorf("look again at %d new files: %w", len(sc.stored), err)
	}
	if len(gone) == 0 {
		return nil
	}
	if _, err := q.ForgetFiles(ctx, sc.codebase.CodebaseID, gone, looked); err != nil {
		return fmt.Errorf("forget %d files that came and went: %w", len(gone), err)
	}
	for _, path := range gone {
		delete(sc.seen, path)
	}
	sc.due = slices.DeleteFunc(sc.due, func(d dueFile) bool { return d.path != "" && !sc.seen[d.path] })
	return nil
}

// below says whether a path lies in one of the directories.
func below(path string, directories []string) bool {
	for _, d := range directories {
		if d == "" || d == "." || path == d || strings.HasPrefix(path, d+"/") {
			return true
		}
	}
	return false
}

// scan is one comparison of a codebase with the disk.
type scan struct {
	*steps
	codebase dbsqlc.CodebaseRow
	known    map[string]dbsqlc.CodeKnownFile
	seen     map[string]bool
	read     int
	overdue  []dueFile // recorded before, still to be ingested; filled by the reader
	fresh    []dueFile // filled by the writer
	stored   []string  // by the writer: files that nothing was known of
	due      []dueFile // both, in the end
}

type dueFile struct {
	id    int64
	bytes int64
	path  string // where it is stored by this scan
}

// group is what is stored in one go while the disk is read on.
type group struct {
	facts facts
	bytes int64 // of contents

	sha256s  [][]byte
	sizes    []int64
	contents [][]byte
}

func (sc *scan) run(ctx context.Context) (unread []string, err error) {
	groups := make(chan *group, 1)
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error {
		for g := range groups {
			if err := sc.store(ctx, g); err != nil {
				return err
			}
		}
		return nil
	})
	both.Go(func() error {
		defer close(groups)
		g := &group{}
		send := func() error {
			select {
			case groups <- g:
				g = &group{}
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		unread, err = sc.disk.Scan(ctx, rootOf(sc.codebase), func(f File) error {
			if err := sc.look(ctx, g, f); err != nil {
				return err
			}
			if g.bytes >= sc.limits.BatchBytes || len(g.facts.Paths) >= 1000 {
				return send()
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("scan %s: %w", rootOf(sc.codebase), err)
		}
		return send()
	})
	if err := both.Wait(); err != nil {
		return nil, err
	}
	sc.due = append(sc.overdue, sc.fresh...)
	slices.SortFunc(sc.due, func(a, b dueFile) int { return cmp.Compare(a.id, b.id) })
	sc.due = slices.CompactFunc(sc.due, func(a, b dueFile) bool { return a.id == b.id })
	return unread, nil
}

// comparison is what a look at a file finds.
type comparison int

const (
	vouched     comparison = iota // the metadata say that its content is the one that is known
	sameContent                   // it was read, and its content is the one that is known
	newContent                    // it was read, and its content is not
	forbidden                     // it may not be read, or has no content
	vanished                      // gone since it was listed, or no regular file any more
	busy                          // being written, or otherwise not to be read now
)

// compare compares one file with what is known of it, and reads it if that may be
// out of date. The error says why it could not be read.
func (sc *scan) compare(ctx context.Context, f File) (comparison, Content, error) {
	sc.seen[f.Path] = true
	k, ok := sc.known[f.Path]
	same := ok && k.Bytes == f.Bytes && k.ModifiedNs == f.ModifiedNs && k.Inode == f.Inode &&
		k.SeenAt.UnixNano()-k.ModifiedNs > int64(racy)
	if same && sameRights(k, f) && (k.Sha256 != nil || k.Status == ingest.StatusSkipped) {
		return vouched, Content{}, nil
	}
	if f.Special != "" {
		return forbidden, Content{}, special(f.Special)
	}
	content, err := sc.disk.Read(ctx, rootOf(sc.codebase), f.Path, sc.limits.KeepBytes)
	sc.read++
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrNotRegular):
		delete(sc.seen, f.Path)
		return vanished, Content{}, err
	case errors.Is(err, fs.ErrPermission):
		return forbidden, Content{}, err
	case err != nil:
		return busy, Content{}, err
	case ok && bytes.Equal(k.Sha256, content.SHA256[:]):
		return sameContent, content, nil
	}
	return newContent, content, nil
}

func sameRights(k dbsqlc.CodeKnownFile, f File) bool {
	return k.Mode == int32(f.Mode) && deref(k.Owner) == f.Owner
}

// look adds what a file is to the group, if that is not known.
func (sc *scan) look(ctx context.Context, g *group, f File) error {
	found, content, err := sc.compare(ctx, f)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	k, ok := sc.known[f.Path]
	switch found {
	case vouched:
		sc.dueIf(k)
	case sameContent:
		sc.dueIf(k)
		f = content.File
		if k.Bytes == f.Bytes && k.ModifiedNs == f.ModifiedNs && k.Inode == f.Inode && sameRights(k, f) && f.SeenAt.UnixNano()-f.ModifiedNs <= int64(racy) {
			return nil // still too young for the row to say anything new
		}
		g.facts.readable(f, content.SHA256[:])
	case newContent:
		g.facts.readable(content.File, content.SHA256[:])
		g.sha256s = append(g.sha256s, content.SHA256[:])
		g.sizes = append(g.sizes, content.File.Bytes)
		g.contents = append(g.contents, content.Data)
		g.bytes += int64(len(content.Data))
	case forbidden:
		if !ok || k.Sha256 != nil || !sameRights(k, f) {
			g.facts.unreadable(f, err)
		}
	case busy:
		// Whoever is writing it will be noticed when they are done.
		sc.log.WarnContext(ctx, "file passed over", "codebase", sc.codebase.Name, "path", f.Path, "error", err)
	}
	return nil
}

func (sc *scan) dueIf(k dbsqlc.CodeKnownFile) {
	if k.Sha256 != nil && !sc.ingestedAs(k, k.Sha256) {
		sc.overdue = append(sc.overdue, dueFile{id: k.FileID, bytes: k.Bytes})
	}
}

// ingestedAs says whether what is stored of a file was made of this content, by this
// extractor and behind these gates.
func (s *steps) ingestedAs(k dbsqlc.CodeKnownFile, sha256 []byte) bool {
	return k.IngestedVersion != nil && *k.IngestedVersion == s.limits.Version() && bytes.Equal(k.IngestedSha256, sha256)
}

// store writes a group in a transaction of its own: what was seen is true however
// the scan ends.
func (sc *scan) store(ctx context.Context, g *group) error {
	if len(g.facts.Paths) == 0 {
		return nil
	}
	tx, err := db.Begin(ctx, sc.pool, time.Minute)
	if err != nil {
		return fmt.Errorf("begin storing what was scanned: %w", err)
	}
	defer tx.Rollback(ctx)
	q := dbsqlc.New(tx)
	if err := g.storeContents(ctx, q); err != nil {
		return err
	}
	recorded, err := g.facts.record(ctx, q, sc.codebase.CodebaseID, sc.limits.Version())
	if err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit what was scanned: %w", err)
	}
	sizes := make(map[string]int64, len(g.facts.Paths))
	for i, path := range g.facts.Paths {
		sizes[path] = g.facts.Bytes[i]
	}
	for _, r := range recorded {
		if _, ok := sc.known[r.Path]; !ok {
			sc.stored = append(sc.stored, r.Path)
		}
		if r.Due {
			sc.fresh = append(sc.fresh, dueFile{id: r.FileID, bytes: sizes[r.Path], path: r.Path})
		}
	}
	return nil
}

// storeContents sends the contents that are not there yet: after a switch back to
// a branch that is none of them.
func (g *group) storeContents(ctx context.Context, q *dbsqlc.Queries) error {
	if len(g.sha256s) == 0 {
		return nil
	}
	hashes, err := q.MissingBlobs(ctx, g.sha256s)
	if err != nil {
		return fmt.Errorf("ask for %d contents: %w", len(g.sha256s), err)
	}
	missing := make(map[[32]byte]bool, len(hashes))
	for _, h := range hashes {
		missing[[32]byte(h)] = true
	}
	var send group
	for i, h := range g.sha256s {
		if missing[[32]byte(h)] {
			send.sha256s = append(send.sha256s, h)
			send.sizes = append(send.sizes, g.sizes[i])
			send.contents = append(send.contents, g.contents[i])
		}
	}
	if _, err := q.StoreBlobs(ctx, send.sha256s, send.sizes, send.contents); err != nil {
		return fmt.Errorf("store %d contents: %w", len(send.sha256s), err)
	}
	return nil
}

// batches puts files together: by level where there are levels, and by size, large
// ones first, so that the last batches to be worked on are small ones.
func (s *steps) batches(due []dueFile, levels map[int64]int) []batch {
	slices.SortFunc(due, func(a, b dueFile) int {
		return cmp.Or(cmp.Compare(levels[a.id], levels[b.id]), cmp.Compare(b.bytes, a.bytes), cmp.Compare(a.id, b.id))
	})
	all := []batch{}
	var b batch
	for _, d := range due {
		if len(b.FileIDs) > 0 && (b.Bytes+d.bytes > s.limits.BatchBytes || len(b.FileIDs) >= s.limits.BatchFiles) {
			all = append(all, b)
			b = batch{}
		}
		b.FileIDs = append(b.FileIDs, d.id)
		b.Bytes += d.bytes
	}
	if len(b.FileIDs) > 0 {
		all = append(all, b)
	}
	return all
}

// batched is the output of batch_ingestion.
type batched struct {
	Files    int            `json:"files"`
	Bytes    int64          `json:"bytes"`
	Kept     int            `json:"kept,omitempty"` // files that another run ingested meanwhile
	Statuses map[string]int `json:"statuses"`
	Written  written        `json:"written"`
}

// batchIngestion parses a batch of files one after the other and stores them
// together. It resolves nothing.
func (s *steps) batchIngestion(ctx context.Context, w *work) (any, error) {
	var b batch
	if err := json.Unmarshal(w.item, &b); err != nil {
		return nil, fmt.Errorf("read batch: %w", err)
	}
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	c, err := w.codebase(ctx, q)
	if err != nil {
		return nil, err
	}
	// The lock comes before the reading: nobody stores something newer meanwhile
	// that would then be overwritten.
	if err := q.LockCodebase(ctx, c.CodebaseID, true); err != nil {
		return nil, fmt.Errorf("lock codebase %s: %w", c.Name, err)
	}
	files, err := q.FileContents(ctx, b.FileIDs)
	if err != nil {
		return nil, fmt.Errorf("read contents of %d files: %w", len(b.FileIDs), err)
	}
	out := batched{Statuses: map[string]int{}}
	known, fresh := rows{version: s.limits.Version()}, rows{version: s.limits.Version()}
	for i := range files {
		f := &files[i]
		if f.Sha256 == nil {
			continue // became unreadable meanwhile; its row says so
		}
		if bytes.Equal(f.IngestedSha256, f.Sha256) && f.IngestedVersion != nil && *f.IngestedVersion == s.limits.Version() {
			out.Kept++ // another run has been quicker
			continue
		}
		p, err := s.parseFile(ctx, f.Path, f.Content, f.Bytes)
		if err != nil {
			return nil, err
		}
		if f.IngestedSha256 == nil {
			fresh.add(f.FileID, f.Sha256, p)
		} else {
			known.add(f.FileID, f.Sha256, p)
		}
		out.Files++
		out.Bytes += f.Bytes
		out.Statuses[p.Status]++
		f.Content = nil
	}
	if out.Written, err = s.storeBatch(ctx, w, c.CodebaseID, &known, &fresh); err != nil {
		return nil, err
	}
	// Last, since the row is shared with the other batches.
	if err := q.AdvanceIngestion(ctx, w.runID, int32(len(b.FileIDs)), b.Bytes); err != nil {
		return nil, fmt.Errorf("note progress: %w", err)
	}
	return out, nil
}

func (s *steps) storeBatch(ctx context.Context, w *work, codebaseID int32, known, fresh *rows) (total written, err error) {
	tx, err := w.tx(ctx)
	if err != nil {
		return total, err
	}
	if len(fresh.files.FileIds) > 0 {
		if total, err = fresh.copyNew(ctx, tx, codebaseID); err != nil {
			return total, err
		}
	}
	if len(known.files.FileIds) > 0 {
		more, err := known.store(ctx, dbsqlc.New(tx), codebaseID)
		if err != nil {
			return total, err
		}
		total.add(more)
	}
	return total, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
