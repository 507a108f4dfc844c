package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// tree is a copy of the source tree, which edits may change.
type tree struct {
	root  string
	files int
	bytes int64
	goes  []string // Go files to edit, spread over the tree
}

// copyTree copies the regular files of a tree, except what version control keeps.
func copyTree(ctx context.Context, from, to string) (*tree, error) {
	t := &tree{root: to}
	var editable []string
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		switch {
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(target, 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		t.files++
		t.bytes += int64(len(content))
		if n := len(content); strings.HasSuffix(name, ".go") && !strings.Contains(name, "testdata") && n > 2_000 && n < 100_000 {
			editable = append(editable, target)
		}
		return os.WriteFile(target, content, 0o644)
	})
	if err != nil {
		return nil, fmt.Errorf("copy %s: %w", from, err)
	}
	if len(editable) < 100 {
		return nil, fmt.Errorf("%s has %d Go files of 2 to 100 kB; the edits need 100", from, len(editable))
	}
	for i := range 100 {
		t.goes = append(t.goes, editable[i*len(editable)/100])
	}
	// What was written a moment ago cannot be told from what is being written.
	old := time.Now().Add(-time.Hour)
	return t, filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			err = os.Chtimes(path, old, old)
		}
		return err
	})
}

// edit is one change of one file, and what can be found once it is in the database.
type edit struct {
	path string
	text string // to append to the file
	find string // a new word or name
}

// newFunction appends a function to the n-th file and writes it.
func (t *tree) newFunction(n int) (edit, error) {
	find := fmt.Sprintf("addedByBenchmark%d", n)
	e := edit{t.goes[n%len(t.goes)], "\nfunc " + find + "() int { return len(\"x\") }\n", find}
	return e, e.write()
}

// newCall appends a function that calls one of a common name, so that more than the
// file itself has to be looked at.
func (t *tree) newCall(n int) (edit, error) {
	find := fmt.Sprintf("callerByBenchmark%d", n)
	e := edit{t.goes[(n+37)%len(t.goes)], "\ntype typeOf" + find + " struct{}\n\nfunc (typeOf" + find + ") Close() error { return nil }\n\nfunc " + find +
		"(t typeOf" + find + ") { _ = t.Close() }\n", find}
	return e, e.write()
}

// newText appends a comment.
func (t *tree) newText(n int) (edit, error) {
	find := fmt.Sprintf("wordOfBenchmark%d", n)
	e := edit{t.goes[(n+61)%len(t.goes)], "\n// " + find + " is a word of its own.\n", find}
	return e, e.write()
}

func (e edit) write() error {
	f, err := os.OpenFile(e.path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	if _, err := f.WriteString(e.text); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
