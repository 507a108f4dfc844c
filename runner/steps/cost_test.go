package steps

import (
	"flag"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/htdag/htdag/db/dbtest"
)

var update = flag.Bool("update", false, "write the file of costs anew")

const (
	ingestionCosts = "../../sql/test/cost/ingestion.cost"

	ingestionHeading = `What ingesting costs the database, without what the engine does for it: the sum of the transactions of one file, or of
a tree of 40 small files in Go that call each other. go test ./runner/steps -run TestCost compares, make generate writes
anew. The columns are those of engine.cost; for the locks, the transaction that holds most.
`
)

// costFile is one of forty files, each of which calls a function of the one before.
func costFile(n int, comment, body string) string {
	return fmt.Sprintf("package p%d\n\nimport \"example.com/m/p%d\"\n\n// F%d is %s.\nfunc F%d() int {\n%s\treturn p%d.F%d() + %d\n}\n",
		n, n+1, n, comment, n, body, n+1, n+1, n)
}

func costPath(n int) string { return fmt.Sprintf("p%d/f.go", n) }

// costEdits change one of the files, the nth time another one.
var costEdits = []struct {
	name string
	edit func(c *corpus, n int)
}{
	{"ingest_file, a comment edited", func(c *corpus, n int) {
		c.write(map[string]string{costPath(n): costFile(n, "another", "")})
	}},
	{"ingest_file, a call added", func(c *corpus, n int) {
		c.write(map[string]string{costPath(n): costFile(n, "a function", fmt.Sprintf("\tp%d.F%d()\n", n+1, n+1))})
	}},
	{"ingest_file, a function added", func(c *corpus, n int) {
		c.write(map[string]string{costPath(n): costFile(n, "a function", "") + fmt.Sprintf("\nfunc G%d() {}\n", n)})
	}},
	{"ingest_file, a function renamed", func(c *corpus, n int) {
		c.write(map[string]string{costPath(n): fmt.Sprintf("package p%d\n\nfunc H%d() {}\n", n, n)})
	}},
	{"ingest_file, saved as it was", func(c *corpus, n int) {
		c.write(map[string]string{costPath(n): costFile(n, "a function", "")})
	}},
	{"ingest_file, deleted", func(c *corpus, n int) { c.remove(costPath(n)) }},
}

// TestCost holds what does not depend on the machine to what is on file.
func TestCost(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector does not change what the database does")
	}
	t.Parallel()
	m := dbtest.NewMeter(t)
	pool := m.New(t)
	root := t.TempDir()
	tree := map[string]string{"go.mod": "module example.com/m\n\ngo 1.26\n"}
	for n := range 40 {
		tree[costPath(n)] = costFile(n, "a function", "")
	}

	measure := func(c *corpus, work func()) dbtest.Cost {
		t.Helper()
		conn, err := c.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
		var all []dbtest.Cost
		c.transact = func(bundle func(pgx.Tx) error) error {
			all = append(all, m.Measure(t, conn.Conn(), bundle))
			return nil
		}
		work()
		return dbtest.Total(all)
	}

	// The first tree of a session pays for what is read and planned once.
	first := newCorpus(t, pool, "first", t.TempDir())
	first.write(tree)
	first.ingestAll()
	dbtest.Exec(t, pool, "vacuum analyze")
	c := newCorpus(t, pool, "m", root)
	c.write(tree)
	costs := []dbtest.Operation{{Name: "ingest_codebase, 41 files, all new", Cost: measure(c, func() { c.ingestAll() })}}
	costs = append(costs, dbtest.Operation{Name: "ingest_codebase, nothing changed", Cost: measure(c, func() { c.ingestAll() })})
	dbtest.Exec(t, pool, "vacuum analyze")

	const warmUps, measured = 3, 4
	for _, e := range costEdits {
		copied := newCorpus(t, m.Clone(t, pool), "m", root)
		pool = copied.pool
		copied.write(tree)
		copied.ingestAll()
		var each []dbtest.Cost
		for n := range warmUps + measured {
			e.edit(copied, 5*n)
			if cost := measure(copied, func() { copied.ingestFile(costPath(5 * n)) }); n >= warmUps {
				each = append(each, cost)
			}
		}
		costs = append(costs, dbtest.Operation{Name: e.name, Cost: dbtest.Mean(each)})
	}
	m.CheckCosts(t, ingestionCosts, ingestionHeading, costs, *update)
}
