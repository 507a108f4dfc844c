package db_test

import (
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/dbtest"
)

// Each role can do its part and nothing else.
func TestRoles(t *testing.T) {
	pool := dbtest.New(t)
	for _, role := range []string{"htdag_runner", "htdag_client", "htdag_reader"} {
		// Roles belong to the whole server, which is gone with this process.
		if !dbtest.Value[bool](t, pool, "select exists (select from pg_roles where rolname = $1)", role) {
			dbtest.Exec(t, pool, "create role "+role)
		}
	}
	dbtest.Exec(t, pool, "update htdag.installations set code_hash = ''")
	if err := db.Up(t.Context(), pool); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, pool, `select htdag.define_flow('{"flow": "f", "steps": [{"name": "a"}]}'), htdag.start_flow('f'), htdag.register_runner('r', p_kinds => '{a}')`)

	const denied = "42501"
	for _, c := range []struct{ role, statement, code string }{
		{"htdag_runner", "select * from htdag.claim_steps(1)", ""},
		{"htdag_runner", "select * from htdag.heartbeat(1, 0, 0)", ""},
		{"htdag_runner", "select * from htdag.step_definitions", ""},
		{"htdag_runner", "select code.register_codebase('x', '/x')", ""},
		{"htdag_runner", "delete from htdag.tasks", denied},
		{"htdag_runner", "select htdag.cancel_run(1)", denied},
		{"htdag_runner", `select htdag.define_flow('{"flow": "g"}')`, denied},
		{"htdag_client", "select htdag.start_flow('f')", ""},
		{"htdag_client", "select htdag.pause_run(1), htdag.resume_run(1), htdag.set_limit('k', 1), htdag.pause_queue('q')", ""},
		{"htdag_client", "select htdag.cancel_run(1)", ""},
		{"htdag_client", "select * from report.runs", ""},
		{"htdag_runner", "select * from htdag.due_schedules()", ""},
		{"htdag_runner", "select htdag.fire_due('s', 1, '{}', null)", ""},
		{"htdag_runner", "select htdag.upkeep()", ""},
		{"htdag_runner", "select htdag.create_schedule('s', '@daily', 'f')", denied},
		{"htdag_client", "select htdag.create_schedule('s', '@daily', 'f')", ""},
		{"htdag_reader", "select * from report.schedules", ""},
		{"htdag_reader", "select htdag.fire_schedule('s')", denied},
		{"htdag_client", "select * from htdag.claim_steps(1)", denied},
		{"htdag_client", "update htdag.runs set state = 'running'", denied},
		{"htdag_reader", "select * from report.steps", ""},
		{"htdag_reader", "select * from report.queue, report.pauses, report.limits", ""},
		{"htdag_reader", "select htdag.pause_flow('f')", denied},
		{"htdag_reader", "select * from report.files", ""},
		{"htdag_reader", "select * from report.events, report.subscriptions, report.deliveries", ""},
		{"htdag_reader", "select * from htdag.events_after(htdag.event_cursor())", ""},
		{"htdag_client", "select htdag.subscribe('s', '{}', 'pgmq:heard'), htdag.send_with_notify('heard', '{}')", ""},
		{"htdag_client", "select htdag.subscribe('h', '{}', 'https://example.com/')", ""},
		{"htdag_client", "select secret from htdag.webhook_secrets", denied},
		{"htdag_runner", "select secret from htdag.webhook_secrets", denied},
		{"htdag_runner", "select * from htdag.claim_deliveries()", ""},
		{"htdag_client", "select * from htdag.claim_deliveries()", denied},
		{"htdag_reader", "select htdag.subscribe('s')", denied},
		{"htdag_reader", "select * from code.search('main')", ""},
		{"htdag_reader", "select * from code.regex_search('ma+in')", ""},
		{"htdag_reader", "select * from code.dependents('x')", ""},
		{"htdag_reader", "select * from htdag.why(1)", ""},
		{"htdag_reader", "select content from code.blobs", denied},
		{"htdag_client", "select content from code.blobs", denied},
		{"htdag_reader", "select content from code.file_contents", denied},
		{"htdag_client", "select content from code.chunks", denied},
		{"htdag_runner", "select content from code.blobs", ""},
		{"htdag_reader", "select * from report.findings", ""},
		{"htdag_reader", "select htdag.start_flow('f')", denied},
	} {
		t.Run(c.role+" "+c.statement, func(t *testing.T) {
			err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
				if _, err := tx.Exec(t.Context(), "set local role "+c.role); err != nil {
					return err
				}
				_, err := tx.Exec(t.Context(), c.statement)
				return err
			})
			var pgErr *pgconn.PgError
			code := ""
			if errors.As(err, &pgErr) {
				code = pgErr.Code
			} else if err != nil {
				t.Fatal(err)
			}
			if code != c.code {
				t.Errorf("got %q (%v), want %q", code, err, c.code)
			}
		})
	}
}
