package ingest_test

import (
	"go/build"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/htdag/htdag/runner/ingest"
	"github.com/htdag/htdag/runner/ingest/secret"
)

type sourceFile struct {
	path string
	text []byte
	ingest.Verdict
}

// standardLibrary are the texts of Go's own sources.
func standardLibrary(b *testing.B) (files []sourceFile, size int64) {
	root := filepath.Join(build.Default.GOROOT, "src")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if v := ingest.Inspect(path, content, int64(len(content)), ingest.Limits{}); v.Text != nil {
			name, _ := filepath.Rel(root, path)
			files, size = append(files, sourceFile{name, v.Text, v}), size+int64(len(v.Text))
		}
		return nil
	})
	if err != nil || len(files) == 0 {
		b.Skipf("no sources of Go: %v", err)
	}
	return files, size
}

// BenchmarkSecrets compares looking for secrets with all else that is done with a text.
func BenchmarkSecrets(b *testing.B) {
	files, size := standardLibrary(b)
	b.Run("look", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			found := 0
			for _, f := range files {
				_, _, findings := secret.Mask(f.path, f.text)
				found += len(findings)
			}
			b.ReportMetric(float64(found), "findings")
		}
	})
	b.Run("extract", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			for _, f := range files {
				if !f.Parse {
					continue
				}
				ex, err := ingest.Extract(b.Context(), f.path, ingest.Detect(f.path, f.text), f.text)
				if err != nil {
					b.Fatal(err)
				}
				for _, c := range ingest.Chunks(string(f.text), ex.Symbols) {
					_ = c.SearchVector()
				}
			}
		}
	})
}
