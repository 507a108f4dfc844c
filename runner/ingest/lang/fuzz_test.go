package lang_test

import (
	"context"
	"testing"
	"time"

	"github.com/htdag/htdag/runner/ingest/lang"
	"github.com/htdag/htdag/runner/ingest/lang/langtest"
)

// FuzzExtract gives any text to any language: no panic, no broken promise. The
// golden inputs are its seeds.
func FuzzExtract(f *testing.F) {
	var names []string
	number := map[string]uint8{}
	for _, l := range lang.All() {
		if l.Extract != nil || l.Scan != nil {
			number[l.Name] = uint8(len(names))
			names = append(names, l.Name)
		}
	}
	for _, src := range goldenInputs(f) {
		f.Add(number[src.Language], src.Path, string(src.Text))
	}
	f.Fuzz(func(t *testing.T, which uint8, path, text string) {
		if len(text) > 32<<10 {
			t.Skip()
		}
		l, _ := lang.ByName(names[int(which)%len(names)])
		extract := l.Extract
		if extract == nil {
			extract = lang.Fallback
		}
		ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Second, lang.ErrTimeout)
		defer cancel()
		src := lang.Source{Path: path, Language: l.Name, Text: []byte(text)}
		ex, err := extract(ctx, src)
		if string(src.Text) != text {
			t.Fatalf("%s: the text was changed", l.Name)
		}
		if err != nil {
			return
		}
		for _, problem := range langtest.Problems(src.Text, ex) {
			t.Errorf("%s: %s", l.Name, problem)
		}
	})
}
