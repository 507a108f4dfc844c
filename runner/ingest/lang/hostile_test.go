package lang_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/htdag/htdag/runner/ingest/lang"
	"github.com/htdag/htdag/runner/ingest/lang/langtest"
)

// Texts on which parsers have been known to take quadratic time or exponential
// space must cost no more than a few seconds each, and break no promise.
func TestHostileTexts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute of processor time")
	}
	const size = 32 << 10
	fill := func(piece string) string { return strings.Repeat(piece, size/len(piece)) }
	deep := func(open string) string {
		var b strings.Builder
		for b.Len() < size {
			b.WriteString(open)
		}
		return b.String()
	}
	stairs := func(line string) string {
		var b strings.Builder
		for indent := 0; b.Len() < size; indent++ {
			b.WriteString(strings.Repeat(" ", indent) + line + "\n")
		}
		return b.String()
	}
	texts := map[string]string{
		"brackets":     deep("["),
		"braces":       deep("{"),
		"objects":      deep(`{"a":`),
		"parens":       deep("a("),
		"lines of (":   deep("f(\n"),
		"quotes":       deep(">"),
		"quotes apart": deep("> "),
		"list":         deep("- "),
		"stairs":       stairs("def f: x"),
		"keys":         stairs("key:"),
		"dashes":       stairs("- a"),
		"stars":        fill("*a **b "),
		"links":        fill("[a](b"),
		"images":       fill("![a]"),
		"backticks":    fill("`` ` "),
		"html":         fill("<a "),
		"comments":     fill("<!-- "),
		"apostrophes":  fill(`'\`),
		"double":       fill(`"`),
		"escapes":      fill(`\"`),
		"slashes":      fill("/*"),
		"dollars":      fill("$a$ "),
		"dollar tags":  "create function f() as $x$ " + fill("$a $b$ ' "),
		"one line":     "x = \"" + fill("a"),
		"anchors":      fill("&a [*a, "),
		"tables":       fill("[a]\nb=1\n"),
		"dotted":       "a" + fill(".a") + " = 1",
		"nul":          fill("a\x00b\n"),
		"newlines":     fill("\n"),
		"returns":      fill("a\r"),
		"refs":         fill("[a]: b\n"),
		"entities":     fill("&amp;"),
		"pipes":        fill("|a|b\n|-|-\n"),
		"colons":       fill("a: "),
		"questions":    fill("? "),
		"semicolons":   fill(";"),
		"includes":     fill("#include \"a\n"),
		"heredoc":      fill("<<A\n"),
		"tabs":         fill("\t"),
	}
	languages := []string{}
	for _, l := range lang.All() {
		if l.Extract != nil || l.Scan != nil {
			languages = append(languages, l.Name)
		}
	}
	languages = append(languages, "OCaml", "Tcl") // by the lexer
	for _, language := range languages {
		t.Run(language, func(t *testing.T) {
			l, _ := lang.ByName(language)
			extract := l.Extract
			if extract == nil {
				extract = lang.Fallback
			}
			for name, text := range texts {
				ctx, cancel := context.WithTimeoutCause(context.Background(), 5*time.Second, lang.ErrTimeout)
				start := cpuTime(t)
				src := lang.Source{Path: "a/b", Language: language, Text: []byte(text)}
				ex, err := extract(ctx, src)
				cancel()
				if took := cpuTime(t) - start; took > 6*time.Second {
					t.Errorf("%s %s: %s for %d bytes", language, name, took.Round(time.Millisecond), len(text))
				} else if took > time.Second {
					t.Logf("%s %s: %s for %d bytes", language, name, took.Round(time.Millisecond), len(text))
				}
				if err != nil {
					continue // the caller falls back
				}
				if problems := langtest.Problems(src.Text, ex); len(problems) > 0 {
					t.Errorf("%s: %d problems, first: %s", name, len(problems), problems[0])
				}
			}
		})
	}
}

// cpuTime is what this process has used of the processor; other programs on the
// machine do not count.
func cpuTime(t *testing.T) time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
