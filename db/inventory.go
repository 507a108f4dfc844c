package db

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// An object is a routine or view of ours; its version is the system column that
// changes whenever it is replaced.
type object struct {
	class, identity, version string
}

const inventoryQuery = `
select case p.prokind when 'p' then 'procedure' when 'a' then 'aggregate' else 'function' end,
       p.oid::regprocedure::text, p.xmin::text
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
 where n.nspname in (` + ourSchemas + `)
   and not exists (select from pg_depend d where d.objid = p.oid and d.deptype = 'e')
union all
select 'view', format('%I.%I', n.nspname, c.relname), r.xmin::text
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  join pg_rewrite r on r.ev_class = c.oid
 where n.nspname in (` + ourSchemas + `) and c.relkind = 'v'
 order by 1, 2`

// inventory lists our routines and views.
func inventory(ctx context.Context, tx pgx.Tx) ([]object, error) {
	rows, err := tx.Query(ctx, inventoryQuery)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (o object, err error) {
		return o, row.Scan(&o.class, &o.identity, &o.version)
	})
}

// dropStale drops what was there before and was not replaced since: it is no longer
// in the files.
func dropStale(ctx context.Context, tx pgx.Tx, before []object) error {
	now, err := inventory(ctx, tx)
	if err != nil {
		return err
	}
	unchanged := map[object]bool{}
	for _, o := range now {
		unchanged[o] = true
	}
	for _, o := range before {
		if !unchanged[o] {
			continue
		}
		if _, err := tx.Exec(ctx, fmt.Sprintf("drop %s %s", o.class, o.identity)); err != nil {
			return fmt.Errorf("drop %s %s, which this version no longer has: %w", o.class, o.identity, err)
		}
	}
	return nil
}

// foreignQuery names views and other relations outside our schemas that use ours.
const foreignQuery = `
select distinct format('%I.%I', n.nspname, c.relname)
  from pg_depend d
  join pg_rewrite r on r.oid = d.objid and d.classid = 'pg_rewrite'::regclass
  join pg_class c on c.oid = r.ev_class
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_class v on d.refclassid = 'pg_class'::regclass and v.oid = d.refobjid and v.relkind = 'v'
  left join pg_proc p on d.refclassid = 'pg_proc'::regclass and p.oid = d.refobjid
 where n.nspname not in (` + ourSchemas + `)
   and coalesce(v.relnamespace, p.pronamespace) in (select oid from pg_namespace where nspname in (` + ourSchemas + `))
 order by 1`

// dropAll drops every routine and view of ours. It refuses when something of the
// user's is built on them, since dropping that too would lose it.
func dropAll(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, foreignQuery)
	if err != nil {
		return err
	}
	foreign, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if len(foreign) > 0 {
		return fmt.Errorf("these views are built on ours, whose columns change: %s; drop them, run this again, and create them anew",
			strings.Join(foreign, ", "))
	}
	objects, err := inventory(ctx, tx)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if _, err := tx.Exec(ctx, fmt.Sprintf("drop %s if exists %s cascade", o.class, o.identity)); err != nil {
			return fmt.Errorf("drop %s %s: %w", o.class, o.identity, err)
		}
	}
	return nil
}
