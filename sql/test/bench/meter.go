package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// cost is what the server spent.
type cost struct {
	WAL          float64       // bytes, of the whole server
	CPU          time.Duration // of all processes of the server, user and system; 0 where it cannot be read
	Statements   float64       // that clients sent; 0 outside of counting rounds
	Nested       float64       // that functions ran in turn
	Transactions float64
	Dead         float64 // row versions made dead by updates and deletes
}

func (c cost) minus(d cost) cost {
	return cost{c.WAL - d.WAL, c.CPU - d.CPU, c.Statements - d.Statements, c.Nested - d.Nested,
		c.Transactions - d.Transactions, c.Dead - d.Dead}
}

// spent reads what the server knows at once: WAL, processor time and statements.
func (s *server) spent(ctx context.Context, database string) (c cost, err error) {
	if err := s.admin.QueryRow(ctx, "select (pg_current_wal_insert_lsn() - '0/0')::float8").Scan(&c.WAL); err != nil {
		return c, err
	}
	if s.counts {
		err := s.admin.QueryRow(ctx, `select coalesce(sum(calls) filter (where toplevel), 0)::float8, coalesce(sum(calls) filter (where not toplevel), 0)::float8
			from pg_stat_statements s join pg_database d on d.oid = s.dbid where d.datname = $1`, database).Scan(&c.Statements, &c.Nested)
		if err != nil {
			return c, fmt.Errorf("count statements: %w", err)
		}
	}
	if s.local != nil {
		c.CPU, err = processorTime(s.local.Status().PID)
	}
	return c, err
}

// counted reads what sessions report when they end: transactions and dead rows.
// Nobody may be connected to the database.
func (s *server) counted(ctx context.Context, database string) (c cost, err error) {
	err = s.admin.QueryRow(ctx, "select (xact_commit + xact_rollback)::float8 from pg_stat_database where datname = $1", database).Scan(&c.Transactions)
	if err != nil {
		return c, err
	}
	address, err := s.database(database)
	if err != nil {
		return c, err
	}
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return c, err
	}
	defer conn.Close(context.Background())
	err = conn.QueryRow(ctx, "select coalesce(sum(n_tup_upd + n_tup_del), 0)::float8 from pg_stat_user_tables").Scan(&c.Dead)
	return c, err
}

// processorTime sums up what the postmaster and its children have used, and what those
// of its children had used that are no more.
func processorTime(postmaster int) (time.Duration, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		return 0, err // not Linux
	}
	var ticks int64
	for _, name := range stats {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended; the postmaster has its time
		}
		p, err := parseStat(string(text))
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		switch postmaster {
		case p.pid:
			ticks += p.used + p.ofChildren
		case p.parent:
			ticks += p.used
		}
	}
	return time.Duration(ticks) * (time.Second / userHertz), nil
}

// userHertz is the unit of /proc, the same on all architectures that Go runs on.
const userHertz = 100

// process is what /proc tells of one.
type process struct {
	pid, parent      int
	used, ofChildren int64 // ticks, user and system
}

// parseStat reads /proc/PID/stat. The second field is a name in parentheses, which may
// contain anything.
func parseStat(text string) (p process, err error) {
	end := strings.LastIndexByte(text, ')')
	begin := strings.IndexByte(text, ' ')
	if end < 0 || begin < 0 {
		return p, fmt.Errorf("%q is not a process", text)
	}
	fields := strings.Fields(text[end+1:]) // from the third on
	if len(fields) < 15 {
		return p, fmt.Errorf("%q has %d fields after the name, want 15 or more", text, len(fields))
	}
	numbers := make([]int64, 0, 6)
	for _, field := range []string{text[:begin], fields[1], fields[11], fields[12], fields[13], fields[14]} {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return p, err
		}
		numbers = append(numbers, n)
	}
	return process{int(numbers[0]), int(numbers[1]), numbers[2] + numbers[3], numbers[4] + numbers[5]}, nil
}
