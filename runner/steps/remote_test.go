package steps

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner"
	"github.com/htdag/htdag/runner/embed"
	"github.com/htdag/htdag/runner/ingest"
)

// provider is an embedding server that answers as it is told to.
type provider struct {
	*httptest.Server
	answer   atomic.Pointer[func(n int64, w http.ResponseWriter, texts []string)]
	requests atomic.Int64
}

func newProvider(t *testing.T) *provider {
	p := &provider{}
	p.set(vectorsOf)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ Input []string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
			t.Error(err)
		}
		(*p.answer.Load())(p.requests.Add(1), w, asked.Input)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) set(f func(n int64, w http.ResponseWriter, texts []string)) { p.answer.Store(&f) }

// vectorsOf answers as it should, with vectors of four dimensions.
func vectorsOf(_ int64, w http.ResponseWriter, texts []string) {
	type datum struct {
		Index     int       `json:"index"`
		Embedding []float32 `json:"embedding"`
	}
	data := make([]datum, len(texts))
	for i, text := range texts {
		data[i] = datum{i, []float32{float32(len(text)), 1, float32(len(text) % 7), 2}}
	}
	json.NewEncoder(w).Encode(map[string]any{"data": data})
}

func fails(code int, text string) func(int64, http.ResponseWriter, []string) {
	return func(_ int64, w http.ResponseWriter, _ []string) { http.Error(w, text, code) }
}

// embedderOf is a model of the provider, which is tried but once.
func (p *provider) embedderOf(t *testing.T, model string, tries int) ingest.Embedder {
	t.Helper()
	h, err := embed.NewHTTP(t.Context(), embed.HTTPOptions{URL: p.URL + "/v1/embeddings", Model: model, Dimensions: 4, Tries: tries, Batch: 8})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// work lets a runner work on the corpus until the test ends.
func (c *corpus) work(t *testing.T, e ingest.Embedder, remote Remote) {
	t.Helper()
	registry := runner.NewRegistry()
	Register(registry, Deps{Pool: c.pool, Disk: osDisk{}, Embedder: e, Log: slog.New(slog.DiscardHandler), Remote: remote})
	r := runner.New(c.pool, registry, runner.Options{Queues: []string{"default", "root:" + c.name}, Concurrency: 4, Log: slog.New(slog.DiscardHandler)})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	})
}

// await waits until a query answers so.
func (c *corpus) await(t *testing.T, want, query string, args ...any) {
	t.Helper()
	var got []string
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if got = c.query(query, args...); len(got) > 0 && got[0] == want {
			return
		}
	}
	t.Fatalf("%s is %q, want %s; runs: %q", query, got, want, c.query("select run_id, flow, state from report.runs"))
}

const ingested = "select state from report.runs where run_id = $1"

func (c *corpus) startRun(t *testing.T, sql string) string {
	t.Helper()
	return c.query(sql, c.name)[0]
}

const startIngestion = "select code.request_scan($1)"

func tenFiles() map[string]string {
	files := map[string]string{}
	for i := range 10 {
		files[fmt.Sprintf("f%d.go", i)] = fmt.Sprintf("package f\n\n// Do%d reads the brown fox number %d.\nfunc Do%d() {}\n", i, i, i)
	}
	return files
}

// A new model is filled while searches go by the old one, and then takes over.
func TestModelIsSwitchedWhenItIsComplete(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "s", t.TempDir())
	c.write(tenFiles())
	c.ingestAll()
	active := "select string_agg(name, ', ') from code.models where active"
	c.await(t, "hash-v1", active)

	// 429 and 503 pass, and Retry-After is heeded.
	p := newProvider(t)
	p.set(func(n int64, w http.ResponseWriter, texts []string) {
		switch n {
		case 1:
			w.Header().Set("Retry-After", "0")
			http.Error(w, "slow down", http.StatusTooManyRequests)
		case 2:
			http.Error(w, "busy", http.StatusServiceUnavailable)
		default:
			if got := c.query(active); got[0] != "hash-v1" {
				t.Errorf("searches go by %s, which is not complete", got[0])
			}
			vectorsOf(n, w, texts)
		}
	})
	c.work(t, embed.NewBreaker(p.embedderOf(t, "m", 5)), Remote{AtOnce: 1})
	run := c.startRun(t, startIngestion)
	c.await(t, "succeeded", ingested, run)
	c.await(t, "openai/m", active)
	if got := c.query("select count(*) from code.search_with_vector('fox', 'openai/m', '{1,2,3,4}')"); got[0] != "10" {
		t.Errorf("%s results", got[0])
	}
	requests := p.requests.Load()
	c.await(t, "succeeded", ingested, c.startRun(t, startIngestion))
	if n := p.requests.Load(); n != requests {
		t.Errorf("%d requests for texts that have their vectors", n-requests)
	}
}

