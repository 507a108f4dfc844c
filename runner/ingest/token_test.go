package ingest

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func TestWords(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
	}{
		{"empty", "", nil},
		{"no words", " .,;(){} -- __ ", nil},
		{"prose", "Reads the file.", []string{"read", "the", "fil"}},
		{"camel case", "readRequest", []string{"readrequest", "read", "request"}},
		{"pascal case", "ReadRequest", []string{"readrequest", "read", "request"}},
		{"acronym first", "HTTPServer", []string{"httpserver", "http", "server"}},
		{"acronym last", "serveHTTP", []string{"servehttp", "serv", "http"}},
		{"capitals", "MAX_VALUE", []string{"max_value", "max", "valu"}},
		{"snake case", "max_open_conns", []string{"max_open_conns", "max", "open", "conn"}},
		{"underscores at the ends", "__init__ _x _", []string{"init", "x"}},
		{"digits", "sha256Sum", []string{"sha256sum", "sha", "256", "sum"}},
		{"number", "0x1F 42 3dView", []string{"0x1f", "42", "3dview"}},
		{"kebab case", "go-enry", []string{"go-enry", "go", "enr"}},
		{"kebab of snakes", "a_b-cD_", []string{"a_b-cd", "a_b", "a", "b", "cd", "c", "d"}},
		{"hyphen before a digit", "utf-8", []string{"utf", "8"}},
		{"flag", "--dry-run -v", []string{"dry-run", "dry", "run", "v"}},
		{"double hyphen", "i--j", []string{"i", "j"}},
		{"qualified", "http.Client{}", []string{"http", "client"}},
		{"plural acronym", "IDs", []string{"ids", "i", "ds"}},
		{"other scripts", "Größe ÜBERLAUF имяФайла 変数 “quoted”", []string{"größe", "überlauf", "имяфайла", "имя", "файла", "変数", "quot"}},
		{"invalid UTF-8", "ab\xffcd", []string{"ab", "cd"}},
		{"data", strings.Repeat("aB", 65), nil},
		{"longest word", strings.Repeat("a", 128), []string{strings.Repeat("a", 128)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Words(tt.text), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("words of %q (-want +got):\n%s", tt.text, diff)
			}
		})
	}
}

func TestWordsLoseEnglishEndings(t *testing.T) {
	tests := []struct{ stem, words string }{
		{"typ", "type types typed typing"},
		{"map", "map maps mapped mapping mappings"},
		{"call", "call calls called calling"},
		{"quer", "query queries queried"},
		{"cop", "copy copies copied copying"},
		{"pass", "pass passes passed passing"},
		{"str", "string strings"},
		{"need", "need needs"},
		{"use", "use uses"},
		{"the", "the"},
		{"thi", "this"},
		{"address", "address addresses addressed addressing"},
	}
	for _, tt := range tests {
		for _, word := range Words(tt.words) {
			if word != tt.stem {
				t.Errorf("a word of %q became %q, not %q", tt.words, word, tt.stem)
			}
		}
	}
}

func TestFoldingKeepsLength(t *testing.T) {
	if diff := cmp.Diff("abzàþαωаяѐџ×", newScanner("ABZÀÞΑΩАЯЀЏ×").folded); diff != "" {
		t.Error(diff)
	}
	for r := rune(utf8.RuneSelf); r <= utf8.MaxRune; r++ {
		if _, l := classify(r); utf8.RuneLen(l) != utf8.RuneLen(r) {
			t.Errorf("%q and its lower case %q differ in length", r, l)
		}
	}
}

func TestSearchVector(t *testing.T) {
	tests := []struct {
		name, text string
		names      []string
		want       string
	}{
		{"empty", "", nil, ""},
		{"identifier shares the position of its first part", "func readRequest(r)", nil,
			"'func':1 'readrequest':2 'read':2 'request':3 'r':4"},
		{"repetition", "a b a", nil, "'a':1,3 'b':2"},
		{"many repetitions", strings.Repeat("a b ", 20), nil, "'a':1,3,5,7,9,11,13,15 'b':2,4,6,8,10,12,14,16"},
		{"defined names weigh more", "read file; read", []string{"Read", "absent"}, "'read':1A,3 'fil':2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, SearchVector(tt.text, tt.names...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A literal made of these characters can neither break out of its quotes nor
// need an escape, whatever the text was.
func TestSearchVectorIsAlwaysAValidLiteral(t *testing.T) {
	valid := regexp.MustCompile(`^('[^'\\\s]+':\d+A?(,\d+)*( |$))*$`)
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`([a-zA-Z0-9_'\\ \-éЖ]{0,12}[\n ]){0,40}`)).Draw(t, "text")
		literal := SearchVector(text, text)
		if !valid.MatchString(literal) {
			t.Fatalf("search vector of %q is %q", text, literal)
		}
		if (literal == "") != (len(Words(text)) == 0) {
			t.Fatalf("search vector of %q is %q, its words are %q", text, literal, Words(text))
		}
	})
}

func TestSearchVectorIsBounded(t *testing.T) {
	var text strings.Builder
	for i := range 64 << 10 / 3 {
		text.WriteByte(byte('a' + i%26))
		text.WriteByte(byte('a' + i/26%26))
		text.WriteByte(' ')
	}
	if n := len(SearchVector(text.String())); n > 1<<20 {
		t.Errorf("search vector of %d bytes is %d bytes long", text.Len(), n)
	}
}

func BenchmarkWords(b *testing.B) {
	text := goSource(b)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		Words(text)
	}
}

func BenchmarkSearchVector(b *testing.B) {
	text := goSource(b)
	chunks := Chunks(text, nil)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		for _, c := range chunks {
			SearchVector(c.Text)
		}
	}
}
