package embed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/htdag/htdag/runner/ingest"
)

// HTTPOptions says which server makes vectors, and how to ask it.
type HTTPOptions struct {
	// URL of the endpoint. A path that ends in /api/embed is asked as Ollama is;
	// any other as OpenAI's /v1/embeddings is, which most servers understand.
	URL string
	// Model as the server calls it.
	Model string
	// APIKey is sent as a bearer token, where it is not empty. It appears in no error.
	APIKey string
	// Dimensions of the model; 0 asks the server for one vector and counts.
	Dimensions int
	// Batch is how many texts are sent at once; 0 means 64.
	Batch int
	// Timeout of one request; 0 means a minute.
	Timeout time.Duration
	// Tries of one request that fails for a reason that may pass; 0 means 5.
	Tries int
	// Client makes the requests; nil means http.DefaultClient.
	Client *http.Client
}

// HTTP is a model behind a server that speaks OpenAI's or Ollama's protocol.
type HTTP struct {
	options    HTTPOptions
	ollama     bool
	dimensions int
	firstDelay time.Duration // before the second try; doubles with each
}

// NewHTTP returns the model that options describe. It asks the server once if the
// dimensions are not given.
func NewHTTP(ctx context.Context, options HTTPOptions) (*HTTP, error) {
	u, err := url.Parse(options.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("embedding server %q: want the http or https address of an endpoint, such as http://localhost:11434/api/embed", redacted(options.URL))
	}
	if options.Model == "" {
		return nil, fmt.Errorf("embedding server %s: no model given", u.Redacted())
	}
	if options.Dimensions < 0 || options.Batch < 0 || options.Tries < 0 || options.Timeout < 0 {
		return nil, fmt.Errorf("embedding server %s: dimensions, batch, tries and timeout cannot be negative", u.Redacted())
	}
	h := &HTTP{options: options, ollama: asOllama(u), dimensions: options.Dimensions, firstDelay: 500 * time.Millisecond}
	if h.options.Batch == 0 {
		h.options.Batch = 64
	}
	if h.options.Timeout == 0 {
		h.options.Timeout = time.Minute
	}
	if h.options.Tries == 0 {
		h.options.Tries = 5
	}
	if h.options.Client == nil {
		h.options.Client = http.DefaultClient
	}
	if h.dimensions == 0 {
		vectors, err := h.ask(ctx, []string{"dimensions"})
		if err != nil {
			return nil, fmt.Errorf("ask %s for the dimensions of model %s: %w", u.Redacted(), options.Model, err)
		}
		h.dimensions = len(vectors[0].Weights)
	}
	return h, nil
}

// redacted hides a password in an address that may not even be one.
func redacted(address string) string {
	if _, host, ok := strings.Cut(address, "@"); ok {
		return "...@" + host
	}
	return address
}

// Name returns the model's name with that of the protocol before it:
// "ollama/nomic-embed-text".
func (h *HTTP) Name() string { return HTTPName(h.options.URL, h.options.Model) }

// HTTPName is the name of the model that a server calls so.
func HTTPName(address, model string) string {
	if u, err := url.Parse(address); err == nil && asOllama(u) {
		return "ollama/" + model
	}
	return "openai/" + model
}

func asOllama(u *url.URL) bool { return strings.HasSuffix(u.Path, "/api/embed") }

// Dimensions returns the length of the model's vectors.
func (h *HTTP) Dimensions() int { return h.dimensions }

// Embed asks the server for the vectors of texts, a batch at a time. A request
// that fails for a reason that may pass (no connection, a time-out, too many
// requests, a server error) is tried again after a while, as long as ctx allows.
// An empty text has the zero vector; the server is not asked for it.
func (h *HTTP) Embed(ctx context.Context, texts []string) ([]ingest.Vector, error) {
	vectors := make([]ingest.Vector, len(texts))
	var batch []string
	var places []int
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		found, err := h.ask(ctx, batch)
		if err != nil {
			return fmt.Errorf("embed %d texts with model %s: %w", len(batch), h.Name(), err)
		}
		for i, v := range found {
			if len(v.Weights) != h.dimensions {
				return fmt.Errorf("model %s gave a vector of %d dimensions, not %d: it is another model now, and needs another name",
					h.Name(), len(v.Weights), h.dimensions)
			}
			vectors[places[i]] = v
		}
		batch, places = batch[:0], places[:0]
		return nil
	}
	for i, text := range texts {
		if text == "" {
			vectors[i] = ingest.Vector{Weights: make([]float32, h.dimensions)}
			continue
		}
		batch, places = append(batch, text), append(places, i)
		if len(batch) == h.options.Batch {
			if err := flush(); err != nil {
				return nil, err
			}
		}
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return vectors, nil
}

