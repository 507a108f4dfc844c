package db_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/db/dbtest"
)

const (
	engineCosts = "../sql/test/cost/engine.cost"
	flowCosts   = "../sql/test/cost/flow.cost"

	costHeading = `What operations cost the database. go test ./db -run TestCost compares, make generate writes anew.
trips: waits of a client for the server, without the beginning and the end of a transaction. statements: executed,
those within functions too. buffers: pages looked at. WAL: without the record of the commit and without full-page
images. HOT: of the updated, those that no index had to hear of. locks: held at the end of the transaction, on
indexes too. Means of several calls, in a session that has made some before.
`
)

// measured is how often an operation is done for its cost, warmUps how often before that.
const (
	measured = 5
	warmUps  = 3
)

// costFlows are what runs in the databases in which costs are measured.
var costFlows = map[string]string{
	"chain":   chainSpec(5),
	"diamond": diamondSpec(8),
	"map":     `[{"name": "a"}, {"name": "b", "map": "input", "needs": ["a"]}, {"name": "c", "needs": ["b"]}]`,
	"bundle":  strings.ReplaceAll(chainSpec(5), `"name"`, `"bundle": "x", "name"`),
	"single":  `[{"name": "a", "max_retries": 0}]`,
	"retried": `[{"name": "a", "initial_delay": "1 h"}]`,
}

// warmDatabase has runs of some days behind it: statistics, pages that are partly
// full, and ended runs of each flow.
func warmDatabase(t *testing.T, m *dbtest.Meter) *pgxpool.Pool {
	t.Helper()
	pool := m.New(t)
	for _, name := range []string{"chain", "diamond", "map", "bundle", "single", "retried"} {
		spec := strings.ReplaceAll(costFlows[name], `"name"`, `"kind": "noop", "name"`)
		dbtest.Exec(t, pool, "select htdag.define_flow($1)", fmt.Sprintf(`{"flow": "%s", "steps": %s}`, name, spec))
	}
	dbtest.Exec(t, pool, `select htdag.define_flow('{"flow": "approval", "steps": [{"name": "asked", "kind": "signal", "signal": "yes"}]}')`)
	dbtest.Exec(t, pool, "select pgmq.create('jobs')")
	s := openCosts(t, m, pool)
	for name := range 40 {
		s.start([]string{"chain", "diamond", "bundle", "single"}[name%4], "{}", 20)
	}
	s.start("map", numbers(1000), 2)
	for s.drain(50) > 0 {
	}
	s.conn.Close(t.Context())
	dbtest.Exec(t, pool, "vacuum analyze")
	return pool
}

// costSession is a runner and a client in one session.
type costSession struct {
	t    *testing.T
	m    *dbtest.Meter
	conn *pgx.Conn
	r    *testRunner
}

func openCosts(t *testing.T, m *dbtest.Meter, pool *pgxpool.Pool) *costSession {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	s := &costSession{t: t, m: m, conn: conn, r: &testRunner{queries: dbsqlc.New(conn)}}
	if err := s.r.register(t.Context(), "cost", "noop"); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *costSession) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *costSession) exec(sql string, args ...any) {
	s.t.Helper()
	_, err := s.conn.Exec(s.t.Context(), sql, args...)
	s.must(err)
}

func (s *costSession) start(flow, input string, runs int) {
	s.t.Helper()
	s.exec("select from htdag.start_flows($1, array_fill($2::jsonb, array[$3::int]))", flow, input, runs)
}

func (s *costSession) exchange(want int) []dbsqlc.HtdagClaim {
	s.t.Helper()
	claims, err := s.r.exchange(s.t.Context(), want)
	s.must(err)
	return claims
}

// claim claims tasks, more than one call may.
func (s *costSession) claim(n int) (all []dbsqlc.HtdagClaim) {
	s.t.Helper()
	for len(all) < n {
		claims := s.exchange(min(n-len(all), 1000))
		if len(claims) == 0 {
			s.t.Fatalf("%d tasks can be claimed, not %d", len(all), n)
		}
		all = append(all, claims...)
	}
	return all
}

