package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// report writes everything that was measured, for people: first what was aimed at,
// then a block for each workload.
func report(heading string, all []*contestant) string {
	var out strings.Builder
	out.WriteString(heading)
	aims := targets(all)
	out.WriteString("\nTARGETS\n" + list(aims) + obstacles(aims, all))
	out.WriteString("\n" + blocks(all))
	out.WriteString(`
ahead     how many times as fast as the engine of the row htdag is; at "idle", how many times as soon a run has ended
drain     rate without the time in which runs are started, where all are started first
p50, p99  of the time from the start of a run to its end, in milliseconds; with all runs started first it is mostly waiting
WAL       bytes written to the log of the whole server
dead      row versions that updates and deletes left behind
CPU       microseconds of all processes of the server, without the engine's own
tx        transactions, those that only read too
sent      statements that clients sent, counted in a round of its own
nested    statements that functions of the database ran in turn
`)
	return out.String()
}

// blocks writes a table for each workload.
func blocks(all []*contestant) string {
	var list []string
	for len(all) > 0 {
		n := 1
		for n < len(all) && all[n].Shape == all[0].Shape && all[n].Sync == all[0].Sync {
			n++
		}
		list = append(list, block(all[:n]))
		all = all[n:]
	}
	return strings.Join(list, "\n")
}

func list(targets []target) string {
	rows := make([][]string, 0, len(targets))
	for _, t := range targets {
		switch {
		case t.unknown != "":
			rows = append(rows, []string{"open", t.what, t.unknown})
		case t.met:
			rows = append(rows, []string{"met", t.what, t.got})
		default:
			rows = append(rows, []string{"NOT MET", t.what, t.got})
		}
	}
	return columns(rows, "<<<")
}

// block is the table of one workload.
func block(list []*contestant) string {
	shape := list[0].Shape
	title := fmt.Sprintf("%s: %s", strings.ToUpper(string(shape)), shape.about())
	if !list[0].Sync {
		title += ", synchronous_commit off"
	}
	head := []string{"", shape.unit() + "s/s", "lowest", "highest", "ahead", "drain", "p50", "p99"}
	if shape == Idle {
		head = []string{"", "p50 ms", "lowest", "highest", "ahead", "p99 ms"}
	}
	rows := [][]string{append(head, "WAL", "dead", "CPU", "tx", "sent", "nested")}
	ours := figures{Rate: spreadOf(nil), P50: spreadOf(nil)} // unknown
	for _, c := range list {
		if c.Engine == "htdag" && len(c.Rounds) > 0 {
			ours = c.figures()
		}
	}
	notes := ""
	for _, c := range list {
		switch {
		case c.LeftOut != "":
			notes += fmt.Sprintf("  %s was left out: %s\n", c.Engine, firstLine(c.LeftOut))
		case c.Failed != "":
			notes += fmt.Sprintf("  %s FAILED: %s\n", c.Engine, firstLine(c.Failed))
		default:
			rows = append(rows, row(c, ours))
		}
	}
	per := fmt.Sprintf("  (from WAL on: per %s)", shape.unit())
	return title + per + "\n" + columns(rows, "<"+strings.Repeat(">", len(rows[0])-1)) + notes
}

func row(c *contestant, ours figures) []string {
	f := c.figures()
	cells := []string{c.Engine, number(f.Rate.Median), number(f.Rate.Min), number(f.Rate.Max), number(ours.Rate.Median / f.Rate.Median),
		number(f.Drain.Median), number(f.P50.Median), number(f.P99.Median)}
	if c.Shape == Idle {
		cells = []string{c.Engine, number(f.P50.Median), number(f.P50.Min), number(f.P50.Max), number(f.P50.Median / ours.P50.Median), number(f.P99.Median)}
	}
	return append(cells, number(f.WAL.Median), number(f.Dead.Median), number(f.CPU.Median), number(f.Transactions.Median),
		number(f.Statements), number(f.Nested))
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// number writes a figure with about three digits, and whole thousands in groups.
func number(v float64) string {
	switch abs := math.Abs(v); {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return "-"
	case abs >= 100:
		return grouped(strconv.FormatFloat(v, 'f', 0, 64))
	case abs >= 9.995:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
}

func grouped(digits string) string {
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// columns lines cells up, each column to the left or to the right.
func columns(rows [][]string, sides string) string {
	widths := make([]int, len(sides))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var out strings.Builder
	for _, row := range rows {
		line := ""
		for i, cell := range row {
			space := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if sides[i] == '<' {
				line += "  " + cell + space
			} else {
				line += "  " + space + cell
			}
		}
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return out.String()
}
