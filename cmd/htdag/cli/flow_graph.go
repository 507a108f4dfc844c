package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	tree "github.com/jedib0t/go-pretty/v6/list"
	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db/dbsqlc"
)

func (a *app) flowGraph() *cobra.Command {
	var format string
	var version int32
	cmd := &cobra.Command{
		Use: "graph FLOW", Short: "Draw a flow as a tree, or for Mermaid or Graphviz", Args: cobra.ExactArgs(1),
		Long: "Draws the DAG of a flow. As text it is a tree in which each step hangs under the last of\nthe steps that it needs, with the others written beside it; mermaid and dot are for the\nprograms that draw these.",
		RunE: func(cmd *cobra.Command, args []string) error {
			draw, ok := map[string]func(io.Writer, string, []node) error{"text": drawText, "mermaid": drawMermaid, "dot": drawDot}[format]
			if !ok {
				return usagef("--format is %q, not text, mermaid or dot", format)
			}
			var v *int32
			if cmd.Flags().Changed("version") {
				v = &version
			}
			return a.client(cmd.Context(), "flow graph", func(pool *pgxpool.Pool) error {
				rows, err := dbsqlc.New(pool).FlowGraph(cmd.Context(), args[0], v)
				if err != nil {
					return err
				}
				return draw(a.stdout, args[0], nodes(rows))
			})
		},
	}
	cmd.Flags().StringVar(&format, "format", "text", "text, mermaid or dot")
	cmd.Flags().Int32Var(&version, "version", 0, "version to draw (default the newest)")
	return cmd
}

// node is a step with its needs, all of which come before it.
type node struct {
	dbsqlc.HtdagFlowEdge
	needs []int // by place in the list of nodes
}

func nodes(rows []dbsqlc.HtdagFlowEdge) []node {
	var all []node
	place := map[string]int{}
	for _, r := range rows {
		if _, ok := place[r.Step]; !ok {
			place[r.Step] = len(all)
			all = append(all, node{HtdagFlowEdge: r})
		}
		if r.Need != nil {
			n := &all[place[r.Step]]
			n.needs = append(n.needs, place[*r.Need])
		}
	}
	return all
}

// traits are what deserves a word beside a step's name.
func (n node) traits() (traits []string) {
	switch {
	case n.Kind == "sleep":
		traits = append(traits, "sleeps "+span(n.Delay))
	case n.Target != nil:
		traits = append(traits, n.Kind+" "+*n.Target)
	case n.Kind != n.Step:
		traits = append(traits, "kind "+n.Kind)
	}
	if n.Kind != "sleep" && n.Delay > 0 {
		traits = append(traits, "after "+span(n.Delay))
	}
	if n.Condition != nil {
		traits = append(traits, *n.Condition)
	}
	if n.Map != nil {
		traits = append(traits, "for each of "+*n.Map)
	}
	if n.RunOn != "success" {
		traits = append(traits, "on "+n.RunOn)
	}
	if n.OnFailure != "fail" {
		traits = append(traits, "if it fails "+n.OnFailure)
	}
	if n.Queue != "default" {
		traits = append(traits, "queue "+n.Queue)
	}
	return traits
}

// span writes a duration without the zeros at its end.
func span(d time.Duration) string {
	text := d.String()
	for _, zeros := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zeros) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func drawText(out io.Writer, flow string, all []node) error {
	children := map[int][]int{}
	for i, n := range all {
		parent := -1
		if len(n.needs) > 0 {
			parent = slices.Max(n.needs)
		}
		children[parent] = append(children[parent], i)
	}
	t := tree.NewWriter()
	t.SetStyle(tree.StyleConnectedLight)
	title := flow + ": no steps"
	if len(all) > 0 {
		title = fmt.Sprintf("%s, version %d: %d steps", flow, all[0].Version, len(all))
	}
	t.AppendItem(title)
	var grow func(parent int)
	grow = func(parent int) {
		for _, i := range children[parent] {
			traits := all[i].traits()
			for _, need := range all[i].needs {
				if need != parent {
					traits = append(traits, "also needs "+all[need].Step)
				}
			}
			label := all[i].Step
			if len(traits) > 0 {
				label += "  (" + strings.Join(traits, ", ") + ")"
			}
			t.AppendItem(label)
			t.Indent()
			grow(i)
			t.UnIndent()
		}
	}
	t.Indent()
	grow(-1)
	for _, line := range strings.Split(t.Render(), "\n") {
		// The title needs no line that leads to it.
		if _, err := fmt.Fprintln(out, string([]rune(line)[3:])); err != nil {
			return err
		}
	}
	return nil
}

