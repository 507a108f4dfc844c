package dbtest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// costMajor is the version of PostgreSQL that the files of costs are of.
const costMajor = 15

// figures are the columns of a file of costs. What depends on how full a page was may
// differ by a share, or by so much where it is small.
var figures = []struct {
	name    string
	share   float64
	atLeast int64
	layout  bool // another version of PostgreSQL has another figure
	of      func(Cost) int64
}{
	{"trips", 0, 0, false, func(c Cost) int64 { return c.Trips }},
	{"statements", 0, 0, false, func(c Cost) int64 { return c.Statements }},
	{"buffers", 0.03, 2, true, func(c Cost) int64 { return c.Buffers }},
	{"WAL records", 0.03, 1, true, func(c Cost) int64 { return c.Records }},
	{"WAL bytes", 0.03, 64, true, func(c Cost) int64 { return c.Bytes }},
	{"inserted", 0, 0, false, func(c Cost) int64 { return c.Sum().Inserted }},
	{"updated", 0, 0, false, func(c Cost) int64 { return c.Sum().Updated }},
	{"HOT", 0.03, 1, true, func(c Cost) int64 { return c.Sum().Hot }},
	{"deleted", 0, 0, false, func(c Cost) int64 { return c.Sum().Deleted }},
	{"locks", 0, 0, true, func(c Cost) int64 { return c.LocksHeld }},
}

// An Operation is some work with its cost.
type Operation struct {
	Name string
	Cost Cost
}

// CheckCosts compares what operations cost with the file, or writes it. What has grown
// is a defect or needs a reason; what has shrunk is to be kept, by writing it down.
func (m *Meter) CheckCosts(t *testing.T, file, heading string, operations []Operation, update bool) {
	t.Helper()
	if m.Major != costMajor {
		t.Logf("of %s only what is the same for every version is compared: it is of PostgreSQL %d, this is %d", file, costMajor, m.Major)
	} else if update {
		if err := os.WriteFile(file, []byte(heading+"\n"+costText(operations)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	onFile, details := parseCosts(string(text))
	grown, shrunk := false, false
	for _, op := range operations {
		want, ok := onFile[op.Name]
		if !ok {
			t.Errorf("%s: not in %s yet; write it there with make generate", op.Name, file)
			continue
		}
		delete(onFile, op.Name)
		for i, f := range figures {
			got, was := f.of(op.Cost), want[i]
			room := max(int64(f.share*float64(was)), f.atLeast)
			if f.layout && m.Major != costMajor || got >= was-room && got <= was+room {
				continue
			}
			grown, shrunk = grown || got > was, shrunk || got < was
			t.Errorf("%s: %s were %d, are %d%s", op.Name, f.name, was, got, percent(was, got))
		}
		if got := costDetails(op.Cost); m.Major == costMajor && got != details[op.Name] {
			t.Errorf("%s: what is written and locked was\n%sand is\n%s", op.Name, details[op.Name], got)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(onFile)) {
		t.Errorf("%s: in %s, but not measured any more", name, file)
	}
	if grown {
		t.Error("Something costs more than it did. If that is the price of something worth it, write the new figures down with make generate, and say why in the commit.")
	}
	if shrunk {
		t.Error("Something costs less than it did: keep it so, with make generate.")
	}
}

func percent(was, got int64) string {
	if was == 0 {
		return ""
	}
	return fmt.Sprintf(" (%+.1f %%)", 100*float64(got-was)/float64(was))
}

// costText is the file: a table of all figures, and for each operation the rows and locks behind them.
func costText(operations []Operation) string {
	var b strings.Builder
	width := 0
	for _, op := range operations {
		width = max(width, len(op.Name))
	}
	fmt.Fprintf(&b, "%-*s", width, "")
	for _, f := range figures {
		fmt.Fprintf(&b, "  %s", f.name)
	}
	b.WriteString("\n")
	for _, op := range operations {
		fmt.Fprintf(&b, "%-*s", width, op.Name)
		for _, f := range figures {
			fmt.Fprintf(&b, "  %*d", len(f.name), f.of(op.Cost))
		}
		b.WriteString("\n")
	}
	for _, op := range operations {
		fmt.Fprintf(&b, "\n%s\n%s", op.Name, costDetails(op.Cost))
	}
	return b.String()
}

// lockNames are the modes worth naming, strongest first.
var lockNames = []struct{ mode, name string }{
	{"AccessExclusiveLock", "access exclusive"}, {"ExclusiveLock", "exclusive"}, {"ShareRowExclusiveLock", "share row exclusive"},
	{"ShareLock", "share"}, {"ShareUpdateExclusiveLock", "share update exclusive"}, {"RowExclusiveLock", "row exclusive"}, {"RowShareLock", "row share"},
}

func costDetails(c Cost) string {
	var b strings.Builder
	for _, table := range slices.Sorted(maps.Keys(c.Rows)) {
		r := c.Rows[table]
		var parts []string
		for _, p := range []struct {
			n    int64
			verb string
		}{{r.Inserted, "inserted"}, {r.Updated, "updated"}, {r.Deleted, "deleted"}} {
			if p.n > 0 {
				parts = append(parts, fmt.Sprintf("%d %s", p.n, p.verb))
			}
		}
		if len(parts) > 0 {
			fmt.Fprintf(&b, "  %s: %s\n", table, strings.Join(parts, ", "))
		}
	}
	for _, l := range lockNames {
		if on := c.Locks[l.mode]; len(on) > 0 {
			fmt.Fprintf(&b, "  %s lock: %s\n", l.name, strings.Join(on, ", "))
		}
	}
	return b.String()
}

var gap = regexp.MustCompile(`\s{2,}`)

// parseCosts reads what costText wrote.
func parseCosts(text string) (table map[string][]int64, details map[string]string) {
	table, details = map[string][]int64{}, map[string]string{}
	name := ""
	for line := range strings.Lines(text) {
		cells := gap.Split(strings.TrimSpace(line), -1)
		if len(cells) == len(figures)+1 {
			values := make([]int64, len(figures))
			for i := range values {
				n, err := strconv.ParseInt(cells[i+1], 10, 64)
				if err != nil {
					break
				}
				values[i] = n
			}
			table[cells[0]] = values
		} else if strings.HasPrefix(line, "  ") {
			details[name] += line
		} else if n := strings.TrimSpace(line); n != "" {
			name = n
		}
	}
	return table, details
}
