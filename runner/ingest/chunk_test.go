package ingest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// goSource returns a large file of the standard library.
func goSource(tb testing.TB) string {
	tb.Helper()
	//lint:ignore SA1019 tests run where they were built
	source, err := os.ReadFile(filepath.Join(runtime.GOROOT(), "src", "net", "http", "server.go"))
	if err != nil {
		tb.Fatal(err)
	}
	return string(source)
}

// goSymbols finds the declarations of a Go file, in the simplest way that serves
// these tests.
func goSymbols(tb testing.TB, source string) []Symbol {
	tb.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", source, parser.SkipObjectResolution)
	if err != nil {
		tb.Fatal(err)
	}
	var symbols []Symbol
	seen := map[string]int{}
	add := func(kind, name string, n ast.Node) {
		key := kind + " " + name
		seen[key]++
		symbols = append(symbols, Symbol{
			Kind: kind, Name: name[strings.LastIndex(name, ".")+1:], QualifiedName: name,
			Key:       fmt.Sprintf("%s#%d", key, seen[key]),
			StartByte: fset.Position(n.Pos()).Offset, EndByte: fset.Position(n.End()).Offset,
			StartLine: fset.Position(n.Pos()).Line, EndLine: fset.Position(n.End()).Line,
		})
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv != nil {
				receiver := d.Recv.List[0].Type
				if star, ok := receiver.(*ast.StarExpr); ok {
					receiver = star.X
				}
				if id, ok := receiver.(*ast.Ident); ok {
					name = id.Name + "." + name
				}
			}
			add(KindFunction, name, d)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if s, ok := spec.(*ast.TypeSpec); ok {
					if len(d.Specs) == 1 {
						add(KindType, s.Name.Name, d)
					} else {
						add(KindType, s.Name.Name, s)
					}
				}
			}
		}
	}
	return symbols
}

func sizesOf(chunks []Chunk) []int {
	sizes := make([]int, len(chunks))
	for i, c := range chunks {
		sizes[i] = len(c.Text)
	}
	return sizes
}

