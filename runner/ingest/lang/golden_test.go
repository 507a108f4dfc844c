package lang_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/runner/ingest/lang"
	"github.com/htdag/htdag/runner/ingest/lang/langtest"
)

var update = flag.Bool("update", false, "rewrite the want parts of testdata/*/*.txtar")

// TestGolden runs every archive under testdata/<language>/. Each file of an
// archive is extracted as that language; the file named want is what comes out.
func TestGolden(t *testing.T) {
	archives, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range archives {
		t.Run(strings.TrimSuffix(strings.TrimPrefix(filepath.ToSlash(name), "testdata/"), ".txtar"), func(t *testing.T) {
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			l, ok := lang.ByName(filepath.Base(filepath.Dir(name)))
			if !ok {
				t.Fatalf("folder of %s names no language", name)
			}
			head, files := readArchive(data)
			var got strings.Builder
			var inputs []archiveFile
			want := ""
			for _, f := range files {
				if f.name == "want" {
					want = string(f.text)
					continue
				}
				inputs = append(inputs, f)
				extract := l.Extract
				if extract == nil {
					extract = lang.Fallback
				}
				ex, err := extract(context.Background(), lang.Source{Path: f.name, Language: l.Name, Text: f.text})
				if err != nil {
					t.Fatalf("extract %s: %v", f.name, err)
				}
				for _, problem := range langtest.Problems(f.text, ex) {
					t.Errorf("%s: %s", f.name, problem)
				}
				fmt.Fprintf(&got, "# %s\n%s", f.name, langtest.Format(ex))
			}
			if *update {
				if err := os.WriteFile(name, writeArchive(head, append(inputs, archiveFile{"want", []byte(got.String())})), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got.String()); diff != "" {
				t.Errorf("extraction differs from %s (-want +got):\n%s", name, diff)
			}
		})
	}
}

// goldenInputs returns the input files of all archives with their language.
func goldenInputs(t testing.TB) []lang.Source {
	archives, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var sources []lang.Source
	for _, name := range archives {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		l, _ := lang.ByName(filepath.Base(filepath.Dir(name)))
		_, files := readArchive(data)
		for _, f := range files {
			if f.name != "want" {
				sources = append(sources, lang.Source{Path: f.name, Language: l.Name, Text: f.text})
			}
		}
	}
	return sources
}

type archiveFile struct {
	name string
	text []byte
}

// readArchive splits the txtar form: a comment, then files that each begin with a
// line "-- name --".
func readArchive(data []byte) (head []byte, files []archiveFile) {
	for _, line := range bytes.SplitAfter(data, []byte{'\n'}) {
		trimmed := strings.TrimSuffix(string(line), "\n")
		if strings.HasPrefix(trimmed, "-- ") && strings.HasSuffix(trimmed, " --") && len(trimmed) > 6 {
			files = append(files, archiveFile{name: strings.TrimSpace(trimmed[3 : len(trimmed)-3])})
			continue
		}
		if len(files) == 0 {
			head = append(head, line...)
		} else {
			files[len(files)-1].text = append(files[len(files)-1].text, line...)
		}
	}
	return head, files
}

func writeArchive(head []byte, files []archiveFile) []byte {
	out := append([]byte(nil), head...)
	for _, f := range files {
		out = append(out, fmt.Sprintf("-- %s --\n", f.name)...)
		out = append(out, f.text...)
		if len(f.text) > 0 && !bytes.HasSuffix(f.text, []byte{'\n'}) {
			out = append(out, '\n')
		}
	}
	return out
}
