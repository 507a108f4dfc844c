package db_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbtest"
)

// pairVerbs are the verbs that can meet on one run, with names of ../sql/test/pairs.sql
// in place of its numbers. What they need beforehand is in pairPrepared.
var pairVerbs = []struct{ name, sql string }{
	{"start", "select htdag.start_flow('pairs', '{\"items\": [1]}')"},
	{"start limited", "select htdag.start_flow('few')"},
	{"claim", "select verdict from htdag.claim_steps(:r3, 10)"},
	{"complete", "select verdict from htdag.complete_steps(:r1, array[:a], array[:a.token], '{0}', '{succeeded}', '{}', '{}', '{}', 5)"},
	{"complete a map", "select verdict from htdag.complete_steps(:r1, array[:each], array[:each.token], '{:each.step}', '{succeeded}', '{}', '{}', '{}', 0)"},
	{"complete a child", "select verdict from htdag.complete_steps(:r1, array[:c], array[:c.token], '{0}', '{succeeded}', '{}', '{}', '{}', 0)"},
	{"complete two", "select verdict from htdag.complete_steps(:r1, array[:a, :c], array[:a.token, :c.token], '{0,0}', '{succeeded,succeeded}', '{}', '{}', '{}', 5)"},
	{"end a limited run", "select verdict from htdag.complete_steps(:r1, array[:few], array[:few.token], '{0}', '{succeeded}', '{}', '{}', '{}', 5)"},
	{"fail", "select verdict from htdag.complete_steps(:r2, array[:b], array[:b.token], '{:b.step}', '{failed_permanently}', '{}', '{}', '{}', 0)"},
	{"fail and retry", "select verdict from htdag.complete_steps(:r1, array[:a], array[:a.token], '{0}', '{failed}', '{}', '{}', '{}', 0)"},
	{"fail a child", "select verdict from htdag.complete_steps(:r1, array[:c], array[:c.token], '{0}', '{failed_permanently}', '{}', '{}', '{}', 0)"},
	{"snooze", "select htdag.snooze_step(:a, :a.token, '5 s')"},
	{"decompose", `select htdag.decompose_step(:a, :a.token, '{"steps": [{"name": "p", "kind": "k"}]}')`},
	{"cancel", "select htdag.cancel_run(:run)"},
	{"cancel a child", "select htdag.cancel_run(:child)"},
	{"cancel a queued run", "select htdag.cancel_run(:queued)"},
	{"pause", "select htdag.pause_run(:run)"},
	{"resume", "select htdag.resume_run(:run)"},
	{"pause the flow", "select htdag.pause_flow('pairs', p_running => true)"},
	{"pump", "select htdag.pump()"},
	{"send a signal", "select htdag.send_signal(:run, 'go')"},
	{"broadcast a signal", "select htdag.broadcast_signal('go')"},
	{"heartbeat", "select count(*) from htdag.heartbeat(:r1, 0, 0, array[:a], array[:a.token])"},
	{"expire", "select htdag.upkeep()"},
	{"reap", "select htdag.upkeep()"},
	{"say goodbye", "select htdag.stop_runner(:r2)"},
	{"admit", "select htdag.admit()"},
	{"define", `select htdag.define_flow('{"flow": "few", "steps": [{"name": "x", "kind": "k"}]}')`},
}

var pairPrepared = map[string]string{
	"resume": "select htdag.pause_run(:run)",
	"expire": "update htdag.runs set deadline_at = '2029-12-31' where run_id in (:run, :child)",
	"reap":   "update htdag.runners set lease_expires_at = '2029-12-31' where runner_id = :r2",
}

// pairGates are rows that somebody holds, so that two verbs come to wait with what they
// have locked until then in their hands.
var pairGates = []struct{ name, sql string }{
	{"the run", "select from htdag.runs where run_id = :run for update"},
	{"the child", "select from htdag.runs where run_id = :child for update"},
	{"a task", "select from htdag.tasks where task_id = :a for update"},
	{"a task of the child", "select from htdag.tasks where task_id = :c for update"},
	{"a shard", "select from htdag.map_shards where run_id = :run and shard = 0 for update"},
}

