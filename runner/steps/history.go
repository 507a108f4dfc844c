package steps

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
)

// historyFacts is the output of history_update.
type historyFacts struct {
	State   string `json:"state"` // read, none or unusable
	Note    string `json:"note,omitempty"`
	Head    string `json:"head,omitempty"`
	Commits int64  `json:"commits"` // that are new
	Known   int64  `json:"known"`   // in all
}

// historyUpdate adds the commits that git has beyond those that are known. That there is
// no repository, or that git would not answer, is noted and fails nothing. Commits are
// stored as they are read: they are true however the step ends.
func (s *steps) historyUpdate(ctx context.Context, w *work) (any, error) {
	c, err := w.codebase(ctx, dbsqlc.New(s.pool))
	if err != nil {
		return nil, err
	}
	since, err := dbsqlc.New(s.pool).RepositoryHead(ctx, c.CodebaseID)
	if err != nil {
		return nil, fmt.Errorf("look up the history of %s: %w", c.Name, err)
	}
	h := history{steps: s, codebaseID: c.CodebaseID}
	head, err := s.disk.History(ctx, rootOf(c), since, func(c Commit) error { return h.add(ctx, c) })
	if err == nil {
		err = h.flush(ctx)
	}
	out := historyFacts{State: "read", Head: head, Commits: h.stored}
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case h.err != nil:
		return nil, h.err
	case errors.Is(err, ErrNoHistory):
		out.State, out.Note = "none", err.Error()
	case err != nil:
		out.State, out.Note = "unusable", err.Error()
		s.log.WarnContext(ctx, "the history is not read", "codebase", c.Name, "root", rootOf(c).String(), "error", err)
	}
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	out.Known, err = q.NoteRepository(ctx, dbsqlc.NoteRepositoryParams{
		CodebaseID: c.CodebaseID, State: out.State, Note: optional(out.Note), Head: optional(out.Head)})
	if err != nil {
		return nil, fmt.Errorf("note the history of %s: %w", c.Name, err)
	}
	return out, nil
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// history gathers commits and stores some thousand changes of files at a time.
type history struct {
	*steps
	codebaseID int32
	next       dbsqlc.StoreCommitsParams
	stored     int64
	err        error // of the database, not of git
}

func (h *history) add(ctx context.Context, c Commit) error {
	n := &h.next
	n.Ids = append(n.Ids, c.ID)
	n.Authors = append(n.Authors, c.Author)
	n.Emails = append(n.Emails, c.Email)
	n.AuthoredAt = append(n.AuthoredAt, c.AuthoredAt)
	n.CommittedAt = append(n.CommittedAt, c.CommittedAt)
	n.Subjects = append(n.Subjects, c.Subject)
	for _, f := range c.Files {
		n.Places = append(n.Places, int32(len(n.Ids)))
		n.Paths = append(n.Paths, f.Path)
		n.Changes = append(n.Changes, f.Change)
		n.FormerPaths = append(n.FormerPaths, f.Former)
		n.GitIds = append(n.GitIds, f.Object)
	}
	if len(n.Ids) >= 2000 || len(n.Paths) >= 10_000 {
		return h.flush(ctx)
	}
	return nil
}

func (h *history) flush(ctx context.Context) error {
	if len(h.next.Ids) == 0 {
		return nil
	}
	h.next.CodebaseID = h.codebaseID
	tx, err := db.Begin(ctx, h.pool, time.Minute)
	if err != nil {
		h.err = fmt.Errorf("begin storing commits: %w", err)
		return h.err
	}
	defer tx.Rollback(ctx)
	stored, err := dbsqlc.New(tx).StoreCommits(ctx, h.next)
	if err == nil {
		err = tx.Commit(ctx)
	}
	if err != nil {
		h.err = fmt.Errorf("store %d commits: %w", len(h.next.Ids), err)
		return h.err
	}
	h.stored += stored
	h.next = dbsqlc.StoreCommitsParams{}
	return nil
}
