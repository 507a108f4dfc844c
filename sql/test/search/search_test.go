package search_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner/ingest"
)

// sources are two small codebases.
var sources = map[string]map[string]string{
	"server": {
		"config/config.go": `package config

import "os"

// Config is what the server is told.
type Config struct {
	Address string
	MaxOpenConns int
}

// ReadConfig loads the settings from a file of that name.
func ReadConfig(name string) (Config, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return Config{}, err
	}
	return parse(data)
}

func parse(data []byte) (Config, error) {
	var c Config
	for i := range data {
		_ = i // 100% of it
	}
	return c, nil
}
`,
		"main.go": `package main

import "example.com/server/config"

func main() {
	c, err := config.ReadConfig("server.conf")
	if err != nil {
		panic(err)
	}
	println(c.Address, c.MaxOpenConns)
}
`,
		"http/header.py": `"""Headers of requests."""


def parse_header(line):
    """Split a header line into its name and its value."""
    name, _, value = line.partition(":")
    return name.strip(), value.strip()


class HeaderTable:
    def größe(self):
        return len(self.rows)
`,
		"README.md": "# Server\n\nIt's a 'server' with a back\\slash, a_b and a%b.\n",
	},
	"client": {
		"client.go": `package client

// ReadConfig loads the settings of the client.
func ReadConfig() string { return "client.conf" }
`,
	},
}

func fill(t *testing.T) (*pgxpool.Pool, *corpus) {
	t.Helper()
	pool := dbtest.New(t)
	c := newCorpus(t, pool)
	for _, codebase := range []string{"server", "client"} {
		id := c.codebase(codebase)
		for path, text := range sources[codebase] {
			c.add(id, path, text)
		}
	}
	c.flush()
	dbtest.Exec(t, pool, "vacuum analyze")
	return pool, c
}

type result struct {
	Path, Lines string
	Symbol      *string
	Snippet     string
	Score       float64
	Codebase    string
	IngestedAt  *time.Time
	Stale       bool
}

func search(t fataler, pool *pgxpool.Pool, query string, args ...any) []result {
	rows, err := pool.Query(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s %q: %v", query, args, err)
	}
	results, err := pgx.CollectRows(rows, pgx.RowToStructByPos[result])
	if err != nil {
		t.Fatalf("%s %q: %v", query, args, err)
	}
	return results
}

func TestSearchFindsFirst(t *testing.T) {
	t.Parallel()
	pool, _ := fill(t)
	for _, tt := range []struct{ query, codebase, want string }{
		{"ReadConfig", "server", "config/config.go:ReadConfig"}, // its definition, not its use
		{"ReadConfig", "client", "client.go:ReadConfig"},
		{"Config.Address", "server", "config/config.go:Config"},
		{"parse_header", "", "http/header.py:parse_header"},
		{"header parsing", "", "http/header.py:parse_header"},
		{"split lines into values", "", "http/header.py:parse_header"},
		{"adConf", "client", "client.go:ReadConfig"}, // within a word
		{"for i := range data", "", "config/config.go:parse"},
		{"panic(err)", "", "main.go:main"},
		{"größe", "", "http/header.py:HeaderTable.größe"},
		{"GRÖSSE Größe", "", "http/header.py:HeaderTable.größe"},
		{"100%", "", "config/config.go:parse"},
		{"back\\slash", "", "README.md:Server"},
		{"'server' with", "", "README.md:Server"},
		{"max open conns", "server", "config/config.go:Config"},
	} {
		t.Run(tt.query, func(t *testing.T) {
			results := search(t, pool, "select * from code.search($1, nullif($2, ''))", tt.query, tt.codebase)
			if len(results) == 0 {
				t.Fatal("nothing was found")
			}
			first := results[0]
			if got := first.Path + ":" + *first.Symbol; got != tt.want {
				t.Errorf("found %s, want %s\n%+v", got, tt.want, results)
			}
			for i, r := range results {
				if tt.codebase != "" && r.Codebase != tt.codebase {
					t.Errorf("result %d is in codebase %s", i, r.Codebase)
				}
				if i > 0 && r.Score > results[i-1].Score {
					t.Errorf("result %d has score %v after %v", i, r.Score, results[i-1].Score)
				}
			}
		})
	}
}

// What a result shows is what stands on its lines.
func TestSnippetsAreTheLines(t *testing.T) {
	t.Parallel()
	pool, _ := fill(t)
	for _, query := range []string{"config", "header name value", "return", "server", "ReadConfig settings client"} {
		for _, r := range search(t, pool, "select * from code.search($1)", query) {
			lines := strings.Split(sources[r.Codebase][r.Path], "\n")
			first, last := 0, 0
			if n, _ := fmt.Sscanf(r.Lines, "%d-%d", &first, &last); n == 1 {
				last = first
			}
			if first < 1 || last < first || last > len(lines) || last-first > 7 {
				t.Fatalf("lines %s of %s", r.Lines, r.Path)
			}
			if diff := cmp.Diff(strings.Join(lines[first-1:last], "\n"), r.Snippet); diff != "" {
				t.Errorf("%q in %s:%s (-file +snippet)\n%s", query, r.Path, r.Lines, diff)
			}
		}
	}
}

