package steps

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/htdag/htdag/db/dbtest"
)

func TestLevels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		ids     []int64
		imports map[int64][]int64
		want    map[int64]int
	}{
		{"nothing known", []int64{1, 2}, nil, map[int64]int{1: 0, 2: 0}},
		{"chain", []int64{1, 2, 3}, map[int64][]int64{1: {2}, 2: {3}}, map[int64]int{1: 2, 2: 1, 3: 0}},
		{"the longest way counts", []int64{1, 2, 3}, map[int64][]int64{1: {3, 2}, 2: {3}}, map[int64]int{1: 2, 2: 1, 3: 0}},
		{"circle", []int64{1, 2, 3, 4}, map[int64][]int64{1: {2}, 2: {3}, 3: {2, 4}}, map[int64]int{1: 2, 2: 1, 3: 1, 4: 0}},
	} {
		if diff := cmp.Diff(c.want, levelsOf(c.ids, c.imports)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// A file is above all that it imports, unless one can come back from there.
func TestLevelsOfAnyGraph(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(1, 12).Draw(t, "files")
		ids, imports := []int64{}, map[int64][]int64{}
		for id := range n {
			ids = append(ids, id)
			imports[id] = rapid.SliceOfN(rapid.Int64Range(0, n-1), 0, 3).Draw(t, "imports")
		}
		var reaches func(from, to int64, seen map[int64]bool) bool
		reaches = func(from, to int64, seen map[int64]bool) bool {
			if from == to {
				return true
			}
			seen[from] = true
			for _, next := range imports[from] {
				if !seen[next] && reaches(next, to, seen) {
					return true
				}
			}
			return false
		}
		levels := levelsOf(ids, imports)
		for from, all := range imports {
			for _, to := range all {
				if circle := reaches(to, from, map[int64]bool{}); circle && levels[from] != levels[to] || !circle && levels[from] <= levels[to] {
					t.Errorf("file %d at level %d imports %d at level %d; circle: %t", from, levels[from], to, levels[to], circle)
				}
			}
		}
	})
}

// What others import is ingested before them, once it is known who imports what.
func TestBatchesInOrder(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "ordered", t.TempDir())
	c.steps.limits.BatchFiles = 1
	c.write(map[string]string{
		"go.mod":           "module example.com/m\n\ngo 1.26\n",
		"main.go":          "package main\n\nimport \"example.com/m/store\"\n\nfunc main() { store.Open(1, 2, 3, 4, 5, 6, 7, 8, 9) }\n",
		"store/store.go":   "package store\n\nimport \"example.com/m/base\"\n\nfunc Open(n ...int) { base.Base() }\n",
		"base/base.go":     "package base\n\n// Base is what all stand on.\nfunc Base() {}\n",
		"script/longer.py": "# nobody needs this one, nor does it need another, but it is by far the largest of all of these files\n" + strings.Repeat("#\n", 200),
	})
	order := func(out scanned) []string {
		var paths []string
		for _, b := range out.Batches {
			paths = append(paths, c.query("select path from code.files where file_id = any ($1)", b.FileIDs)...)
		}
		return paths
	}
	bySize := []string{"script/longer.py", "main.go", "store/store.go", "base/base.go", "go.mod"}
	c.steps.dependencyAware = true
	if diff := cmp.Diff(bySize, order(c.ingestAll())); diff != "" {
		t.Errorf("while nothing is known, the largest come first (-want +got):\n%s", diff)
	}
	for aware, want := range map[bool][]string{
		true:  {"script/longer.py", "base/base.go", "go.mod", "store/store.go", "main.go"},
		false: bySize,
	} {
		dbtest.Exec(t, c.pool, "update code.files set ingested_version = 0")
		c.steps.dependencyAware = aware
		if diff := cmp.Diff(want, order(c.ingestAll())); diff != "" {
			t.Errorf("dependency aware: %t (-want +got):\n%s", aware, diff)
		}
	}
}
