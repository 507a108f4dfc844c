package lang_test

import (
	"context"
	"path/filepath"
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
		tryExtract(t, path, names[int(which)%len(names)], text)
	})
}

// manifests are the files whose names alone make them declare packages.
var manifests = []struct{ path, language string }{
	{"go.mod", "Go Module"}, {"package.json", "JSON"}, {"composer.json", "JSON"}, {"Cargo.toml", "TOML"}, {"pyproject.toml", "TOML"},
	{"requirements-dev.txt", "Pip Requirements"}, {"mix.exs", "Elixir"}, {"pom.xml", "Maven POM"}, {"Gemfile", "Ruby"}, {"a.gemspec", "Ruby"},
}

// FuzzManifest gives any text to each manifest's reader.
func FuzzManifest(f *testing.F) {
	for _, src := range goldenInputs(f) {
		for i, m := range manifests {
			if filepath.Base(src.Path) == m.path {
				f.Add(uint8(i), string(src.Text))
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, text string) {
		if len(text) > 32<<10 {
			t.Skip()
		}
		m := manifests[int(which)%len(manifests)]
		tryExtract(t, m.path, m.language, text)
	})
}

// tryExtract extracts and holds the result to what every extraction promises.
func tryExtract(t *testing.T, path, language, text string) {
	l, ok := lang.ByName(language)
	if !ok {
		t.Fatalf("no language %q", language)
	}
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
}
