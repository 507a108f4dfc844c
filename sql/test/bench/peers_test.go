package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
)

// Each peer does all that it says it does, twice on one database with different
// numbers of workers, and its own tables agree.
func TestPeers(t *testing.T) {
	server, err := startServer(t.Context(), "", "", false, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.close)
	for _, peer := range []func() Engine{
		func() Engine { return &riverEngine{} },
		func() Engine { return &dbosEngine{} },
		graphile,
		pgBoss,
	} {
		for _, shape := range peer().Shapes() {
			name := peer().Name() + "_" + string(shape)
			t.Run(name, func(t *testing.T) {
				url, err := server.create(t.Context(), strings.ReplaceAll(name, "-", "_"), "", true)
				if err != nil {
					t.Fatal(err)
				}
				testPeer(t, peer, url, shape)
			})
		}
	}
}

func testPeer(t *testing.T, peer func() Engine, url string, shape Shape) {
	t.Helper()
	runs, total := 20, 0
	if shape == Map {
		runs = 1
	}
	opened(t, peer(), url, shape, func(e Engine) {
		for _, workers := range []int{1, 4} {
			ctx, cancel := context.WithCancel(t.Context()) // each Run may have a context of its own
			sample, err := e.Run(ctx, runs, workers)
			cancel()
			if err != nil {
				t.Fatal(err)
			}
			total += runs
			if sample.Wall <= 0 || sample.Drain < 0 || sample.Drain > sample.Wall {
				t.Errorf("%d runs took %v, the last %v of them after the last start", runs, sample.Wall, sample.Drain)
			}
			if shape == Idle && (len(sample.Latencies) != runs || slices.Min(sample.Latencies) <= 0) {
				t.Errorf("latencies of %d runs are %v", runs, sample.Latencies)
			}
		}
	})
	opened(t, peer(), url, shape, func(e Engine) {
		if err := e.Verify(t.Context(), total); err != nil {
			t.Error(err)
		}
		for _, other := range []int{total - 1, total + 1} {
			if e.Verify(t.Context(), other) == nil {
				t.Errorf("%d runs pass for %d", total, other)
			}
		}
	})
}

// opened does something with an opened engine, or skips the test where what the engine
// needs is not here.
func opened(t *testing.T, e Engine, url string, shape Shape, do func(Engine)) {
	t.Helper()
	defer func() {
		if err := e.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	switch err := e.Open(t.Context(), url, shape); {
	case errors.Is(err, ErrUnavailable) && os.Getenv("CI") == "":
		t.Skip(err)
	case err != nil:
		t.Fatal(err)
	}
	do(e)
}
