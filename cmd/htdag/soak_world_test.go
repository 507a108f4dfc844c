//go:build linux

package main_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/db/localpg"
)

// soak is a tree, a server that keeps what was committed, and the process between them.
type soak struct {
	*rand.Rand
	t       *testing.T
	tree    *soakTree
	options localpg.Options
	url     string
	process *process

	operations atomic.Int64
	count      map[string]int // of accidents
	took       []time.Duration
}

func newSoak(t *testing.T, seed uint64, files int) *soak {
	t.Helper()
	dir := openDir(t)
	s := &soak{Rand: rand.New(rand.NewPCG(seed, 0)), t: t, count: map[string]int{},
		options: localpg.Options{Dir: filepath.Join(dir, "pg"), Settings: map[string]string{"max_connections": "60"}}}
	s.tree = newSoakTree(t, filepath.Join(dir, "tree"), filepath.Join(dir, "away"), files, s.Rand)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if _, err := localpg.Stop(ctx, s.options); err != nil {
			t.Error(err)
		}
	})
	s.startDatabase()
	return s
}

// startDatabase starts the server, which finds its data as its end has left them.
func (s *soak) startDatabase() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 2*time.Minute)
	defer cancel()
	server, err := localpg.Start(ctx, s.options)
	if err == nil {
		err = server.EnsureDatabase(ctx, "soak")
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if url := server.URL("soak"); s.url != "" && s.url != url {
		s.t.Fatalf("the server has come back elsewhere: another process took its port")
	} else {
		s.url = url
	}
}

func (s *soak) stopDatabase() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	if _, err := localpg.Stop(ctx, s.options); err != nil {
		s.t.Fatal(err)
	}
}

// killDatabase has the server leave everything where it is: an immediate stop, after
// which it recovers from its log.
func (s *soak) killDatabase() {
	s.t.Helper()
	status, err := localpg.Inspect(s.t.Context(), s.options)
	if err == nil {
		err = syscall.Kill(status.PID, syscall.SIGQUIT)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the server has ended", func() (bool, error) {
		return errors.Is(syscall.Kill(status.PID, 0), syscall.ESRCH), nil
	})
}

func (s *soak) pool() *pgxpool.Pool {
	s.t.Helper()
	pool, err := db.Open(s.t.Context(), s.url, db.Options{MaxConns: 4})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(pool.Close)
	return pool
}

// up starts the process that watches.
func (s *soak) up() {
	s.t.Helper()
	s.process = start(s.t, append(append([]string{"up", "--database-url", s.url, "--codebase=soak"}, eager...), s.tree.dir))
	s.process.waited = true // its output is shown where it matters
}

// revive starts the process again where it found no database when it began, which it
// says and ends. Once it watches it bears that.
func (s *soak) revive() {
	s.t.Helper()
	select {
	case <-s.process.done:
		if !strings.Contains(s.process.stdout.String(), "Watching ") && strings.Contains(s.process.stderr.String(), "connect to ") {
			s.up()
		}
	default:
	}
}

// afresh replaces the process by one that nothing has happened to.
func (s *soak) afresh() {
	s.t.Helper()
	s.process.says("Watching ") // or it is interrupted in its first look at the tree, which it fails then
	s.process.interrupt()
	s.up()
	s.lawHolds("a new process")
}

// overflow fills the kernel's queue of events while nobody reads it, and then
// changes what no event will tell of.
func (s *soak) overflow() {
	s.t.Helper()
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_queued_events")
	if err != nil {
		s.t.Fatal(err)
	}
	most, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || most > 1<<20 {
		s.t.Logf("the queue holds %d events, too many to fill (%v)", most, err)
		return
	}
	s.process.freeze()
	defer s.process.thaw()
	for i := range most + 100 { // an event that repeats the last one would not count
		name := filepath.Join(s.tree.dir, fmt.Sprintf("overflow%d", i%2))
		if os.Chmod(name, 0o600+os.FileMode(i/2%2)) != nil { // a writer has removed it
			if err := os.WriteFile(name, nil, 0o644); err != nil {
				s.t.Fatal(err)
			}
		}
	}
	w := s.writer()
	for range 20 {
		w.step()
	}
}

// work is what the database knows that it has still to do.
type work struct {
	files int // not ingested as they are
	runs  int // that have not ended
}

// recorded is what the database holds: hashes by path.
func (s *soak) recorded() (files map[string]string, pending work, err error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		return nil, work{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, `select f.path, f.sha256, f.sha256 is null or f.ingested_sha256 is distinct from f.sha256
		from code.files f join code.codebases c using (codebase_id) where c.name = 'soak' and f.status <> 'deleted'`)
	if err != nil {
		return nil, work{}, err
	}
	files = map[string]string{}
	var path string
	var sum []byte
	var due bool
	_, err = pgx.ForEachRow(rows, []any{&path, &sum, &due}, func() error {
		files[path] = hex.EncodeToString(sum)
		if due {
			pending.files++
		}
		return nil
	})
	if err != nil {
		return nil, work{}, err
	}
	err = conn.QueryRow(ctx, "select count(*) from htdag.runs where finished_at is null").Scan(&pending.runs)
	return files, pending, err
}

// unfinished says what runs wait for.
func (s *soak) unfinished() string {
	return strings.Join(dbtest.Column[string](s.t, s.pool(), `select format('%s %s, begun %s ago: %s', r.flow, r.run_id, now() - r.started_at, w)
		from report.runs r left join htdag.why(r.run_id) w on true where r.finished_at is null`), "\n")
}

// freeze stops the process in its tracks; thaw lets it go on. One that has ended bears both.
func (p *process) freeze() { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *process) thaw()   { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// processorTime is what the process has used of processors so far.
func (p *process) processorTime() time.Duration {
	p.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	// The second field is a name in brackets, which may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	ticks := 0
	for _, f := range fields[11:13] { // user and system time
		n, err := strconv.Atoi(string(f))
		if err != nil {
			p.t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100)
}

// resident is the memory that the process holds, in kB, or 0 when it has ended.
func (p *process) resident() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(rest)[0])
			return n
		}
	}
	return 0
}

// sizes takes the size of the process four times a second until it is told to end.
func (p *process) sizes(until <-chan struct{}) (kB []int) {
	for {
		select {
		case <-until:
			return kB
		case <-time.After(250 * time.Millisecond):
			if n := p.resident(); n > 0 {
				kB = append(kB, n)
			}
		}
	}
}
