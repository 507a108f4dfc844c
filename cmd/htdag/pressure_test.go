package main_test

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
)

// Under pressure changes wait in the database, those of one file as one run, and none
// is dropped. When a limit is changed it holds at once, for the process that runs.
func TestPressure(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	root := filepath.Join(openDir(t), "tree")
	write(t, root, map[string]string{"a.py": "def a(): pass\n", "b.py": "def b(): pass\n", "c.py": "def c(): pass\n"})
	dbtest.Exec(t, pool, `select htdag.subscribe('load', '{"flow": "ingest_file", "kinds": ["flow.*"]}')`)
	p := start(t, at(pool, "up", "--cpu-threshold=1", "--memory-threshold=0.0001", "--rate-limit-per-minute=10000", root))
	p.says("Watching " + root)
	if !dbtest.Value[bool](t, pool, hasSymbol, "a.py", "a") {
		t.Error("the first ingestion, which nobody can do without, was held back")
	}
	holds(t, pool, "select exists (select from htdag.runners where memory > 0.0001)") // a runner tells of its load with its second sign of life
	save := func(path, text string) {
		t.Helper()
		write(t, root, map[string]string{path: text})
		sum := sha256.Sum256([]byte(text))
		holds(t, pool, "select exists (select from code.files where path = $1 and sha256 = $2)", path, sum[:])
	}
	for i := range 5 {
		save("a.py", fmt.Sprintf("def a%d(): pass\n", i))
	}
	save("b.py", "def later(): pass\n")
	holds(t, pool, "select count(*) = 1 from report.events where kind = 'flow.pressure_began'")
	if diff := cmp.Diff([]string{"a.py\tqueued", "b.py\tqueued"}, rows(t, pool, `select input ->> 'path', state from report.runs
		join htdag.run_io using (run_id) where flow = 'ingest_file' order by 1`)); diff != "" {
		t.Errorf("runs (-want +got):\n%s", diff)
	}
	holds(t, pool, "select count(*) = 2 from htdag.run_queue where reason like '%memory%'")

	succeed(t, at(pool, "config", "apply", "--memory-threshold=1"))
	holds(t, pool, hasSymbol+" and exists (select from report.symbols where name = 'later')", "a.py", "a4")
	idle(t, pool)
	if n := runsOf(t, pool, "ingest_file", ""); n != 2 {
		t.Errorf("%d runs, want one for each file", n)
	}
	if diff := cmp.Diff([]string{"flow.pressure_began", "flow.pressure_ended"}, dbtest.Column[string](t, pool, "select kind from report.events order by event_id")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	p.interrupt()
	dbtest.CheckInvariants(t, pool)
}