// answer has the next exchange report tasks as done.
func (s *costSession) answer(claims []dbsqlc.HtdagClaim) {
	for _, c := range claims {
		s.r.succeed(c)
	}
}

// drain claims and completes until there is nothing left, and returns how many calls that took.
func (s *costSession) drain(batch int) (calls int) {
	s.t.Helper()
	for claims := s.exchange(batch); len(claims) > 0; calls++ {
		s.answer(claims)
		claims = s.exchange(batch)
	}
	return calls
}

// advance completes all tasks in hand and claims what comes of them, so many times.
func (s *costSession) advance(claims []dbsqlc.HtdagClaim, times, want int) []dbsqlc.HtdagClaim {
	s.t.Helper()
	for range times {
		var next []dbsqlc.HtdagClaim
		for part := claims; len(part) > 0; part = part[min(50, len(part)):] {
			s.answer(part[:min(50, len(part))])
			next = append(next, s.exchange(want)...)
		}
		claims = next
	}
	return claims
}

const times = measured + warmUps

// operations are what happens all the time. Each prepares what it needs to be done
// so many times, and returns what does it the nth time.
var operations = []struct {
	name    string
	prepare func(s *costSession) func(n int)
}{
	{"start_flow", func(s *costSession) func(int) {
		return func(int) { s.exec("select htdag.start_flow('chain', '{}')") }
	}},
	{"start_flows, 20 runs", func(s *costSession) func(int) {
		return func(int) { s.start("chain", "{}", 20) }
	}},
	{"claim_steps, 1", func(s *costSession) func(int) {
		s.start("chain", "{}", 500)
		return func(int) { s.exchange(1) }
	}},
	{"claim_steps, 50", func(s *costSession) func(int) {
		s.start("chain", "{}", 500)
		return func(int) { s.exchange(50) }
	}},
	{"claim_steps, nothing there", func(s *costSession) func(int) {
		return func(int) { s.exchange(50) }
	}},
	{"complete_steps, 1 of a chain, 1 handed on", completing("chain", "{}", 0, 1, 1)},
	{"complete_steps, 50 of a chain, 50 handed on", completing("chain", "{}", 0, 50, 50)},
	{"complete_steps, 50 of a chain, none wanted", completing("chain", "{}", 0, 50, 0)},
	{"complete_steps, 1 that ends its run", completing("chain", "{}", 4, 1, 1)},
	{"complete_steps, 50 that end their runs", completing("chain", "{}", 4, 50, 50)},
	{"complete_steps, 1 that opens 8", completing("diamond", "{}", 0, 1, 8)},
	{"complete_steps, 8 that open 1", completing("diamond", "{}", 1, 8, 1)},
	{"complete_steps, 10 bundles of 5", completing("bundle", "{}", 0, 10, 0)},
	{"complete_steps, 1 that opens a map of 1,000", completing("map", numbers(1000), 0, 1, 0)},
	{"complete_steps, 50 elements of a map", func(s *costSession) func(int) {
		s.start("map", numbers(1000), 1)
		s.advance(s.claim(1), 1, 0)
		claims := s.claim(1000)
		return func(n int) { s.answer(claims[n*50 : n*50+50]); s.exchange(0) }
	}},
	{"complete_steps, 50 that fail and are tried again", failing("retried", "failed", 50)},
	{"complete_steps, 50 that fail their runs", failing("single", "failed_permanently", 50)},
	{"heartbeat, 50 tasks in hand", func(s *costSession) func(int) {
		s.start("chain", "{}", 50)
		ids, tokens := []int64{}, []int64{}
		for _, c := range s.claim(50) {
			ids, tokens = append(ids, c.TaskID), append(tokens, *c.Token)
		}
		return func(int) {
			_, err := s.r.queries.Heartbeat(s.t.Context(), dbsqlc.HeartbeatParams{Runner: s.r.id, TaskIds: ids, Tokens: tokens, Lease: 3e10})
			s.must(err)
		}
	}},
	{"rest, nothing there", func(s *costSession) func(int) {
		return func(int) { _, err := s.r.queries.Rest(s.t.Context(), s.r.id); s.must(err) }
	}},
	{"promote, nothing there", func(s *costSession) func(int) {
		return func(int) { s.exec("select htdag.promote()") }
	}},
	{"admit, nothing there", func(s *costSession) func(int) {
		return func(int) { s.exec("select htdag.admit()") }
	}},
	{"pump, nothing there", func(s *costSession) func(int) {
		return func(int) { _, err := s.r.queries.Pump(s.t.Context(), 100); s.must(err) }
	}},
	{"send_signal", func(s *costSession) func(int) {
		s.start("approval", "{}", times)
		s.exec("select htdag.pump()")
		first := s.lastRun() - times + 1
		return func(n int) { s.exec("select htdag.send_signal($1, 'yes')", first+int64(n)) }
	}},
	{"cancel_run, 8 tasks waiting", func(s *costSession) func(int) {
		s.start("diamond", "{}", times)
		first := s.lastRun() - times + 1
		s.advance(s.claim(times), 1, 0)
		return func(n int) { s.exec("select htdag.cancel_run($1)", first+int64(n)) }
	}},
	{"retry_run", func(s *costSession) func(int) {
		s.start("single", "{}", times)
		first := s.lastRun() - times + 1
		for _, c := range s.claim(times) {
			s.r.answer(c.TaskID, *c.Token, c.StepNo, "failed_permanently", nil)
		}
		s.exchange(0)
		return func(n int) { s.exec("select htdag.retry_run($1)", first+int64(n)) }
	}},
	{"pgmq.send", func(s *costSession) func(int) {
		return func(int) { s.exec(`select pgmq.send('jobs', '{"do": "this"}')`) }
	}},
	{"pgmq.send_batch, 50", func(s *costSession) func(int) {
		return func(int) {
			s.exec(`select from pgmq.send_batch('jobs', array_fill('{"do": "this"}'::jsonb, array[50]))`)
		}
	}},
	{"pgmq.read, 50", func(s *costSession) func(int) {
		s.exec(`select from pgmq.send_batch('jobs', array_fill('{"do": "this"}'::jsonb, array[500]))`)
		return func(int) { s.exec("select from pgmq.read('jobs', 60, 50)") }
	}},
	{"pgmq.read, nothing there", func(s *costSession) func(int) {
		return func(int) { s.exec("select from pgmq.read('jobs', 60, 50)") }
	}},
	{"pgmq.delete, 50", func(s *costSession) func(int) {
		s.exec(`select from pgmq.send_batch('jobs', array_fill('{"do": "this"}'::jsonb, array[500]))`)
		return func(n int) {
			s.exec("select from pgmq.delete('jobs', array(select generate_series($1::bigint, $1 + 49)))", 50*n+1)
		}
	}},
}