func TestChunksCutsBetweenDefinitions(t *testing.T) {
	body := strings.Repeat("\tx++\n", 400) // 2 kB
	text := "package p\n\n" +
		"// f counts.\nfunc f() {\n" + body + "}\n\n" +
		"// g counts\n// too.\nfunc g() {\n" + body + "}\n"
	f, g := strings.Index(text, "func f"), strings.Index(text, "func g")
	chunks := Chunks(text, []Symbol{
		{Key: "f", Name: "f", StartByte: f, EndByte: f + len("func f() {\n") + len(body) + 1},
		{Key: "g", Name: "g", StartByte: g, EndByte: len(text) - 1},
	})
	var got []string
	for _, c := range chunks {
		first, _, _ := strings.Cut(c.Text, "\n")
		got = append(got, fmt.Sprintf("%s %v %d-%d %s", c.SymbolKey, c.Names, c.StartLine, c.EndLine, first))
	}
	want := []string{
		"f [f] 1-406 package p",
		"g [g] 407-810 // g counts",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestChunksOpensLargeContainers(t *testing.T) {
	var text strings.Builder
	text.WriteString("# Shapes.\nclass Shapes:\n")
	symbols := []Symbol{{Key: "Shapes", Name: "Shapes", StartByte: len("# Shapes.\n")}}
	for _, name := range []string{"a", "b", "c"} {
		text.WriteString("\n    @memo\n")
		start := text.Len() + 4
		fmt.Fprintf(&text, "    def %s(self):\n%s", name, strings.Repeat("        self.x += 1\n", 110))
		symbols = append(symbols, Symbol{Key: "Shapes." + name, Name: name, ParentKey: "Shapes", StartByte: start, EndByte: text.Len() - 1})
	}
	symbols[0].EndByte = text.Len() - 1
	var got []string
	for _, c := range Chunks(text.String(), symbols) {
		got = append(got, fmt.Sprintf("%s %v %.10q", c.SymbolKey, c.Names, c.Text))
	}
	want := []string{
		`Shapes.a [Shapes a] "# Shapes.\n"`,
		`Shapes.b [b] "    @memo\n"`,
		`Shapes.c [c] "    @memo\n"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestChunksWithoutSymbols(t *testing.T) {
	long := strings.Repeat("é", 10_000)
	tests := []struct {
		name, text string
		most       int // chunks
	}{
		{"empty", "", 0},
		{"one byte", "x", 1},
		{"a line break", "\n", 1},
		{"no final line break", "a\nb", 1},
		{"windows line breaks", strings.Repeat("some words\r\n\r\n", 1000), 14},
		{"one long line", long, 6},
		{"a long line between short ones", "a\n" + long + "\nb\n", 7},
		{"blank lines only", strings.Repeat("\n", 20_000), 6},
		{"a line and blank lines", strings.Repeat("x", 5000) + strings.Repeat(" \n", 20_000), 12},
		{"even lines", strings.Repeat("a line of a table, with numbers 1 2 3\n", 5000), 190},
		{"ever deeper", deeper(300), 46},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			chunks := Chunks(tt.text, nil)
			checkChunks(t, tt.text, chunks)
			if len(chunks) > tt.most {
				t.Errorf("%d bytes gave %d chunks, expected at most %d: %v", len(tt.text), len(chunks), tt.most, sizesOf(chunks))
			}
		})
	}
}

func deeper(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "%sx\n", strings.Repeat(" ", i))
	}
	return text.String()
}

// fataler is what checks need of *testing.T and *rapid.T.
type fataler interface{ Fatalf(string, ...any) }

// checkChunks checks what holds for all chunks of any text.
func checkChunks(t fataler, text string, chunks []Chunk) {
	var joined strings.Builder
	for i, c := range chunks {
		before := text[:joined.Len()]
		joined.WriteString(c.Text)
		switch {
		case c.Ordinal != i:
			t.Fatalf("chunk %d has ordinal %d", i, c.Ordinal)
		case c.Text == "" || len(c.Text) > chunkMax:
			t.Fatalf("chunk %d is %d bytes long", i, len(c.Text))
		case !utf8.ValidString(c.Text):
			t.Fatalf("chunk %d cuts a character", i)
		case c.TextHash != HashText(c.Text):
			t.Fatalf("chunk %d has the hash of another text", i)
		case c.StartLine != 1+strings.Count(before, "\n"):
			t.Fatalf("chunk %d starts on line %d, not %d", i, c.StartLine, 1+strings.Count(before, "\n"))
		case c.EndLine != 1+strings.Count(strings.TrimSuffix(before+c.Text, "\n"), "\n"):
			t.Fatalf("chunk %d ends on line %d", i, c.EndLine)
		}
	}
	if joined.String() != text {
		t.Fatalf("joined chunks differ from the text: %s", cmp.Diff(text, joined.String()))
	}
}

// texts draws texts that look like code, with lines of all lengths.
func texts() *rapid.Generator[string] {
	line := rapid.OneOf(
		rapid.SampledFrom([]string{"", "", "}", "  ", "// comment", "func f() {", "\tx := 1", "\t\treturn é", "}\r"}),
		rapid.StringMatching(`[\t ]{0,8}[a-z(){}ä ]{0,90}`),
		rapid.Map(rapid.IntRange(1, 20_000), func(n int) string { return strings.Repeat("ab", n) }),
	)
	return rapid.Map(rapid.SliceOfN(line, 0, 200), func(lines []string) string { return strings.Join(lines, "\n") })
}

func TestChunksProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := texts().Draw(t, "text")
		symbols := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Symbol {
			// Any numbers: parsers recover from errors with ranges that make no sense.
			start := rapid.IntRange(-1, len(text)+1).Draw(t, "start")
			end := rapid.IntRange(-1, len(text)+1).Draw(t, "end")
			return Symbol{Key: fmt.Sprint(start, end), Name: "s", StartByte: start, EndByte: end}
		}), 0, 12).Draw(t, "symbols")

		chunks := Chunks(text, symbols)
		checkChunks(t, text, chunks)
		if diff := cmp.Diff(chunks, Chunks(text, symbols)); diff != "" {
			t.Fatalf("cut differently the second time: %s", diff)
		}
	})
}

// An edit of one line renews the chunk it is in and few others.
func TestChunksSurviveEdits(t *testing.T) {
	source := goSource(t)
	before := Chunks(source, goSymbols(t, source))
	total, worst, edits := 0, 0, 0
	for at := 0; at < len(source); at = lineEnd(source, at) {
		if edits++; edits%10 != 0 {
			continue
		}
		edited := source[:at] + "/* edited */ " + source[at:]
		if _, err := parser.ParseFile(token.NewFileSet(), "", edited, parser.SkipObjectResolution); err != nil {
			continue // inside a raw string or the like
		}
		kept := map[TextHash]bool{}
		for _, c := range Chunks(edited, goSymbols(t, edited)) {
			kept[c.TextHash] = true
		}
		lost := 0
		for _, c := range before {
			if !kept[c.TextHash] {
				lost++
			}
		}
		total += lost
		worst = max(worst, lost)
	}
	mean := float64(total) / float64(edits/10)
	t.Logf("of %d chunks an edit renews %.2f on average, %d at most", len(before), mean, worst)
	if mean > 1.5 || worst > 6 {
		t.Errorf("an edit renews %.2f chunks on average and %d at most", mean, worst)
	}
}

func BenchmarkChunks(b *testing.B) {
	source := goSource(b)
	symbols := goSymbols(b, source)
	b.SetBytes(int64(len(source)))
	for b.Loop() {
		Chunks(source, symbols)
	}
}
