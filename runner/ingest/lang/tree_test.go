package lang_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/runner/ingest/lang"
	"github.com/htdag/htdag/runner/ingest/lang/langtest"
)

var treeLanguages = []string{"Python", "JavaScript", "TypeScript", "TSX", "Rust", "Elixir", "Java", "C", "C++", "C#", "Ruby", "PHP", "Lua", "Shell", "Kotlin"}

func extractTree(t testing.TB, language, path, text string) (lang.Extraction, error) {
	t.Helper()
	l, ok := lang.ByName(language)
	if !ok {
		t.Fatalf("no language %s", language)
	}
	return l.Extract(context.Background(), lang.Source{Path: path, Language: l.Name, Text: []byte(text)})
}

// Definitions, closures and literals that nest thousands deep, as generated code
// has them, must cost time in proportion to their size.
func TestTreeDepth(t *testing.T) {
	const depth = 5_000
	nest := func(open, inside, end string) string {
		return strings.Repeat(open, depth) + inside + strings.Repeat(end, depth)
	}
	indented := func(line string) string {
		var b strings.Builder
		for i := range 300 { // deeper ones are refused by the grammar's own scanner
			b.WriteString(strings.Repeat(" ", i) + line + "\n")
		}
		return b.String() + strings.Repeat(" ", 300) + "pass\n"
	}
	for language, texts := range map[string][]string{
		"Python":     {indented("def f(x):"), indented("class A:"), nest("f(lambda x: g(x, ", "1", "))"), nest("a.b(", "1", ").c()")},
		"JavaScript": {nest("function f(x) { g(x); ", "", "}"), nest("f((x) => g(x, ", "1", "))"), "const o = " + nest("{f: () => 1, a: ", "1", "}"), nest("class A { m() { ", "", "} }"), nest("a.b(", "1", ").c()")},
		"TypeScript": {nest("namespace A { ", "", "}"), "type T = " + nest("{a: ", "1", "}"), "let x: " + nest("A<", "B", ">")},
		"TSX":        {nest("<A b={1}>", "x", "</A>")},
		"Rust":       {nest("mod a { use super::b; ", "", "}"), nest("fn f(x: T) { ", "", "}"), "use " + nest("a::{", "b", "}") + ";", nest("f!(g(x), ", "1", ");"), "fn f() { " + nest("g(|x| h(x, ", "1", "))") + " }"},
		"Java":       {nest("class A { void f() { g(); ", "", "} }"), "class A { int a = " + nest("f(x -> g(x, ", "1", "));") + "}", "class A { Object o = " + nest("new A() { int f() { return ", "1", "; } }") + "; }"},
		"C":          {nest("struct a { ", "int x;", "} b;"), nest("void f(void) { g(); ", "", "}"), "int x = " + nest("f(", "1", ")") + ";", "int " + nest("(*", "x", ")(int)") + ";"},
		"C++":        {nest("namespace a { ", "", "}"), nest("class A { void f() { g(); ", "", "} };"), "int x = " + nest("[&](A x) { return f(x, ", "1", "); }()") + ";", "void " + nest("a::", "f", "") + "() {}"},
		"C#":         {nest("namespace A { ", "", "}"), nest("class A { void F() { G(); ", "", "} }"), "class A { int a = " + nest("F(x => G(x, ", "1", "));") + "}"},
		"Ruby":       {nest("module A\n", "", "end\n"), nest("def f\ng(1)\n", "", "end\n"), nest("f { |x| g(x, ", "1", ") }")},
		"PHP":        {"<?php " + nest("function f() { g(); ", "", "}"), "<?php " + nest("f(fn($x) => g($x, ", "1", "));"), "<?php " + nest("new class { function f() { return ", "1", "; } };")},
		"Lua":        {nest("function f() g() ", "", " end "), "f(" + nest("function(x) return g(x, ", "1", ") end") + ")", nest("a.b(", "1", ").c()")},
		"Shell":      {nest("if a; then b; ", "c; ", "fi; "), nest("f() { g; ", "", "}\n")},
		"Kotlin":     {nest("class A { fun f() { g() ", "", "} }"), "val a = " + nest("f { x -> g(x, ", "1", ") }")},
		"Elixir":     {nest("defmodule A do\n", "", "end\n"), nest("fn x -> f(x, ", "1", ") end"), nest("quote do\n", "x", "\nend")},
	} {
		for i, text := range texts {
			start := time.Now()
			ex, err := extractTree(t, language, "a/b", text)
			if err != nil && !errors.Is(err, lang.ErrTimeout) {
				t.Errorf("%s %d: %v", language, i, err)
			}
			t.Logf("%s %d: %s for %d bytes", language, i, time.Since(start).Round(time.Millisecond), len(text))
			if took := time.Since(start); took > 15*time.Second {
				t.Errorf("%s %d: %s for %d bytes", language, i, took, len(text))
			}
			if err == nil {
				for _, problem := range langtest.Problems([]byte(text), ex) {
					t.Fatalf("%s %d: %s", language, i, problem)
				}
			}
		}
	}
}