func (s *costSession) lastRun() (id int64) {
	s.t.Helper()
	s.must(s.conn.QueryRow(s.t.Context(), "select max(run_id) from htdag.runs").Scan(&id))
	return id
}

// completing answers tasks of runs that are so many steps on their way.
func completing(flow, input string, depth, tasks, want int) func(s *costSession) func(int) {
	return func(s *costSession) func(int) {
		width := 1
		if flow == "diamond" && depth > 0 {
			width = 8
		}
		s.start(flow, input, times*tasks/width)
		claims := s.advance(s.claim(times*tasks/width), depth, 400)
		if len(claims) < times*tasks {
			claims = append(claims, s.claim(times*tasks-len(claims))...)
		}
		return func(n int) { s.answer(claims[n*tasks : (n+1)*tasks]); s.exchange(want) }
	}
}

func failing(flow, outcome string, tasks int) func(s *costSession) func(int) {
	return func(s *costSession) func(int) {
		s.start(flow, "{}", times*tasks)
		claims := s.claim(times * tasks)
		return func(n int) {
			for _, c := range claims[n*tasks : (n+1)*tasks] {
				s.r.answer(c.TaskID, *c.Token, c.StepNo, outcome, nil)
			}
			s.exchange(0)
		}
	}
}

// TestCost holds what does not depend on the machine to what is on file: the cost of
// each operation, and of whole flows per hundred steps.
func TestCost(t *testing.T) {
	if testing.Short() {
		t.Skip("the race detector does not change what the database does")
	}
	t.Parallel()
	m := dbtest.NewMeter(t)
	warm := warmDatabase(t, m)

	var costs []dbtest.Operation
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			s := openCosts(t, m, m.Clone(t, warm))
			defer s.conn.Close(t.Context())
			do := op.prepare(s)
			var each []dbtest.Cost
			for n := range times {
				c := m.Measure(t, s.conn, func(pgx.Tx) error { do(n); return nil })
				if n >= warmUps {
					each = append(each, c)
				}
			}
			costs = append(costs, dbtest.Operation{Name: op.name, Cost: dbtest.Mean(each)})
		})
	}
	m.CheckCosts(t, engineCosts, costHeading, costs, *update)
	m.CheckCosts(t, flowCosts, costHeading+"Whole flows: what a hundred steps cost, from start_flows of 20 to the end, one runner, 50 tasks a call.\n", flowsCosts(t, m, warm), *update)
}

