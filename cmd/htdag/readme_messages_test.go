package main_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/htdag/htdag/db/dbtest"
)

// Each target that the README shows hears of what it was subscribed to.
func TestReadmeMessages(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## Messages\n")
	section, _, _ = strings.Cut(section, "\n## ")
	pool := dbtest.New(t)
	listener, err := pgx.Connect(t.Context(), dbtest.URL(pool))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close(context.WithoutCancel(t.Context()))
	statements := 0
	for _, block := range regexp.MustCompile("(?s)```sql\n(.*?)```").FindAllStringSubmatch(section, -1) {
		for _, statement := range strings.Split(block[1], ";") {
			if statement = strings.TrimSpace(statement); statement == "" {
				continue
			}
			statements++
			if _, err := listener.Exec(t.Context(), statement); err != nil {
				t.Errorf("%s: %v", statement, err)
			}
		}
	}
	if statements < 9 {
		t.Fatalf("the section shows %d statements", statements)
	}

	root := filepath.Join(openDir(t), "demo")
	write(t, root, map[string]string{"main.go": "package main\n\nfunc main() {}\n"})
	succeed(t, upOnce(pool, root))
	dbtest.Exec(t, pool, `select htdag.define_flow('{"flow": "doomed", "steps": [{"name": "a", "max_retries": 0}]}'), htdag.start_flow('doomed'), htdag.register_runner('r', p_kinds => '{a}') as runner`)
	dbtest.Exec(t, pool, `select htdag.fail_step(c.task_id, c.token, 'no luck') from (select max(runner_id) as id from htdag.runners) r, htdag.claim_steps(r.id) c`)
	dbtest.Exec(t, pool, `select htdag.start_flow('ingest_file', '{"codebase": "demo", "path": "main.go"}')`)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	n, err := listener.WaitForNotification(ctx)
	if err != nil || n.Channel != "ready" || !strings.Contains(n.Payload, `"kind": "codebase_ready"`) || !strings.Contains(n.Payload, `"codebase": "demo"`) {
		t.Errorf("notified of %+v (%v)", n, err)
	}
	for query, want := range map[string][]string{
		"select message ->> 'kind' from pgmq.read('failures', 30, 10)":                  {"step.dead", "run.failed"},
		"select body::jsonb ->> 'kind' from htdag.deliveries order by 1 desc limit 2":   {"run.succeeded", "run.started"},
		"select distinct kind from report.events where flow = 'ingest_file' order by 1": {"run.queued"},
		"select message ->> 'do' from pgmq.read('jobs', 30, 10)":                        {"this"},
	} {
		if got := dbtest.Column[string](t, pool, query); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}
