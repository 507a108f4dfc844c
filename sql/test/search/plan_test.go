package search_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
)

// plans runs a query and returns the plans of all statements in the functions that
// it calls.
func plans(t *testing.T, pool *pgxpool.Pool, query string, args ...any) string {
	t.Helper()
	var all strings.Builder
	config := pool.Config().ConnConfig.Copy()
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { all.WriteString(n.Message + "\n") }
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, setting := range []string{
		"load 'auto_explain'", "set auto_explain.log_min_duration = 0", "set auto_explain.log_nested_statements = on",
		"set auto_explain.log_level = notice", "set max_parallel_workers_per_gather = 0",
	} {
		if _, err := conn.Exec(t.Context(), setting); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// A search reads indexes, never all chunks, symbols or vectors. (All signatures it
// does read, and of a few files all rows.)
func TestSearchUsesIndexes(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	c := newCorpus(t, pool)
	c.tree(c.codebase("go"), 4000)
	wholeTable := regexp.MustCompile(`Seq Scan on (chunks|symbols|vectors)\b`)
	for _, tt := range []struct{ name, query, index string }{
		{"words", "select count(*) from code.search('close idle connections')", "chunks_words_idx"},
		{"phrase", "select count(*) from code.search('if err != nil')", "chunks_content_idx"},
		{"name", "select count(*) from code.search('ReadRequest')", "symbols_name_idx"},
		{"in a codebase", "select count(*) from code.search('ReadRequest', 'go')", "chunks_words_idx"},
		{"vectors", "select count(*) from code.search('ReadRequest')", "vectors_pkey"},
		{"substring", "select count(*) from code.substring_search('err != nil')", "chunks_content_idx"},
		{"substring in a codebase", "select count(*) from code.substring_search('ReadRequest(', 'go')", "chunks_content_idx"},
		{"regex", `select count(*) from code.regex_search('func.*ReadRequest\(')`, "chunks_content_idx"},
	} {
		// With the statistics of a vacuum, and with those that ingestion gathers.
		for _, analyze := range []string{"vacuum analyze", "select code.clean_search_index(true)"} {
			dbtest.Exec(t, pool, "delete from pg_statistic where starelid = 'code.chunks'::regclass")
			dbtest.Exec(t, pool, analyze)
			plan := plans(t, pool, tt.query)
			if found := wholeTable.FindString(plan); found != "" {
				t.Errorf("%s, after %s: %s\n%s", tt.name, analyze, found, around(plan, found))
			}
			if !strings.Contains(plan, tt.index) {
				t.Errorf("%s, after %s, does not use %s:\n%s", tt.name, analyze, tt.index, around(plan, "on chunks"))
			}
		}
	}
}

// around returns the lines of a text about a part of it.
func around(text, part string) string {
	lines := strings.Split(text, "\n")
	var kept []string
	for i, l := range lines {
		if strings.Contains(l, part) {
			kept = append(kept, lines[max(0, i-8):min(len(lines), i+5)]...)
			kept = append(kept, "...")
		}
	}
	return strings.Join(kept, "\n")
}
