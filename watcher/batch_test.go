package watcher

import (
	"fmt"
	"testing"
	"time"
)

// TestBatchSize: of however many changes, a call has at most so many.
func TestBatchSize(t *testing.T) {
	dir := oldTree(t)
	w := watch(t, dir, Options{DebounceDelay: 200 * time.Millisecond, BatchSize: 7})
	for i := range 20 {
		write(t, dir, fmt.Sprintf("f%d.go", i), "x")
	}
	w.agrees()
	w.set(func() {
		changes := 0
		for _, c := range w.calls {
			changes += len(c)
			if len(c) > 7 {
				t.Errorf("a call has %d changes, more than 7", len(c))
			}
		}
		if changes < 20 {
			t.Errorf("%d changes were recorded, fewer than 20", changes)
		}
	})
}
