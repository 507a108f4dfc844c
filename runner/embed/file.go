package embed

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/htdag/htdag/runner/ingest"
)

// File is a model that is a table of token vectors: a text's vector is the sum of
// those of its words, a repeated word counting 1 + ln n times (static embeddings,
// as distilled by model2vec and others). Words that the table lacks add nothing.
//
// The file is, in this order:
//
//	htdag-tokens 1 NAME TOKENS DIMENSIONS   one line; NAME has no spaces
//	token                                   TOKENS lines, the most frequent first
//	matrix                                  TOKENS rows of DIMENSIONS signed bytes
//
// Tokens are words of English or of code, in any case; they are matched as
// ingest.Words has them, and the first of those that become one word stands for
// all. Weights need a common scale only, so that divide-by-largest, times 127, will do.
type File struct {
	name       string
	dimensions int
	rows       map[string]int
	matrix     []int8
}

const (
	mostTokens     = 4 << 20
	mostDimensions = 1 << 14
	mostTokenBytes = 1 << 10
)

// OpenFile reads the model in the file at path into memory.
func OpenFile(path string) (*File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open embedding file: %w", err)
	}
	defer file.Close()
	f, err := ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("embedding file %s: %w", path, err)
	}
	return f, nil
}

// ReadFile reads a model.
func ReadFile(r io.Reader) (*File, error) {
	hash := sha256.New()
	in := bufio.NewReaderSize(io.TeeReader(r, hash), mostTokenBytes)
	header, err := line(in)
	if err != nil {
		return nil, fmt.Errorf("read the first line: %w", err)
	}
	f := &File{rows: map[string]int{}}
	var tokens int
	if n, err := fmt.Sscanf(header, "htdag-tokens 1 %s %d %d", &f.name, &tokens, &f.dimensions); n != 3 || err != nil {
		return nil, fmt.Errorf("the first line is %.80q, not htdag-tokens 1 NAME TOKENS DIMENSIONS", header)
	}
	if tokens < 1 || tokens > mostTokens || f.dimensions < 1 || f.dimensions > mostDimensions {
		return nil, fmt.Errorf("%d tokens of %d dimensions: at least 1 and at most %d of %d", tokens, f.dimensions, mostTokens, mostDimensions)
	}
	for row := range tokens {
		token, err := line(in)
		if err != nil {
			return nil, fmt.Errorf("read token %d of %d: %w", row+1, tokens, err)
		}
		// The whole of an identifier comes before its parts.
		if words := ingest.Words(token); len(words) > 0 {
			if _, known := f.rows[words[0]]; !known {
				f.rows[words[0]] = row
			}
		}
	}
	matrix, err := io.ReadAll(io.LimitReader(in, int64(tokens)*int64(f.dimensions)+1))
	if err != nil {
		return nil, fmt.Errorf("read the matrix: %w", err)
	}
	if len(matrix) != tokens*f.dimensions {
		return nil, fmt.Errorf("%d tokens of %d dimensions need %d bytes of weights, the file has %d (or more)",
			tokens, f.dimensions, tokens*f.dimensions, len(matrix))
	}
	f.matrix = make([]int8, len(matrix))
	for i, b := range matrix {
		f.matrix[i] = int8(b)
	}
	f.name = fmt.Sprintf("file/%s-%x", f.name, hash.Sum(nil)[:4])
	return f, nil
}

// line reads one line, without its line break. A line that ends the input or
// exceeds mostTokenBytes is an error.
func line(in *bufio.Reader) (string, error) {
	text, err := in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return "", fmt.Errorf("a line is longer than %d bytes", mostTokenBytes)
	case errors.Is(err, io.EOF):
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", err
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// Name returns the name in the file, with the start of the file's hash, since
// another file has other vectors: "file/english-1a2b3c4d".
func (f *File) Name() string { return f.name }

// Dimensions returns the length of the vectors.
func (f *File) Dimensions() int { return f.dimensions }

// Embed returns the vectors of texts. It fails only when ctx is done.
func (f *File) Embed(ctx context.Context, texts []string) ([]ingest.Vector, error) {
	vectors := make([]ingest.Vector, len(texts))
	for i, text := range texts {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("embed text %d of %d: %w", i+1, len(texts), context.Cause(ctx))
		}
		frequencies := map[int]int{}
		for _, word := range ingest.Words(text) {
			if row, ok := f.rows[word]; ok {
				frequencies[row]++
			}
		}
		var err error
		if vectors[i], err = ingest.Dense(f.sum(frequencies)); err != nil {
			return nil, err
		}
	}
	return vectors, nil
}

// sum adds rows in their order in the file, so that a text always has the same vector.
func (f *File) sum(frequencies map[int]int) []float32 {
	rows := make([]int, 0, len(frequencies))
	for row := range frequencies {
		rows = append(rows, row)
	}
	slices.Sort(rows)
	weights := make([]float32, f.dimensions)
	for _, row := range rows {
		factor := float32(1 + math.Log(float64(frequencies[row])))
		for d, w := range f.matrix[row*f.dimensions : (row+1)*f.dimensions] {
			weights[d] += factor * float32(w)
		}
	}
	return weights
}
