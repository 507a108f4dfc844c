package lang_test

import (
	"bytes"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/htdag/htdag/runner/ingest/lang"
	"github.com/htdag/htdag/runner/ingest/lang/langtest"
)

// goSources reads the Go files under a folder of the Go installation's source.
func goSources(t testing.TB, folder string) []lang.Source {
	t.Helper()
	//lint:ignore SA1019 tests run where they were built
	top := filepath.Join(runtime.GOROOT(), "src")
	var sources []lang.Source
	err := filepath.WalkDir(filepath.Join(top, folder), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, name)
		sources = append(sources, lang.Source{Path: filepath.ToSlash(rel), Language: "Go", Text: text})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(sources) == 0 {
		t.Fatalf("no Go files under %s", filepath.Join(top, folder))
	}
	return sources
}

// Every function and method that go/parser finds is a symbol, and nothing else
// is called one.
func TestGoFunctionsAreGoParsers(t *testing.T) {
	golang, _ := lang.ByName("Go")
	for _, src := range goSources(t, "net/http") {
		tree, _ := parser.ParseFile(token.NewFileSet(), src.Path, src.Text, parser.SkipObjectResolution)
		want := map[string]int{}
		count := 0
		for _, decl := range tree.Decls {
			if d, ok := decl.(*ast.FuncDecl); ok {
				want[d.Name.Name]++
				count++
			}
		}
		ex, err := golang.Extract(context.Background(), src)
		if err != nil {
			t.Fatalf("%s: %v", src.Path, err)
		}
		for _, s := range ex.Symbols {
			if s.Kind == lang.KindFunction || s.Kind == lang.KindMethod {
				want[s.Name]--
				count--
				text := src.Text[s.StartByte:s.EndByte]
				if !bytes.HasPrefix(text, []byte("func")) {
					t.Errorf("%s: text of %s begins %.20q", src.Path, s.Key, text)
				}
			}
		}
		if count != 0 {
			t.Errorf("%s: go/parser finds %d more functions", src.Path, count)
		}
		for name, n := range want {
			if n != 0 {
				t.Errorf("%s: go/parser finds %s %d times more", src.Path, name, n)
			}
		}
		if src.Path == "net/http/client.go" && (ex.Module != "http" || len(ex.Symbols) < 40 || len(ex.Calls) < 100) {
			t.Errorf("net/http/client.go: module %q, %d symbols, %d calls", ex.Module, len(ex.Symbols), len(ex.Calls))
		}
	}
}

func TestGoKeepsThePromises(t *testing.T) {
	golang, _ := lang.ByName("Go")
	for _, folder := range []string{"net/http", "go", "internal/types/testdata"} {
		for _, src := range goSources(t, folder) {
			ex, err := golang.Extract(context.Background(), src)
			if err != nil {
				t.Errorf("%s: %v", src.Path, err)
			}
			for _, problem := range langtest.Problems(src.Text, ex) {
				t.Errorf("%s: %s", src.Path, problem)
			}
		}
	}
}

// A deeply nested expression must cost neither the stack nor minutes.
func TestGoDepth(t *testing.T) {
	golang, _ := lang.ByName("Go")
	for name, text := range map[string]string{
		"sum":    "package p\nvar x = a" + strings.Repeat("+a", 400_000),
		"chain":  "package p\nfunc f() { a" + strings.Repeat(".b()", 200_000) + "}",
		"parens": "package p\nvar x = " + strings.Repeat("(", 400_000),
		"blocks": "package p\nfunc f() {" + strings.Repeat("{", 400_000),
		"funcs":  "package p\nvar x = " + strings.Repeat("func(){", 90_000),
		"calls":  "package p\nvar x = " + strings.Repeat("f(", 90_000) + strings.Repeat(")", 90_000),
		"types":  "package p\ntype x " + strings.Repeat("struct{a ", 90_000),
		"else":   "package p\nfunc f() {" + strings.Repeat("if a {} else ", 90_000) + "{}}",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := golang.Extract(context.Background(), lang.Source{Path: "x.go", Language: "Go", Text: []byte(text)}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// BenchmarkGo prints MB/s over a part of the Go library.
func BenchmarkGo(b *testing.B) {
	golang, _ := lang.ByName("Go")
	sources := goSources(b, "net")
	bytes := 0
	for _, src := range sources {
		bytes += len(src.Text)
	}
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	b.ResetTimer()
	for b.Loop() {
		for _, src := range sources {
			if _, err := golang.Extract(context.Background(), src); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(sources)*b.N)/b.Elapsed().Seconds(), "files/s")
}
