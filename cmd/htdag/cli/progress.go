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

// barView counts bytes, since the largest files come first, and names files.
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
			total = p.BytesChanged
			options = append(options, progressbar.OptionShowBytes(true), progressbar.OptionSetPredictTime(true))
		} else {
			options = append(options, progressbar.OptionSpinnerType(14))
		}
		v.bar = progressbar.NewOptions64(total, options...)
	}
	// Nothing is to be done about a terminal that cannot be written.
	if v.phase == "ingesting" {
		v.bar.Describe(fmt.Sprintf("ingesting %s of %s files", number(int64(p.FilesDone)), number(int64(p.FilesChanged))))
		_ = v.bar.Set64(p.BytesDone)
	} else {
		_ = v.bar.Add(1)
	}
}

func (v *barView) close() {
	if v.bar != nil {
		_ = v.bar.Finish()
	}
}

// lineView prints a line when the phase changes, and every few seconds.
type lineView struct {
	w       io.Writer
	began   time.Time
	printed time.Time
	phase   string
	start   time.Time // of the phase
	files   int32     // done by then
	bytes   int64
}

func (v *lineView) update(p dbsqlc.IngestionProgressRow) {
	now := phase(p)
	if now == v.phase && time.Since(v.printed) < 5*time.Second {
		return
	}
	if now != v.phase {
		v.phase, v.start, v.files, v.bytes = now, time.Now(), p.FilesDone, p.BytesDone
	}
	v.printed = time.Now()
	elapsed := time.Since(v.began).Round(time.Second)
	if now != "ingesting" {
		fmt.Fprintf(v.w, "%6s  %s\n", elapsed, now)
		return
	}
	line := fmt.Sprintf("%6s  ingesting %s of %s files", elapsed, number(int64(p.FilesDone)), number(int64(p.FilesChanged)))
	if bytes := p.BytesDone - v.bytes; bytes > 0 {
		// Time left goes by bytes, since the largest files come first.
		seconds := time.Since(v.start).Seconds()
		left := time.Duration(float64(p.BytesChanged-p.BytesDone) / float64(bytes) * seconds * float64(time.Second))
		line += fmt.Sprintf(", %s/s, %.0f files/s, %s left", size(int64(float64(bytes)/seconds)), float64(p.FilesDone-v.files)/seconds, left.Round(time.Second))
	}
	fmt.Fprintln(v.w, line)
}

func (v *lineView) close() {}
