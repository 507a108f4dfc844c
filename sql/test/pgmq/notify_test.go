package pgmq_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
)

// A listener hears channels until the one named fence is heard.
type listener struct{ conn *pgx.Conn }

func listen(t *testing.T, pool *pgxpool.Pool, channels ...string) listener {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig.Copy())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	for _, c := range append(channels, "fence") {
		if _, err := conn.Exec(t.Context(), "listen "+pgx.Identifier{c}.Sanitize()); err != nil {
			t.Fatal(err)
		}
	}
	return listener{conn}
}

// heard returns the channels notified since the last call, in order.
func (l listener) heard(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	dbtest.Exec(t, pool, "notify fence")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	heard := []string{}
	for {
		n, err := l.conn.WaitForNotification(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if n.Channel == "fence" {
			return heard
		}
		if n.Payload != "" {
			t.Errorf("%s has the payload %q, want none", n.Channel, n.Payload)
		}
		heard = append(heard, n.Channel)
	}
}

func TestNotifyInsert(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	dbtest.Exec(t, pool, "select pgmq.create('Loud'), pgmq.create('slow')")
	const loud, slow = "pgmq.q_loud.INSERT", "pgmq.q_slow.INSERT"
	l := listen(t, pool, loud, slow)

	steps := []struct {
		name       string
		statements []string
		want       []string
	}{
		{"nothing before it is enabled",
			[]string{"select pgmq.send('Loud', '1')"}, []string{}},
		{"once for each transaction without a throttle",
			[]string{"select pgmq.enable_notify_insert('Loud', 0)", "select pgmq.send('Loud', '1')", "select pgmq.send('Loud', '2')"},
			[]string{loud, loud}},
		{"once for a batch",
			[]string{"select pgmq.send_batch('Loud', array['1', '2', '3']::jsonb[])"}, []string{loud}},
		{"once for each interval with one",
			[]string{"select pgmq.enable_notify_insert('slow', 3600000)", "select pgmq.send('slow', '1')", "select pgmq.send('slow', '2')"},
			[]string{slow}},
		{"again when the interval is over",
			[]string{"update pgmq.notify_insert_throttle set last_notified_at = now() - interval '2 hours' where queue_name = 'slow'",
				"select pgmq.send('slow', '3')", "select pgmq.send('slow', '4')"},
			[]string{slow}},
		{"not for reading, finishing or changing",
			[]string{"select pgmq.read('Loud', 0, 1)", "select pgmq.delete('Loud', 1)", "select pgmq.archive('Loud', 2)"}, []string{}},
		{"by the new throttle after an update",
			[]string{"select pgmq.update_notify_insert('slow', 0)", "select pgmq.send('slow', '5')", "select pgmq.send('slow', '6')"},
			[]string{slow, slow}},
		{"nothing after it is disabled",
			[]string{"select pgmq.disable_notify_insert('Loud')", "select pgmq.send('Loud', '3')", "select pgmq.send('slow', '7')"},
			[]string{slow}},
		{"enabling twice is enabling once",
			[]string{"select pgmq.enable_notify_insert('slow')", "select pgmq.enable_notify_insert('slow', 0)", "select pgmq.send('slow', '8')"},
			[]string{slow}},
	}
	for _, s := range steps {
		for _, statement := range s.statements {
			dbtest.Exec(t, pool, statement)
		}
		if diff := cmp.Diff(s.want, l.heard(t, pool)); diff != "" {
			t.Errorf("%s (-want +heard):\n%s", s.name, diff)
		}
	}

	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "select pgmq.send('slow', '9')"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{}, l.heard(t, pool)); diff != "" {
		t.Errorf("a send that is rolled back notifies nobody (-want +heard):\n%s", diff)
	}

	type throttle struct {
		Queue string
		MS    int
	}
	rows, _ := pool.Query(t.Context(), "select queue_name, throttle_interval_ms from pgmq.list_notify_insert_throttles()")
	got, err := pgx.CollectRows(rows, pgx.RowToStructByPos[throttle])
	if diff := cmp.Diff([]throttle{{"slow", 0}}, got); err != nil || diff != "" {
		t.Errorf("throttles (%v, -want +got):\n%s", err, diff)
	}
	for _, refused := range []string{
		"select pgmq.enable_notify_insert('slow', -1)",
		"select pgmq.enable_notify_insert('nowhere')",
		"select pgmq.update_notify_insert('slow', -1)",
		"select pgmq.update_notify_insert('Loud', 1)",
	} {
		if _, err := pool.Exec(t.Context(), refused); err == nil {
			t.Errorf("%s is not refused", refused)
		}
	}
	dbtest.Exec(t, pool, "select pgmq.drop_queue('slow')")
	if n := dbtest.Value[int](t, pool, "select count(*) from pgmq.list_notify_insert_throttles()"); n != 0 {
		t.Errorf("%d throttles are left after their queue was dropped", n)
	}
}

// A crash empties the table of throttles; queues then notify without one.
func TestNotifyAfterLostThrottle(t *testing.T) {
	ownOnly(t)
	t.Parallel()
	pool := newPool(t)
	dbtest.Exec(t, pool, "select pgmq.create('q')")
	dbtest.Exec(t, pool, "select pgmq.enable_notify_insert('q', 3600000)")
	dbtest.Exec(t, pool, "truncate pgmq.notify_insert_throttle")
	l := listen(t, pool, "pgmq.q_q.INSERT")
	dbtest.Exec(t, pool, "select pgmq.send('q', '1')")
	dbtest.Exec(t, pool, "select pgmq.send('q', '2')")
	if diff := cmp.Diff([]string{"pgmq.q_q.INSERT", "pgmq.q_q.INSERT"}, l.heard(t, pool)); diff != "" {
		t.Errorf("-want +heard:\n%s", diff)
	}
}

// A sender neither waits for one that is notifying nor makes it wait.
func TestNotifyDoesNotWait(t *testing.T) {
	ownOnly(t)
	t.Parallel()
	pool := newPool(t)
	dbtest.Exec(t, pool, "select pgmq.create('q')")
	dbtest.Exec(t, pool, "select pgmq.enable_notify_insert('q', 1)")
	holder, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer holder.Rollback(t.Context())
	if _, err := holder.Exec(t.Context(), "select from pgmq.notify_insert_throttle order by queue_name for update"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := pool.Exec(ctx, "select pgmq.send('q', '1')"); err != nil {
		t.Error(err)
	}
}