// grouped calls open, step and shut along the tree of groups, so that each step is
// inside the groups of its path. Groups have numbers, since their names may repeat.
func grouped(all []node, open func(depth, number int, name string), step func(depth int, n node), shut func(depth int)) {
	number := 0
	var walk func(prefix string, depth int)
	walk = func(prefix string, depth int) {
		var inner []string
		for _, n := range all {
			rest, inside := strings.CutPrefix(n.GroupPath, prefix)
			if prefix != "" && inside && rest != "" {
				rest, inside = strings.CutPrefix(rest, ".")
			}
			if !inside {
				continue
			}
			if rest == "" {
				step(depth, n)
				continue
			}
			first, _, _ := strings.Cut(rest, ".")
			if !slices.Contains(inner, first) {
				inner = append(inner, first)
			}
		}
		for _, name := range inner {
			path := strings.TrimPrefix(prefix+"."+name, ".")
			open(depth, number, name)
			number++
			walk(path, depth+1)
			shut(depth)
		}
	}
	walk("", 0)
}

func drawMermaid(out io.Writer, flow string, all []node) error {
	var b strings.Builder
	fmt.Fprintf(&b, "---\ntitle: %s\n---\nflowchart TD\n", flow)
	indent := func(depth int) string { return strings.Repeat("  ", depth+1) }
	grouped(all,
		func(depth, number int, name string) {
			fmt.Fprintf(&b, "%ssubgraph g%d [\"%s\"]\n", indent(depth), number, name)
		},
		func(depth int, n node) {
			label := strings.Join(append([]string{n.Step}, n.traits()...), "<br>")
			fmt.Fprintf(&b, "%ss%d[\"%s\"]\n", indent(depth), n.StepNo, strings.ReplaceAll(label, `"`, "#quot;"))
		},
		func(depth int) { fmt.Fprintf(&b, "%send\n", indent(depth)) })
	for _, n := range all {
		arrow := "-->"
		if n.RunOn == "failure" {
			arrow = "-.->"
		}
		for _, need := range n.needs {
			fmt.Fprintf(&b, "  s%d %s s%d\n", all[need].StepNo, arrow, n.StepNo)
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func drawDot(out io.Writer, flow string, all []node) error {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %q {\n  node [shape=box, style=rounded];\n", flow)
	indent := func(depth int) string { return strings.Repeat("  ", depth+1) }
	grouped(all,
		func(depth, number int, name string) {
			fmt.Fprintf(&b, "%ssubgraph cluster_%d {\n%s  label=%q;\n", indent(depth), number, indent(depth), name)
		},
		func(depth int, n node) {
			fmt.Fprintf(&b, "%s%q", indent(depth), n.Step)
			if traits := n.traits(); len(traits) > 0 {
				fmt.Fprintf(&b, " [label=%q]", strings.Join(append([]string{n.Step}, traits...), "\n"))
			}
			b.WriteString(";\n")
		},
		func(depth int) { fmt.Fprintf(&b, "%s}\n", indent(depth)) })
	for _, n := range all {
		for _, need := range n.needs {
			fmt.Fprintf(&b, "  %q -> %q", all[need].Step, n.Step)
			if n.RunOn == "failure" {
				b.WriteString(" [style=dashed]")
			}
			b.WriteString(";\n")
		}
	}
	b.WriteString("}\n")
	_, err := io.WriteString(out, b.String())
	return err
}
