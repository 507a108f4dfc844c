package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/htdag/htdag/runner/steps"
	"github.com/htdag/htdag/watcher"
)

// foresight is what a dry run answers about one directory.
type foresight struct {
	Root     string  `json:"root"`
	Codebase *string `json:"codebase"` // null where there is no database to ask
	Compared bool    `json:"compared"` // with a database
	tally
	Gone      int64            `json:"gone"` // known, but not on disk any more
	Reasons   []*tally         `json:"reasons"`
	Languages []language       `json:"languages"`
	LeftOut   []leftOut        `json:"left_out"`
	Unread    []string         `json:"unread"` // directories
	Busy      []string         `json:"busy"`   // files that were being written
	Generated int64            `json:"generated"`
	Vendored  int64            `json:"vendored"`
	Encodings map[string]int64 `json:"encodings"` // of text that is not in UTF-8
	List      []listed         `json:"list,omitempty"`
}

// language is a tally of the files in one.
type language struct {
	Language string `json:"language"`
	tally
}

// leftOut counts what one rule ignores, or one sort of special file.
type leftOut struct {
	Why         string `json:"why"`
	Source      string `json:"source,omitempty"` // of the rule: an ignore file, settings, or built in
	Entries     int64  `json:"entries"`
	Directories int64  `json:"directories"` // of the entries
}

// listed is a single file or directory.
type listed struct {
	Path     string `json:"path"`
	Status   string `json:"status"` // ingested, partial, skipped, ignored or special
	Change   string `json:"change,omitempty"`
	Language string `json:"language,omitempty"`
	Bytes    int64  `json:"bytes"`
	Reason   string `json:"reason,omitempty"`
}

func (f *foresight) count(seen steps.Foresight, passed []watcher.Passed) {
	byReason, byLanguage := reasons{}, map[string]*language{}
	f.Encodings = map[string]int64{}
	for _, file := range seen.Files {
		if file.Change == steps.Gone {
			f.Gone++
			continue
		}
		name := cmp.Or(file.Language, "unknown")
		if byLanguage[name] == nil {
			byLanguage[name] = &language{Language: name}
		}
		for _, t := range []*tally{&f.tally, byReason.of(file.Status, file.Reason), &byLanguage[name].tally} {
			t.foresee(file)
		}
		if file.Generated {
			f.Generated++
		}
		if file.Vendored {
			f.Vendored++
		}
		if file.Encoding != "" && file.Encoding != "UTF-8" {
			f.Encodings[file.Encoding]++
		}
	}
	f.Reasons = byReason.sorted()
	for _, l := range byLanguage {
		f.Languages = append(f.Languages, *l)
	}
	slices.SortFunc(f.Languages, func(a, b language) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Language, b.Language))
	})
	rules := map[string]*leftOut{}
	for _, p := range passed {
		why := whyPassed(p)
		if rules[why] == nil {
			rules[why] = &leftOut{Why: why, Source: p.Verdict.Source}
		}
		rules[why].Entries++
		if p.Directory {
			rules[why].Directories++
		}
	}
	for _, r := range rules {
		f.LeftOut = append(f.LeftOut, *r)
	}
	slices.SortFunc(f.LeftOut, func(a, b leftOut) int {
		return cmp.Or(cmp.Compare(b.Entries, a.Entries), cmp.Compare(a.Why, b.Why))
	})
	f.Unread, f.Busy = append([]string{}, seen.Unread...), append([]string{}, seen.Busy...)
}

func whyPassed(p watcher.Passed) string {
	if p.Special != "" {
		return p.Special
	}
	return p.Verdict.String()
}

func (f *foresight) list(seen steps.Foresight, passed []watcher.Passed) {
	for _, file := range seen.Files {
		f.List = append(f.List, listed{file.Path, file.Status, string(file.Change), file.Language, file.Bytes, file.Reason})
	}
	for _, p := range passed {
		l := listed{Path: p.Path, Status: "ignored", Reason: whyPassed(p)}
		if p.Special != "" {
			l.Status = "special"
		}
		if p.Directory {
			l.Path += "/"
		}
		f.List = append(f.List, l)
	}
	slices.SortFunc(f.List, func(a, b listed) int { return cmp.Compare(a.Path, b.Path) })
}

// changes are the columns that a comparison with the database fills.
var changes = []steps.Change{steps.New, steps.Changed, steps.Again, steps.Unchanged}

