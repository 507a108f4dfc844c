package dbtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// RunScripts runs every .test file below dir, each on a database of its own. The
// files read like a psql session; go test -rewrite writes the answers anew.
//
//	sql            a statement; answers with its rows, columns apart by two spaces,
//	               or with "ERROR code: message" and its hint
//	sql as=NAME    the same in a named session, opened on first use
//	clock +31s     move the engine's clock forward
//
// A name of the form :x in a statement stands for a value kept by an earlier
// statement with keep=(x,y): the columns of its first row.
func RunScripts(t *testing.T, dir string) {
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".test" {
			return err
		}
		name, _ := filepath.Rel(dir, strings.TrimSuffix(path, ".test"))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{pool: New(t), sessions: map[string]*pgx.Conn{}, kept: map[string]string{}}
			defer s.close()
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string { return s.run(t, d) })
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

type script struct {
	pool     *pgxpool.Pool
	sessions map[string]*pgx.Conn
	kept     map[string]string
}

func (s *script) close() {
	for _, conn := range s.sessions {
		conn.Close(context.Background())
	}
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "sql":
		session := "main"
		d.MaybeScanArgs(t, "as", &session)
		var keep []string
		for _, arg := range d.CmdArgs {
			if arg.Key == "keep" {
				keep = arg.Vals
			}
		}
		return s.query(t, session, d.Input, keep)
	case "clock":
		return s.moveClock(t, strings.TrimPrefix(d.CmdArgs[0].String(), "+"))
	}
	d.Fatalf(t, "unknown command %q", d.Cmd)
	return ""
}

func (s *script) session(t *testing.T, name string) *pgx.Conn {
	conn, ok := s.sessions[name]
	if !ok {
		var err error
		if conn, err = pgx.ConnectConfig(t.Context(), s.pool.Config().ConnConfig); err != nil {
			t.Fatal(err)
		}
		s.sessions[name] = conn
	}
	return conn
}

func (s *script) query(t *testing.T, session, statement string, keep []string) string {
	for name, value := range s.kept {
		statement = strings.ReplaceAll(statement, ":"+name+":", value)
	}
	results, err := s.session(t, session).PgConn().Exec(t.Context(), statement).ReadAll()
	var out strings.Builder
	for i, result := range results {
		table := make([][]string, 0, len(result.Rows))
		for _, row := range result.Rows {
			cells := make([]string, len(row))
			for j, value := range row {
				if cells[j] = string(value); value == nil {
					cells[j] = "-"
				} else if len(value) == 0 {
					cells[j] = "''"
				}
			}
			table = append(table, cells)
		}
		if i == len(results)-1 && len(table) > 0 {
			for j, name := range keep {
				s.kept[name] = table[0][j]
			}
		}
		if len(keep) == 0 {
			writeTable(&out, table)
		}
	}
	if err != nil {
		out.WriteString(describe(err))
	}
	return s.mask(out.String())
}

var timestamps = regexp.MustCompile(`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*[+-]\d\d`)

// mask hides what differs from run to run: times, and kept values that are random.
func (s *script) mask(out string) string {
	for name, value := range s.kept {
		if len(value) > 9 {
			out = strings.ReplaceAll(out, value, ":"+name+":")
		}
	}
	return timestamps.ReplaceAllString(out, "TIME")
}

func describe(err error) string {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return "ERROR " + err.Error() + "\n"
	}
	text := fmt.Sprintf("ERROR %s: %s\n", pgErr.Code, pgErr.Message)
	if pgErr.Hint != "" {
		text += "HINT " + pgErr.Hint + "\n"
	}
	return text
}

// writeTable aligns columns, since answers are read by people.
func writeTable(out *strings.Builder, table [][]string) {
	var widths []int
	for _, row := range table {
		for j, cell := range row {
			if j == len(widths) {
				widths = append(widths, 0)
			}
			widths[j] = max(widths[j], len(cell))
		}
	}
	for _, row := range table {
		line := ""
		for j, cell := range row {
			line += fmt.Sprintf("%-*s  ", widths[j], cell)
		}
		out.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// moveClock replaces htdag.clock in this database by one that runs ahead.
func (s *script) moveClock(t *testing.T, by string) string {
	Exec(t, s.pool, "create table if not exists public.test_clock (ahead interval not null)")
	Exec(t, s.pool, "insert into public.test_clock select '0' where not exists (select from public.test_clock)")
	Exec(t, s.pool, "update public.test_clock set ahead = ahead + $1::text::interval", by)
	Exec(t, s.pool, `create or replace function htdag.clock() returns timestamptz language sql volatile set search_path = ''
		return clock_timestamp() + (select ahead from public.test_clock)`)
	return ""
}
