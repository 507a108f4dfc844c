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
// space must break no promise, and stop when they are told to: soon after the limit
// at 32 KiB, and no later at 1 MiB, where what cannot be interrupted would take
// thirty or a thousand times as long.
func TestHostileTexts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some twenty seconds of processor time")
	}
	const late = 300 * time.Millisecond
	small, large := hostileTexts(32<<10), hostileTexts(1<<20)
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
			// attempt returns how much longer than the limit it took.
			attempt := func(text string, limit time.Duration) (src lang.Source, ex lang.Extraction, over time.Duration, err error) {
				ctx, cancel := context.WithTimeoutCause(context.Background(), limit, lang.ErrTimeout)
				defer cancel()
				src = lang.Source{Path: "a/b", Language: language, Text: []byte(text)}
				start := cpuTime(t)
				ex, err = extract(ctx, src)
				return src, ex, cpuTime(t) - start - limit, err
			}
			for name, text := range small {
				src, ex, over, err := attempt(text, 100*time.Millisecond)
				if over > late {
					t.Errorf("%s: %s over the limit for %d bytes", name, over, len(text))
				}
				if err != nil { // the caller falls back
					text = large[name]
					if _, _, over, _ := attempt(text, 50*time.Millisecond); over > late {
						t.Errorf("%s: %s over the limit for %d bytes", name, over, len(text))
					}
					continue
				}
				if problems := langtest.Problems(src.Text, ex); len(problems) > 0 {
					t.Errorf("%s: %d problems, first: %s", name, len(problems), problems[0])
				}
			}
		})
	}
}

// hostileTexts makes texts of about size bytes each.
func hostileTexts(size int) map[string]string {
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
	return map[string]string{
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