// Every truncation of a correct file is a file that someone saves while typing.
func TestTreeTruncated(t *testing.T) {
	for _, src := range goldenInputs(t) {
		l, _ := lang.ByName(src.Language)
		isTree := false
		for _, name := range treeLanguages {
			isTree = isTree || name == l.Name
		}
		if !isTree {
			continue
		}
		for n := 1; n < len(src.Text); n += 1 + len(src.Text)/40 {
			text := []byte(strings.ToValidUTF8(string(src.Text[:n]), ""))
			ex, err := l.Extract(context.Background(), lang.Source{Path: src.Path, Language: l.Name, Text: text})
			if err != nil {
				t.Fatalf("%s at %d: %v", src.Path, n, err)
			}
			for _, problem := range langtest.Problems(text, ex) {
				t.Errorf("%s at %d: %s", src.Path, n, problem)
			}
		}
	}
}

// Extractions share a pool of parsers; each must come out as if it were alone.
func TestTreeConcurrent(t *testing.T) {
	var sources []lang.Source
	for _, src := range goldenInputs(t) {
		for _, name := range treeLanguages {
			if src.Language == name {
				sources = append(sources, src)
			}
		}
	}
	want := make([]lang.Extraction, len(sources))
	for i, src := range sources {
		var err error
		if want[i], err = extractTree(t, src.Language, src.Path, string(src.Text)); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for n := range sources {
				src := sources[(n+worker*3)%len(sources)]
				got, err := extractTree(t, src.Language, src.Path, string(src.Text))
				if err != nil {
					t.Errorf("%s: %v", src.Path, err)
				} else if diff := cmp.Diff(want[(n+worker*3)%len(sources)], got); diff != "" {
					t.Errorf("%s (-alone +together):\n%s", src.Path, diff)
				}
			}
		})
	}
	wg.Wait()
}

func TestTreeTimeout(t *testing.T) {
	l, _ := lang.ByName("JavaScript")
	text := []byte(strings.Repeat("f(a, b);\n", 200_000))
	ctx, cancel := context.WithTimeoutCause(context.Background(), 10*time.Millisecond, lang.ErrTimeout)
	defer cancel()
	if _, err := l.Extract(ctx, lang.Source{Path: "a.js", Language: l.Name, Text: text}); !errors.Is(err, lang.ErrTimeout) {
		t.Errorf("got %v, want %v", err, lang.ErrTimeout)
	}
	if _, err := extractTree(t, "JavaScript", "a.js", "x()"); err != nil {
		t.Errorf("after a timeout: %v", err)
	}
}

// Trees lie in C memory, which Go's own counters do not see.
func TestTreeKeepsNoMemory(t *testing.T) {
	resident := func() (pages int) {
		data, err := os.ReadFile("/proc/self/statm")
		if err != nil {
			t.Skip("needs /proc")
		}
		var size int
		if _, err := fmt.Sscan(string(data), &size, &pages); err != nil {
			t.Fatal(err)
		}
		return pages
	}
	sources := goldenInputs(t)
	round := func() {
		for _, src := range sources {
			for _, name := range treeLanguages {
				if src.Language != name {
					continue
				}
				for range 10 {
					if _, err := extractTree(t, name, src.Path, string(src.Text)); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	}
	round()
	round()
	before := resident()
	for range 5 {
		round()
	}
	if grown := (resident() - before) * os.Getpagesize(); grown > 8<<20 {
		t.Errorf("process grew by %d KiB over 5 rounds", grown>>10)
	}
}

func FuzzTree(f *testing.F) {
	for _, src := range goldenInputs(f) {
		for i, name := range treeLanguages {
			if src.Language == name && len(src.Text) < 1500 {
				f.Add(uint8(i), string(src.Text))
			}
		}
	}
	f.Fuzz(func(t *testing.T, language uint8, text string) {
		text = strings.ReplaceAll(strings.ToValidUTF8(text, ""), "\x00", "")
		ex, err := extractTree(t, treeLanguages[int(language)%len(treeLanguages)], "src/a/b.x", text)
		if errors.Is(err, lang.ErrTimeout) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range langtest.Problems([]byte(text), ex) {
			t.Error(problem)
		}
	})
}

func BenchmarkTree(b *testing.B) {
	texts := map[string]string{}
	for _, src := range goldenInputs(b) {
		if !strings.Contains(src.Path, "many") && !strings.Contains(src.Path, "few") {
			texts[src.Language] += string(src.Text)
		}
	}
	for _, name := range treeLanguages {
		b.Run(name, func(b *testing.B) {
			text := strings.Repeat(texts[name], 1+100_000/len(texts[name]))
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := extractTree(b, name, "src/a/b", text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