func TestSearchForNothing(t *testing.T) {
	t.Parallel()
	pool, _ := fill(t)
	for _, query := range []any{nil, "", " \n\t", "!?", "neverwritten"} {
		if results := search(t, pool, "select * from code.search($1) where score > 0.01", query); len(results) > 0 {
			t.Errorf("%v found %+v", query, results)
		}
	}
	for _, function := range []string{"substring_search", "regex_search"} {
		for _, pattern := range []any{nil, "", "neverwritten"} {
			if n := dbtest.Value[int](t, pool, "select count(*) from code."+function+"($1)", pattern); n > 0 {
				t.Errorf("%s found %v %d times", function, pattern, n)
			}
		}
	}
}

func TestSearchBoundsItsWork(t *testing.T) {
	t.Parallel()
	pool, _ := fill(t)
	query := strings.Repeat("config ReadConfig settings (of) the-server ", 50)
	want := search(t, pool, "select * from code.search($1)", query[:2000])
	got := search(t, pool, "select * from code.search($1)", query[:2000]+strings.Repeat(" unrelated words", 100_000))
	if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
		t.Errorf("a long query has %d results: %s", len(want), diff)
	}
	if results := search(t, pool, "select * from code.search('config', max_results => 2)"); len(results) != 2 {
		t.Errorf("asked for two, got %+v", results)
	}
}

func TestSearchSeesLiveFilesOnly(t *testing.T) {
	t.Parallel()
	pool, _ := fill(t)
	dbtest.Exec(t, pool, "update code.files set status = 'deleted', deleted_at = now() where path = 'main.go'")
	dbtest.Exec(t, pool, "update code.files set status = 'skipped', reason = 'test' where path = 'client.go'")
	for _, query := range []string{
		"select path from code.search('ReadConfig')",
		"select path from code.substring_search('ReadConfig')",
		"select path from code.regex_search('Read.onfig')",
	} {
		for _, path := range column(t, pool, query) {
			if path != "config/config.go" {
				t.Errorf("%s found %s", query, path)
			}
		}
	}
}

// Every search can be confined to a language, a path and a kind of symbol.
func TestSearchFilters(t *testing.T) {
	t.Parallel()
	pool, _ := fill(t)
	dbtest.Exec(t, pool, "update code.files set language = case when path like '%.go' then 'Go' when path like '%.py' then 'Python' else 'Markdown' end")
	for _, tt := range []struct{ query, want string }{
		{"code.search('settings')", "client.go config/config.go"},
		{"code.search('server', language => 'go')", "config/config.go main.go"},
		{"code.search('server', language => 'Markdown')", "README.md"},
		{"code.search('ReadConfig', path => 'config')", "config/config.go"},
		{"code.search('ReadConfig', path => 'config/')", "config/config.go"},
		{"code.search('ReadConfig', path => 'conf')", ""},
		{"code.search('ReadConfig', path => 'main.go')", "main.go"},
		{"code.search('ReadConfig', path => '*.go')", "client.go main.go"},
		{"code.search('ReadConfig', path => '**/*.go')", "client.go config/config.go main.go"},
		{"code.search('ReadConfig', path => '**/config.g?', codebase => 'server')", "config/config.go"},
		{"code.search('ReadConfig', kind => 'struct')", "config/config.go"},
		{"code.search('ReadConfig', kind => 'class')", ""},
		{"code.search('header', kind => 'class')", "http/header.py"},
		{"code.search('ReadConfig', language => 'Go', path => 'config/**', kind => 'struct', codebase => 'client')", ""},
		{"code.substring_search('ReadConfig', path => '*.go')", "client.go main.go"},
		{"code.substring_search('ReadConfig', language => 'Python')", ""},
		{"code.regex_search('Read.onfig', path => 'config')", "config/config.go"},
		{"code.regex_search('Read.onfig', kind => 'struct')", "config/config.go"},
	} {
		got := strings.Join(column(t, pool, "select distinct r.path from "+tt.query+" r order by 1"), " ")
		if got != tt.want {
			t.Errorf("%s finds %q, want %q", tt.query, got, tt.want)
		}
	}
}

