package db_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// pairSession is a connection with at most one statement under way.
type pairSession struct {
	t       *testing.T
	conn    *pgconn.PgConn
	watcher *pgx.Conn
	pending chan error
}

func openPairSession(t *testing.T, pool *pgxpool.Pool) *pairSession {
	t.Helper()
	open := func() *pgx.Conn {
		conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		return conn
	}
	return &pairSession{t: t, conn: open().PgConn(), watcher: open(), pending: make(chan error, 1)}
}

func (s *pairSession) send(statement string) {
	go func() {
		_, err := s.conn.Exec(s.t.Context(), statement).ReadAll()
		if err != nil && s.conn.TxStatus() == 'E' {
			_, rollback := s.conn.Exec(s.t.Context(), "rollback").ReadAll()
			err = errors.Join(err, rollback)
		}
		s.pending <- err
	}()
}

func (s *pairSession) await() error {
	select {
	case err := <-s.pending:
		return err
	case <-time.After(20 * time.Second):
		return fmt.Errorf("session %d got no answer within 20 s", s.conn.PID())
	}
}

func (s *pairSession) do(statement string) error {
	s.send(statement)
	return s.await()
}

// settle waits until what was sent has run, or waits for somebody else; it says
// whether that is so. Waits of those who only try end by themselves.
func (s *pairSession) settle() (waits bool) {
	for seen := 0; ; {
		if len(s.pending) > 0 {
			return false
		}
		var blocked bool
		if err := s.watcher.QueryRow(s.t.Context(), "select cardinality(pg_blocking_pids($1)) > 0", int32(s.conn.PID())).Scan(&blocked); err != nil {
			s.t.Error(err)
			return false
		}
		if seen++; !blocked {
			seen = 0
		} else if seen > 8 {
			return true
		}
		time.Sleep(2 * time.Millisecond)
	}
}
