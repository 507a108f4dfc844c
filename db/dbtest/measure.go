package dbtest

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A Cost is what some work cost the server.
type Cost struct {
	Trips      int64 // waits of the client for the server
	Statements int64 // executed, those within functions too
	Buffers    int64 // pages looked at, in memory or not
	Records    int64 // of WAL, without the commit's
	Bytes      int64 // of WAL, without the commit's and without full-page images
	Rows       map[string]Rows
	Locks      map[string][]string // what each mode is held on; indexes are left out
	LocksHeld  int64               // at the end of the transaction, indexes included
}

// Rows are the rows of a table that were written.
type Rows struct{ Inserted, Updated, Hot, Deleted int64 }

// Sum adds the rows of all tables up.
func (c Cost) Sum() (s Rows) {
	for _, r := range c.Rows {
		s = s.plus(r)
	}
	return s
}

func (r Rows) plus(o Rows) Rows {
	return Rows{r.Inserted + o.Inserted, r.Updated + o.Updated, r.Hot + o.Hot, r.Deleted + o.Deleted}
}

func (r Rows) minus(o Rows) Rows {
	return Rows{r.Inserted - o.Inserted, r.Updated - o.Updated, r.Hot - o.Hot, r.Deleted - o.Deleted}
}

// plus adds costs of several transactions up; of locks it keeps the larger set.
func (c Cost) plus(o Cost) Cost {
	sum := Cost{c.Trips + o.Trips, c.Statements + o.Statements, c.Buffers + o.Buffers, c.Records + o.Records, c.Bytes + o.Bytes, maps.Clone(c.Rows), c.Locks, c.LocksHeld}
	if sum.Rows == nil {
		sum.Rows = map[string]Rows{}
	}
	for table, r := range o.Rows {
		sum.Rows[table] = sum.Rows[table].plus(r)
	}
	if o.LocksHeld > c.LocksHeld {
		sum.Locks, sum.LocksHeld = o.Locks, o.LocksHeld
	}
	return sum
}

// Total adds costs up; of locks it keeps the largest set.
func Total(costs []Cost) (sum Cost) {
	for _, c := range costs {
		sum = sum.plus(c)
	}
	return sum
}

// Mean returns the mean of costs of the same work, rounded. A single figure depends
// on how full the pages were that it came to.
func Mean(costs []Cost) Cost {
	return Total(costs).Per(int64(len(costs)))
}

// Per divides all that adds up, and rounds.
func (c Cost) Per(n int64) Cost {
	part := func(sum int64) int64 { return (sum + n/2) / n }
	rows := map[string]Rows{}
	for table, r := range c.Rows {
		rows[table] = Rows{part(r.Inserted), part(r.Updated), part(r.Hot), part(r.Deleted)}
	}
	return Cost{part(c.Trips), part(c.Statements), part(c.Buffers), part(c.Records), part(c.Bytes), rows, c.Locks, c.LocksHeld}
}

// Measure does work in a transaction and returns what it cost. The beginning and
// the end of the transaction are not in it.
func (m *Meter) Measure(t *testing.T, conn *pgx.Conn, work func(tx pgx.Tx) error) (c Cost) {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback(t.Context())
	earlier := rowsWritten(t, tx) // of the session, as far as the server has not heard of them yet
	m.admin(t, "select pg_stat_statements_reset()")
	before := m.trips.Load()
	if err := work(tx); err != nil {
		t.Fatal(err)
	}
	c.Trips = m.trips.Load() - before
	c.Rows = rowsWritten(t, tx) // the last statement is not counted before the next one begins
	for table, r := range earlier {
		if c.Rows[table] = c.Rows[table].minus(r); c.Rows[table] == (Rows{}) {
			delete(c.Rows, table)
		}
	}
	// What a function executes is part of what calls it, except in the number of statements.
	err = m.watch.QueryRow(t.Context(), `
		select coalesce(sum(calls), 0), coalesce(sum(shared_blks_hit + shared_blks_read) filter (where toplevel), 0),
		       coalesce(sum(wal_records) filter (where toplevel), 0), coalesce(sum(wal_bytes) filter (where toplevel), 0)::bigint
		  from pg_stat_statements s
		  join pg_database d on d.oid = s.dbid
		 where d.datname = $1 and query !~* '^(begin|commit|rollback|deallocate)|pg_stat_xact_user_tables'`, conn.Config().Database).
		Scan(&c.Statements, &c.Buffers, &c.Records, &c.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	c.Locks, c.LocksHeld = locksHeld(t, tx)
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func rowsWritten(t *testing.T, tx pgx.Tx) map[string]Rows {
	t.Helper()
	rows, err := tx.Query(t.Context(), `
		select schemaname || '.' || relname, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_tup_del
		  from pg_stat_xact_user_tables
		 where n_tup_ins + n_tup_upd + n_tup_del > 0`)
	if err != nil {
		t.Fatal(err)
	}
	written := map[string]Rows{}
	var table string
	var r Rows
	if _, err := pgx.ForEachRow(rows, []any{&table, &r.Inserted, &r.Updated, &r.Hot, &r.Deleted}, func() error {
		table = shortName(table)
		written[table] = written[table].plus(r)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return written
}

var temporary = regexp.MustCompile(`^pg_temp_\d+`)

// shortName leaves out what is understood, and what differs from session to session.
func shortName(table string) string {
	return temporary.ReplaceAllString(strings.TrimPrefix(table, "htdag."), "pg_temp")
}

// locksHeld asks in the transaction itself, whose locks on what it asks for are its last.
func locksHeld(t *testing.T, tx pgx.Tx) (map[string][]string, int64) {
	t.Helper()
	rows, err := tx.Query(t.Context(), `
		select l.mode, coalesce(c.oid::regclass::text, format('advisory %s', l.objid::integer)), coalesce(c.relkind in ('i', 'I'), false)
		  from pg_locks l
		  left join pg_class c on l.locktype = 'relation' and c.oid = l.relation
		 where l.pid = pg_backend_pid() and l.granted
		   and (l.locktype = 'advisory' or c.relnamespace not in ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace))
		   and not pg_is_other_temp_schema(coalesce(c.relnamespace, 0))`)
	if err != nil {
		t.Fatal(err)
	}
	held, n := map[string][]string{}, int64(0)
	var mode, on string
	var index bool
	if _, err := pgx.ForEachRow(rows, []any{&mode, &on, &index}, func() error {
		n++
		if !index {
			held[mode] = append(held[mode], shortName(on))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for mode := range held {
		slices.Sort(held[mode])
	}
	return held, n
}
