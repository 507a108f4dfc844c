package ingest_test

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/encoding/unicode/utf32"
	"pgregory.net/rapid"

	"github.com/htdag/htdag/runner/ingest"
)

func inspect(path, content string) ingest.Verdict {
	return ingest.Inspect(path, []byte(content), int64(len(content)), ingest.Limits{})
}

func TestInspectEncodings(t *testing.T) {
	code := func(comment string) string {
		return strings.Repeat("static int find(int a) {\n\t/* "+comment+" */\n\treturn a + 1;\n}\n", 6)
	}
	utf16 := func(endian unicode.Endianness, bom unicode.BOMPolicy) encoding.Encoding {
		return unicode.UTF16(endian, bom)
	}
	const western, russian, japanese_ = "Prüft, ob die Größe für das Gerät genügt", "Проверяет, что размер достаточен", "サイズが十分かどうかを確認する"
	for _, test := range []struct {
		name string
		in   encoding.Encoding
		text string
		want string
	}{
		{"UTF-16LE with mark", utf16(unicode.LittleEndian, unicode.UseBOM), code(japanese_), "UTF-16LE"},
		{"UTF-16BE with mark", utf16(unicode.BigEndian, unicode.UseBOM), code(western), "UTF-16BE"},
		{"UTF-16LE without", utf16(unicode.LittleEndian, unicode.IgnoreBOM), code(western), "UTF-16LE"},
		{"UTF-16BE without", utf16(unicode.BigEndian, unicode.IgnoreBOM), code(western), "UTF-16BE"},
		{"UTF-32LE", utf32.UTF32(utf32.LittleEndian, utf32.UseBOM), code(russian), "UTF-32LE"},
		{"UTF-32BE", utf32.UTF32(utf32.BigEndian, utf32.UseBOM), code(russian), "UTF-32BE"},
		{"Western", charmap.Windows1252, code(western), "windows-1252"},
		{"one accent", charmap.Windows1252, "/* José */\nint x;\n", "windows-1252"},
		{"Cyrillic", charmap.Windows1251, code(russian), "windows-1251"},
		{"KOI8", charmap.KOI8R, code(russian), "koi8-r"},
		{"Shift_JIS", japanese.ShiftJIS, code(japanese_), "shift_jis"},
		{"EUC-JP", japanese.EUCJP, code(japanese_), "euc-jp"},
		{"GB", simplifiedchinese.GBK, code("检查大小是否足够写入数据"), "gb18030"},
		{"Big5", traditionalchinese.Big5, code("檢查大小是否足夠寫入資料"), "big5"},
		{"Korean", korean.EUCKR, code("크기가 충분한지 확인한다"), "euc-kr"},
		{"declared in a comment", charmap.ISO8859_2, "# -*- coding: iso-8859-2 -*-\n# większa żądana\n", "iso-8859-2"},
		{"declared in XML", charmap.ISO8859_15, "<?xml version='1.0' encoding='ISO-8859-15'?>\n<a>20 €</a>\n", "iso-8859-15"},
	} {
		t.Run(test.name, func(t *testing.T) {
			raw, err := test.in.NewEncoder().String(test.text)
			if err != nil {
				t.Fatal(err)
			}
			v := inspect("a.c", raw)
			if v.Status != ingest.StatusIngested || !v.Parse || v.Encoding != test.want {
				t.Errorf("status %s (%s), encoding %s, want %s", v.Status, v.Reason, v.Encoding, test.want)
			}
			if string(v.Text) != test.text {
				t.Errorf("text %.80q, want %.80q", v.Text, test.text)
			}
			if want := strings.Count(test.text, "\n"); v.Lines != want {
				t.Errorf("%d lines, want %d", v.Lines, want)
			}
		})
	}
}

