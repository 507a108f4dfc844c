package pgmq_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// TestInterface runs what PGMQ promises: it passes against any implementation.
func TestInterface(t *testing.T) { runScripts(t, "testdata/interface") }

// TestOwn runs what only our implementation promises.
func TestOwn(t *testing.T) {
	ownOnly(t)
	runScripts(t, "testdata/own")
}

// runScripts runs each script of a directory in a database of its own.
//
// A script is a row of commands with what they print:
//
//	sql [as=<session>] [error=any]
//	<statements>
//	----
//	<one line per row, values between bars; an error as its SQLSTATE and message>
//
// Statements run in the session named, or in one shared by all that name none.
// With error=any an error is only that: how it is worded is not promised.
func runScripts(t *testing.T, dir string) {
	datadriven.Walk(t, dir, func(t *testing.T, path string) {
		t.Parallel()
		pool := newPool(t)
		sessions := map[string]*session{}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd != "sql" {
				d.Fatalf(t, "unknown command %q; the only one is sql", d.Cmd)
			}
			name, errorForm := "", ""
			d.MaybeScanArgs(t, "as", &name)
			d.MaybeScanArgs(t, "error", &errorForm)
			s := sessions[name]
			if s == nil {
				s = openSession(t, pool)
				sessions[name] = s
			}
			return s.run(t.Context(), d.Input, errorForm == "any")
		})
	})
}

// A session is a connection that prints as a script expects.
type session struct {
	conn    *pgx.Conn
	notices []string
}

func openSession(t *testing.T, pool *pgxpool.Pool) *session {
	t.Helper()
	s := &session{}
	config := pool.Config().ConnConfig.Copy()
	config.RuntimeParams["statement_timeout"] = "30s" // a statement that waits for another session fails
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		s.notices = append(s.notices, n.Severity+": "+n.Message)
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	s.conn = conn
	t.Cleanup(func() { _ = s.conn.Close(context.Background()) })
	return s
}

const voidOID = 2278

func (s *session) run(ctx context.Context, statements string, anyError bool) string {
	s.notices = nil
	var out strings.Builder
	results, err := s.conn.PgConn().Exec(ctx, statements).ReadAll()
	for _, n := range s.notices {
		fmt.Fprintln(&out, n)
	}
	for _, r := range results {
		if len(r.FieldDescriptions) == 0 && r.Err == nil {
			fmt.Fprintln(&out, r.CommandTag)
		}
		for _, row := range r.Rows {
			values := make([]string, len(row))
			for i, v := range row {
				switch {
				case r.FieldDescriptions[i].DataTypeOID == voidOID:
					values[i] = "done"
				case v == nil:
					values[i] = "NULL"
				default:
					values[i] = string(v)
				}
			}
			fmt.Fprintln(&out, strings.Join(values, " | "))
		}
	}
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr) && anyError:
		fmt.Fprintln(&out, "ERROR")
	case errors.As(err, &pgErr):
		fmt.Fprintf(&out, "ERROR %s: %s\n", pgErr.Code, pgErr.Message)
	case err != nil:
		fmt.Fprintln(&out, err)
	}
	return out.String()
}
