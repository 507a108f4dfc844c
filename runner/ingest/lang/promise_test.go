package lang_test

import (
	"context"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/htdag/htdag/runner/ingest/lang"
	"github.com/htdag/htdag/runner/ingest/lang/langtest"
)

// However an input is cut and mended, the extraction keeps its promises, and the
// same text gives the same extraction.
func TestPromisesOnMutations(t *testing.T) {
	sources := goldenInputs(t)
	slices.SortFunc(sources, func(a, b lang.Source) int { return len(a.Path) - len(b.Path) })
	pieces := []string{"{", "}", "(", ")", "[", "]", "\"", "'", "`", "\n", " ", "\t", "/*", "*/", "//", "#", "--", ";", ":", ",", "=", ".", "\\",
		"func ", "class ", "def ", "end\n", "if ", "import ", "$$", "<!--", "---\n", "é", "\u2028", "\r\n", "\xff", "\x00", "a", "0"}
	rapid.Check(t, func(t *rapid.T) {
		src := rapid.SampledFrom(sources).Draw(t, "source")
		text := slices.Clone(src.Text)
		at := func(name string) int { return rapid.IntRange(0, len(text)).Draw(t, name) }
		for range rapid.IntRange(1, 6).Draw(t, "edits") {
			from, to := at("from"), at("to")
			from, to = min(from, to), max(from, to)
			switch rapid.IntRange(0, 3).Draw(t, "edit") {
			case 0:
				text = slices.Delete(text, from, to)
			case 1:
				text = slices.Insert(text, from, []byte(rapid.SampledFrom(pieces).Draw(t, "piece"))...)
			case 2:
				text = slices.Insert(text, at("there"), slices.Clone(text[from:to])...)
			case 3:
				text = text[:to]
			}
		}
		src.Text = text[:min(len(text), 64<<10)]
		l, _ := lang.ByName(src.Language)
		extract := l.Extract
		if extract == nil {
			extract = lang.Fallback
		}
		first, err := extract(context.Background(), src)
		if err != nil {
			t.Fatalf("%s: %v", l.Name, err)
		}
		for _, problem := range langtest.Problems(src.Text, first) {
			t.Errorf("%s: %s", l.Name, problem)
		}
		second, err := extract(context.Background(), src)
		if err != nil {
			t.Fatalf("%s: %v", l.Name, err)
		}
		if a, b := langtest.Format(first), langtest.Format(second); a != b {
			t.Errorf("%s: two extractions of one text differ:\n%s\n%s", l.Name, a, b)
		}
	})
}
