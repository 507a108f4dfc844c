package steps

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
)

// A file that is saved while a whole ingestion is under way is worked on before the
// batches that wait, and whatever is saved again before that is the same run.
func TestSavedFileOvertakesBulk(t *testing.T) {
	t.Parallel()
	c := newCorpus(t, dbtest.New(t), "m", t.TempDir())
	c.query("select code.request_scan('m', 'test')::text")
	c.query(`select htdag.register_runner('r', p_kinds => array(select distinct kind from htdag.steps), p_queues => '{default,"root:m"}', p_lease => '1 day')::text`)
	const claim = `select s.name from htdag.claim_steps(1, $1::integer) c join htdag.steps s using (flow_version_id, step_no)`
	if diff := cmp.Diff([]string{"codebase_scan"}, c.query(claim, 10)); diff != "" {
		t.Fatalf("first (-want +got):\n%s", diff)
	}
	c.query(`select htdag.complete_step(t.task_id, t.token, '{"batches": [{"file_ids": []}, {"file_ids": []}, {"file_ids": []}]}')::text
		from htdag.tasks t join htdag.steps s using (flow_version_id, step_no) where s.name = 'codebase_scan'`)
	if diff := cmp.Diff([]string{"history_update", "batch_ingestion"}, c.query(claim, 2)); diff != "" {
		t.Fatalf("the batches (-want +got):\n%s", diff)
	}
	save := func(content string) []string {
		t.Helper()
		return c.query(`select outcome from code.record_changes('m', 1, '{saved.go}', '{false}', array[length($1::text)], '{1}', '{420}', '{1}', '{me}', array[sha256($1::bytea)],
			array[$1::bytea], '{""}', array[htdag.clock()])`, content)
	}
	if diff := cmp.Diff([]string{"started"}, save("package a")); diff != "" {
		t.Errorf("the first save (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"waiting"}, save("package b")); diff != "" {
		t.Errorf("the second save (-want +got):\n%s", diff)
	}
	c.query("select htdag.admit()::text") // as whoever completes a batch does before it takes the next
	first := c.query("select s.name from htdag.steps s join htdag.flow_versions v using (flow_version_id) join htdag.flows f using (flow_id) where f.name = 'ingest_file' and s.step_no = 0")
	if diff := cmp.Diff(first, c.query(claim, 1)); diff != "" {
		t.Errorf("what is claimed next (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"batch_ingestion", "batch_ingestion"}, c.query(claim, 10)); diff != "" {
		t.Errorf("after that (-want +got):\n%s", diff)
	}
}
