// Package embed holds the embedding models that need something from outside: a
// server that is asked over HTTP, or a file of token vectors. Both are an
// ingest.Embedder; the built-in model, ingest.HashEmbedder, needs neither.
//
// An embedder is safe for concurrent use and keeps no texts. What it is given
// leaves the machine only if it is an HTTP embedder with a remote address.
package embed