func TestInspectStatus(t *testing.T) {
	noise := make([]byte, 4000)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(1 + random.IntN(255)) // no NUL: the bytes alone must give it away
	}
	long := "var a=" + strings.Repeat("function(b){return b+1}(c),", 400) + "0"
	for _, test := range []struct {
		name, path, content string
		status, reason      string // reason: a part of it
		check               func(ingest.Verdict) bool
	}{
		{"plain", "a.go", "package a\n", "ingested", "", func(v ingest.Verdict) bool { return v.Parse && v.Encoding == "UTF-8" && v.Lines == 1 }},
		{"empty", "a.go", "", "ingested", "", func(v ingest.Verdict) bool { return v.Empty && v.Parse && v.Text != nil && v.Lines == 0 }},
		{"no last line end", "a.go", "a\nb", "ingested", "", func(v ingest.Verdict) bool { return v.Lines == 2 }},
		{"mark", "a.go", "\xEF\xBB\xBFpackage a\n", "ingested", "", func(v ingest.Verdict) bool {
			return v.Encoding == "UTF-8 with BOM" && string(v.Text) == "\xEF\xBB\xBFpackage a\n"
		}},
		{"NUL at once", "a.go", "package a\x00\n", "skipped", "NUL byte", func(v ingest.Verdict) bool { return v.Binary && v.Text == nil && !v.Parse }},
		{"NUL late", "a.go", strings.Repeat("// a\n", 2000) + "\x00\x00\n", "partial", "2 NUL characters", func(v ingest.Verdict) bool {
			return v.Parse && !bytes.Contains(v.Text, []byte{0}) && bytes.Contains(v.Text, []byte("\uFFFD\uFFFD\n"))
		}},
		{"noise", "a.bin", string(noise), "skipped", "binary", func(v ingest.Verdict) bool { return v.Binary }},
		{"PNG", "a.png", "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "skipped", "binary", func(v ingest.Verdict) bool { return v.Binary }},
		{"controls", "a.txt", strings.Repeat("\x01\x02a", 100), "skipped", "control characters", nil},
		{"colours", "a.log", strings.Repeat("\x1b[31mred\x1b[0m\n", 100), "ingested", "", nil},
		{"damaged", "a.txt", strings.Repeat("grün und größer\n", 20) + "\xff\n", "partial", "1 places are no valid UTF-8", func(v ingest.Verdict) bool {
			return v.Parse && v.Encoding == "UTF-8" && strings.HasSuffix(string(v.Text), "\uFFFD\n")
		}},
		{"large", "a.go", "package a\n" + strings.Repeat("// x\n", 300_000), "partial", "over the limit of 1.0 MiB for parsing", func(v ingest.Verdict) bool {
			return v.TooLarge && !v.Parse && v.Lines == 300_001 && v.Text != nil
		}},
		{"huge", "a.go", strings.Repeat("// xxxxxxxxxxxxx\n", 700_000), "skipped", "over the size limit of 10.0 MiB", func(v ingest.Verdict) bool {
			return v.TooLarge && v.Text == nil
		}},
		{"minified by name", "jquery.min.js", "a()\n", "partial", "minified", func(v ingest.Verdict) bool { return v.Minified && !v.Parse }},
		{"minified by looks", "app.js", long, "partial", "minified: 1 lines", func(v ingest.Verdict) bool { return v.Minified }},
		{"long prose", "a.md", strings.Repeat("Words and words. ", 1000), "ingested", "", func(v ingest.Verdict) bool { return !v.Minified }},
		{"long line with blanks", "a.py", "x = [" + strings.Repeat("1, ", 3000) + "]\n", "ingested", "", func(v ingest.Verdict) bool { return !v.Minified }},
		{"lock file", "web/package-lock.json", "{}\n", "partial", "lock file", func(v ingest.Verdict) bool { return v.Generated && !v.Parse }},
		{"vendored", "a/node_modules/b/c.js", "a()\n", "ingested", "", func(v ingest.Verdict) bool { return v.Vendored && v.Parse }},
		{"not vendored", "vendors/c.js", "a()\n", "ingested", "", func(v ingest.Verdict) bool { return !v.Vendored }},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := inspect(test.path, test.content)
			if v.Status != test.status || !strings.Contains(v.Reason, test.reason) || (v.Reason == "") != (test.reason == "") {
				t.Errorf("%s (%s), want %s (%s)", v.Status, v.Reason, test.status, test.reason)
			}
			if test.check != nil && !test.check(v) {
				v.Text = v.Text[:min(len(v.Text), 100)]
				t.Errorf("verdict %+v", v)
			}
		})
	}
}

func TestInspectTruncated(t *testing.T) {
	whole := strings.Repeat("größer\n", 10_000)
	for cut := 50_000; cut < 50_010; cut++ { // also within a character
		v := ingest.Inspect("a.txt", []byte(whole[:cut]), int64(len(whole)), ingest.Limits{})
		if v.Status != ingest.StatusPartial || !v.Truncated || v.Parse || !strings.Contains(v.Reason, "only the first 48.8 KiB of 87.9 KiB") {
			t.Fatalf("cut at %d: %s (%s)", cut, v.Status, v.Reason)
		}
		if v.Encoding != "UTF-8" || !strings.HasPrefix(whole, string(v.Text)) || len(v.Text) < cut-1 {
			t.Fatalf("cut at %d: %s of %d bytes", cut, v.Encoding, len(v.Text))
		}
	}
	v := ingest.Inspect("a.iso", bytes.Repeat([]byte{0}, 1000), 5<<30, ingest.Limits{})
	if v.Status != ingest.StatusSkipped || !v.Binary || !strings.Contains(v.Reason, "5120.0 MiB is over the size limit") {
		t.Errorf("huge binary: %s (%s)", v.Status, v.Reason)
	}
	v = ingest.Inspect("a.go", []byte("package a\n"), 10, ingest.Limits{ParseBytes: 5})
	if v.Status != ingest.StatusPartial || v.Parse {
		t.Errorf("own limit: %s (%s)", v.Status, v.Reason)
	}
}

