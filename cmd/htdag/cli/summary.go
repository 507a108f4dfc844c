package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jedib0t/go-pretty/v6/table"

	"github.com/htdag/htdag/db/dbsqlc"
)

// mostRows bounds each part of the summary; the rest is added up in one row.
const mostRows = 12

// summary prints what the codebases hold: files by status and by language, and
// what was found in them, with how to look further.
func (a *app) summary(ctx context.Context, pool *pgxpool.Pool, codebases []string, took time.Duration) error {
	queries := dbsqlc.New(pool)
	statuses, err := queries.FilesByReason(ctx, codebases)
	if err != nil {
		return fmt.Errorf("summarise files: %w", err)
	}
	languages, err := queries.Languages(ctx, codebases)
	if err != nil {
		return fmt.Errorf("summarise languages: %w", err)
	}
	totals, err := queries.CorpusTotals(ctx, codebases)
	if err != nil {
		return fmt.Errorf("summarise the corpus: %w", err)
	}

	byReason := reasons{}
	for _, r := range statuses {
		byReason.of(r.Status, r.Reason).add(r.Files, r.Bytes)
	}
	t := a.framed(strings.Join(codebases, ", "), "files", "lines", "bytes", "symbols")
	var files, bytes int64
	shown := map[string]int{}
	for _, r := range byReason.sorted() {
		if r.Status != "deleted" {
			files += r.Files
			bytes += r.Bytes
		}
		if shown[r.Status]++; shown[r.Status] <= mostRows/2 {
			t.AppendRow(table.Row{r.label(), number(r.Files), "", size(r.Bytes), ""})
		}
	}
	t.AppendSeparator()
	var other dbsqlc.LanguagesRow
	var lines int64
	for i, l := range languages {
		lines += l.Lines
		if i < mostRows || len(languages) == mostRows+1 {
			t.AppendRow(table.Row{l.Language, number(l.Files), number(l.Lines), size(l.Bytes), number(l.Symbols)})
			continue
		}
		other.Files += l.Files
		other.Lines += l.Lines
		other.Bytes += l.Bytes
		other.Symbols += l.Symbols
	}
	if other.Files > 0 {
		label := fmt.Sprintf("%d other languages", len(languages)-mostRows)
		t.AppendRow(table.Row{label, number(other.Files), number(other.Lines), size(other.Bytes), number(other.Symbols)})
	}
	t.AppendFooter(table.Row{"in all", number(files), number(lines), size(bytes), number(totals.Symbols)})
	fmt.Fprintln(a.stdout)
	t.Render()
	fmt.Fprintf(a.stdout, "%s imports, %s of them of files here; %s calls, %s of them of symbols here; %s chunks; %.1f seconds\n",
		number(totals.Imports), number(totals.ImportsResolved), number(totals.Calls), number(totals.CallsResolved), number(totals.Chunks), took.Seconds())
	fmt.Fprintf(a.stdout, `
Look at it with  htdag db psql%s  and, for instance,
  select * from code.search('read configuration file');
  select path, name, complexity from report.symbols order by complexity desc limit 10;
  select path, reason from report.files where status in ('partial', 'skipped');
`, a.databaseFlag())
	return nil
}

// databaseFlag is what has to be added to a command to reach the same database.
func (a *app) databaseFlag() string {
	if a.databaseURL != "" {
		return " --database-url ..."
	} else if a.dataDir != "" {
		return " --data-dir " + a.dataDir
	}
	return ""
}

// number writes a count with thousands apart.
func number(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size writes a number of bytes with a unit of powers of 1000.
func size(n int64) string {
	f, unit := float64(n), "B"
	for _, next := range []string{"kB", "MB", "GB", "TB"} {
		if f < 1000 {
			break
		}
		f, unit = f/1000, next
	}
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, unit)
}
