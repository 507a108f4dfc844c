package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/htdag/htdag/db/dbsqlc"
)

// progress follows a run of ingest_codebase until it ends: with a bar on a
// terminal, with a line every few seconds elsewhere. It returns the run's error.
func (a *app) progress(ctx context.Context, pool *pgxpool.Pool, run int64) error {
	show := newProgressView(a.stderr)
	defer show.close()
	queries := dbsqlc.New(pool)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var lastErr time.Time // of a database that does not answer; the runner says so in the log
	for {
		p, err := queries.IngestionProgress(ctx, run)
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return fmt.Errorf("run %d is gone from the database", run)
		case ctx.Err() != nil:
			return fmt.Errorf("%w; what was ingested is kept, and the same command goes on from there", context.Cause(ctx))
		case err != nil:
			if lastErr.IsZero() {
				lastErr = time.Now()
			} else if time.Since(lastErr) > time.Minute {
				return fmt.Errorf("the database has not answered for a minute: %w", err)
			}
		case p.State == "succeeded":
			return nil
		case p.State == "failed", p.State == "cancelled":
			return fmt.Errorf("run %d of ingest_codebase %s: %s (select * from report.steps where run_id = %d tells more)", run, p.State, p.Error, run)
		default:
			lastErr = time.Time{}
			show.update(p)
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// progressView draws progress in the way that suits where it goes.
type progressView interface {
	update(p dbsqlc.IngestionProgressRow)
	close()
}

func newProgressView(w io.Writer) progressView {
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return &barView{w: w}
	}
	return &lineView{w: w, began: time.Now()}
}

// phase says in two words what a run is doing.
func phase(p dbsqlc.IngestionProgressRow) string {
	switch {
	case p.State == "queued":
		return "waiting to be admitted"
	case !p.Scanned || p.Step == "codebase_scan":
		return "scanning"
	case p.FilesDone < p.FilesChanged:
		return "ingesting"
	case p.Step == "":
		return "finishing"
	}
	return p.Step
}

type barView struct {
	w     io.Writer
	phase string
	bar   *progressbar.ProgressBar
}

func (v *barView) update(p dbsqlc.IngestionProgressRow) {
	if now := phase(p); now != v.phase || v.bar == nil {
		v.close()
		v.phase = now
		total, options := int64(-1), []progressbar.Option{
			progressbar.OptionSetWriter(v.w), progressbar.OptionSetDescription(now), progressbar.OptionSetWidth(30),
			progressbar.OptionClearOnFinish(), progressbar.OptionThrottle(100 * time.Millisecond),
		}
		if now == "ingesting" {
			total = int64(p.FilesChanged)
			options = append(options, progressbar.OptionShowCount(), progressbar.OptionShowIts(),
				progressbar.OptionSetItsString("files"), progressbar.OptionSetPredictTime(true))
		} else {
			options = append(options, progressbar.OptionSpinnerType(14))
		}
		v.bar = progressbar.NewOptions64(total, options...)
	}
	if v.phase == "ingesting" {
		_ = v.bar.Set64(int64(p.FilesDone)) // nothing to be done about a terminal that cannot be written
	} else {
		_ = v.bar.Add(1)
	}
}

func (v *barView) close() {
	if v.bar != nil {
		_ = v.bar.Finish()
	}
}

type lineView struct {
	w        io.Writer
	began    time.Time
	printed  time.Time
	phase    string
	atPhase  time.Time
	doneThen int32
}

func (v *lineView) update(p dbsqlc.IngestionProgressRow) {
	now := phase(p)
	if now == v.phase && time.Since(v.printed) < 5*time.Second {
		return
	}
	if now != v.phase {
		v.phase, v.atPhase, v.doneThen = now, time.Now(), p.FilesDone
	}
	v.printed = time.Now()
	elapsed := time.Since(v.began).Round(time.Second)
	if now != "ingesting" {
		fmt.Fprintf(v.w, "%6s  %s\n", elapsed, now)
		return
	}
	line := fmt.Sprintf("%6s  ingesting %d of %d files", elapsed, p.FilesDone, p.FilesChanged)
	if rate := float64(p.FilesDone-v.doneThen) / time.Since(v.atPhase).Seconds(); rate > 0 && p.FilesDone > v.doneThen {
		left := time.Duration(float64(p.FilesChanged-p.FilesDone) / rate * float64(time.Second))
		line += fmt.Sprintf(", %.0f files/s, %s left", rate, left.Round(time.Second))
	}
	fmt.Fprintln(v.w, line)
}

func (v *lineView) close() {}
