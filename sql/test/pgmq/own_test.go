package pgmq_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
)

// Installing again, as an upgrade does, leaves queues as they are.
func TestInstallAgain(t *testing.T) {
	ownOnly(t)
	t.Parallel()
	pool := newPool(t)
	dbtest.Exec(t, pool, "select pgmq.create('kept'), pgmq.create('bound')")
	dbtest.Exec(t, pool, "select pgmq.send_batch('kept', array['1', '2', '3']::jsonb[])")
	dbtest.Exec(t, pool, "select pgmq.read('kept', 3600, 1), pgmq.archive('kept', 2)")
	dbtest.Exec(t, pool, "select pgmq.enable_notify_insert('kept', 7), pgmq.bind_topic('a.*', 'bound')")
	const state = `select array[
		(select jsonb_agg(to_jsonb(q) order by msg_id) from pgmq.q_kept q),
		(select jsonb_agg(to_jsonb(a) order by msg_id) from pgmq.a_kept a),
		(select jsonb_agg(to_jsonb(m) order by queue_name) from pgmq.meta m),
		(select jsonb_agg(to_jsonb(n)) from pgmq.notify_insert_throttle n),
		(select jsonb_agg(to_jsonb(b)) from pgmq.topic_bindings b)]::text`
	before := dbtest.Value[string](t, pool, state)
	for range 2 {
		if err := install(t.Context(), pool); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(before, dbtest.Value[string](t, pool, state)); diff != "" {
		t.Errorf("installing again changed what queues hold (-before +after):\n%s", diff)
	}
	if id := dbtest.Value[int64](t, pool, "select pgmq.send('kept', '4')"); id != 4 {
		t.Errorf("the next message is %d, want 4", id)
	}
}

// A schema pgmq that is not ours is refused and not touched.
func TestForeignSchema(t *testing.T) {
	ownOnly(t)
	t.Parallel()
	tests := []struct {
		name, prepare string
		refused       bool
	}{
		{"someone else's", "create schema pgmq; create table pgmq.q_orders (msg_id bigint)", true},
		{"someone else's, explained", "create schema pgmq; comment on schema pgmq is 'our own queues'", true},
		{"ours, its function lost", "drop function pgmq.htdag_version()", false},
		{"ours, its comment lost", "comment on schema pgmq is null", false},
		{"ours, both marks lost", "comment on schema pgmq is null; drop function pgmq.htdag_version()", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pool := dbtest.Empty(t)
			if tt.name[:4] == "ours" {
				if err := install(t.Context(), pool); err != nil {
					t.Fatal(err)
				}
			}
			dbtest.Exec(t, pool, tt.prepare)
			const objects = "select count(*) from pg_depend where refclassid = 'pg_namespace'::regclass and refobjid = 'pgmq'::regnamespace"
			before := dbtest.Value[int](t, pool, objects)

			err := install(t.Context(), pool)
			var pgErr *pgconn.PgError
			switch {
			case !tt.refused && err != nil:
				t.Fatal(err)
			case tt.refused && (!errors.As(err, &pgErr) || pgErr.Code != "HT003" || pgErr.Hint == ""):
				t.Fatalf("got %v, want HT003 with a hint", err)
			case tt.refused && before != dbtest.Value[int](t, pool, objects):
				t.Error("the refused schema was changed")
			}
		})
	}
}

// Reads and set_vt leave indexes alone, even when one transaction reads all that
// is on a page.
func TestUpdatesAreHeapOnly(t *testing.T) {
	ownOnly(t)
	t.Parallel()
	for _, batch := range []int{1, 10, 100, 1000} {
		t.Run(fmt.Sprintf("batch=%d", batch), func(t *testing.T) {
			t.Parallel()
			pool := newPool(t)
			dbtest.Exec(t, pool, "select pgmq.create('q')")
			dbtest.Exec(t, pool, `select pgmq.send_batch('q', array_fill('{"run": 1, "step": "ast_parsing", "state": "succeeded"}'::jsonb, array[1000]))`)
			for n := 1000; n > 0; n -= batch {
				dbtest.Exec(t, pool, "select pgmq.read('q', 3600, $1::int)", batch)
			}
			dbtest.Exec(t, pool, "select pg_stat_force_next_flush()")
			dbtest.WaitFor(t, pool, "select n_tup_upd = 1000 from pg_stat_user_tables where relid = 'pgmq.q_q'::regclass")
			if hot := dbtest.Value[int](t, pool, "select n_tup_hot_upd from pg_stat_user_tables where relid = 'pgmq.q_q'::regclass"); hot != 1000 {
				t.Errorf("%d of 1000 updates were heap-only", hot)
			}
		})
	}
}

// A read of a long queue touches the messages that it takes, not the queue.
func TestReadIsCheapOnALongQueue(t *testing.T) {
	ownOnly(t)
	t.Parallel()
	pool := newPool(t)
	dbtest.Exec(t, pool, "select pgmq.create('q')")
	dbtest.Exec(t, pool, "select count(*) from pgmq.send_batch('q', array_fill('1'::jsonb, array[50000]))")
	for _, analyzed := range []bool{false, true} {
		if analyzed {
			dbtest.Exec(t, pool, "analyze pgmq.q_q")
		}
		pages := pagesOfRead(t, pool)
		t.Logf("analyzed=%t: %d pages", analyzed, pages)
		if pages > 200 {
			t.Errorf("analyzed=%t: reading 10 of 50,000 messages touched %d pages", analyzed, pages)
		}
	}
}

// pagesOfRead counts the pages that a read of ten messages touches. It reads twice
// in one session, since the first call also reads the catalog.
func pagesOfRead(t *testing.T, pool *pgxpool.Pool) int {
	t.Helper()
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	pages := 0
	for range 2 {
		rows, err := conn.Query(t.Context(), "explain (analyze, buffers, format json) select * from pgmq.read('q', 3600, 10)",
			pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			t.Fatal(err)
		}
		plans, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[[]struct {
			Plan struct {
				Hit  int `json:"Shared Hit Blocks"`
				Read int `json:"Shared Read Blocks"`
			}
		}])
		if err != nil {
			t.Fatal(err)
		}
		pages = plans[0].Plan.Hit + plans[0].Plan.Read
	}
	return pages
}

// Callers need rights of their own on what they touch.
func TestInvokerRights(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	dbtest.Exec(t, pool, "select pgmq.create('mine')")
	role := fmt.Sprintf("pgmq_caller_%d", time.Now().UnixNano())
	dbtest.Exec(t, pool, "create role "+role)
	defer func() {
		dbtest.Exec(t, pool, "drop owned by "+role)
		dbtest.Exec(t, pool, "drop role "+role)
	}()
	send := func() string {
		err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(t.Context(), "set local role "+role); err != nil {
				return err
			}
			_, err := tx.Exec(t.Context(), "select pgmq.send('mine', '1')")
			return err
		})
		var pgErr *pgconn.PgError
		if errors.As(err, &pgErr) {
			return pgErr.Code
		} else if err != nil {
			t.Fatal(err)
		}
		return "sent"
	}
	const denied = "42501"
	got := []string{send()}
	dbtest.Exec(t, pool, "grant usage on schema pgmq to "+role)
	got = append(got, send())
	dbtest.Exec(t, pool, "grant select, insert on pgmq.q_mine to "+role)
	got = append(got, send())
	if diff := cmp.Diff([]string{denied, denied, "sent"}, got); diff != "" {
		t.Errorf("without rights, on the schema, on the table (-want +got):\n%s", diff)
	}
}
