package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/htdag/htdag/runner/ingest"
	"github.com/htdag/htdag/runner/steps"
)

// tally counts files that have something in common.
type tally struct {
	Status  string                 `json:"status,omitempty"`
	Reason  string                 `json:"reason,omitempty"`
	Files   int64                  `json:"files"`
	Bytes   int64                  `json:"bytes"`
	Changes map[steps.Change]int64 `json:"changes,omitempty"` // what would be done about them
}

func (t *tally) add(files, bytes int64) {
	t.Files += files
	t.Bytes += bytes
}

// foresee adds a file.
func (t *tally) foresee(f steps.Foreseen) {
	t.add(1, f.Bytes)
	if t.Changes == nil {
		t.Changes = map[steps.Change]int64{}
	}
	t.Changes[f.Change]++
}

// reasons are tallies of files by status and sort of reason.
type reasons map[[2]string]*tally

func (r reasons) of(status, reason string) *tally {
	key := [2]string{status, ingest.ReasonSort(reason)}
	if r[key] == nil {
		r[key] = &tally{Status: key[0], Reason: key[1]}
	}
	return r[key]
}

// sorted are the tallies by status, and of each status the most frequent first.
func (r reasons) sorted() []*tally {
	order := []string{ingest.StatusIngested, ingest.StatusPartial, ingest.StatusSkipped}
	place := func(status string) int {
		if i := slices.Index(order, status); i >= 0 {
			return i
		}
		return len(order)
	}
	return slices.SortedFunc(maps.Values(r), func(a, b *tally) int {
		return cmp.Or(cmp.Compare(place(a.Status), place(b.Status)), cmp.Compare(b.Files, a.Files), cmp.Compare(a.Reason, b.Reason))
	})
}

// label is how a tally of reasons is called in a table.
func (t *tally) label() string {
	if t.Reason == "" {
		return t.Status
	}
	return t.Status + ": " + text.Snip(t.Reason, 60, "…")
}

// most keeps the first of the tallies, and adds the rest up under a name of their own.
func most[T any](all []T, rows int, add func(rest *T, next T)) (kept []T, rest T, others int) {
	if len(all) <= rows+1 {
		return all, rest, 0
	}
	for _, t := range all[rows:] {
		add(&rest, t)
	}
	return all[:rows], rest, len(all) - rows
}

// framed begins a table with rules, whose columns but the first hold figures.
func (a *app) framed(header ...any) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(a.stdout)
	t.SetStyle(table.StyleLight)
	t.Style().Options.SeparateRows = false
	t.Style().Format.Header = text.FormatDefault
	t.Style().Format.Footer = text.FormatDefault
	var columns []table.ColumnConfig
	for i := range header[1:] {
		columns = append(columns, table.ColumnConfig{Number: i + 2, Align: text.AlignRight, AlignHeader: text.AlignRight, AlignFooter: text.AlignRight})
	}
	t.SetColumnConfigs(columns)
	t.AppendHeader(header)
	return t
}

// some writes a count, and nothing where there is nothing to count.
func some(n int64) string {
	if n == 0 {
		return ""
	}
	return number(n)
}

// counted writes "3 new" and the like, in one breath.
func counted(n int64, what string) string { return fmt.Sprintf("%s %s", number(n), what) }
