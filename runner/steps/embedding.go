package steps

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/runner"
	"github.com/htdag/htdag/runner/ingest"
)

const (
	// textsPerCall bounds what the embedder is given at once.
	textsPerCall = 256
	// textsPerBatch is what one task of a whole ingestion embeds, more or less.
	textsPerBatch = 2000
)

// hashRange is one element of the map over texts to embed: those whose hash lies
// between two bounds, both in hexadecimal. Hashes spread evenly, so equal ranges
// hold about equally many texts.
type hashRange struct {
	First  string `json:"first"`
	Before string `json:"before"`
}

func (r hashRange) bounds() (first, before []byte, err error) {
	if first, err = hex.DecodeString(r.First); err != nil {
		return nil, nil, fmt.Errorf("first hash of range: %w", err)
	}
	if before, err = hex.DecodeString(r.Before); err != nil {
		return nil, nil, fmt.Errorf("end of range: %w", err)
	}
	return first, before, nil
}

// hashRanges cuts the space of hashes into n equal parts, 1 to 65,536.
func hashRanges(n int) []hashRange {
	ranges := make([]hashRange, n)
	for i := range ranges {
		ranges[i] = hashRange{First: fmt.Sprintf("%04x", i*(1<<16)/n), Before: fmt.Sprintf("%04x", (i+1)*(1<<16)/n)}
	}
	// Beyond every hash of any length in use.
	ranges[n-1].Before = hex.EncodeToString(bytes.Repeat([]byte{0xff}, 33))
	return ranges
}

// embeddingPlan counts the texts of the codebase that have no vector and shares
// them out. That covers changed files as well as a change of the model.
func (s *steps) embeddingPlan(ctx context.Context, w *work) (any, error) {
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	c, err := w.codebase(ctx, q)
	if err != nil {
		return nil, err
	}
	model, err := s.model(ctx, q)
	if err != nil {
		return nil, err
	}
	texts, err := q.CountUnembedded(ctx, c.CodebaseID, model)
	if err != nil {
		return nil, fmt.Errorf("count texts to embed: %w", err)
	}
	out := struct {
		Model   string      `json:"model"`
		Texts   int64       `json:"texts"`
		Batches []hashRange `json:"batches"`
	}{Model: s.embedder.Name(), Texts: texts, Batches: []hashRange{}}
	if texts > 0 {
		out.Batches = hashRanges(int(min((texts+textsPerBatch-1)/textsPerBatch, 1<<12)))
	}
	return out, nil
}

func (s *steps) model(ctx context.Context, q *dbsqlc.Queries) (int16, error) {
	id, err := q.RegisterModel(ctx, s.embedder.Name(), int32(s.embedder.Dimensions()))
	if err != nil {
		return 0, fmt.Errorf("register model %s: %w", s.embedder.Name(), err)
	}
	return id, nil
}

// embedded is the output of embedding_generation.
type embedded struct {
	Model string `json:"model"`
	Texts int    `json:"texts"`
	New   int64  `json:"new"` // vectors stored; the others were made meanwhile by someone else

	PutOff int    `json:"put_off,omitempty"` // texts that a run of embed_codebase will come back to
	Why    string `json:"why,omitempty"`
}

// embeddingGeneration makes the vectors that the file's chunks, or those of one
// range of the codebase, do not have. Texts that occur elsewhere have theirs.
// Reading does not use the step's transaction, which must not wait for a model.
func (s *steps) embeddingGeneration(ctx context.Context, w *work) (any, error) {
	pool := dbsqlc.New(s.pool)
	model, err := s.model(ctx, pool)
	if err != nil {
		return nil, err
	}
	hashes, texts, out, err := s.unembedded(ctx, w, pool, model)
	if err != nil || out != nil {
		return out, err
	}
	if len(texts) > 0 && !s.mayAsk() {
		return nil, runner.Snooze(time.Second)
	}
	store := dbsqlc.StoreVectorsParams{ModelID: model}
	err = s.embed(ctx, &store, hashes, texts)
	if len(texts) > 0 {
		s.hasAsked()
	}
	result := embedded{Model: s.embedder.Name(), Texts: len(store.TextHashes)}
	switch {
	case errors.Is(err, ingest.ErrResting) && len(store.TextHashes) == 0 && w.flow == "embed_codebase":
		return nil, runner.Snooze(s.remote.putOff())
	case errors.Is(err, ingest.ErrResting):
		if _, err := pool.PutOffEmbedding(ctx, w.input.Codebase, s.remote.putOff()); err != nil {
			return nil, fmt.Errorf("put off embedding %d texts of %s: %w", len(texts), w.input.Codebase, err)
		}
		result.PutOff, result.Why = len(texts)-len(store.TextHashes), err.Error()
	case err != nil:
		return nil, err
	}
	if len(store.TextHashes) == 0 {
		return result, nil
	}
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	if result.New, err = q.StoreVectors(ctx, store); err != nil {
		return nil, fmt.Errorf("store %d vectors: %w", len(store.TextHashes), err)
	}
	return result, nil
}

