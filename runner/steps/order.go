package steps

import (
	"context"
	"fmt"

	"github.com/htdag/htdag/db/dbsqlc"
)

// levels orders files by what they import of each other, as far as that is known from
// the last ingestion: a file's level is above those of the files that it imports, but
// for files that import each other in a circle, which have one level. Files that
// import none of the others, and all that are new, are at level 0.
func levels(ctx context.Context, q *dbsqlc.Queries, due []dueFile) (map[int64]int, error) {
	ids := make([]int64, len(due))
	for i, d := range due {
		ids[i] = d.id
	}
	rows, err := q.ImportsAmong(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read imports among %d files: %w", len(ids), err)
	}
	imports := map[int64][]int64{}
	for _, r := range rows {
		imports[r.FileID] = append(imports[r.FileID], r.ImportedID)
	}
	return levelsOf(ids, imports), nil
}

// levelsOf finds the strongly connected components, after Tarjan: each is complete
// when all that it leads to are, so its level is known at once.
func levelsOf(ids []int64, imports map[int64][]int64) map[int64]int {
	w := levelWalk{imports: imports, visits: map[int64]*visit{}, levels: map[int64]int{}}
	for _, id := range ids {
		if w.visits[id] == nil {
			w.visit(id)
		}
	}
	return w.levels
}

type levelWalk struct {
	imports map[int64][]int64
	visits  map[int64]*visit
	stack   []int64 // visited, and not in a complete component
	levels  map[int64]int
}

type visit struct {
	number, lowest int  // in order of visits; the first that can be reached from here
	complete       bool // its component is
}

func (w *levelWalk) visit(id int64) *visit {
	v := &visit{number: len(w.visits), lowest: len(w.visits)}
	w.visits[id] = v
	w.stack = append(w.stack, id)
	for _, other := range w.imports[id] {
		to := w.visits[other]
		if to == nil {
			to = w.visit(other)
		}
		if !to.complete {
			v.lowest = min(v.lowest, to.lowest)
		}
	}
	if v.lowest == v.number {
		w.finish(id)
	}
	return v
}

// finish gives the component above and with id on the stack its level.
func (w *levelWalk) finish(id int64) {
	first := len(w.stack) - 1
	for w.stack[first] != id {
		first--
	}
	level := 0
	for _, member := range w.stack[first:] {
		for _, other := range w.imports[member] {
			if w.visits[other].complete {
				level = max(level, w.levels[other]+1)
			}
		}
	}
	for _, member := range w.stack[first:] {
		w.levels[member] = level
		w.visits[member].complete = true
	}
	w.stack = w.stack[:first]
}
