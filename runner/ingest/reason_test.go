package ingest

import (
	"strings"
	"testing"
)

// Reasons that differ in figures and places alone are of one sort.
func TestReasonSort(t *testing.T) {
	verdict := func(path string, content string, size int64) string {
		return Inspect(path, []byte(content), size, Limits{}).Reason
	}
	for _, tt := range []struct{ reason, want string }{
		{"", ""},
		{verdict("a.bin", "\x00\x01", 2), "binary content"},
		{verdict("a.txt", "x", 20<<20), "over the size limit of 10.0 MiB"},
		{verdict("a.go", strings.Repeat("x\n", 1<<20), 2<<20), "over the limit of 1.0 MiB for parsing"},
		{verdict("a.go", "x\n", 5), "only the beginning was read"},
		{verdict("a.min.js", "x=1\n", 4), "minified"},
		{verdict("go.sum", "x\n", 2), "lock file"},
		{verdict("a.txt", "good ééééé \xff good\n", 22), "what is no valid UTF-8 was replaced"},
		{"1 syntax error", "syntax errors"},
		{"12 syntax errors; looks random: its text is not indexed for search", "syntax errors"},
		{"syntax errors in line 3: unexpected }", "syntax errors"},
		{"line 2: mapping values are not allowed", "syntax errors"},
		{"looks random: its text is not indexed for search", "looks random"},
		{"unreadable: user 7 may not read it", "unreadable"},
		{"parse timeout; 3 syntax errors", "parse timeout"},
	} {
		if got := ReasonSort(tt.reason); got != tt.want {
			t.Errorf("%q is of the sort %q, want %q", tt.reason, got, tt.want)
		}
	}
}