// embed adds the vectors of texts to store: of all, or of those before the error.
func (s *steps) embed(ctx context.Context, store *dbsqlc.StoreVectorsParams, hashes [][]byte, texts []string) error {
	for first := 0; first < len(texts); first += textsPerCall {
		some := texts[first:min(first+textsPerCall, len(texts))]
		if err := s.afford(ctx, store.ModelID, some); err != nil {
			return err
		}
		vectors, err := s.embedder.Embed(ctx, some)
		if err != nil {
			return fmt.Errorf("embed %d texts with %s: %w", len(some), s.embedder.Name(), err)
		}
		if len(vectors) != len(some) {
			return fmt.Errorf("model %s gave %d vectors for %d texts", s.embedder.Name(), len(vectors), len(some))
		}
		for i, v := range vectors {
			store.TextHashes = append(store.TextHashes, hashes[first+i])
			dimensions := ""
			if v.Dimensions != nil {
				dimensions = numbersText(v.Dimensions, func(b []byte, d int16) []byte { return strconv.AppendInt(b, int64(d), 10) })
			}
			store.Dimensions = append(store.Dimensions, dimensions)
			store.Weights = append(store.Weights, numbersText(v.Weights, func(b []byte, x float32) []byte {
				return strconv.AppendFloat(b, float64(x), 'g', -1, 32)
			}))
		}
	}
	return nil
}

// unembedded reads the texts to embed. A non-nil output says that there is no
// file to embed.
func (s *steps) unembedded(ctx context.Context, w *work, q *dbsqlc.Queries, model int16) (hashes [][]byte, texts []string, output any, err error) {
	if w.wholeCodebase() {
		params := dbsqlc.UnembeddedTextsInRangeParams{ModelID: model}
		if params.CodebaseID, params.First, params.Before, err = s.hashRange(ctx, w, q); err != nil {
			return nil, nil, nil, err
		}
		rows, err := q.UnembeddedTextsInRange(ctx, params)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("read texts to embed: %w", err)
		}
		for _, r := range rows {
			hashes, texts = append(hashes, r.TextHash), append(texts, r.Content)
		}
		return hashes, texts, nil, nil
	}
	f, err := s.subject(ctx, w)
	if err != nil {
		return nil, nil, nil, err
	}
	if !f.exists {
		return nil, nil, skippedDeleted, nil
	}
	rows, err := q.UnembeddedTextsOfFile(ctx, f.file.FileID, model)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("read texts to embed of %s: %w", w.input.Path, err)
	}
	for _, r := range rows {
		hashes, texts = append(hashes, r.TextHash), append(texts, r.Content)
	}
	return hashes, texts, nil, nil
}

func (s *steps) hashRange(ctx context.Context, w *work, q *dbsqlc.Queries) (codebaseID int32, first, before []byte, err error) {
	c, err := w.codebase(ctx, q)
	if err != nil {
		return 0, nil, nil, err
	}
	var r hashRange
	if err := json.Unmarshal(w.item, &r); err != nil {
		return 0, nil, nil, fmt.Errorf("read range of hashes: %w", err)
	}
	first, before, err = r.bounds()
	return c.CodebaseID, first, before, err
}

// vectorIndexUpdate adds the vectors of the file's chunks, or those of one range,
// to the signature index.
func (s *steps) vectorIndexUpdate(ctx context.Context, w *work) (any, error) {
	pool := dbsqlc.New(s.pool)
	model, err := s.model(ctx, pool)
	if err != nil {
		return nil, err
	}
	var hashes [][]byte
	var signatures []string
	size := signatureSize(s.embedder.Dimensions())
	sign := func(hash []byte, dimensions []int16, weights []float32) {
		hashes = append(hashes, hash)
		signatures = append(signatures, ingest.Vector{Dimensions: dimensions, Weights: weights}.Signature(size))
	}
	if w.wholeCodebase() {
		params := dbsqlc.UnsignedVectorsInRangeParams{ModelID: model}
		if params.CodebaseID, params.First, params.Before, err = s.hashRange(ctx, w, pool); err != nil {
			return nil, err
		}
		rows, err := pool.UnsignedVectorsInRange(ctx, params)
		if err != nil {
			return nil, fmt.Errorf("read vectors to index: %w", err)
		}
		for _, r := range rows {
			sign(r.TextHash, r.Dimensions, r.Weights)
		}
	} else {
		f, err := s.subject(ctx, w)
		if err != nil {
			return nil, err
		}
		if !f.exists {
			return skippedDeleted, nil
		}
		rows, err := pool.UnsignedVectorsOfFile(ctx, f.file.FileID, model)
		if err != nil {
			return nil, fmt.Errorf("read vectors to index of %s: %w", w.input.Path, err)
		}
		for _, r := range rows {
			sign(r.TextHash, r.Dimensions, r.Weights)
		}
	}
	out := struct {
		Indexed int64 `json:"indexed"`
	}{}
	if len(hashes) == 0 {
		return out, nil
	}
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	if out.Indexed, err = q.StoreSignatures(ctx, model, hashes, signatures); err != nil {
		return nil, fmt.Errorf("store %d signatures: %w", len(hashes), err)
	}
	return out, nil
}

// signatureSize is the power of two that a vector's signature needs.
func signatureSize(dimensions int) int {
	size := 1
	for size < dimensions {
		size *= 2
	}
	return size
}

// numbersText writes an array of numbers as PostgreSQL reads one.
func numbersText[T any](numbers []T, appendNumber func([]byte, T) []byte) string {
	text := append(make([]byte, 0, 2+8*len(numbers)), '{')
	for i, n := range numbers {
		if i > 0 {
			text = append(text, ',')
		}
		text = appendNumber(text, n)
	}
	return string(append(text, '}'))
}
