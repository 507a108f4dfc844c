package search_test

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/htdag/htdag/db/dbtest"
)

var benchChunks = flag.Int("chunks", 60_000, "how many chunks of the standard library the benchmarks search")

// BenchmarkSearch fills a database with the standard library and measures loading
// it and each way to search it.
func BenchmarkSearch(b *testing.B) {
	pool := dbtest.New(b)
	c := newCorpus(b, pool)
	start := time.Now()
	c.tree(c.codebase("go"), *benchChunks)
	elapsed := time.Since(start)
	b.Logf("%d chunks of %d files, %.1f MB, mean %d B, in %.1f s", c.rows, c.lastFile, float64(c.bytes)/1e6, c.bytes/c.rows, elapsed.Seconds())
	for _, s := range []struct {
		what string
		d    time.Duration
	}{{"extract", c.spent.extract}, {"chunk", c.spent.chunk}, {"words", c.spent.words}, {"embed", c.spent.embed}, {"copy", c.spent.copy}} {
		b.Logf("%-8s %6.2f s  %6.1f MB/s  %7.0f chunks/s", s.what, s.d.Seconds(), float64(c.bytes)/1e6/s.d.Seconds(), float64(c.rows)/s.d.Seconds())
	}
	for _, size := range dbtest.Column[string](b, pool, `
		select format('%s %s', c.relname, pg_size_pretty(case c.relkind when 'r' then pg_table_size(c.oid) else pg_relation_size(c.oid) end))
		  from pg_class c join pg_namespace n on n.oid = c.relnamespace
		 where n.nspname = 'code' and c.relkind in ('r', 'i')
		   and (c.relname like 'chunks%' or c.relname like 'vectors%' or c.relname like 'embeddings%')
		 order by 1`) {
		b.Log(size)
	}

	vector := "select e.dimensions as d, e.weights as w, e.signature as s from code.embed_hash($1) e"
	ids := "null"
	queries := []string{
		"ReadRequest", "http2frameheader", "parse error", "returns the first index of a substring",
		"func (c *conn) serve(ctx context.Context)", "err", "close idle connections after a timeout",
	}
	for _, branch := range []struct{ name, query string }{
		{"all", "select count(*) from code.search($1)"},
		{"codebase", "select count(*) from code.search($1, 'go')"},
		{"words", "select count(*) from code.search_words(code.query_words($1), " + ids + ", 200)"},
		{"text", "select count(*) from code.search_text($1, " + ids + ", 200)"},
		{"names", "select count(*) from code.search_names($1, " + ids + ", 200)"},
		{"embed", "select count(*) from code.embed_hash($1)"},
		{"vectors", "select count(*) from (" + vector + ") q, code.search_vectors(" +
			"(select model_id from code.models), q.d, q.w, q.s, " + ids + ", 200)"},
		{"substring", "select count(*) from code.substring_search($1)"},
		{"regex", `select count(*) from code.regex_search('func.*' || left(regexp_replace($1, '\W', '.', 'g'), 12))`},
	} {
		for _, query := range queries {
			b.Run(fmt.Sprintf("%s/%s", branch.name, strings.ReplaceAll(query, " ", "_")), func(b *testing.B) {
				for b.Loop() {
					dbtest.Value[int](b, pool, branch.query, query)
				}
			})
		}
	}
}
