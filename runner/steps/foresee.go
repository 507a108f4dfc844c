package steps

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/runner/ingest"
)

// Change says what an ingestion would do about a file.
type Change string

// The changes that there are.
const (
	New       Change = "new"       // the database does not have it
	Changed   Change = "changed"   // it has another content, or can or cannot be read any more
	Again     Change = "again"     // same content, but an earlier extractor's or an unfinished ingestion
	Unchanged Change = "unchanged" // nothing
	Gone      Change = "gone"      // forget it: it is not on disk any more
)

// Foreseen is a file as an ingestion would leave it.
type Foreseen struct {
	Path     string
	Bytes    int64
	Change   Change
	Status   string // ingested, partial or skipped; of a file that is gone, what it was
	Reason   string
	Language string // empty where none is recognised

	// Of files that are not skipped.
	Encoding  string
	Generated bool
	Vendored  bool
}

// Foresight is what an ingestion of a codebase would come to.
type Foresight struct {
	Files  []Foreseen // in order of path
	Unread []string   // directories that could not be read; what is known of files below them would stay
	Busy   []string   // files that could not be read just now, and would be passed over
}

// Foresee looks at a root as codebase_scan does, and at the files that are due as
// batch_ingestion does, and writes nothing. Of Deps it needs a disk and the limits;
// known is what the database has, if there is one.
func Foresee(ctx context.Context, d Deps, root Root, known map[string]dbsqlc.CodeKnownFile) (Foresight, error) {
	s := &steps{disk: d.Disk, log: d.Log, limits: d.Limits.withDefaults()}
	v := vision{scan: scan{steps: s, codebase: dbsqlc.CodebaseRow{Root: root.Path, Ref: root.Ref}, known: known, seen: make(map[string]bool, len(known))}}
	parsers, parsing := errgroup.WithContext(ctx)
	parsers.SetLimit(runtime.GOMAXPROCS(0))
	unread, err := s.disk.Scan(ctx, root, func(f File) error { return v.look(parsing, parsers, f) })
	if parseErr := parsers.Wait(); parseErr != nil {
		return Foresight{}, parseErr
	}
	if err != nil {
		return Foresight{}, fmt.Errorf("scan %s: %w", root, err)
	}
	for _, path := range v.gone(unread) {
		v.asKnown(known[path], Gone)
	}
	v.out.Unread = unread
	slices.SortFunc(v.out.Files, func(a, b Foreseen) int { return cmp.Compare(a.Path, b.Path) })
	return v.out, nil
}

// vision is a scan that stores nothing and parses at once what is due.
type vision struct {
	scan

	out Foresight
	mu  sync.Mutex // of out.Files, to which parsers add
}

func (v *vision) look(ctx context.Context, parsers *errgroup.Group, f File) error {
	found, content, err := v.compare(ctx, f)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	k, ok := v.known[f.Path]
	change := New
	if ok {
		change = Changed
	}
	switch found {
	case vouched, sameContent:
		if k.Sha256 == nil || v.ingestedAs(k, k.Sha256) {
			v.asKnown(k, Unchanged)
			return nil
		}
		change = Again
		if found == vouched {
			if content, err = v.disk.Read(ctx, rootOf(v.codebase), f.Path, v.limits.KeepBytes); err != nil {
				v.passOver(k) // it was there a moment ago
				return nil
			}
		}
	case newContent:
		if ok && v.ingestedAs(k, content.SHA256[:]) { // changed and changed back
			v.asKnown(k, Unchanged)
			return nil
		}
	case forbidden:
		if ok && k.Sha256 == nil {
			change = Unchanged
		}
		v.add(Foreseen{Path: f.Path, Bytes: f.Bytes, Change: change, Status: ingest.StatusSkipped, Reason: unreadable(err)})
		return nil
	case vanished:
		return nil
	case busy:
		if ok {
			v.passOver(k)
		} else {
			v.out.Busy = append(v.out.Busy, f.Path)
		}
		return nil
	}
	parsers.Go(func() error {
		p, err := v.parseFile(ctx, f.Path, content.Data, content.File.Bytes)
		if err != nil {
			return err
		}
		v.add(Foreseen{
			Path: f.Path, Bytes: content.File.Bytes, Change: change, Status: p.Status, Reason: p.Reason, Language: p.language,
			Encoding: p.Encoding, Generated: p.Generated, Vendored: p.Vendored,
		})
		return nil
	})
	return nil
}

// passOver leaves a known file, which cannot be read just now, as it is.
func (v *vision) passOver(k dbsqlc.CodeKnownFile) {
	v.out.Busy = append(v.out.Busy, k.Path)
	v.asKnown(k, Unchanged)
}

// asKnown adds a file as the database has it.
func (v *vision) asKnown(k dbsqlc.CodeKnownFile, change Change) {
	f := Foreseen{Path: k.Path, Bytes: k.Bytes, Change: change, Status: k.Status, Reason: deref(k.Reason), Language: deref(k.Language)}
	if k.Status != ingest.StatusSkipped {
		f.Encoding, f.Generated, f.Vendored = deref(k.Encoding), k.Generated, ingest.Vendored(k.Path)
	}
	v.add(f)
}

func (v *vision) add(f Foreseen) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.out.Files = append(v.out.Files, f)
}