func (a *app) printForesight(f foresight, list bool) error {
	if list {
		t := a.columns("path", "status", "change", "language", "bytes", "reason")
		for _, l := range f.List {
			t.AppendRow(table.Row{l.Path, l.Status, l.Change, l.Language, some(l.Bytes), l.Reason})
		}
		if err := a.printColumns(t, len(f.List), "there are no files"); err != nil {
			return err
		}
	}
	header := []any{cmp.Or(deref(f.Codebase), f.Root), "files", "bytes"}
	var shown []steps.Change
	for _, c := range changes {
		if f.Compared && f.Changes[c] > 0 {
			header, shown = append(header, string(c)), append(shown, c)
		}
	}
	t := a.framed(header...)
	row := func(label string, y tally) table.Row {
		r := table.Row{label, number(y.Files), size(y.Bytes)}
		for _, c := range shown {
			r = append(r, some(y.Changes[c]))
		}
		return r
	}
	for _, r := range f.Reasons {
		t.AppendRow(row(r.label(), *r))
	}
	t.AppendSeparator()
	languages, rest, others := most(f.Languages, mostRows, func(rest *language, l language) { rest.merge(l.tally) })
	for _, l := range languages {
		t.AppendRow(row(l.Language, l.tally))
	}
	if others > 0 {
		t.AppendRow(row(fmt.Sprintf("%d other languages", others), rest.tally))
	}
	if len(f.LeftOut)+len(f.Unread)+len(f.Busy)+int(f.Gone) > 0 {
		t.AppendSeparator()
		f.appendLeftOut(t)
	}
	t.AppendFooter(row("in all", f.tally))
	fmt.Fprintln(a.stdout)
	t.Render()
	for _, line := range f.remarks() {
		if _, err := fmt.Fprintln(a.stdout, line); err != nil {
			return err
		}
	}
	return nil
}

func (t *tally) merge(o tally) {
	t.add(o.Files, o.Bytes)
	if t.Changes == nil {
		t.Changes = map[steps.Change]int64{}
	}
	for c, n := range o.Changes {
		t.Changes[c] += n
	}
}

// appendLeftOut adds what gets no row in the database, and what would lose its row.
func (f *foresight) appendLeftOut(t table.Writer) {
	entries, rest, others := most(f.LeftOut, mostRows, func(rest *leftOut, l leftOut) { rest.Entries += l.Entries })
	for _, l := range entries {
		label := "left out: " + l.Why
		if l.Source != "" {
			label = "ignored by " + l.Why
		}
		t.AppendRow(table.Row{text.Snip(label, 72, "…"), number(l.Entries)})
	}
	if others > 0 {
		t.AppendRow(table.Row{fmt.Sprintf("ignored or left out for %d other reasons", others), number(rest.Entries)})
	}
	for _, more := range []struct {
		label string
		n     int
	}{
		{"directories that cannot be read", len(f.Unread)}, {"passed over: being written just now", len(f.Busy)}, {"gone from the disk", int(f.Gone)},
	} {
		if more.n > 0 {
			t.AppendRow(table.Row{more.label, number(int64(more.n))})
		}
	}
}

// remarks say what the table does not.
func (f *foresight) remarks() []string {
	var lines, marks []string
	for _, mark := range []struct {
		n    int64
		what string
	}{{f.Generated, "generated"}, {f.Vendored, "vendored"}} {
		if mark.n > 0 {
			marks = append(marks, counted(mark.n, mark.what))
		}
	}
	if len(marks) > 0 {
		lines = append(lines, strings.Join(marks, ", ")+"; they are marked so and ingested like others.")
	}
	if len(f.Encodings) > 0 {
		var texts []string
		for _, name := range slices.Sorted(maps.Keys(f.Encodings)) {
			texts = append(texts, counted(f.Encodings[name], name))
		}
		lines = append(lines, "Text that is not plain UTF-8: "+strings.Join(texts, ", ")+".")
	}
	if len(f.LeftOut) > 0 {
		lines = append(lines, "An ignored directory counts once, with all that is in it.")
	}
	if len(f.Unread) > 0 {
		lines = append(lines, "Cannot be read: "+strings.Join(f.Unread[:min(len(f.Unread), 5)], ", ")+"; what is known of files there would be kept.")
	}
	return append(lines, f.verdict())
}

// verdict says in one line what there is to do.
func (f *foresight) verdict() string {
	if !f.Compared {
		return "Nothing was written."
	}
	due := f.Changes[steps.New] + f.Changes[steps.Changed] + f.Changes[steps.Again]
	if due+f.Gone == 0 {
		return "The database is current. Nothing was written."
	}
	return fmt.Sprintf("To do: %s to ingest, %s to forget. Nothing was written.", counted(due, plural(due, "file")), number(f.Gone))
}

func plural(n int64, what string) string {
	if n == 1 {
		return what
	}
	return what + "s"
}
