package cli

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"net/url"
	"slices"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/pflag"

	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/runner/embed"
	"github.com/htdag/htdag/runner/ingest"
	"github.com/htdag/htdag/runner/steps"
)

// embedding is where vectors come from. The key of a server is in the environment only.
type embedding struct {
	provider     string
	url          string
	model        string
	file         string
	dimensions   int
	batchSize    int
	timeoutMs    int
	tokensPerDay int
	tokensInAll  int
}

const keyVariable = "HTDAG_EMBEDDING_API_KEY"

func (e *embedding) flags(f *pflag.FlagSet) {
	f.StringVar(&e.provider, "embedding-provider", "hash", "what makes vectors: hash (built in, lexical), file (a table of token vectors) or http (a server)")
	f.StringVar(&e.url, "embedding-url", "", "endpoint of the server; a path that ends in /api/embed is asked as Ollama is, any other as OpenAI's /v1/embeddings")
	f.StringVar(&e.model, "embedding-model", "", "model, as the server calls it")
	f.StringVar(&e.file, "embedding-file", "", "file of token vectors")
	f.IntVar(&e.dimensions, "embedding-dimensions", 0, "length of the server's vectors; 0 asks it, or the database if it does not answer")
	f.IntVar(&e.batchSize, "embedding-batch-size", 64, "texts in one request")
	f.IntVar(&e.timeoutMs, "embedding-timeout-ms", 30000, "time limit of one request")
	f.IntVar(&e.tokensPerDay, "embedding-tokens-per-day", 0, "tokens that the server may be sent in a day (UTC), about four bytes each; 0 is no ceiling")
	f.IntVar(&e.tokensInAll, "embedding-tokens-in-all", 0, "tokens that it may be sent of this model, ever; 0 is no ceiling")
}

func (e *embedding) check() error {
	if !slices.Contains([]string{"hash", "file", "http"}, e.provider) {
		return usagef("--embedding-provider is %q; it must be hash, file or http", e.provider)
	}
	if e.provider == "http" && (e.url == "" || e.model == "") {
		return usagef("--embedding-provider is http, which needs --embedding-url and --embedding-model")
	}
	if e.provider == "file" && e.file == "" {
		return usagef("--embedding-provider is file, which needs --embedding-file")
	}
	return cmp.Or(
		within("embedding-dimensions", e.dimensions, 0, 1<<14),
		within("embedding-batch-size", e.batchSize, 1, 2048),
		within("embedding-timeout-ms", e.timeoutMs, 1, 600_000),
		within("embedding-tokens-per-day", e.tokensPerDay, 0, math.MaxInt),
		within("embedding-tokens-in-all", e.tokensInAll, 0, math.MaxInt),
	)
}

// askedAtOnce is how many steps of one process ask a server at a time. The process has as
// many workers more, so that a slow server takes none from the rest.
const askedAtOnce = 2

// remote bounds what a server is asked.
func (e *embedding) remote() steps.Remote {
	if e.provider != "http" {
		return steps.Remote{}
	}
	return steps.Remote{AtOnce: askedAtOnce, TokensPerDay: int64(e.tokensPerDay), TokensInAll: int64(e.tokensInAll)}
}

// embedder makes the embedder that the settings name. A server that does not answer is
// no reason not to start, if the database knows the model.
func (a *app) embedder(ctx context.Context, pool *pgxpool.Pool, e embedding) (ingest.Embedder, error) {
	switch e.provider {
	case "file":
		return embed.OpenFile(e.file)
	case "http":
		options := embed.HTTPOptions{
			URL: e.url, Model: e.model, APIKey: a.getenv(keyVariable), Dimensions: e.dimensions, Batch: e.batchSize, Timeout: milliseconds(e.timeoutMs),
		}
		server, err := embed.NewHTTP(ctx, options)
		if err != nil && e.dimensions == 0 {
			known, lookErr := dbsqlc.New(pool).ModelDimensions(ctx, embed.HTTPName(e.url, e.model))
			if lookErr != nil {
				return nil, fmt.Errorf("%w; with --embedding-dimensions htdag starts without it", err)
			}
			a.log.WarnContext(ctx, "embedding server does not answer", "error", err)
			options.Dimensions = int(known)
			server, err = embed.NewHTTP(ctx, options)
		}
		if err != nil {
			return nil, err
		}
		return embed.NewBreaker(server), nil
	}
	return ingest.HashEmbedder{}, nil
}

// withoutPassword is an address as it may be shown.
func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "..."
	}
	if u.RawQuery != "" {
		u.RawQuery = "..." // some servers want their key there
	}
	return u.Redacted()
}