// A dead provider fails no ingestion and holds none up; when it is back, what is lacking
// is made good.
func TestDeadProvider(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "s", t.TempDir())
	dbtest.Exec(t, c.pool, "select code.set_policy(p_initial_delay => '10 ms', p_backoff_multiplier => 1)")
	c.write(tenFiles())
	p := newProvider(t)
	p.set(fails(500, "out of order"))
	c.work(t, embed.NewBreaker(p.embedderOf(t, "m", 1)), Remote{AtOnce: 2, PutOff: 100 * time.Millisecond})
	c.await(t, "succeeded", ingested, c.startRun(t, startIngestion))
	if got := c.query("select count(*) from code.search('brown fox')"); got[0] != "10" {
		t.Errorf("%s results by words", got[0])
	}
	// One more file, and another: by then the server is left alone, and the rest is put off.
	for i := range 2 {
		path := fmt.Sprintf("late%d.go", i)
		c.write(map[string]string{path: fmt.Sprintf("package f\n\n// Late%d.\nfunc Late%d() {}\n", i, i)})
		run := c.query("select htdag.start_flow('ingest_file', jsonb_build_object('codebase', $1::text, 'path', $2::text))", c.name, path)[0]
		c.await(t, "succeeded", ingested, run)
	}
	if n := p.requests.Load(); n > 8 {
		t.Errorf("a dead server was asked %d times", n)
	}
	c.await(t, "1", "select count(*) from report.runs where flow = 'embed_codebase' and state not in ('failed', 'cancelled')")
	if got := c.query("select count(*) from code.vectors"); got[0] != "0" {
		t.Errorf("%s vectors", got[0])
	}
}

// What exceeds the ceiling is not asked for; garbage is no vector.
func TestCeilingAndGarbage(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "s", t.TempDir())
	dbtest.Exec(t, c.pool, "select code.set_policy(p_initial_delay => '10 ms', p_backoff_multiplier => 1)")
	c.write(tenFiles())
	p := newProvider(t)
	c.work(t, p.embedderOf(t, "m", 1), Remote{TokensPerDay: 100, PutOff: time.Hour})
	c.await(t, "succeeded", ingested, c.startRun(t, startIngestion))
	if n := p.requests.Load(); n != 0 {
		t.Errorf("%d requests for more than the ceiling", n)
	}
	if got := c.query("select coalesce(sum(tokens), 0) <= 100 from code.embedding_usage"); got[0] != "t" {
		t.Error("more was noted than the ceiling")
	}
	c.write(map[string]string{"small.go": "package f\n"})
	run := c.query("select htdag.start_flow('ingest_file', jsonb_build_object('codebase', $1::text, 'path', 'small.go'))", c.name)[0]
	c.await(t, "succeeded", ingested, run)
	if got := c.query("select requests, texts, tokens from code.embedding_usage"); len(got) != 1 || got[0] != "1 | 1 | 3" {
		t.Errorf("usage %q", got)
	}
	p.set(func(_ int64, w http.ResponseWriter, _ []string) {
		fmt.Fprint(w, `{"data": [{"index": 0, "embedding": [1e999]}]}`)
	})
	c.write(map[string]string{"other.go": "package g\n"})
	run = c.query("select htdag.start_flow('ingest_file', jsonb_build_object('codebase', $1::text, 'path', 'other.go'))", c.name)[0]
	c.await(t, "succeeded", ingested, run)
	if got := c.query("select count(*) from code.vectors"); got[0] != "1" {
		t.Errorf("%s vectors, want that of small.go", got[0])
	}
}

// When a provider is back the run that was put off makes what is lacking.
func TestProviderComesBack(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "s", t.TempDir())
	c.write(tenFiles())
	p := newProvider(t)
	resting := &resting{Embedder: p.embedderOf(t, "m", 1)}
	resting.rests.Store(true)
	c.work(t, resting, Remote{PutOff: 50 * time.Millisecond})
	c.await(t, "succeeded", ingested, c.startRun(t, startIngestion))
	if got := c.query("select count(*) from code.vectors"); got[0] != "0" {
		t.Fatalf("%s vectors", got[0])
	}
	resting.rests.Store(false)
	c.await(t, "openai/m", "select name from code.models where active")
	c.await(t, "0", "select count(*) from code.unembedded_texts join code.models using (model_id) where name = 'openai/m'")
}

// resting is an embedder that says that it rests.
type resting struct {
	ingest.Embedder
	rests atomic.Bool
}

func (r *resting) Embed(ctx context.Context, texts []string) ([]ingest.Vector, error) {
	if r.rests.Load() {
		return nil, ingest.ErrResting
	}
	return r.Embedder.Embed(ctx, texts)
}
