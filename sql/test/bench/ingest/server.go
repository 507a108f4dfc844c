package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/htdag/htdag/db/localpg"
)

// server is a PostgreSQL of its own with the settings that make up gives to one, and
// its durability.
type server struct {
	local *localpg.Server
	admin *pgx.Conn
}

func startServer(ctx context.Context, log *slog.Logger) (*server, error) {
	local, err := localpg.Start(ctx, localpg.Options{Ephemeral: true, Log: log, Settings: map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "shared_buffers": "1GB",
	}})
	if err != nil {
		return nil, fmt.Errorf("start a PostgreSQL server: %w", err)
	}
	admin, err := pgx.Connect(ctx, local.URL("postgres"))
	if err != nil {
		local.Close()
		return nil, fmt.Errorf("connect to the server: %w", err)
	}
	return &server{local, admin}, nil
}

func (s *server) close() {
	s.admin.Close(context.Background())
	s.local.Close()
}

// reading is what a server has spent since it began.
type reading struct {
	cpu time.Duration // user and system, of all its processes
	wal int64         // bytes
}

func (s *server) meter(ctx context.Context) (r reading, err error) {
	if err := s.admin.QueryRow(ctx, "select (pg_current_wal_insert_lsn() - '0/0')::bigint").Scan(&r.wal); err != nil {
		return r, err
	}
	r.cpu, err = processorTime(s.local.Status().PID)
	return r, err
}

// userHertz is the unit of /proc, the same on all architectures that Go runs on.
const userHertz = 100

// processorTime sums up what a process and its children have used, and what those of
// its children had used that are no more.
func processorTime(parent int) (time.Duration, error) {
	names, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	ticks := 0
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // it has ended; its parent has its time
		}
		// The name, in parentheses, may hold anything; 14 to 17 are user, system and theirs of children.
		pid, rest := filepath.Base(filepath.Dir(name)), string(text[strings.LastIndexByte(string(text), ')')+1:])
		fields := strings.Fields(rest)
		if len(fields) < 15 {
			return 0, fmt.Errorf("%s reads %q", name, text)
		}
		var last int
		switch strconv.Itoa(parent) {
		case pid:
			last = 15
		case fields[1]:
			last = 13
		default:
			continue
		}
		for _, field := range fields[11:last] {
			n, err := strconv.Atoi(field)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", name, err)
			}
			ticks += n
		}
	}
	return time.Duration(ticks) * time.Second / userHertz, nil
}