// Results say when their file was ingested, and whether it is known to be another by now.
func TestSearchSaysHowFreshItIs(t *testing.T) {
	t.Parallel()
	pool, _ := fill(t)
	dbtest.Exec(t, pool, "update code.files set sha256 = sha256(convert_to(path, 'UTF8')), ingested_sha256 = sha256(convert_to(path, 'UTF8')), ingested_at = '2026-01-02 03:04:05Z'")
	dbtest.Exec(t, pool, "update code.files set sha256 = sha256('newer') where path = 'main.go'")
	for _, query := range []string{"code.search('ReadConfig')", "code.substring_search('ReadConfig')", "code.regex_search('Read.onfig')"} {
		got := column(t, pool, "select distinct concat_ws(' ', r.path, r.stale, extract(epoch from r.ingested_at)::bigint) from "+query+" r order by 1")
		want := []string{"client.go f 1767323045", "config/config.go f 1767323045", "main.go t 1767323045"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

func TestSearchRefusesBadArguments(t *testing.T) {
	t.Parallel()
	pool, _ := fill(t)
	for _, tt := range []struct{ statement, code, message, hint string }{
		{"select code.search('x', 'nope')", "HT001", "no codebase is named 'nope'", "code.register_codebase"},
		{"select code.search('x', max_results => 0)", "HT006", "max_results is 0", "at least one"},
		{"select code.substring_search('x', 'nope')", "HT001", "no codebase is named 'nope'", "code.register_codebase"},
		{"select code.substring_search('x', max_results => -1)", "HT006", "max_results is -1", "at least one"},
		{"select code.substring_search(E'a\\nb')", "HT006", "spans lines", "one by one"},
		{"select code.regex_search('a(')", "HT006", "'a(' is no regular expression: invalid regular expression: parentheses", "code.substring_search"},
		{"select code.regex_search('[b-a]')", "HT006", "is no regular expression", "backslash"},
		{"select code.regex_search('***=a')", "HT006", "director", "code.substring_search"},
		{"select code.regex_search('a', 'nope')", "HT001", "no codebase is named 'nope'", "code.register_codebase"},
		{"select code.search_with_vector('x', 'nope', '{1}')", "HT001", "there is no model 'nope'", "code.models"},
		{"select code.search_with_vector('x', 'hash-v1', '{1}')", "HT006", "the vector has 1 dimensions, those of model 'hash-v1' have 512", "embedded the code"},
	} {
		_, err := pool.Exec(t.Context(), tt.statement)
		var e *pgconn.PgError
		if !errors.As(err, &e) {
			t.Errorf("%s: error is %v", tt.statement, err)
			continue
		}
		if e.Code != tt.code || !strings.Contains(e.Message, tt.message) || !strings.Contains(e.Hint, tt.hint) {
			t.Errorf("%s: %s %s (%s)", tt.statement, e.Code, e.Message, e.Hint)
		}
	}
}

// A model that knows what words do not say finds what they do not find.
func TestSearchWithVector(t *testing.T) {
	t.Parallel()
	pool, _ := fill(t)
	dbtest.Exec(t, pool, "insert into code.models (name, dimensions) values ('three', 3)")
	dbtest.Exec(t, pool, `
		insert into code.vectors (model_id, text_hash, weights)
		select distinct on (c.text_hash) m.model_id, c.text_hash,
		       case when f.path = 'http/header.py' then '{0.6, 0, -0.8}'::real[] else '{0, 1, 0}' end
		  from code.models m, code.chunks c join code.files f using (file_id)
		 where m.name = 'three'`)
	dbtest.Exec(t, pool, `
		insert into code.embeddings
		select v.model_id, v.text_hash, code.signature(v.dimensions, v.weights, 3)
		  from code.vectors v join code.models m using (model_id) where m.name = 'three'`)
	results := search(t, pool, "select * from code.search_with_vector('quixotic', 'three', '{0, 0, -1}')")
	if len(results) != 1 || results[0].Path != "http/header.py" {
		t.Errorf("found %+v", results)
	}
	results = search(t, pool, "select * from code.search_with_vector('quixotic', 'three', '{0, 0, -1}', 'client')")
	if len(results) != 0 {
		t.Errorf("found %+v in another codebase", results)
	}
}

func TestVectorsFindNearDuplicates(t *testing.T) {
	t.Parallel()
	pool, _ := fill(t)
	for path, text := range sources["server"] {
		changed := strings.ReplaceAll(text, "return", "yield")
		v := ingest.Vector{}
		row := pool.QueryRow(t.Context(), "select dimensions, weights from code.embed_hash($1)", changed)
		if err := row.Scan(&v.Dimensions, &v.Weights); err != nil {
			t.Fatal(err)
		}
		found := column(t, pool, `
			select f.path
			  from code.models m, code.search_vectors(m.model_id, $1, $2, $3::text::varbit, null, 1) r
			  join code.files f using (file_id)
			 where m.name = 'hash-v1'`, v.Dimensions, v.Weights, v.Signature(512))
		if diff := cmp.Diff([]string{path}, found); diff != "" {
			t.Error(diff)
		}
	}
}
