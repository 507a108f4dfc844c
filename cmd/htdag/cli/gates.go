package cli

import (
	"cmp"
	"math"

	"github.com/spf13/pflag"

	"github.com/htdag/htdag/runner/ingest"
)

// gates are the settings of what is done with a file, which whoever looks at files and
// whoever ingests them have to agree on.
type gates struct {
	maskSecrets   bool
	maxParseBytes int
	maxFileBytes  int
}

func (g *gates) flags(f *pflag.FlagSet) {
	f.BoolVar(&g.maskSecrets, "mask-secrets", true, "report secrets in source text, and store asterisks in their place in all that is searched")
	f.IntVar(&g.maxParseBytes, "max-parse-bytes", 1<<20, "size above which a file is searchable, but not parsed")
	f.IntVar(&g.maxFileBytes, "max-file-bytes", 10<<20, "size above which a file is known by its hash alone")
}

func (g *gates) check() error {
	return cmp.Or(
		within("max-parse-bytes", g.maxParseBytes, 1, math.MaxInt32),
		within("max-file-bytes", g.maxFileBytes, 1, 512<<20),
	)
}

// asIngested are the gates as the extraction has them.
func (g *gates) asIngested() ingest.Gates {
	return ingest.Gates{
		Limits:      ingest.Limits{ParseBytes: int64(g.maxParseBytes), KeepBytes: int64(g.maxFileBytes)},
		KeepSecrets: !g.maskSecrets,
	}
}
