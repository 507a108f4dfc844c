package maintenance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
)

// Tick fires the schedules that are due, ahead of now or, when that is negative, are
// late by so much, and works out when the others are due next. Any number of processes
// may do so at once. It returns how many runs it started and how long until the next
// schedule within ahead is due; ahead when none is.
func Tick(ctx context.Context, pool *pgxpool.Pool, ahead time.Duration) (started int, wait time.Duration, err error) {
	queries := dbsqlc.New(pool)
	states, err := queries.DueSchedules(ctx, ahead)
	if err != nil {
		return 0, ahead, fmt.Errorf("look for schedules that are due: %w", err)
	}
	wait = ahead
	var failed []error
	for _, s := range states {
		next := s.NextDueAt
		if next == nil || !next.After(s.Now) {
			p := planOf(s)
			n, err := fire(ctx, queries, s, p)
			if err != nil {
				failed = append(failed, fmt.Errorf("fire schedule %q: %w", s.Name, err))
				continue // the others are not to suffer
			}
			started += n
			next = p.next
		}
		if next != nil {
			wait = min(wait, next.Sub(s.Now))
		}
	}
	return started, wait, errors.Join(failed...)
}

// fire carries out a plan. Meeting another transaction leaves it to the next turn.
func fire(ctx context.Context, queries *dbsqlc.Queries, s dbsqlc.HtdagScheduleState, p plan) (int, error) {
	params := dbsqlc.FireDueParams{
		Name: s.Name, Revision: s.Revision, DueAt: p.due, NextAt: p.next, SkippedAt: p.skipped,
	}
	if p.err != nil {
		text := p.err.Error()
		params.Error = &text
	}
	if params.DueAt == nil {
		params.DueAt = []time.Time{}
	}
	n, err := queries.FireDue(ctx, params)
	if db.Conflict(err) {
		return 0, nil
	}
	return int(n), err
}
