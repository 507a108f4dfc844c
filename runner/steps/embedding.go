package steps

import (
	"context"
	"errors"
)

// Embedder turns texts into vectors.
type Embedder interface {
	Model() string
}

var errNoEmbedder = errors.New("no embedder is configured")

func (s *steps) embeddingGeneration(ctx context.Context, w *work) (any, error) {
	if s.embedder == nil {
		return skipped{Skipped: errNoEmbedder.Error()}, nil
	}
	return nil, errNoEmbedder
}

func (s *steps) embeddingPlan(ctx context.Context, w *work) (any, error) {
	return struct {
		Batches []int `json:"batches"`
	}{[]int{}}, nil
}

func (s *steps) vectorIndexUpdate(ctx context.Context, w *work) (any, error) {
	return skipped{Skipped: errNoEmbedder.Error()}, nil
}
