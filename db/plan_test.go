package db_test

import (
	gocmp "cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/htdag/htdag/db/dbtest"
)

// hotTables grow with the work, so that reading one from end to end is a defect.
// Scans of other tables, which are small, may be as the planner likes.
var hotTables = regexp.MustCompile(`^(tasks|runs|run_io|run_queue|attempts|map_items|map_shards)(_|$)`)

// A partition is read as its parent is. All rows here are in the first; how the others,
// which nobody has analyzed, are read is settled when rows come to them.
var (
	partition      = regexp.MustCompile(`^(runs|run_io|attempts|admission_log)_\d+`)
	emptyPartition = regexp.MustCompile(`^(runs|run_io|attempts|admission_log)_[2-9]`)
)

// hotCalls are what runners and clients do all the time; each has a file of the plans
// of its statements, one line per node that reads a hot table.
var hotCalls = []struct{ name, sql string }{
	{"claim_steps", "select count(*) from htdag.claim_steps(1, 20)"},
	{"complete_steps", `select count(*) from (select array_agg(task_id) as tasks, array_agg(token) as tokens, array_agg(step_no) as steps,
		array_agg('succeeded'::text) as outcomes from (select * from htdag.tasks where runner_id = 1 order by task_id limit 10) t) a,
		htdag.complete_steps(1, tasks, tokens, steps, outcomes, '{}', '{}', '{}', 30)`},
	{"fail_steps", `select count(*) from (select array_agg(task_id) as tasks, array_agg(token) as tokens, array_agg(step_no) as steps,
		array_agg(case when step_no = 0 then 'failed' else 'failed_permanently' end) as outcomes from (select * from htdag.tasks where runner_id = 1 order by task_id limit 10) t) a,
		htdag.complete_steps(1, tasks, tokens, steps, outcomes, '{}', '{}', '{}', 0)`},
	{"start_flows", "select count(*) from htdag.start_flows('plans', array_fill('[1, 2, 3]'::jsonb, array[20]))"},
	{"heartbeat", "select count(*) from htdag.heartbeat(2, 0, 0, array[1, 2, 3]::bigint[], array[1, 2, 3]::bigint[])"},
	{"cancel_run", "select htdag.cancel_run(max(run_id)) from htdag.tasks where runner_id = 1"},
	{"rest", "select htdag.rest(1)"},
	{"admit", "select htdag.admit()"},
	{"pump", "select htdag.pump(20)"},
}

// TestPlans checks how the hot statements read the hot tables: when they are large and
// the planner knows it, and when they were all but empty as the session made its plans
// and have grown since, which is what queues do and upkeep takes care of. All must give
// the plans on file, however many partitions there are, and with a million tasks as
// with a fifth of that.
func TestPlans(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		known      bool
		partitions int
		runs       int
	}{{"statistics", true, 1, 300_000}, {"surprise", false, 1, 60_000}, {"four partitions", true, 4, 60_000}, {"surprise in four partitions", false, 4, 60_000}} {
		t.Run(c.name, func(t *testing.T) {
			known, partitions := c.known, c.partitions
			t.Parallel()
			pool := dbtest.New(t)
			dbtest.Exec(t, pool, "select htdag.make_partitions(p_count => $1)", partitions)
			dbtest.Exec(t, pool, `select htdag.define_flow('{"flow": "plans", "steps": [{"name": "a", "timeout": "1 day"}, {"name": "b", "needs": ["a"]}, {"name": "c", "needs": ["b"]}, {"name": "each", "map": "input", "needs": ["a"]}]}')`)
			for range 2 {
				dbtest.Exec(t, pool, "select htdag.register_runner('plans', '{default,q1,q2}', '{a,b,c,each}', 1, '1 day')")
			}
			for _, table := range dbtest.Column[string](t, pool, `select oid::regclass::text from pg_class where relnamespace = 'htdag'::regnamespace and relkind = 'r'`) {
				dbtest.Exec(t, pool, "alter table "+table+" set (autovacuum_enabled = off)")
			}
			dbtest.Exec(t, pool, "select htdag.start_flows('plans', array_fill('[1, 2, 3]'::jsonb, array[3]))")
			dbtest.Exec(t, pool, "select from htdag.claim_steps(1, 2)")
			s := openExplained(t, pool)
			if known {
				fillHotTables(t, pool, c.runs)
				analyzeFilled(t, pool)
			} else {
				analyzeFilled(t, pool)
				for range 7 { // the sixth time a statement may get its lasting plan
					for _, c := range hotCalls {
						s.explain(c.sql)
					}
				}
				fillHotTables(t, pool, c.runs)
				dbtest.Exec(t, pool, "select htdag.upkeep()") // comes with the next heartbeat
			}
			for _, c := range hotCalls {
				got := s.explain(c.sql)
				file := filepath.Join("../sql/test/explain", c.name+".plan")
				if *update && known && partitions == 1 {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("plans of %s (-file +server):\n%s", c.name, diff)
				}
				if whole := regexp.MustCompile("Seq Scan.*|.*_pkey, all of it").FindString(got); whole != "" {
					t.Errorf("%s reads from end to end what grows: %s", c.name, whole)
				}
			}
		})
	}
}

