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
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
)

// RunScripts runs every .test file below dir, each on a database of its own. The
// files read like a psql session; go test -rewrite writes the answers anew.
//
//	sql            a statement; answers with its rows, columns apart by two spaces,
//	               or with "ERROR code: message" and its hint
//	sql as=NAME    the same in a named session, opened on first use
//	send as=NAME   a statement that may have to wait: answers "done" once it has run,
//	               or "waits for" the sessions that hold what it needs
//	await as=NAME  the answer of what was sent
//	clock +31s     move the engine's clock forward
//
// A name of the form :x: in a statement stands for a value kept by an earlier
// statement with keep=(x,y): the columns of its first row. A deadlock fails the test
// whatever the file says.
func RunScripts(t *testing.T, dir string) {
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || filepath.Ext(path) != ".test" {
			return err
		}
		name, _ := filepath.Rel(dir, strings.TrimSuffix(path, ".test"))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{pool: New(t), sessions: map[string]*session{}, kept: map[string]string{}}
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
	sessions map[string]*session
	kept     map[string]string
}

func (s *script) close() {
	for _, session := range s.sessions {
		session.conn.Close(context.Background())
	}
}

func (s *script) run(t *testing.T, d *datadriven.TestData) string {
	name := "main"
	d.MaybeScanArgs(t, "as", &name)
	var keep []string
	for _, arg := range d.CmdArgs {
		if arg.Key == "keep" {
			keep = arg.Vals
		}
	}
	switch d.Cmd {
	case "sql":
		session := s.session(t, name)
		session.send(t, s.fill(d.Input))
		return s.answer(t, session.await(t), keep)
	case "send":
		session := s.session(t, name)
		session.send(t, s.fill(d.Input))
		return s.settle(t, session)
	case "await":
		return s.answer(t, s.session(t, name).await(t), keep)
	case "clock":
		return s.moveClock(t, strings.TrimPrefix(d.CmdArgs[0].String(), "+"))
	}
	d.Fatalf(t, "unknown command %q", d.Cmd)
	return ""
}

// fill puts kept values in the place of their names.
func (s *script) fill(statement string) string {
	for name, value := range s.kept {
		statement = strings.ReplaceAll(statement, ":"+name+":", value)
	}
	return statement
}

func (s *script) answer(t *testing.T, reply reply, keep []string) string {
	if db.Conflict(reply.err) {
		t.Errorf("a transaction was made to give way: %v", reply.err)
	}
	var out strings.Builder
	for i, result := range reply.results {
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
		if i == len(reply.results)-1 && len(table) > 0 {
			for j, name := range keep {
				s.kept[name] = table[0][j]
			}
		}
		if len(keep) == 0 {
			writeTable(&out, table)
		}
	}
	if reply.err != nil {
		out.WriteString(describe(reply.err))
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
