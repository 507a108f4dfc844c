package runner

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbsqlc"
)

// progressInterval is how often the progress of a task is stored at most.
const progressInterval = 500 * time.Millisecond

// Progress says how far the handler is: so much done of a total, which is 0 where it
// is not known, and a note for people. report.steps shows it at once, whatever
// becomes of Tx. It may be called as often as there is something to say: what comes
// within half a second of the last is dropped, unless all is done. It returns
// ErrLeaseLost when the task is no longer this runner's, which is a reason to stop;
// other errors are no reason to fail.
func (t *Task) Progress(ctx context.Context, done, total int64, note string) error {
	now := time.Now()
	t.bundle.mu.Lock()
	late := now.Sub(t.bundle.reported) < progressInterval && (total == 0 || done < total)
	if !late {
		t.bundle.reported = now
	}
	t.bundle.mu.Unlock()
	if late {
		return nil
	}
	p := dbsqlc.ReportProgressParams{TaskID: t.ID, Token: t.token, Done: done}
	if total > 0 {
		p.Total = &total
	}
	if note != "" {
		p.Note = &note
	}
	if _, err := dbsqlc.New(t.bundle.pool).ReportProgress(ctx, p); err != nil {
		err = db.Error(err)
		if errors.Is(err, db.ErrLeaseLost) {
			return fmt.Errorf("%w: %w", ErrLeaseLost, err)
		}
		return fmt.Errorf("report progress of step %s: %w", t.Step, err)
	}
	return nil
}