// analyzeFilled does as autovacuum does, which never looks at a partition that no row has come to.
func analyzeFilled(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	for _, table := range dbtest.Column[string](t, pool, `select oid::regclass::text from pg_class c
		where relnamespace = 'htdag'::regnamespace and relkind = 'r' and not (relispartition and pg_relation_size(oid) = 0)`) {
		dbtest.Exec(t, pool, "vacuum analyze "+table)
	}
}

// fillHotTables makes many runs of which a third has ended and a fifth are children, and three times as many tasks in
// several lanes, some claimed, some parked.
func fillHotTables(t *testing.T, pool *pgxpool.Pool, runs int) {
	t.Helper()
	for _, statement := range []string{
		`select htdag.lane('q' || i, k) from generate_series(1, 2) i, unnest('{a,b,c,each}'::text[]) k`,
		`insert into htdag.runs (flow_id, flow_version_id, state, scheduled, succeeded, failed, skipped, queued_at, started_at, finished_at)
		 select flow_id, flow_version_id, case when i % 3 = 0 then 'succeeded' else 'running' end,
		        '1111', case when i % 3 = 0 then b'1111' else b'0000' end, '0000', '0000', now(), now(), case when i % 3 = 0 then now() end
		   from htdag.flow_versions v join htdag.flows f using (flow_id), generate_series(1, ` + strconv.Itoa(runs) + `) i where f.name = 'plans'`,
		`update htdag.runs set parent_run_id = run_id - 1, parent_task_id = run_id, root_run_id = run_id - 1, depth = 1 where scheduled = '1111' and run_id % 5 = 0`,
		`insert into htdag.run_io select run_id, '[1, 2, 3]' from htdag.runs where scheduled = '1111'`,
		`insert into htdag.attempts (run_id, step_no, attempt, outcome, ready_at, finished_at)
		 select run_id, s, 100, 'succeeded', now(), now() from htdag.runs, generate_series(0, 3) s`,
		`insert into htdag.tasks (run_id, flow_version_id, epoch, step_no, last_step_no, map_index, lane_id, priority, time_limit, ready_at,
		        runner_id, token, claimed_at, timeout_at, parked, due_at)
		 select r.run_id, r.flow_version_id, 0, s, s, case when s = 3 then e end, l.lane_id, -s, '1 min', now(),
		        case when r.run_id % 50 = 0 then 1 end, case when r.run_id % 50 = 0 then 1 end,
		        case when r.run_id % 50 = 0 then htdag.clock() end, case when r.run_id % 50 = 0 then htdag.clock() + '1 hour' end,
		        case when r.run_id % 50 = 1 then 'retry' end, case when r.run_id % 50 = 1 then now() + '1 hour' end
		   from htdag.runs r, generate_series(0, 3) s, generate_series(0, case when s = 3 then 1 else 0 end) e,
		        lateral (select lane_id from htdag.lanes where kind = (array['a', 'b', 'c', 'each'])[s + 1] order by lane_id offset r.run_id % 3 limit 1) l
		  where r.finished_at is null and r.scheduled = '1111'`,
		`insert into htdag.map_items select run_id, 3, e, '1' from htdag.runs, generate_series(0, 1) e where finished_at is null and scheduled = '1111'`,
		`insert into htdag.map_shards select run_id, 3, e, 1, 1, 1 from htdag.runs, generate_series(0, 1) e where finished_at is null and scheduled = '1111'`,
		`with many as (
		   insert into htdag.runs (flow_id, flow_version_id, state, scheduled, succeeded, failed, skipped, queued_at)
		   select flow_id, flow_version_id, 'queued', '0000', '0000', '0000', '0000', now()
		     from htdag.flow_versions v join htdag.flows f using (flow_id), generate_series(1, 20000) i where f.name = 'plans' returning run_id, flow_id)
		 insert into htdag.run_queue select run_id, flow_id, 0 from many`,
		`select htdag.set_limits('plans', p_max_concurrent_runs => 1)`,
	} {
		dbtest.Exec(t, pool, statement)
	}
}

