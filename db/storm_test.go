package db_test

import (
	"testing"
	"time"

	"github.com/htdag/htdag/db/dbtest"
)

// Starting many runs in one call costs each of them the same. A cost that grows with
// the square shows as sixteen times the time for four times the runs.
func TestStartingManyRunsIsLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, `select htdag.define_flow('{"flow": "storm", "steps": [{"name": "a"}, {"name": "b", "needs": ["a"]}]}')`)
	start := func(runs int) time.Duration {
		began := time.Now()
		dbtest.Exec(t, pool, "select count(*) from htdag.start_flows('storm', array_fill('{}'::jsonb, array[$1::integer]))", runs)
		return time.Since(began)
	}
	start(100) // makes the session's plans
	few, many := start(2000), start(8000)
	t.Logf("2,000 runs in %s, 8,000 in %s", few, many)
	if many > 9*few {
		t.Errorf("2,000 runs were started in %s, 8,000 in %s", few, many)
	}
}
