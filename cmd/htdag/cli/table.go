package cli

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"
)

func jsonFlag(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "answer in JSON, for programs")
}

// columns begins a table without rules, which reads well and cuts well.
func (a *app) columns(header ...any) table.Writer {
	t := table.NewWriter()
	t.SetStyle(table.StyleDefault)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.Style().Box.PaddingLeft, t.Style().Box.PaddingRight = "", "  "
	t.Style().Format.Header = text.FormatDefault
	t.AppendHeader(header)
	t.SuppressTrailingSpaces()
	return t
}

// printColumns prints a table of some rows; where there are none, a message for people.
func (a *app) printColumns(t table.Writer, rows int, none string) error {
	if rows == 0 {
		_, err := fmt.Fprintln(a.stderr, none)
		return err
	}
	_, err := fmt.Fprintln(a.stdout, t.Render())
	return err
}

func (a *app) printJSON(answer any) error {
	out := json.NewEncoder(a.stdout)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(answer)
}

func date(t time.Time) string { return t.Local().Format("2006-01-02") }

// moment writes a time; today's without the date.
func moment(t *time.Time, now time.Time) string {
	switch {
	case t == nil:
		return ""
	case date(*t) == date(now):
		return t.Local().Format("15:04:05")
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// short writes a duration to three digits or so.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < time.Minute:
		return d.Round(10 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

func deref[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}
