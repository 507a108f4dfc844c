package dbtest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A session is a connection of a script, with at most one statement under way.
type session struct {
	name    string
	conn    *pgx.Conn
	pending chan reply // nil when nothing is under way
}

// reply is what came of a statement, or of several sent at once.
type reply struct {
	results []*pgconn.Result
	err     error
}

func (s *script) session(t *testing.T, name string) *session {
	if s.sessions[name] == nil {
		conn, err := pgx.ConnectConfig(t.Context(), s.pool.Config().ConnConfig)
		if err != nil {
			t.Fatal(err)
		}
		s.sessions[name] = &session{name: name, conn: conn}
	}
	return s.sessions[name]
}

func (s *session) send(t *testing.T, statement string) {
	t.Helper()
	if s.pending != nil {
		t.Fatalf("session %s is not done with its last statement: await it first", s.name)
	}
	pending := make(chan reply, 1)
	s.pending = pending
	go func() {
		results, err := s.conn.PgConn().Exec(t.Context(), statement).ReadAll()
		pending <- reply{results, err}
	}()
}

func (s *session) await(t *testing.T) reply {
	t.Helper()
	if s.pending == nil {
		t.Fatalf("nothing was sent as %s", s.name)
	}
	defer func() { s.pending = nil }()
	select {
	case reply := <-s.pending:
		return reply
	case <-time.After(30 * time.Second):
		t.Fatalf("session %s got no answer within 30 s", s.name)
		return reply{}
	}
}

// settle waits until the statement that a session was sent has run, or waits for
// locks of other sessions, and says which.
func (s *script) settle(t *testing.T, of *session) string {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if len(of.pending) > 0 {
			return "done\n"
		}
		blockers := Value[[]int32](t, s.pool, "select pg_blocking_pids($1)", int32(of.conn.PgConn().PID()))
		if len(blockers) == 0 {
			continue
		}
		var names []string
		for _, other := range slices.SortedFunc(maps.Values(s.sessions), func(a, b *session) int { return cmp.Compare(a.name, b.name) }) {
			if slices.Contains(blockers, int32(other.conn.PgConn().PID())) {
				names = append(names, other.name)
			}
		}
		return fmt.Sprintf("waits for %s\n", strings.Join(names, ", "))
	}
	t.Fatalf("session %s neither finished nor waits for a lock after 30 s", of.name)
	return ""
}
