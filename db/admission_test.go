package db_test

import (
	"encoding/json"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
)

// Looking for what may start costs the same however much waits: runs of a flow with and
// without a key, and tasks under limits. Of every ten that wait, one has another key.
func TestWaitingIsBounded(t *testing.T) {
	t.Parallel()
	const few, many = 2_000, 40_000
	for _, c := range []struct{ name, setup, start, look string }{
		{"runs", "select htdag.set_limits('job', p_max_concurrent_runs => 10)", "'{}'::jsonb", "select htdag.admit()"},
		{"keys of runs", "select htdag.set_limits('job', p_max_concurrent_runs => 10, p_key => 'k', p_max_concurrent_per_key => 2)",
			"jsonb_build_object('k', case when i % 10 = 0 then i else 1 end)", "select htdag.admit()"},
		{"keys of tasks", "select htdag.set_limit('k:*', 1), htdag.set_queue_limit('default', 10)",
			"jsonb_build_object('k', case when i % 10 = 0 then i else 1 end)", "select htdag.promote()"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			read := func(waiting int) (first, next int) {
				pool := dbtest.New(t)
				dbtest.Exec(t, pool, `select htdag.define_flow('{"flow": "job", "steps": [{"name": "work", "limit_key": "k:{k}"}]}')`)
				if c.name != "keys of tasks" {
					dbtest.Exec(t, pool, `select htdag.define_flow('{"flow": "job", "steps": [{"name": "work"}]}')`)
				}
				dbtest.Exec(t, pool, c.setup)
				for begun := 0; begun < waiting; begun += few {
					dbtest.Exec(t, pool, "select count(*) from htdag.start_flows('job', array(select "+c.start+" from generate_series($1::int + 1, $2::int) i))", begun, begun+few)
				}
				dbtest.Exec(t, pool, "vacuum analyze")
				return blocksRead(t, pool, c.look), blocksRead(t, pool, c.look)
			}
			fewFirst, fewNext := read(few)
			manyFirst, manyNext := read(many)
			t.Logf("blocks with %d: %d, then %d; with %d: %d, then %d", few, fewFirst, fewNext, many, manyFirst, manyNext)
			// An index may be a level deeper.
			if manyFirst > fewFirst*2+500 || manyNext > fewNext*2+500 {
				t.Errorf("looking reads more the more waits")
			}
		})
	}
}

func blocksRead(t *testing.T, pool *pgxpool.Pool, statement string) int {
	t.Helper()
	var plans []struct {
		Plan struct {
			Hit  int `json:"Shared Hit Blocks"`
			Read int `json:"Shared Read Blocks"`
		}
	}
	raw := dbtest.Value[string](t, pool, "explain (analyze, buffers, format json) "+statement)
	if err := json.Unmarshal([]byte(raw), &plans); err != nil {
		t.Fatal(err)
	}
	return plans[0].Plan.Hit + plans[0].Plan.Read
}
