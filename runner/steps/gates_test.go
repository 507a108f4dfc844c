package steps

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
)

// Limits that change have the files that they concern looked at again.
func TestLimitsAreSettings(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "g", t.TempDir())
	c.write(map[string]string{"a.go": "package a\n\nfunc Long() { Long() }\n", "b.go": "package b\n"})
	c.ingestAll()
	files := "select path, status, reason from report.files order by path"
	for _, tt := range []struct {
		parse, keep int64
		want        []string
	}{
		{20, 1 << 20, []string{"a.go | partial | 34 bytes is over the limit of 20 bytes for parsing", "b.go | ingested | -"}},
		{1, 20, []string{"a.go | skipped | 34 bytes is over the size limit of 20 bytes", "b.go | partial | 10 bytes is over the limit of 1 bytes for parsing"}},
		{1 << 20, 10 << 20, []string{"a.go | ingested | -", "b.go | ingested | -"}},
	} {
		c.steps.limits.ParseBytes, c.steps.limits.KeepBytes = tt.parse, tt.keep
		c.ingestAll()
		if diff := cmp.Diff(tt.want, c.query(files)); diff != "" {
			t.Errorf("with limits of %d and %d bytes (-want +got):\n%s", tt.parse, tt.keep, diff)
		}
	}
	if got := c.query("select count(*) from code.search('Long')"); got[0] != "1" {
		t.Errorf("%s results", got[0])
	}
}
