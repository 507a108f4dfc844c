package embed

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/runner/ingest"
)

var _ ingest.Embedder = (*File)(nil)

const small = "htdag-tokens 1 small 4 2\nread\nReading\nfile\nMaxSize\n" +
	"\x01\x00" + "\x7f\x7f" + "\x00\x02" + "\xfd\x04"

func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(small), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(f.Name(), "file/small-") || f.Dimensions() != 2 {
		t.Errorf("%s has %d dimensions", f.Name(), f.Dimensions())
	}
	vectors, err := f.Embed(t.Context(), []string{"reads", "File", "read the files", "maxSize", "unknown", ""})
	if err != nil {
		t.Fatal(err)
	}
	var got [][]float32
	for _, v := range vectors {
		got = append(got, v.Weights)
	}
	want := [][]float32{
		{1, 0}, // of two tokens that are one word the first counts
		{0, 1},
		{0.4472136, 0.8944272}, // (1, 0) + (0, 2)
		{-0.6, 0.8},
		{0, 0},
		{0, 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFileNameChangesWithTheFile(t *testing.T) {
	t.Parallel()
	a, err := ReadFile(strings.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	b, err := ReadFile(strings.NewReader(small[:len(small)-1] + "\x05"))
	if err != nil {
		t.Fatal(err)
	}
	if a.Name() == b.Name() {
		t.Errorf("two files are both %s", a.Name())
	}
}

func TestFileSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"", "read the first line: unexpected EOF"},
		{"PK\x03\x04\n", `the first line is "PK\x03\x04", not htdag-tokens 1 NAME TOKENS DIMENSIONS`},
		{"htdag-tokens 2 x 1 1\na\nb", "not htdag-tokens 1"},
		{"htdag-tokens 1 x 0 1\n", "0 tokens of 1 dimensions: at least 1"},
		{"htdag-tokens 1 x 1 99999999\n", "at most 4194304 of 16384"},
		{"htdag-tokens 1 x 2 1\na\n", "read token 2 of 2: unexpected EOF"},
		{"htdag-tokens 1 x 1 2\n" + strings.Repeat("a", 2000) + "\n", "read token 1 of 1: a line is longer than 1024 bytes"},
		{small[:len(small)-1], "4 tokens of 2 dimensions need 8 bytes of weights, the file has 7"},
		{small + "\x00", "the file has 9 (or more)"},
	} {
		if _, err := ReadFile(strings.NewReader(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error is %v\nwant %s", err, tt.want)
		}
	}
	if _, err := OpenFile(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error is %v", err)
	}
}
