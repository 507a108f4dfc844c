package steps

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
)

// A whole ingestion that ends between any two batches is taken up by the next, which
// reads only what is left; what was stored is not written again.
func TestWholeIngestionGoesOn(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	files := map[string]string{}
	for n := range 6 {
		files[fmt.Sprintf("a/f%d.go", n)] = fmt.Sprintf("package a\n\nfunc F%d() { F%d() }\n", n, (n+1)%6)
	}
	for stop := range len(files) + 1 {
		t.Run(fmt.Sprint("after ", stop), func(t *testing.T) {
			c := newCorpus(t, pool, fmt.Sprint("m", stop), t.TempDir())
			c.steps.limits.BatchFiles = 1
			c.write(files)
			done := c.ingestBatches(func(n int) bool { return n < stop })
			if done != (stop == len(files)) {
				t.Fatalf("the first run ended: %v", done)
			}
			const stored = `select f.path, s.symbol_id, s.xmin, h.ordinal from code.symbols s join code.files f using (file_id)
				join code.file_versions h using (file_id) where f.codebase_id = $1 order by 1`
			before := c.query(stored, c.id)
			if len(before) != stop {
				t.Fatalf("%d files were stored before the run ended, want %d", len(before), stop)
			}
			if out := c.ingestAll(); out.FilesChanged != len(files)-stop || len(out.Batches) != len(files)-stop {
				t.Errorf("the next run had %d files in %d batches to ingest, want %d", out.FilesChanged, len(out.Batches), len(files)-stop)
			}
			after := c.query(stored, c.id)
			if len(after) != len(files) {
				t.Errorf("%d files are stored in the end, want %d", len(after), len(files))
			}
			for _, row := range before {
				if !slices.Contains(after, row) {
					t.Errorf("%s was stored again: %q", row, after)
				}
			}
			if diff := cmp.Diff([]string{"0"}, c.query("select count(*) from code.calls where codebase_id = $1 and callee_id is null", c.id)); diff != "" {
				t.Errorf("calls without an answer (-want +got):\n%s", diff)
			}
		})
	}
}