// explained is a session that tells the plans of all statements inside a call.
type explained struct {
	t       *testing.T
	conn    *pgx.Conn
	notices []string
}

func openExplained(t *testing.T, pool *pgxpool.Pool) *explained {
	t.Helper()
	s := &explained{t: t}
	config := pool.Config().ConnConfig.Copy()
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) { s.notices = append(s.notices, n.Message) }
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(t.Context()) })
	if _, err := conn.Exec(t.Context(), "load 'auto_explain'"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("the module auto_explain is missing: %v", err)
		}
		t.Skipf("the module auto_explain is missing: %v", err)
	}
	for _, setting := range []string{"auto_explain.log_min_duration = 0", "auto_explain.log_nested_statements = on", "auto_explain.log_format = json", "client_min_messages = log"} {
		if _, err := conn.Exec(t.Context(), "set "+setting); err != nil {
			t.Fatal(err)
		}
	}
	s.conn = conn
	return s
}

type planNode struct {
	Type     string     `json:"Node Type"`
	Relation string     `json:"Relation Name"`
	Index    string     `json:"Index Name"`
	Cond     string     `json:"Index Cond"`
	Plans    []planNode `json:"Plans"`
}

// explain makes a call and takes it back. It returns each different statement inside
// that reads a hot table, with the nodes that do.
func (s *explained) explain(call string) string {
	s.t.Helper()
	s.notices = nil
	tx, err := s.conn.Begin(s.t.Context())
	if err == nil {
		_, err = tx.Exec(s.t.Context(), call)
	}
	if err != nil {
		s.t.Fatalf("%s: %v", call, err)
	}
	if err := tx.Rollback(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
	var out strings.Builder
	seen := map[string]bool{}
	for _, notice := range s.notices {
		_, text, ok := strings.Cut(notice, "plan:\n")
		if !ok {
			continue
		}
		var statement struct {
			Query string `json:"Query Text"`
			Plan  planNode
		}
		if err := json.Unmarshal([]byte(text), &statement); err != nil {
			s.t.Fatalf("%v: %s", err, text)
		}
		query := strings.Join(strings.Fields(statement.Query), " ")
		lines := statement.Plan.scans()
		if seen[query] || len(lines) == 0 || query == strings.Join(strings.Fields(call), " ") {
			continue
		}
		seen[query] = true
		fmt.Fprintf(&out, "%.100s\n  %s\n", query, strings.Join(lines, "\n  "))
	}
	return out.String()
}

// scans lists the nodes that read hot tables, as "node -> index".
func (n planNode) scans() (lines []string) {
	if name := gocmp.Or(n.Index, n.Relation); strings.HasSuffix(n.Type, "Scan") && n.Type != "Bitmap Heap Scan" && hotTables.MatchString(name) && !strings.HasSuffix(name, "_seq") && !emptyPartition.MatchString(name) {
		line := fmt.Sprintf("%s -> %s", strings.TrimPrefix(n.Type, "Bitmap "), partition.ReplaceAllString(name, "$1"))
		if n.Index != "" && n.Cond == "" {
			line += ", all of it"
		}
		lines = append(lines, line)
	}
	for _, child := range n.Plans {
		for _, line := range child.scans() {
			if !slices.Contains(lines, line) {
				lines = append(lines, line)
			}
		}
	}
	return lines
}
