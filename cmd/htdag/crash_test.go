package main_test

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
)

// many is how many generated files are enough to be interrupted half-way.
const many = 1500

// killWhile freezes a process, and kills it once a query finds it where it is
// wanted: nothing moves between the look and the end. Where what it had sent to the
// server does not come to an end, one of its sessions waiting for another, it is let
// go on and caught again.
func killWhile(t *testing.T, pool *pgxpool.Pool, p *process, query string, args ...any) {
	t.Helper()
	const busy = `select exists (select from pg_stat_activity
		where datname = current_database() and application_name = $1 and state = 'active' and wait_event_type is distinct from 'Client')`
	name := "htdag " + p.cmd.Args[1]
	eventually(t, query, func() (bool, error) {
		if !dbtest.Value[bool](t, pool, query, args...) {
			return false, nil
		}
		p.signal(syscall.SIGSTOP)
		for range 100 {
			if !dbtest.Value[bool](t, pool, busy, name) {
				if dbtest.Value[bool](t, pool, query, args...) {
					return true, nil
				}
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		p.signal(syscall.SIGCONT)
		return false, nil
	})
	p.kill()
}

const halfWay = `select coalesce((select files_done between 1 and files_changed - 1 from report.ingestions order by run_id limit 1), false)`

func TestKilledWhileIngesting(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	root := filepath.Join(openDir(t), "many")
	generate(t, root, many)

	p := start(t, upOnce(pool, "--concurrency=1", root))
	killWhile(t, pool, p, halfWay)
	stored := dbtest.Value[int](t, pool, "select count(*) from report.files where status = 'ingested'")
	if stored == 0 || stored > many {
		t.Errorf("%d files were stored when the process was killed", stored)
	}
	dbtest.CheckInvariants(t, pool)
	ids := dbtest.Column[string](t, pool, "select format('%s %s', symbol_id, qualified_name) from code.symbols")

	succeed(t, upOnce(pool, root))
	dbtest.CheckInvariants(t, pool)
	kept := map[string]bool{}
	for _, id := range dbtest.Column[string](t, pool, "select format('%s %s', symbol_id, qualified_name) from code.symbols") {
		kept[id] = true
	}
	for _, id := range ids {
		if !kept[id] {
			t.Errorf("symbol %s was stored before the crash and is gone", id)
			break
		}
	}
	fresh := dbtest.New(t)
	succeed(t, upOnce(fresh, root))
	sameCorpus(t, fresh, pool, "many")

	// The run that was cut short is not lost either: a runner takes it up when the
	// lease of the dead one has passed.
	p = watch(t, pool, root)
	p.interrupt()
	if n := dbtest.Value[int](t, pool, "select count(*) from report.runs where state <> 'succeeded'"); n != 0 {
		t.Errorf("%d runs did not succeed", n)
	}
	dbtest.CheckInvariants(t, pool)
	sameCorpus(t, fresh, pool, "many")
}

func TestKilledRunner(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	root := filepath.Join(openDir(t), "many")
	generate(t, root, many)

	victim := start(t, at(pool, "run", "--runner-name=victim", "--concurrency=2"))
	holds(t, pool, "select exists (select from htdag.runners where name = 'victim')")
	survivor := start(t, upOnce(pool, "--concurrency=1", "--runner-name=survivor", root))
	killWhile(t, pool, victim, `select exists (select from htdag.tasks t join htdag.runners r using (runner_id) where r.name = 'victim')
		and exists (select from report.ingestions where files_done > 0)`)
	if r := survivor.wait(); r.code != 0 {
		t.Fatalf("exit status %d", r.code)
	}
	dbtest.CheckInvariants(t, pool)
	if n := dbtest.Value[int](t, pool, "select count(*) from htdag.attempts a join htdag.runners r using (runner_id) where r.name = 'victim' and a.outcome <> 'succeeded'"); n == 0 {
		t.Error("no attempt of the victim ended badly; it was killed too late for this test to mean anything")
	}
	fresh := dbtest.New(t)
	succeed(t, upOnce(fresh, root))
	sameCorpus(t, fresh, pool, "many")
}

// An interrupted ingestion says so, stops soon, and is taken up by the next.
func TestInterruptedWhileIngesting(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	root := filepath.Join(openDir(t), "many")
	generate(t, root, many)
	p := start(t, upOnce(pool, "--concurrency=1", root))
	holds(t, pool, halfWay)
	p.signal(syscall.SIGTERM)
	r := p.wait()
	oneError(t, r, 1, "interrupted", "the same command goes on from there")
	if n := dbtest.Value[int](t, pool, "select count(*) from htdag.runners where stopped_at is null and runner_id > 0"); n != 0 {
		t.Error("the runner has not said goodbye")
	}
	succeed(t, upOnce(pool, root))
	dbtest.CheckInvariants(t, pool)
	if n := dbtest.Value[int](t, pool, "select count(*) from report.files where status = 'ingested'"); n != many+1 {
		t.Errorf("%d files are ingested, want %d", n, many+1)
	}
}
