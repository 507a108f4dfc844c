package search_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner/ingest"
)

// A query is split and embedded by SQL, the code by Go: here they are compared.

var spellings = []string{
	"", " .,;(){} -- __ ", "Reads the file.", "readRequest", "HTTPServer", "serveHTTP", "MAX_VALUE", "max_open_conns",
	"__init__ _x _", "sha256Sum", "0x1F 42 3dView _2fa 2fa_code", "go-enry", "a_b-cD_", "utf-8", "--dry-run -v", "i--j",
	"foo-_bar _foo-bar foo_-bar -foo- ", "http.Client{}", "IDs ID URLsOf", "A Ab ABc ABC1d a1B2", "Größe ÜBERLAUF имяФайла ЖУРНАЛ 変数 “quoted”",
	"types typed typing type string strings mapped passes calling need speed queries carried series",
	strings.Repeat("aB", 64) + " " + strings.Repeat("aB", 65), strings.Repeat("a", 128) + "-b", "it's 'quoted' \\ back",
	"ªµº × ÷ ÀÖØÞ ΑΡΣΩ ЀЏАЯ \u1fff \u2000 \u2bff \u2c00 \u2dff \u2e00 \u3040 \ud7ff \ue000 \uf900 \ufdcf \ufe70 \uff21 \U00010000 \U0001f600 \U00020000 \U0003ffff \U00040000",
}

// identifiers draws names in every convention, joined by what stands between names.
var identifiers = rapid.Map(
	rapid.SliceOfN(rapid.OneOf(
		rapid.StringMatching(`[A-Za-z_][A-Za-z0-9_]{0,12}`),
		rapid.StringMatching(`([A-Z]{0,3}[a-z]{0,8}(ing|ed|es|ies|s|y|e)?){1,4}`),
		rapid.StringMatching(`[a-zA-ZäÖßжЩ変\-_0-9']{0,20}`),
		rapid.String(),
	), 0, 12),
	func(names []string) string {
		return strings.ReplaceAll(strings.Join(names, " "), "\x00", "") // PostgreSQL's text has no NUL
	})

func TestQueryWordsAreTheWordsOfTheIndex(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	compare := func(t fataler, text string) {
		if diff := cmp.Diff(append([]string(nil), ingest.Words(text)...), column(t, pool, "select unnest(code.query_words($1))", text)); diff != "" {
			t.Fatalf("words of %q in Go (-) and SQL (+):\n%s", text, diff)
		}
	}
	for _, text := range spellings {
		compare(t, text)
	}
	// The scripts whose case is folded, and wherever Go's idea of a letter changes.
	var chosen strings.Builder
	before := 0
	for r := rune(1); r < 0x50000; r++ {
		if !utf8.ValidRune(r) {
			continue
		}
		words := len(ingest.Words("a" + string(r) + "a"))
		if r < 0x530 || words != before {
			for _, c := range []rune{r - 1, r} {
				if utf8.ValidRune(c) && c > 0 {
					chosen.WriteString("a" + string(c) + "B " + string(c) + string(c) + "\n")
				}
			}
		}
		before = words
	}
	compare(t, chosen.String())
	rapid.Check(t, func(t *rapid.T) { compare(t, identifiers.Draw(t, "text")) })
}

func TestEmbedHashIsHashV1(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	compare := func(t fataler, text string) {
		vectors, err := ingest.HashEmbedder{}.Embed(t.Context(), []string{text})
		if err != nil {
			t.Fatalf("embed %q: %v", text, err)
		}
		want := vectors[0]
		var got ingest.Vector
		var signature string
		row := pool.QueryRow(t.Context(), "select dimensions, weights, signature::text from code.embed_hash($1)", text)
		if err := row.Scan(&got.Dimensions, &got.Weights, &signature); err != nil {
			t.Fatalf("embed %q in SQL: %v", text, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("vector of %q in Go (-) and SQL (+):\n%s", text, diff)
		}
		if diff := cmp.Diff(want.Signature(512), signature); diff != "" {
			t.Fatalf("signature of %q in Go (-) and SQL (+):\n%s", text, diff)
		}
	}
	for _, text := range spellings {
		compare(t, text)
	}
	rapid.Check(t, func(t *rapid.T) { compare(t, identifiers.Draw(t, "text")) })
}

func TestSearchVectorsAreValidLiterals(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	rapid.Check(t, func(t *rapid.T) {
		text := identifiers.Draw(t, "text")
		lexemes := column(t, pool, "select unnest(tsvector_to_array($1::text::tsvector))", ingest.SearchVector(text, text))
		words := map[string]bool{}
		for _, w := range ingest.Words(text) {
			words[w] = true
		}
		if len(lexemes) != len(words) {
			t.Fatalf("%d lexemes, %d words of %q", len(lexemes), len(words), text)
		}
		for _, l := range lexemes {
			if !words[l] {
				t.Fatalf("lexeme %q is no word of %q", l, text)
			}
		}
	})
}

func TestDenseSignatureIsTheSameInSQL(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	v, err := ingest.Dense([]float32{0.5, -0.5, 0, 3})
	if err != nil {
		t.Fatal(err)
	}
	got := dbtest.Value[string](t, pool, "select code.signature(null, $1, 4)::text", v.Weights)
	if diff := cmp.Diff(v.Signature(4), got); diff != "" {
		t.Error(diff)
	}
}
