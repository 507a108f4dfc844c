package ingest

import (
	"context"
	"errors"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/htdag/htdag/runner/ingest/lang"
	"github.com/htdag/htdag/runner/ingest/lang/langtest"
)

func TestExtract(t *testing.T) {
	for _, test := range []struct {
		path, language, text string
		parser               string
		partial              string // a part of it
		symbol               string // a key that must be there
	}{
		{"a/b.go", "Go", "package b\n\nfunc F() {}\n", "go/parser", "", "function F"},
		{"a.md", "Markdown", "# A\n", "goldmark", "", "module A"},
		{"a.json", "JSON", `{"a": 1}`, "decoder", "", "variable a"},
		{"a.json", "JSON", `{"a": 1`, "decoder", "unexpected end", "variable a"},
		{"a.c", "C", "int f(void) {\n}\n", "tree-sitter", "", "function f"},
		{"a.ml", "OCaml", "(* class fake *)\nmodule Table = struct\nend\n", "lexer", "", "module Table"},
		{"a.jl", "Julia", "# function fake()\nfunction area(r)\n  r^2\nend\n", "lexer", "", "function area"},
		{"a.txt", "Text", "class action is no class\n", "lines", "", ""},
		{"a.zzz", "Nothing Known", "def f\n", "lines", "", ""},
		{"a.go", "Go", "package b\xff\n", "lines", "not valid UTF-8", ""},
		{"a.ml", "OCaml", strings.Repeat("let x = 1\n", 30_000), "lines", "larger than the 262144 bytes", ""},
		{"a.ml", "OCaml", strings.Repeat("a", 20_000), "lines", "a line of 20000 bytes", ""},
		{"a.json", "JSON", `{"a": "` + strings.Repeat("x", 1<<20) + `"}`, "lines", "larger than the 1048576 bytes", ""},
	} {
		t.Run(test.language+" "+test.path, func(t *testing.T) {
			ex, err := Extract(context.Background(), test.path, test.language, []byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if ex.Language != test.language || ex.Parser != test.parser {
				t.Errorf("language %q, parser %q, want %q, %q", ex.Language, ex.Parser, test.language, test.parser)
			}
			if !strings.Contains(ex.Partial, test.partial) || (ex.Partial == "") != (test.partial == "") {
				t.Errorf("partial %q, want %q", ex.Partial, test.partial)
			}
			if !slices.Contains(ex.Provides, "path:"+test.path) {
				t.Errorf("provides %q without its path", ex.Provides)
			}
			if test.symbol != "" && !slices.ContainsFunc(ex.Symbols, func(s Symbol) bool { return s.Key == test.symbol }) {
				t.Errorf("no symbol %q in:\n%s", test.symbol, langtest.Format(ex))
			}
			if test.symbol == "" && len(ex.Symbols) > 0 {
				t.Errorf("symbols:\n%s", langtest.Format(ex))
			}
		})
	}
}

func TestExtractEndsWithItsContext(t *testing.T) {
	lost := errors.New("lease lost")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(lost)
	if _, err := Extract(ctx, "a.ml", "OCaml", []byte("let x = 1\n")); !errors.Is(err, lost) {
		t.Errorf("error %v, want %v", err, lost)
	}
}

func TestAttempt(t *testing.T) {
	src := lang.Source{Path: "a", Language: "Go"}
	for name, test := range map[string]struct {
		f    lang.ExtractFunc
		want string
	}{
		"crash": {func(context.Context, lang.Source) (Extraction, error) {
			var m map[string]int
			m["a"] = 1 //lint:ignore SA5000 the crash is the point
			return Extraction{}, nil
		}, "parser crashed: assignment to entry in nil map"},
		"time": {func(ctx context.Context, _ lang.Source) (Extraction, error) {
			<-ctx.Done()
			return Extraction{}, ctx.Err()
		}, "parse timeout"},
		"cause": {func(ctx context.Context, _ lang.Source) (Extraction, error) {
			<-ctx.Done()
			return Extraction{}, context.Cause(ctx)
		}, "parse timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := attempt(context.Background(), test.f, src, 20*time.Millisecond)
			if err == nil || err.Error() != test.want {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// A crashed or timed out parser leaves the file to the lexer, which says why.
func TestExtractFallsBack(t *testing.T) {
	src := lang.Source{Path: "a.m", Language: "Objective-C", Text: []byte("int f(void) {\n}\n")}
	crash := func(context.Context, lang.Source) (Extraction, error) { panic("no such rule") }
	ex, err := extractWith(context.Background(), crash, src)
	if err != nil {
		t.Fatal(err)
	}
	if ex.Parser != "lexer" || ex.Partial != "parser crashed: no such rule" || len(ex.Symbols) != 1 {
		t.Errorf("got:\n%s", langtest.Format(ex))
	}
}

// The package is a function of bytes: it reads no files, no network, no database
// and no environment, and knows nothing else of this project.
func TestImports(t *testing.T) {
	const ours = "github.com/htdag/htdag/"
	forbidden := []string{"os", "net", "net/http", "database/sql", "os/exec", "io/ioutil", "path/filepath", "syscall", "log", "log/slog"}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		if file.Name.Name == "main" {
			return nil // a command that measures the package
		}
		for _, i := range file.Imports {
			path := strings.Trim(i.Path.Value, `"`)
			if slices.Contains(forbidden, path) || strings.HasPrefix(path, ours) && !strings.HasPrefix(path, ours+"runner/ingest/") {
				t.Errorf("%s imports %s", name, path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func FuzzExtract(f *testing.F) {
	f.Add("a.go", "package a\nfunc f() { g() }\n")
	f.Add("a.py", "class A:\n  def b(self): pass\n")
	f.Add("a.ml", "let f x = x\n")
	f.Add("a.jl", "function f(x)\nend\n")
	f.Add("a.sql", "create function a.b() returns int as $$ select 1 $$;\n")
	f.Add("a.md", "# A\n[b](c)\n")
	f.Add("a.yaml", "a:\n  b: c\n")
	f.Fuzz(func(t *testing.T, path, content string) {
		if len(content) > 16<<10 {
			t.Skip()
		}
		v := Inspect(path, []byte(content), int64(len(content)), Limits{})
		if v.Status == StatusSkipped {
			return
		}
		language := Detect(path, v.Text)
		ex, err := Extract(context.Background(), path, language, v.Text)
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range langtest.Problems(v.Text, ex) {
			t.Errorf("%s: %s", language, problem)
		}
	})
}