// keptSize is what ended runs take up, indexes included.
const keptSize = `select sum(pg_total_relation_size(oid))::bigint from pg_class
	where relkind = 'r' and relname ~ '^(runs|run_io|attempts)_' and relnamespace = 'htdag'::regnamespace`

// flowsCosts are the costs of whole flows by the hundred steps. What depends on the
// machine, or is kept for as long as one likes, is only told.
func flowsCosts(t *testing.T, m *dbtest.Meter, warm *pgxpool.Pool) (costs []dbtest.Operation) {
	for _, f := range []struct {
		name        string
		steps, runs int
		input       string
	}{{"chain", 5, 1000, "{}"}, {"diamond", 10, 200, "{}"}, {"map", 1002, 2, numbers(1000)}, {"bundle", 5, 400, "{}"}} {
		t.Run(f.name, func(t *testing.T) {
			s := openCosts(t, m, m.Clone(t, warm))
			defer s.conn.Close(t.Context())
			var all []dbtest.Cost
			var before int64
			s.must(s.conn.QueryRow(t.Context(), keptSize).Scan(&before))
			cpu := s.cpu()
			s.runFlow(f.name, f.input, f.runs, func(do func()) {
				all = append(all, m.Measure(t, s.conn, func(pgx.Tx) error { do(); return nil }))
			})
			steps := int64(f.steps * f.runs)
			total := dbtest.Total(all)
			if total.Rows["attempts_1"].Inserted != steps {
				t.Fatalf("%d steps were done, not %d", total.Rows["attempts_1"].Inserted, steps)
			}
			costs = append(costs, dbtest.Operation{Name: f.name, Cost: total.Per(steps / 100)})
			var after int64
			s.must(s.conn.QueryRow(t.Context(), keptSize).Scan(&after))
			t.Logf("%d bytes kept of each run; %d microseconds of CPU a step, with all the counting", (after-before)/int64(f.runs), (s.cpu()-cpu).Microseconds()/steps)
		})
	}
	return costs
}

// runFlow starts runs, 20 in a call, and does them, 50 tasks in a call.
func (s *costSession) runFlow(flow, input string, runs int, call func(do func())) {
	s.t.Helper()
	for range runs / min(20, runs) {
		call(func() { s.start(flow, input, min(20, runs)) })
	}
	for claims := []dbsqlc.HtdagClaim{{}}; len(claims) > 0; {
		call(func() { claims = s.exchange(50); s.answer(claims) })
	}
}

// cpu is what the session's server process has used; 0 where the system does not say.
func (s *costSession) cpu() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.conn.PgConn().PID()))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}