type meeting struct{ first, second, gate, end string }

// Each verb meets each other, itself too: first while a transaction that has done the
// one has yet to commit or to roll back, then as both wait behind a third that holds a
// row, so that each has locks as it comes upon the other's. None may end in a deadlock or
// with an error that is not of the engine, and what follows comes to a truthful end.
func TestPairs(t *testing.T) {
	if testing.Short() {
		t.Skip("the meetings are the server's, and many")
	}
	t.Parallel()
	var meetings []meeting
	for _, a := range pairVerbs {
		for _, b := range pairVerbs {
			meetings = append(meetings, meeting{a.name, b.name, "", "commit"}, meeting{a.name, b.name, "", "rollback"})
		}
	}
	first := newPairs(t)
	for _, g := range pairGates {
		for _, a := range pairVerbs {
			if first.waitsBehind(g.name, a.name) {
				for _, b := range pairVerbs {
					meetings = append(meetings, meeting{a.name, b.name, g.name, "commit"})
				}
			}
		}
	}
	work := make(chan meeting)
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[string]int{}
	for i := range 4 {
		p := first
		if i > 0 {
			p = newPairs(t)
		}
		wg.Go(func() {
			for m := range work {
				var did string
				if m.gate == "" {
					did = p.meet(m.first, m.second, m.end)
				} else {
					did = p.meetBehind(m.gate, m.first, m.second)
				}
				mu.Lock()
				count[did]++
				mu.Unlock()
			}
		})
	}
	for _, m := range meetings {
		work <- m
	}
	close(work)
	wg.Wait()
	t.Logf("%d meetings: %v", len(meetings), count)
	if count["waited"] < 100 || count["both waited"] < 100 {
		t.Errorf("too few of the verbs had to wait for the test to mean anything: %v", count)
	}
}

// Three at once, in every order, where what one ends another completes, and a third
// carries the news between runs.
func TestTriples(t *testing.T) {
	t.Parallel()
	p := newPairs(t)
	for _, three := range [][]string{
		{"complete", "cancel", "pump"}, {"complete a child", "cancel", "pump"}, {"complete a child", "fail", "pump"},
		{"fail a child", "cancel a child", "pump"}, {"send a signal", "expire", "pump"}, {"decompose", "cancel", "pump"},
		{"complete two", "expire", "pump"}, {"complete two", "cancel", "reap"}, {"complete a map", "fail", "cancel"},
		{"end a limited run", "cancel a queued run", "admit"}, {"complete", "fail", "claim"},
		{"complete", "pause", "pump"}, {"complete two", "cancel a child", "resume"}, {"pause", "pump", "cancel"},
	} {
		for _, order := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
			p.meet3(three[order[0]], three[order[1]], three[order[2]])
		}
	}
}

// pairs is a database that is put back into one state for each meeting.
type pairs struct {
	t        *testing.T
	pool     *pgxpool.Pool
	sessions []*pairSession
	names    *strings.Replacer
}

func newPairs(t *testing.T) *pairs {
	t.Helper()
	p := &pairs{t: t, pool: dbtest.New(t)}
	setup, err := os.ReadFile("../sql/test/pairs.sql")
	if err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, p.pool, fmt.Sprintf("alter database %s set deadlock_timeout = '50 ms'", p.pool.Config().ConnConfig.Database))
	conn, err := p.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Conn().PgConn().Exec(t.Context(), string(setup)).ReadAll(); err != nil {
		t.Fatal(db.Error(err))
	}
	names := dbtest.Column[string](t, p.pool, "select name from public.names order by length(name) desc, name")
	values := dbtest.Column[string](t, p.pool, "select value::text from public.names order by length(name) desc, name")
	var all []string
	for i, name := range names {
		all = append(all, ":"+name, values[i])
	}
	p.names = strings.NewReplacer(all...)
	for range 3 {
		p.sessions = append(p.sessions, openPairSession(t, p.pool))
	}
	return p
}

