package embed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/runner/ingest"
)

var _ ingest.Embedder = (*HTTP)(nil)

// server answers like an embedding server: the vector of a text is its length and 1.
// It answers the first requests with the failures given, if any.
type server struct {
	*httptest.Server
	requests atomic.Int64
	keys     chan string
}

type request struct {
	Model string
	Input []string
}

func serve(t *testing.T, path string, answer func(n int64, w http.ResponseWriter, r request)) *server {
	t.Helper()
	s := &server{keys: make(chan string, 100)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		var asked request
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &asked)
		}
		if err != nil {
			t.Error(err)
		}
		s.keys <- r.Header.Get("Authorization")
		answer(s.requests.Add(1), w, asked)
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// openai answers in OpenAI's form, last text first.
func openai(w http.ResponseWriter, r request) {
	var data []string
	for i, text := range r.Input {
		data = append([]string{fmt.Sprintf(`{"object":"embedding","index":%d,"embedding":[%d,1]}`, i, len(text))}, data...)
	}
	fmt.Fprintf(w, `{"object":"list","data":[%s],"model":%q,"usage":{"prompt_tokens":1}}`, strings.Join(data, ","), r.Model)
}

func ollama(w http.ResponseWriter, r request) {
	var vectors []string
	for _, text := range r.Input {
		vectors = append(vectors, fmt.Sprintf(`[%d,1]`, len(text)))
	}
	fmt.Fprintf(w, `{"model":%q,"embeddings":[%s]}`, r.Model, strings.Join(vectors, ","))
}

func expected(t *testing.T, texts ...string) []ingest.Vector {
	t.Helper()
	vectors := make([]ingest.Vector, len(texts))
	for i, text := range texts {
		v, err := ingest.Dense([]float32{float32(len(text)), 1})
		if err != nil {
			t.Fatal(err)
		}
		vectors[i] = v
	}
	return vectors
}

func TestHTTPSpeaksBothProtocols(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		path, name string
		answer     func(http.ResponseWriter, request)
	}{
		{"/v1/embeddings", "openai/m", openai},
		{"/api/embed", "ollama/m", ollama},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, tt.path, func(_ int64, w http.ResponseWriter, r request) {
				if r.Model != "m" {
					t.Errorf("asked for model %q", r.Model)
				}
				if len(r.Input) > 2 {
					t.Errorf("%d texts at once", len(r.Input))
				}
				tt.answer(w, r)
			})
			h, err := NewHTTP(t.Context(), HTTPOptions{URL: s.URL + tt.path, Model: "m", APIKey: "secret", Batch: 2})
			if err != nil {
				t.Fatal(err)
			}
			if h.Name() != tt.name || h.Dimensions() != 2 {
				t.Errorf("%s has %d dimensions", h.Name(), h.Dimensions())
			}
			got, err := h.Embed(t.Context(), []string{"a", "bb", "", "dddd", "eeeee", "ffffff"})
			if err != nil {
				t.Fatal(err)
			}
			want := expected(t, "a", "bb", "", "dddd", "eeeee", "ffffff")
			want[2] = ingest.Vector{Weights: []float32{0, 0}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if n := s.requests.Load(); n != 4 {
				t.Errorf("%d requests, want 1 for the dimensions and 3 for five texts by two", n)
			}
			if key := <-s.keys; key != "Bearer secret" {
				t.Errorf("authorization %q", key)
			}
		})
	}
}

func TestHTTPTriesAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{429, 408, 500, 502, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			s := serve(t, "/v1/embeddings", func(n int64, w http.ResponseWriter, r request) {
				if n < 3 {
					w.Header().Set("Retry-After", "0")
					http.Error(w, "busy", status)
					return
				}
				openai(w, r)
			})
			h := quick(t, s, HTTPOptions{})
			got, err := h.Embed(t.Context(), []string{"abc"})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(expected(t, "abc"), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// quick returns a model of two dimensions that does not wait long.
func quick(t *testing.T, s *server, options HTTPOptions) *HTTP {
	t.Helper()
	options.URL, options.Model, options.Dimensions = s.URL+"/v1/embeddings", "m", 2
	h, err := NewHTTP(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	h.firstDelay = time.Millisecond
	return h
}

func TestHTTPSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	says := func(status int, body string) func(int64, http.ResponseWriter, request) {
		return func(_ int64, w http.ResponseWriter, _ request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	tests := []struct {
		name     string
		answer   func(int64, http.ResponseWriter, request)
		requests int64
		want     string
	}{
		{"always busy", says(503, "overloaded"), 3, "embed 1 texts with model openai/m: 3 tries: the server answered 503 Service Unavailable: overloaded"},
		{"wrong key", says(401, `{"error":{"message":"Incorrect API key provided","type":"auth"}}`), 1, "401 Unauthorized: Incorrect API key provided"},
		{"unknown model", says(404, `{"error":"model \"m\" not found, try pulling it first"}`), 1, `404 Not Found: model "m" not found, try pulling it first`},
		{"a page", says(400, "<html>"+strings.Repeat("é", 1000)), 1, "ééé..."},
		{"no JSON", says(200, "hello"), 1, "read the answer: invalid character 'h'"},
		{"too few vectors", says(200, `{"data":[]}`), 1, "the answer has 0 vectors for 1 texts"},
		{"one index twice", says(200, `{"data":[{"index":0,"embedding":[1,2]},{"index":0,"embedding":[1,2]}]}`), 1, "the answer has a vector for text 0 of 1, or two of them"},
		{"wrong index", says(200, `{"data":[{"index":7,"embedding":[1,2]}]}`), 1, "the answer has a vector for text 7 of 1, or two of them"},
		{"empty vector", says(200, `{"data":[{"index":0,"embedding":[]}]}`), 1, "the vector of text 0 is empty"},
		{"another model", says(200, `{"data":[{"index":0,"embedding":[1,2,3]}]}`), 1, "model openai/m gave a vector of 3 dimensions, not 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, "/v1/embeddings", tt.answer)
			_, err := quick(t, s, HTTPOptions{APIKey: "secret", Tries: 3}).Embed(t.Context(), []string{"abc"})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error is %v\nwant %s", err, tt.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the key is in the error: %v", err)
			}
			if n := s.requests.Load(); n != tt.requests {
				t.Errorf("%d requests, want %d", n, tt.requests)
			}
		})
	}
}

func TestHTTPNoServer(t *testing.T) {
	t.Parallel()
	s := serve(t, "/v1/embeddings", func(int64, http.ResponseWriter, request) {})
	h := quick(t, s, HTTPOptions{Tries: 2})
	s.Close()
	if _, err := h.Embed(t.Context(), []string{"abc"}); err == nil || !strings.Contains(err.Error(), "2 tries") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("error is %v", err)
	}
}

func TestHTTPTimesOut(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	s := serve(t, "/v1/embeddings", func(n int64, w http.ResponseWriter, r request) {
		if n == 1 {
			<-release
		}
		openai(w, r)
	})
	h := quick(t, s, HTTPOptions{Timeout: 20 * time.Millisecond})
	_, err := h.Embed(t.Context(), []string{"abc"})
	close(release)
	if err != nil {
		t.Errorf("a time-out was not tried again: %v", err)
	}
}

func TestHTTPStopsWithItsContext(t *testing.T) {
	t.Parallel()
	why := errors.New("lease lost")
	ctx, cancel := context.WithCancelCause(t.Context())
	s := serve(t, "/v1/embeddings", func(_ int64, w http.ResponseWriter, _ request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(429)
		time.AfterFunc(10*time.Millisecond, func() { cancel(why) })
	})
	start := time.Now()
	_, err := quick(t, s, HTTPOptions{}).Embed(ctx, []string{"abc"})
	if !errors.Is(err, why) && !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if time.Since(start) > 20*time.Second {
		t.Errorf("stopped after %v", time.Since(start))
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{
		"": 0, "3": 3 * time.Second, "0.5": 500 * time.Millisecond, "-1": 0, "soon": 0, "86400": time.Minute,
		"Mon, 01 Jan 2001 00:00:00 GMT": 0,
		"Fri, 01 Jan 2100 00:00:00 GMT": time.Minute,
	} {
		if got := retryAfter(header); got != want {
			t.Errorf("Retry-After %q means %v, want %v", header, got, want)
		}
	}
}

func TestHTTPOptionsAreChecked(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		options HTTPOptions
		want    string
	}{
		{HTTPOptions{URL: "localhost:11434", Model: "m"}, "want the http or https address"},
		{HTTPOptions{URL: "ftp://user:pass@host/x", Model: "m"}, `"...@host/x"`},
		{HTTPOptions{URL: "http://host/v1/embeddings"}, "no model given"},
		{HTTPOptions{URL: "http://host/v1/embeddings", Model: "m", Batch: -1}, "cannot be negative"},
	} {
		_, err := NewHTTP(t.Context(), tt.options)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error is %v, want %s", err, tt.want)
		}
	}
}
