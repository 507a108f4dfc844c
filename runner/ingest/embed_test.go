package ingest

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func embedOne(t fataler, text string) Vector {
	vectors, err := HashEmbedder{}.Embed(context.Background(), []string{text})
	if err != nil {
		t.Fatalf("embed %q: %v", text, err)
	}
	return vectors[0]
}

func hamming(a, b string) int {
	n := 0
	for i := range len(a) {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}

func TestHashEmbedderProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`([a-zA-Z_]{1,9} ){0,60}`)).Draw(t, "text")
		v := embedOne(t, text)
		if diff := cmp.Diff(v, embedOne(t, text)); diff != "" {
			t.Fatalf("embedded differently the second time: %s", diff)
		}
		if !slices.IsSorted(v.Dimensions) || len(v.Dimensions) != len(v.Weights) {
			t.Fatalf("dimensions %v, %d weights", v.Dimensions, len(v.Weights))
		}
		length := Similarity(v, v)
		if len(v.Weights) > 0 && math.Abs(length-1) > 1e-6 {
			t.Fatalf("%q has a vector of length %v", text, length)
		}
		if len(Words(text)) == 0 && len(v.Weights) != 0 {
			t.Fatalf("%q has no words and the vector %v", text, v)
		}
		if signature := v.Signature(hashDimensions); len(signature) != hashDimensions || strings.Trim(signature, "01") != "" {
			t.Fatalf("signature %q", signature)
		}
	})
}

func TestHashEmbedderFindsNearDuplicates(t *testing.T) {
	chunks := Chunks(goSource(t), goSymbols(t, goSource(t)))
	edited := embedOne(t, strings.ReplaceAll(chunks[20].Text, "return", "yield"))
	signature := edited.Signature(hashDimensions)
	for i, c := range chunks {
		v := embedOne(t, c.Text)
		if near := Similarity(edited, v) > 0.9; near != (i == 20) {
			t.Errorf("similarity to chunk %d is %.2f", i, Similarity(edited, v))
		}
		if near := hamming(signature, v.Signature(hashDimensions)) < hashDimensions/5; near != (i == 20) {
			t.Errorf("distance to chunk %d is %d bits", i, hamming(signature, v.Signature(hashDimensions)))
		}
	}
}

// Signatures are compared in place of vectors, so the angle must show in them.
func TestSignatureDistanceFollowsTheAngle(t *testing.T) {
	chunks := Chunks(goSource(t), nil)
	vectors := make([]Vector, len(chunks))
	for i, c := range chunks {
		vectors[i] = embedOne(t, c.Text)
	}
	for i, a := range vectors {
		for _, b := range vectors[:i] {
			angle := math.Acos(min(1, Similarity(a, b))) / math.Pi
			distance := float64(hamming(a.Signature(hashDimensions), b.Signature(hashDimensions))) / hashDimensions
			if math.Abs(angle-distance) > 0.12 {
				t.Errorf("an angle of %.2f pi shows as %.2f of the bits", angle, distance)
			}
		}
	}
}

func TestHashEmbedderStops(t *testing.T) {
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(why)
	if _, err := (HashEmbedder{}).Embed(ctx, []string{"a"}); !errors.Is(err, why) {
		t.Errorf("error is %v", err)
	}
}

func TestDense(t *testing.T) {
	v, err := Dense([]float32{3, -4, 0})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Vector{Weights: []float32{0.6, -0.8, 0}}, v); diff != "" {
		t.Error(diff)
	}
	if got := v.Signature(3); got != "100" {
		t.Errorf("signature %s", got)
	}
	if v, err = Dense([]float32{0, 0}); err != nil || Similarity(v, v) != 0 {
		t.Errorf("zero vector: %v, %v", v, err)
	}
	if _, err = Dense([]float32{1, float32(math.NaN())}); err == nil {
		t.Error("NaN was accepted")
	}
}

func BenchmarkHashEmbedder(b *testing.B) {
	source := goSource(b)
	chunks := Chunks(source, goSymbols(b, source))
	b.SetBytes(int64(len(source)))
	n := 0
	for b.Loop() {
		for _, c := range chunks {
			hashVector(c.Text).Signature(hashDimensions)
		}
		n += len(chunks)
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "chunks/s")
}
