package search_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/htdag/htdag/db/dbtest"
)

// question is the first sentence of a function's comment, without the function's
// name, and the lines of the function, from whose file all such comments were taken.
type question struct {
	text       string
	path       string
	start, end int
}

// withoutComments cuts the comments of functions out of a file and returns what
// they ask.
func withoutComments(path string, source []byte) (string, []question) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, path, source, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return string(source), nil
	}
	var text strings.Builder
	var questions []question
	at, cut := 0, 0 // bytes, lines
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Doc == nil {
			continue
		}
		from, to := fset.Position(f.Doc.Pos()), fset.Position(f.Pos())
		text.Write(source[at:from.Offset])
		at = fset.Position(f.Type.Func).Offset
		cut += to.Line - from.Line
		start, end := fset.Position(f.Type.Func).Line, fset.Position(f.End()).Line
		cut += start - to.Line
		sentence, _, _ := strings.Cut(strings.ReplaceAll(f.Doc.Text(), "\n", " "), ". ")
		sentence = strings.TrimPrefix(sentence, f.Name.Name)
		if end-start >= 3 && len(strings.Fields(sentence)) >= 5 {
			questions = append(questions, question{sentence, path, start - cut, end - cut})
		}
	}
	text.Write(source[at:])
	return text.String(), questions
}

// BenchmarkRetrieval asks for functions of the standard library with the first
// sentences of their comments, which the corpus does not hold. It reports the mean
// reciprocal rank and how often the function is among the first ten.
func BenchmarkRetrieval(b *testing.B) {
	pool := dbtest.New(b)
	c := newCorpus(b, pool)
	id := c.codebase("go")
	var questions []question
	//lint:ignore SA1019 tests run where they were built
	root := filepath.Join(runtime.GOROOT(), "src")
	for _, path := range goFiles(b, root) {
		source, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			b.Fatal(err)
		}
		text, asked := withoutComments(path, source)
		c.add(id, path, text)
		questions = append(questions, asked...)
	}
	c.flush()
	dbtest.Exec(b, pool, "vacuum analyze")
	rand.New(rand.NewSource(1)).Shuffle(len(questions), func(i, j int) { questions[i], questions[j] = questions[j], questions[i] })
	questions = questions[:min(1000, len(questions))]

	chunks := func(branch string) string {
		return "select f.path, c.start_line, c.end_line from " + branch +
			" r join code.chunks c using (file_id, ordinal) join code.files f using (file_id) order by r.position limit 50"
	}
	lines := "select path, split_part(lines, '-', 1)::int, split_part(lines || '-' || lines, '-', 2)::int from code.search($1, max_results => 50)"
	for _, way := range []struct {
		name, query string
		weight      float64 // of hash-v1 in a search
	}{
		{"words", chunks("code.search_words(code.query_words($1), null, 50)"), 0},
		{"vectors", chunks("code.embed_hash($1) e, code.search_vectors((select model_id from code.models), e.dimensions, e.weights, e.signature, null, 50)"), 0},
		{"search/hash-v1=0", lines, 0},
		{"search/hash-v1=0.05", lines, 0.05},
		{"search/hash-v1=0.2", lines, 0.2},
		{"search/hash-v1=1", lines, 1},
	} {
		b.Run(way.name, func(b *testing.B) {
			dbtest.Exec(b, pool, "update code.models set search_weight = $1", way.weight)
			for b.Loop() {
				var reciprocal, ten float64
				for _, q := range questions {
					if rank := q.rank(b, c, way.query); rank > 0 {
						reciprocal += 1 / float64(rank)
						if rank <= 10 {
							ten++
						}
					}
				}
				b.ReportMetric(reciprocal/float64(len(questions)), "MRR")
				b.ReportMetric(ten/float64(len(questions)), "in-10")
			}
			b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N*len(questions)), "ms/query")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// rank returns the place, from 1, of the first answer within the function; 0 for none.
func (q question) rank(b *testing.B, c *corpus, query string) int {
	rows, err := c.pool.Query(b.Context(), query, q.text)
	if err != nil {
		b.Fatal(err)
	}
	type answer struct {
		Path       string
		Start, End int
	}
	answers, err := pgx.CollectRows(rows, pgx.RowToStructByPos[answer])
	if err != nil {
		b.Fatal(fmt.Errorf("%s: %w", q.text, err))
	}
	return 1 + slices.IndexFunc(answers, func(a answer) bool {
		return a.Path == q.path && a.Start <= q.end && a.End >= q.start
	})
}
