package main

import (
	"os"

	prettytable "github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// table is one table of the report: a name and figures in every row.
type table struct{ w prettytable.Writer }

func newTable(columns ...string) *table {
	w := prettytable.NewWriter()
	w.SetOutputMirror(os.Stdout)
	w.SetStyle(prettytable.StyleLight)
	w.Style().Format.Header = text.FormatDefault
	var configs []prettytable.ColumnConfig
	header := prettytable.Row{}
	for i, c := range columns {
		header = append(header, c)
		if i > 0 {
			configs = append(configs, prettytable.ColumnConfig{Number: i + 1, Align: text.AlignRight, AlignHeader: text.AlignRight})
		}
	}
	w.AppendHeader(header)
	w.SetColumnConfigs(configs)
	return &table{w}
}

func (t *table) add(name string, figures ...string) {
	row := prettytable.Row{name}
	for _, f := range figures {
		row = append(row, f)
	}
	t.w.AppendRow(row)
}

func (t *table) print() { t.w.Render() }
