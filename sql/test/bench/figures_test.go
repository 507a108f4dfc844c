package main

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{9, 1, 4}, spread{4, 1, 9}},
		{[]float64{9, 1, 4, 6}, spread{5, 1, 9}},
	} {
		if diff := cmp.Diff(tt.want, spreadOf(tt.values)); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.values, diff)
		}
	}
	if got := spreadOf(nil); !math.IsNaN(got.Median) {
		t.Errorf("the median of nothing is %g", got.Median)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = 100 - i
	}
	for _, tt := range []struct {
		values []int
		share  float64
		want   int
	}{
		{hundred, 0.5, 50}, {hundred, 0.99, 99}, {hundred, 1, 100}, {hundred, 0, 1},
		{[]int{7}, 0.5, 7}, {[]int{7}, 0.99, 7}, {[]int{2, 1}, 0.5, 1}, {nil, 0.5, 0},
	} {
		if got := percentile(tt.values, tt.share); got != tt.want {
			t.Errorf("percentile(%d values, %g) = %d, want %d", len(tt.values), tt.share, got, tt.want)
		}
	}
}

func TestRoughly(t *testing.T) {
	t.Parallel()
	for n, want := range map[float64]int{0.2: 1, 1.4: 1, 9.6: 10, 12.3: 12, 14.6: 15, 123: 120, 98765: 99000} {
		if got := roughly(n); got != want {
			t.Errorf("roughly(%g) = %d, want %d", n, got, want)
		}
	}
}

func TestParseStat(t *testing.T) {
	t.Parallel()
	const text = "4711 (postgres: a b) c) S 42 4711 4711 0 -1 4194304 900 0 0 0 150 25 7 8 20 0 1 0 100 200 300"
	got, err := parseStat(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(process{4711, 42, 175, 15}, got, cmp.AllowUnexported(process{})); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"", "1 (x) S 1", "1 (x) S a 1 1 1 1 1 1 1 1 1 1 1 1 1 1"} {
		if p, err := parseStat(bad); err == nil {
			t.Errorf("parseStat(%q) = %v", bad, p)
		}
	}
}

// What is divided by: the shapes are as large as their descriptions say.
func TestTasks(t *testing.T) {
	t.Parallel()
	want := map[Shape]int{Chain: 5, Diamond: 10, Map: 1002, Ingest: 13, Jobs: 1, Storm: 5, Idle: 5}
	widths := map[Shape][]int{Chain: {1, 1, 1, 1, 1}, Diamond: {1, 8, 1}, Map: {1, 1, 1}, Ingest: {1, 3, 1, 1, 1, 1, 3, 2}, Jobs: {1},
		Storm: {1, 1, 1, 1, 1}, Idle: {1, 1, 1, 1, 1}}
	for _, shape := range Shapes {
		if got := shape.Tasks(); got != want[shape] {
			t.Errorf("%s has %d tasks, want %d", shape, got, want[shape])
		}
		var got []int
		for _, layer := range shape.Layers() {
			got = append(got, len(layer))
		}
		if diff := cmp.Diff(widths[shape], got); diff != "" {
			t.Errorf("layers of %s (-want +got):\n%s", shape, diff)
		}
	}
}

// A run counts from when it was asked for, and ends with the last of its tasks, even
// where that is known before the answer to the start has come.
func TestLedger(t *testing.T) {
	t.Parallel()
	l := newLedger[string](2, 2)
	l.begun(time.Now().Add(-time.Second), "a")
	l.done("a", "b", "b")
	if l.isOver() || len(l.ended) != 0 {
		t.Error("a run has ended that was not done, or not known to have begun")
	}
	l.begun(time.Now().Add(-2*time.Second), "b")
	if l.isOver() || len(l.ended) != 1 {
		t.Errorf("%d runs have ended, want 1", len(l.ended))
	}
	l.done("a")
	if !l.isOver() || len(l.latencies) != 2 || l.latencies[0] < 1900*time.Millisecond || l.latencies[1] < time.Second || l.latencies[1] > 2*time.Second {
		t.Errorf("over is %t, latencies are %v", l.isOver(), l.latencies)
	}
}
