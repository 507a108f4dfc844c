package steps

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/runner/ingest"
)

// What an embedder that is elsewhere, and perhaps slow, dear or dead, must not do to the
// rest of an ingestion: take the workers of other steps, cost more than was allowed, or
// fail runs. What cannot be embedded now is left to a run of embed_codebase.

func (r Remote) putOff() time.Duration { return cmp.Or(r.PutOff, time.Minute) }

// mayAsk says whether one more task may ask the embedder; hasAsked has to follow.
func (s *steps) mayAsk() bool {
	if s.remote.AtOnce == 0 {
		return true
	}
	select {
	case s.asking <- struct{}{}:
		return true
	default:
		return false
	}
}

func (s *steps) hasAsked() {
	if s.remote.AtOnce > 0 {
		<-s.asking
	}
}

// bytesPerToken is how much of a text makes a token, more or less.
const bytesPerToken = 4

// afford notes what texts will cost, unless that is more than is left. It is noted before
// the request, and stays noted if that fails: who is asked may count it too.
func (s *steps) afford(ctx context.Context, model int16, texts []string) error {
	if s.remote.TokensPerDay == 0 && s.remote.TokensInAll == 0 {
		return nil
	}
	var tokens int64
	for _, text := range texts {
		tokens += int64(len(text)/bytesPerToken) + 1
	}
	left, err := dbsqlc.New(s.pool).SpendTokens(ctx, dbsqlc.SpendTokensParams{
		ModelID: model, Texts: int64(len(texts)), Tokens: tokens, PerDay: s.remote.TokensPerDay, InAll: s.remote.TokensInAll,
	})
	if err != nil {
		return fmt.Errorf("note %d tokens: %w", tokens, err)
	}
	if !left {
		return fmt.Errorf("%w: %d tokens more would exceed the ceiling of %d a day and %d in all (0 is none)",
			ingest.ErrResting, tokens, s.remote.TokensPerDay, s.remote.TokensInAll)
	}
	return nil
}

// embeddingSwitch makes the model the one that searches go by, once it has vectors of
// everything.
func (s *steps) embeddingSwitch(ctx context.Context, w *work) (any, error) {
	q, err := w.queries(ctx)
	if err != nil {
		return nil, err
	}
	switched, err := q.ActivateModel(ctx, s.embedder.Name())
	if err != nil {
		return nil, fmt.Errorf("switch to model %s: %w", s.embedder.Name(), err)
	}
	return struct {
		Model    string `json:"model"`
		Switched bool   `json:"switched"`
	}{s.embedder.Name(), switched}, nil
}
