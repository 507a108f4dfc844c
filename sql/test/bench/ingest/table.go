package main

import (
	"os"
	"strings"
	"text/tabwriter"
)

// table is one table of the report: a name and figures in every row.
type table struct{ rows [][]string }

func newTable(columns ...string) *table { return &table{[][]string{columns}} }

func (t *table) add(name string, figures ...string) {
	t.rows = append(t.rows, append([]string{name}, figures...))
}

// print writes figures flush right and, since the writer does that to every cell, pads
// names to one width itself.
func (t *table) print() {
	width := 0
	for _, row := range t.rows {
		width = max(width, len(row[0]))
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range t.rows {
		name := row[0] + strings.Repeat(" ", width-len(row[0]))
		w.Write([]byte(name + "\t" + strings.Join(row[1:], "\t") + "\t\n"))
	}
	w.Flush()
}
