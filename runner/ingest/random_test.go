package ingest

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
)

func TestRandom(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 45_000)
	rand.NewChaCha8([32]byte{1}).Read(noise)
	lines := func(s string) string {
		var b strings.Builder
		for ; len(s) > 76; s = s[76:] {
			b.WriteString(s[:76] + "\n")
		}
		return b.String() + s
	}
	code, err := os.ReadFile("chunk.go")
	if err != nil {
		t.Fatal(err)
	}
	var numbers, ids strings.Builder
	source := rand.New(rand.NewChaCha8([32]byte{2}))
	for range 5000 {
		fmt.Fprintln(&numbers, source.IntN(1_000_000))
	}
	for range 1200 {
		fmt.Fprintf(&ids, "%08x-%04x-%04x-%012x\n", source.Uint32(), source.IntN(1<<16), source.IntN(1<<16), source.Int64N(1<<48))
	}
	text := base64.StdEncoding.EncodeToString(noise)
	for _, test := range []struct {
		name, text string
		want       bool
	}{
		{"base64", text, true},
		{"base64 in lines", lines(text), true},
		{"more base64 than code", string(bytes.Repeat(code, 2)) + lines(text), true},
		{"more code than base64", string(bytes.Repeat(code, 10)) + lines(text), false},
		{"hexadecimal", lines(hex.EncodeToString(noise)), false},
		{"code", string(code), false},
		{"numbers", numbers.String(), false},
		{"identifiers", ids.String(), false},
		{"little", text[:4000], false},
		{"nothing", "", false},
		{"Chinese", strings.Repeat("天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏", 400), false},
	} {
		if got := Random([]byte(test.text)); got != test.want {
			t.Errorf("%s: Random is %v, want %v", test.name, got, test.want)
		}
	}
}
