package main_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
)

// Whoever follows is told of each event once, also of one whose transaction was slower
// than others that began after it.
func TestFollowEvents(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, `select htdag.define_flow('{"flow": "job", "steps": [{"name": "a"}]}'), htdag.define_flow('{"flow": "other", "steps": [{"name": "a"}]}')`)
	dbtest.Exec(t, pool, "select htdag.start_flow('job')") // before anybody listened
	dbtest.Exec(t, pool, "select htdag.subscribe('all')")
	p := start(t, at(pool, "events", "--follow", "--flow", "job", "--kind", "run.*"))
	dbtest.WaitFor(t, pool, "select exists (select from pg_stat_activity where application_name = 'htdag events' and query like '%events_after%' and datname = current_database())")

	slow, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slow.Exec(t.Context(), "select htdag.start_flow('job')"); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, pool, "select htdag.start_flow('other')")
	dbtest.Exec(t, pool, "select htdag.start_flow('job')")
	dbtest.Exec(t, pool, "select htdag.cancel_run(run_id, 'not needed') from htdag.runs where run_id = 4")
	if err := slow.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.says("not needed")
	dbtest.Exec(t, pool, "select htdag.cancel_run(2, 'neither is this')")
	p.says("neither is this")
	r := p.interrupt()
	var got []string
	for _, line := range strings.Split(strings.TrimSpace(r.stdout), "\n") {
		f := strings.Fields(line)
		got = append(got, strings.Join(f[1:], " "))
	}
	want := []string{
		"run.started job run 2", "run.started job run 4", "run.cancelled job run 4 not needed", "run.cancelled job run 2 neither is this",
	}
	if diff := cmp.Diff(want, got); diff != "" || r.code != 0 {
		t.Errorf("exit status %d, said (-want +got):\n%s%s", r.code, diff, r.stderr)
	}
}

// A codebase that is ingested tells a webhook so, through the process that ingests it.
func TestCodeEventsReachWebhook(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte("sixteen or more!"))
		fmt.Fprintf(mac, "%s.%s", r.Header.Get("Htdag-Timestamp"), body)
		if r.Header.Get("Htdag-Signature") != "sha256="+hex.EncodeToString(mac.Sum(nil)) {
			t.Errorf("the signature is wrong: %v", r.Header)
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(body))
	}))
	t.Cleanup(server.Close)
	pool := dbtest.New(t)
	dbtest.Exec(t, pool, "select htdag.subscribe('hook', '{\"kinds\": [\"codebase_ready\", \"code_ingestion_complete\"]}', $1, p_secret => 'sixteen or more!')", server.URL)
	dbtest.Exec(t, pool, "select htdag.subscribe('queue', '{\"kinds\": [\"codebase_ready\", \"code_ingestion_complete\"]}', 'pgmq:ready')")
	root := filepath.Join(openDir(t), "demo")
	write(t, root, map[string]string{"main.go": "package main\n\nfunc main() {}\n"})
	succeed(t, upOnce(pool, root))
	r := start(t, at(pool, "run", "--allow-private-webhooks"))
	dbtest.WaitFor(t, pool, "select count(*) >= 2 and bool_and(state = 'delivered') from report.deliveries")
	r.interrupt()

	sent := dbtest.Column[string](t, pool, "select message::text from pgmq.q_ready order by msg_id")
	if diff := cmp.Diff(sent, got); diff != "" {
		t.Errorf("queue and webhook (-queue +webhook):\n%s", diff)
	}
	kinds := dbtest.Column[string](t, pool, `select format('%s %s %s %s', message ->> 'kind', message ->> 'codebase', message ->> 'run', message ->> 'files_done') from pgmq.q_ready order by msg_id`)
	if want := []string{"codebase_ready demo 1 1", "code_ingestion_complete demo 1 1"}; !slices.Equal(kinds, want) {
		t.Errorf("events %q, want %q", kinds, want)
	}
}