func TestInspectGenerated(t *testing.T) {
	for _, test := range []struct {
		path, content string
		want          bool
	}{
		{"a.go", "// Code generated by x. DO NOT EDIT.\n\npackage a\n", true},
		{"a.go", "// Copyright\n\n// Code generated by x. DO NOT EDIT.\r\npackage a\n", true},
		{"a.go", "package a\n\nconst s = \"Code generated by x. DO NOT EDIT.\"\n", false},
		{"a.go", "package a\n\n// isGenerated looks for @generated marks.\nfunc f() {}\n", true}, // in a comment near the top: as other tools have it
		{"a.js", "/**\n * @generated\n */\n", true},
		{"a.py", "# Generated by the protocol buffer compiler.  DO NOT EDIT!\n", true},
		{"a.ts", "/* eslint-disable */\n// This file was automatically generated.\n", true},
		{"a.h", "/* DO NOT EDIT: generated by make */\n", true},
		{"a.rs", "// auto-generated from x; do not modify\n", true},
		{"a.sql", "-- name: GetUser\nselect 1;\n", false},
		{"a.py", "def generated(): pass\n", false},
		{"a.py", "# The table is generated by hand.\n", false},
		{"api.pb.go", "package a\n", true},
		{"zz_generated.deepcopy.go", "package a\n", true},
		{"go.sum", "x v1 h1:x\n", true},
		{"a.go", strings.Repeat("// text\n", 400) + "// Code generated by x. DO NOT EDIT.\n", false},
	} {
		if got := inspect(test.path, test.content).Generated; got != test.want {
			t.Errorf("%s %.60q: generated %v", test.path, test.content, got)
		}
	}
}

// Valid UTF-8 comes back unchanged, and every text can be stored.
func TestInspectProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		content := rapid.OneOf(
			rapid.Map(rapid.StringN(0, 500, 2000), func(s string) []byte { return []byte(strings.ReplaceAll(s, "\x00", "")) }),
			rapid.SliceOfN(rapid.Byte(), 0, 2000),
		).Draw(t, "content")
		kept := bytes.Clone(content)
		v := ingest.Inspect("a.c", content, int64(len(content)), ingest.Limits{})
		if !bytes.Equal(content, kept) {
			t.Fatal("the content was changed")
		}
		if (v.Status == ingest.StatusIngested) != (v.Reason == "") {
			t.Fatalf("%s with reason %q", v.Status, v.Reason)
		}
		if v.Status == ingest.StatusSkipped {
			if v.Text != nil {
				t.Fatal("skipped, but with text")
			}
			return
		}
		if !utf8.Valid(v.Text) || bytes.IndexByte(v.Text, 0) >= 0 {
			t.Fatalf("text %q cannot be stored", v.Text)
		}
		if utf8.Valid(content) && bytes.IndexByte(content, 0) < 0 && !bytes.Equal(v.Text, content) {
			t.Fatalf("valid text %q came back as %q", content, v.Text)
		}
	})
}

func FuzzInspect(f *testing.F) {
	f.Add("a.go", []byte("package a\n"), int64(0))
	f.Add("a.txt", []byte("\xff\xfea\x00b\x00"), int64(100))
	f.Add("a.txt", []byte("\xfe\xff\x00a"), int64(0))
	f.Add("a.xml", []byte("<?xml encoding='shift_jis'?>\x83\x54"), int64(0))
	f.Add("x.min.js", []byte("gr\xfc\xdf"), int64(11<<20))
	f.Fuzz(func(t *testing.T, path string, content []byte, size int64) {
		v := ingest.Inspect(path, content, size, ingest.Limits{})
		if v.Status != ingest.StatusSkipped && (!utf8.Valid(v.Text) || bytes.IndexByte(v.Text, 0) >= 0 || v.Text == nil) {
			t.Errorf("%s: text %q cannot be stored", v.Status, v.Text)
		}
		if (v.Status == ingest.StatusIngested) != (v.Reason == "") || !utf8.ValidString(v.Reason) {
			t.Errorf("%s with reason %q", v.Status, v.Reason)
		}
	})
}

func BenchmarkInspect(b *testing.B) {
	content := bytes.Repeat([]byte("\treturn a + b // größer\n"), 2000)
	b.SetBytes(int64(len(content)))
	for b.Loop() {
		ingest.Inspect("a/b/c.go", content, int64(len(content)), ingest.Limits{})
	}
}
