package pgmq_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
)

// The way to the extension that sql/pgmq/README.md describes loses nothing. A second
// copy of ours stands in for the extension, whose tables have the same columns.
func TestMoveToTheExtension(t *testing.T) {
	ownOnly(t)
	t.Parallel()
	readme, err := os.ReadFile("../../pgmq/README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)To move to the extension.*?```sql\n(.*?)```").FindStringSubmatch(string(readme))
	if block == nil {
		t.Fatal("the README does not say how to move")
	}
	before, after, ok := strings.Cut(block[1], "create extension pgmq;")
	if !ok {
		t.Fatal("the README's way does not create the extension")
	}

	pool := newPool(t)
	dbtest.Exec(t, pool, "select pgmq.create('Orders'), pgmq.create_unlogged('quick')")
	dbtest.Exec(t, pool, "select pgmq.send_batch('Orders', array['1', '2', '3', '4']::jsonb[], array['{\"h\": 1}', null, null, null]::jsonb[]), pgmq.send('quick', '5', 60)")
	dbtest.Exec(t, pool, "select pgmq.read('Orders', 3600, 1), pgmq.archive('Orders', 2), pgmq.delete('Orders', 4)")
	const state = `select array[
		(select jsonb_agg(to_jsonb(q) order by msg_id) from pgmq.q_orders q),
		(select jsonb_agg(to_jsonb(a) order by msg_id) from pgmq.a_orders a),
		(select jsonb_agg(to_jsonb(q) order by msg_id) from pgmq.q_quick q),
		(select jsonb_agg(to_jsonb(m) - 'created_at' order by queue_name) from pgmq.meta m)]::text`
	want := dbtest.Value[string](t, pool, state)

	dbtest.Exec(t, pool, strings.Replace(before, "begin;", "", 1))
	if err := install(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	for _, statement := range strings.SplitAfter(strings.Replace(after, "commit;", "", 1), "end $$;") {
		if strings.TrimSpace(statement) != "" {
			dbtest.Exec(t, pool, statement)
		}
	}
	if diff := cmp.Diff(want, dbtest.Value[string](t, pool, state)); diff != "" {
		t.Errorf("messages (-before +after the move):\n%s", diff)
	}
	if id := dbtest.Value[int64](t, pool, "select pgmq.send('Orders', '5')"); id != 5 {
		t.Errorf("the next message is %d, want 5: numbers must not come again", id)
	}
}
