package cli

import (
	"context"
	"errors"
	"log/slog"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/watcher"
)

// recorder takes the watcher's facts to the database, where they start runs.
type recorder struct {
	pool    *pgxpool.Pool
	version int32 // of the extractor and gates by which what is recorded will be ingested
	burst   int
	log     *slog.Logger
	scans   func(root watcher.Root, runID int64) // told of each requested scan; may be nil
	token   int64                                // of the process that serves the roots; 0 where that does not matter
	lost    func()                               // told that a root is somebody else's
}

// errServed is why changes of a root that another process serves are not recorded.
var errServed = errors.New("another process serves this root")

// RecordChanges implements watcher.Recorder: contents, facts and the runs they
// start are one transaction.
func (r *recorder) RecordChanges(ctx context.Context, root watcher.Root, changes []watcher.Change) error {
	p := dbsqlc.RecordChangesParams{Codebase: root.Name, Version: r.version, Burst: int32(r.burst)}
	for _, c := range changes {
		p.Paths = append(p.Paths, c.Path)
		p.Gone = append(p.Gone, c.Gone)
		p.Bytes = append(p.Bytes, c.File.Size)
		p.ModifiedNs = append(p.ModifiedNs, c.File.ModTimeNs)
		p.Modes = append(p.Modes, int32(c.File.Mode))
		p.Inodes = append(p.Inodes, c.File.Inode)
		p.Owners = append(p.Owners, c.File.Owner)
		p.Contents = append(p.Contents, c.Content)
		p.Reasons = append(p.Reasons, unreadable(c.Err))
		p.SeenAt = append(p.SeenAt, c.File.SeenAt)
		if c.Gone || c.Err != "" {
			p.Sha256s = append(p.Sha256s, nil)
		} else {
			p.Sha256s = append(p.Sha256s, c.SHA256[:])
		}
	}
	var recorded []dbsqlc.CodeRecordedChange
	err := db.InTx(ctx, r.pool, func(tx pgx.Tx) (err error) {
		queries := dbsqlc.New(tx)
		if r.token != 0 {
			if held, err := queries.HoldsWatch(ctx, root.CodebaseID, r.token); err != nil {
				return err
			} else if !held {
				return errServed
			}
		}
		recorded, err = queries.RecordChanges(ctx, p)
		return err
	})
	if errors.Is(err, errServed) {
		r.lost()
	}
	for _, c := range recorded {
		r.log.InfoContext(ctx, "change recorded", "codebase", root.Name, "path", c.Path, "outcome", c.Outcome, "run", value(c.RunID))
	}
	return err
}

// unreadable words the reason as the steps do; empty stays empty.
func unreadable(reason string) string {
	if reason == "" {
		return ""
	}
	return "unreadable: " + reason
}

// RequestScan implements watcher.Recorder.
func (r *recorder) RequestScan(ctx context.Context, root watcher.Root, reason string) error {
	run, err := dbsqlc.New(r.pool).RequestScan(ctx, root.Name, reason)
	if err != nil {
		return db.Error(err)
	}
	r.log.InfoContext(ctx, "scan requested", "codebase", root.Name, "reason", reason, "run", run)
	if r.scans != nil {
		r.scans(root, run)
	}
	return nil
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