// ask sends one batch, again and again if need be.
func (h *HTTP) ask(ctx context.Context, texts []string) ([]ingest.Vector, error) {
	body, err := json.Marshal(map[string]any{"model": h.options.Model, "input": texts})
	if err != nil {
		return nil, err
	}
	delay := h.firstDelay
	for try := 1; ; try++ {
		answer, err := h.post(ctx, body)
		if err == nil {
			return h.decode(answer, len(texts))
		}
		var passing *passingError
		if !errors.As(err, &passing) || ctx.Err() != nil {
			return nil, err
		}
		if try == h.options.Tries {
			return nil, fmt.Errorf("%d tries: %w", try, err)
		}
		timer := time.NewTimer(max(delay, passing.after))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, fmt.Errorf("%w (%w)", context.Cause(ctx), err)
		}
		delay *= 2
	}
}

// passingError is worth another try, after a while that the server may have named.
type passingError struct {
	err   error
	after time.Duration
}

func (e *passingError) Error() string { return e.err.Error() }
func (e *passingError) Unwrap() error { return e.err }

const (
	mostBytes = 256 << 20 // of an answer
	mostDelay = time.Minute
)

func (h *HTTP) post(ctx context.Context, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, h.options.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.options.URL, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", "application/json")
	if h.options.APIKey != "" {
		request.Header.Set("Authorization", "Bearer "+h.options.APIKey)
	}
	response, err := h.options.Client.Do(request)
	if err != nil {
		return nil, &passingError{err: err}
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, mostBytes+1))
	if err != nil {
		return nil, &passingError{err: fmt.Errorf("read the answer: %w", err)}
	}
	if len(answer) > mostBytes {
		return nil, fmt.Errorf("the answer is longer than %d MB: send fewer texts at once", mostBytes>>20)
	}
	switch code := response.StatusCode; {
	case code == http.StatusOK:
		return answer, nil
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500 && code != http.StatusNotImplemented:
		return nil, &passingError{err: refusal(response.Status, answer), after: retryAfter(response.Header.Get("Retry-After"))}
	default:
		return nil, refusal(response.Status, answer)
	}
}

// refusal says what the server said.
func refusal(status string, answer []byte) error {
	var said struct{ Error json.RawMessage }
	message := strings.TrimSpace(string(answer))
	if json.Unmarshal(answer, &said) == nil && len(said.Error) > 0 {
		var text string
		var object struct{ Message string }
		if json.Unmarshal(said.Error, &text) == nil {
			message = text
		} else if json.Unmarshal(said.Error, &object) == nil && object.Message != "" {
			message = object.Message
		}
	}
	const most = 300
	if len(message) > most {
		message = strings.ToValidUTF8(message[:most], "") + "..."
	}
	return fmt.Errorf("the server answered %s: %s", status, message)
}

// retryAfter reads the header of that name; 0 when it says nothing of use.
func retryAfter(header string) time.Duration {
	if seconds, err := time.ParseDuration(header + "s"); err == nil {
		return min(max(seconds, 0), mostDelay)
	}
	if at, err := http.ParseTime(header); err == nil {
		return min(max(time.Until(at), 0), mostDelay)
	}
	return 0
}

// decode reads the vectors out of an answer, in the order of the texts.
func (h *HTTP) decode(answer []byte, texts int) ([]ingest.Vector, error) {
	var said struct {
		Embeddings [][]float32 // Ollama
		Data       []struct {  // OpenAI
			Index     int
			Embedding []float32
		}
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	weights := said.Embeddings
	if !h.ollama {
		weights = make([][]float32, len(said.Data))
		for _, d := range said.Data {
			if d.Index < 0 || d.Index >= len(weights) || weights[d.Index] != nil {
				return nil, fmt.Errorf("the answer has a vector for text %d of %d, or two of them", d.Index, texts)
			}
			weights[d.Index] = d.Embedding
		}
	}
	if len(weights) != texts {
		return nil, fmt.Errorf("the answer has %d vectors for %d texts", len(weights), texts)
	}
	vectors := make([]ingest.Vector, texts)
	for i, w := range weights {
		if len(w) == 0 {
			return nil, fmt.Errorf("the vector of text %d is empty", i)
		}
		var err error
		if vectors[i], err = ingest.Dense(w); err != nil {
			return nil, fmt.Errorf("the vector of text %d: %w", i, err)
		}
	}
	return vectors, nil
}
