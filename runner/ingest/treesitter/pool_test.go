package treesitter_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/htdag/htdag/runner/ingest/treesitter"
)

func TestPoolConcurrent(t *testing.T) {
	pool := treesitter.NewPool(3, treesitter.Limits{})
	defer pool.Close()
	languages := []*treesitter.Language{pythonLanguage(t), javascriptLanguage(t)}
	texts := make([]string, 40)
	for i := range texts {
		texts[i] = strings.Repeat(fmt.Sprintf("f%d(a, [b, c])\n", i), 1+i*7)
	}
	shape := func(i int) (shape string, err error) {
		err = pool.Parse(context.Background(), languages[i%2], []byte(texts[i]), func(tree *treesitter.Tree) error {
			shape = tree.String()
			return nil
		})
		return shape, err
	}
	want := make([]string, len(texts))
	for i := range texts {
		var err error
		if want[i], err = shape(i); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for n := range texts {
				i := (n + worker*5) % len(texts)
				if got, err := shape(i); err != nil || got != want[i] {
					t.Errorf("text %d: another tree than alone, error %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}

func TestPoolWaits(t *testing.T) {
	pool := treesitter.NewPool(1, treesitter.Limits{})
	l := pythonLanguage(t)
	boom := errors.New("boom")
	err := pool.Parse(context.Background(), l, []byte("x"), func(*treesitter.Tree) error {
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Millisecond, boom)
		defer cancel()
		return pool.Parse(ctx, l, []byte("x"), func(*treesitter.Tree) error {
			t.Error("a second parse ran in a pool of one")
			return nil
		})
	})
	if !errors.Is(err, boom) {
		t.Errorf("waiting for a parser: got %v", err)
	}

	func() { // a panic of the caller's must not cost the pool a parser
		defer func() { _ = recover() }()
		_ = pool.Parse(context.Background(), l, []byte("x"), func(*treesitter.Tree) error { panic("caller") })
	}()

	inside, closed := make(chan struct{}), make(chan struct{})
	go func() {
		<-inside
		pool.Close()
		close(closed)
	}()
	err = pool.Parse(context.Background(), l, []byte("x = 1"), func(tree *treesitter.Tree) error {
		close(inside)
		for range 100 { // Close must wait: these nodes lie in the parser's memory
			problems(t, tree)
		}
		return nil
	})
	if err != nil {
		t.Errorf("parse during close: %v", err)
	}
	<-closed
	if err := pool.Parse(context.Background(), l, nil, nil); !errors.Is(err, treesitter.ErrClosed) {
		t.Errorf("after close: got %v", err)
	}
	pool.Close()
}

// TestPoolKeepsNoMemory parses over and over, on good and on failing paths, and
// looks at the size of the process: C memory is invisible to Go's own counters.
func TestPoolKeepsNoMemory(t *testing.T) {
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		t.Skip("needs /proc")
	}
	pool := treesitter.NewPool(1, treesitter.Limits{Nodes: 50_000})
	defer pool.Close()
	l := javascriptLanguage(t)
	good := []byte(strings.Repeat("function f(a) { return g(a && [1, 2], {b: c}) }\n", 200))
	broken := []byte(strings.Repeat("function f(a { return ] g(\n", 15))
	large := []byte(strings.Repeat("f(a, b);\n", 30_000))
	round := func() {
		for range 10 {
			for _, text := range [][]byte{good, broken} {
				if err := pool.Parse(context.Background(), l, text, func(*treesitter.Tree) error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := pool.Parse(context.Background(), l, large, nil); !errors.Is(err, treesitter.ErrTooLarge) {
			t.Fatalf("large text: got %v", err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		defer cancel()
		if err := pool.Parse(ctx, l, large, nil); err == nil {
			t.Fatal("a cancelled parse succeeded")
		}
	}
	round()
	round()
	before := resident(t)
	for range 8 {
		round()
	}
	if grown := resident(t) - before; grown > 4<<20 {
		t.Errorf("process grew by %d KiB over 8 rounds", grown>>10)
	}
}

func resident(t *testing.T) int {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(data), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

func TestGarbage(t *testing.T) {
	pool := treesitter.NewPool(1, treesitter.Limits{Timeout: time.Second})
	defer pool.Close()
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 50_000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	minified := []byte(strings.Repeat("!function(e,t){var n=e.x?t[0]:{a:1};for(;n--;)t(n,function(){return e})}(a,b);", 2_000))
	for name, text := range map[string][]byte{
		"noise": noise, "zeros": make([]byte, 50_000), "minified": minified,
		"quotes": []byte(strings.Repeat("'\"`", 20_000)), "lone bytes": {0xff}, "half": minified[:len(minified)/2+7],
	} {
		for _, l := range []*treesitter.Language{pythonLanguage(t), javascriptLanguage(t)} {
			err := pool.Parse(context.Background(), l, text, func(tree *treesitter.Tree) error {
				problems(t, tree)
				return nil
			})
			if err != nil && !errors.Is(err, treesitter.ErrTimeout) {
				t.Errorf("%s as %s: %v", name, l.Name(), err)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "def f(x):\n  return x\n", "a && (b", "class A { get x() { return `${1}` } }", "\x00\xff", "[[[[((((", "\"\"\"", "if x:\n\tif y:\n  z"} {
		f.Add([]byte(seed))
	}
	pool := treesitter.NewPool(1, treesitter.Limits{Timeout: time.Second})
	f.Cleanup(pool.Close)
	languages := []*treesitter.Language{pythonLanguage(f), javascriptLanguage(f)}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, l := range languages {
			err := pool.Parse(context.Background(), l, text, func(tree *treesitter.Tree) error {
				problems(t, tree)
				return nil
			})
			if err != nil && !errors.Is(err, treesitter.ErrTimeout) {
				t.Fatal(err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	pool := treesitter.NewPool(1, treesitter.Limits{})
	defer pool.Close()
	l := javascriptLanguage(b)
	text := []byte(strings.Repeat("export function f(a, b) {\n  if (a && b.c) return g(a, [1, 2], {b: c})\n  return null\n}\n", 500))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if err := pool.Parse(context.Background(), l, text, func(*treesitter.Tree) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
