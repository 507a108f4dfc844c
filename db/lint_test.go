package db_test

import (
	"os"
	"testing"

	"github.com/htdag/htdag/db/dbtest"
)

// Rules of the house, asked of the catalogs: each query lists what breaks its rule.
func TestCatalog(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	const ours = "('htdag', 'code', 'report', 'pgmq')"
	rules := []struct{ rule, query string }{
		{"every relation has a comment", `
			select format('%I.%I', n.nspname, c.relname)
			  from pg_class c join pg_namespace n on n.oid = c.relnamespace
			 where n.nspname in ` + ours + ` and c.relkind in ('r', 'p', 'v', 'm')
			   and obj_description(c.oid, 'pg_class') is null`},
		{"every routine has a comment", `
			select p.oid::regprocedure::text
			  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
			 where n.nspname in ` + ours + ` and obj_description(p.oid, 'pg_proc') is null`},
		{"every schema has a comment", `
			select nspname from pg_namespace where nspname in ` + ours + ` and obj_description(oid, 'pg_namespace') is null`},
		{"every column of a report has a comment or a name that says it all", `
			select format('%I.%I', c.relname, a.attname)
			  from pg_class c
			  join pg_namespace n on n.oid = c.relnamespace
			  join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
			 where n.nspname = 'report' and c.relkind = 'v' and col_description(c.oid, a.attnum) is null
			   and a.attname not in ('run_id', 'flow', 'version', 'step', 'error', 'runner', 'started_at', 'finished_at', 'steps_total')`},
		{"every routine pins its search_path, unless its body was bound when it was created", `
			select p.oid::regprocedure::text
			  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
			 where n.nspname in ` + ours + ` and p.prosqlbody is null
			   and not exists (select from unnest(p.proconfig) c where c like 'search_path=%')`},
		{"every foreign key has an index that begins with its columns", `
			select c.conrelid::regclass || ' ' || c.conname
			  from pg_constraint c join pg_namespace n on n.oid = c.connamespace
			 where n.nspname in ` + ours + ` and c.contype = 'f'
			   and not exists (select from pg_index i
			                    where i.indrelid = c.conrelid
			                      and (i.indkey::int2[])[0:cardinality(c.conkey) - 1] @> c.conkey)`},
		{"every constraint has a name that somebody chose", `
			select c.conrelid::regclass || ' ' || c.conname
			  from pg_constraint c join pg_namespace n on n.oid = c.connamespace
			 where n.nspname in ('htdag', 'code', 'report') and c.contype <> 't' and c.conname ~ '_(check|key|fkey)[0-9]+$'`},
		{"verbs are nobody's by default", `
			select p.oid::regprocedure::text
			  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
			 where n.nspname = 'htdag' and has_function_privilege('public', p.oid, 'execute')`},
		{"no routine returns void, which drivers cannot scan", `
			select p.oid::regprocedure::text
			  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
			 where n.nspname in ('htdag', 'code') and p.prorettype = 'void'::regtype`},
		{"every routine with lasting plans makes them for large tables, whatever it finds at first, and compiles none", `
			select p.oid::regprocedure::text
			  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
			 where n.nspname = 'htdag' and 'plan_cache_mode=force_generic_plan' = any (p.proconfig)
			   and not p.proconfig @> '{enable_seqscan=off,enable_hashjoin=off,enable_mergejoin=off,jit=off}'`},
		{"schema htdag does not know schema code", `
			select p.oid::regprocedure::text
			  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
			 where n.nspname = 'htdag' and p.prosrc ~ '\mcode\.'`},
	}
	for _, r := range rules {
		t.Run(r.rule, func(t *testing.T) {
			t.Parallel()
			for _, offender := range dbtest.Column[string](t, pool, r.query+" order by 1") {
				t.Error(offender)
			}
		})
	}
}

// plpgsql_check finds in PL/pgSQL what a compiler finds in Go.
func TestPlpgsqlCheck(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	if !dbtest.Value[bool](t, pool, "select exists (select from pg_available_extensions where name = 'plpgsql_check')") {
		if os.Getenv("CI") != "" {
			t.Fatal("the extension plpgsql_check is missing: apt-get install postgresql-15-plpgsql-check")
		}
		t.Skip("the extension plpgsql_check is not installed")
	}
	dbtest.Exec(t, pool, "create extension plpgsql_check")
	// A trigger function can only be checked on a table that uses it.
	dbtest.Exec(t, pool, "select pgmq.create('lint'), pgmq.enable_notify_insert('lint')")
	findings := dbtest.Column[string](t, pool, `
		select format('%s line %s: %s %s: %s %s', p.oid::regprocedure, c.lineno, c.level, c.sqlstate, c.message, c.hint)
		  from pg_proc p
		  join pg_namespace n on n.oid = p.pronamespace
		  join pg_language l on l.oid = p.prolang
		  left join pg_trigger t on t.tgfoid = p.oid and not t.tgisinternal
		 cross join lateral plpgsql_check_function_tb(p.oid, coalesce(t.tgrelid, 0),
		       other_warnings => true, extra_warnings => true, performance_warnings => true, security_warnings => true) c
		 where n.nspname in ('htdag', 'code', 'report', 'pgmq') and l.lanname = 'plpgsql'
		   and (p.prorettype <> 'trigger'::regtype or t.oid is not null)
		   -- Volatile where stable would do is meant: a stable function sees the
		   -- snapshot of its caller, not what was committed while it waited for a lock.
		   and c.message not like 'routine is marked as VOLATILE%'
		   -- PGMQ's interface keeps each queue in a table of its own, so its functions
		   -- are dynamic SQL with parameters that we did not choose.
		   and (n.nspname <> 'pgmq' or c.level = 'error')
		 order by 1`)
	for _, f := range findings {
		t.Error(f)
	}
}