func (p *pairs) verb(name string) string {
	i := slices.IndexFunc(pairVerbs, func(v struct{ name, sql string }) bool { return v.name == name })
	return p.names.Replace(pairVerbs[i].sql)
}

// reset restores the state and prepares what the verbs need.
func (p *pairs) reset(verbs ...string) {
	dbtest.Exec(p.t, p.pool, "select public.restore()")
	for _, v := range verbs {
		if prepare := pairPrepared[v]; prepare != "" {
			dbtest.Exec(p.t, p.pool, p.names.Replace(prepare))
		}
	}
}

func (p *pairs) meet(first, second, end string) string {
	p.reset(first, second)
	what := fmt.Sprintf("%s, then %s, then %s", first, second, end)
	a, b := p.sessions[0], p.sessions[1]
	p.judge(what, a.do("begin"), a.do(p.verb(first)))
	b.send(p.verb(second))
	waited := b.settle()
	p.judge(what, a.do(end), b.await())
	if waited { // else it is as if one had come long after the other
		p.finish(what)
	} else {
		p.look(what)
	}
	return map[bool]string{true: "waited", false: "passed"}[waited]
}

func (p *pairs) hold(gate string) *pairSession {
	g := p.sessions[0]
	i := slices.IndexFunc(pairGates, func(v struct{ name, sql string }) bool { return v.name == gate })
	p.judge(gate, g.do("begin"), g.do(p.names.Replace(pairGates[i].sql)))
	return g
}

// waitsBehind says whether a verb waits for a row at all.
func (p *pairs) waitsBehind(gate, verb string) bool {
	p.reset(verb)
	g, a := p.hold(gate), p.sessions[1]
	a.send(p.verb(verb))
	waits := a.settle()
	p.judge(verb+" behind "+gate, g.do("rollback"), a.await())
	p.finish(verb + " behind " + gate)
	return waits
}

func (p *pairs) meetBehind(gate, first, second string) string {
	p.reset(first, second)
	what := fmt.Sprintf("%s and %s behind %s", first, second, gate)
	g, a, b := p.hold(gate), p.sessions[1], p.sessions[2]
	a.send(p.verb(first))
	a.settle()
	b.send(p.verb(second))
	both := b.settle()
	p.judge(what, g.do("rollback"), a.await(), b.await())
	if both {
		p.finish(what)
	} else {
		p.look(what)
	}
	return map[bool]string{true: "both waited", false: "one waited behind a row"}[both]
}

func (p *pairs) meet3(first, second, third string) {
	p.reset(first, second, third)
	what := fmt.Sprintf("%s, then %s and %s", first, second, third)
	a, b, c := p.sessions[0], p.sessions[1], p.sessions[2]
	p.judge(what, a.do("begin"), a.do(p.verb(first)))
	b.send(p.verb(second))
	b.settle()
	c.send(p.verb(third))
	c.settle()
	p.judge(what, a.do("commit"), b.await(), c.await())
	p.finish(what)
}

// judge allows the engine's own errors, such as that of a result that came too late.
func (p *pairs) judge(what string, errs ...error) {
	p.t.Helper()
	for _, err := range errs {
		if db.Conflict(err) {
			p.t.Errorf("%s: DEADLOCK: %v", what, err)
		} else if err != nil && db.Error(err) == err {
			p.t.Errorf("%s: %v", what, err)
		}
	}
}

// finish looks at what the meeting has left, does all that is left to do, and looks again.
func (p *pairs) finish(what string) {
	p.t.Helper()
	p.look(what)
	for _, wrong := range dbtest.Column[string](p.t, p.pool, "select * from public.drain()") {
		p.t.Errorf("%s, at the end: %s", what, wrong)
	}
}

func (p *pairs) look(what string) {
	p.t.Helper()
	for _, wrong := range dbtest.Column[string](p.t, p.pool, "select * from public.faults()") {
		p.t.Errorf("%s: %s", what, wrong)
	}
}
