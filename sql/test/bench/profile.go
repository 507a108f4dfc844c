package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// A profile says where the cost of a contestant's counting round came from.
type profile struct {
	Functions []share // of the database: microseconds of their own, without what they call
	WAL       []share // records by relation and kind: bytes
}

// share is a part of some cost.
type share struct {
	What  string
	Total float64
	Of    float64 // all of it
}

// leading is how many parts of a cost a profile names.
const leading = 6

// position is the end of the WAL.
func (s *server) position(ctx context.Context) (lsn string, err error) {
	err = s.admin.QueryRow(ctx, "select pg_current_wal_flush_lsn()::text").Scan(&lsn)
	return lsn, err
}

// inspect begins a profile; nil where the server lets nobody look into its log.
func (s *server) inspect(ctx context.Context, since string) *profile {
	wal, err := s.wal(ctx, copyName, since)
	if err != nil {
		return nil
	}
	return &profile{WAL: wal}
}

// wal reads what was written to the log since a position, by relation of the database.
// Full-page images are apart: how many there are is a matter of the last checkpoint.
func (s *server) wal(ctx context.Context, database, since string) ([]share, error) {
	const query = `
		with record as materialized (
		  select resource_manager || ' ' || record_type as kind, fpi_length::float8 as images, (record_length - fpi_length)::float8 as bytes,
		         (regexp_match(block_ref, 'rel \d+/\d+/(\d+)'))[1]::oid as node
		    from pg_get_wal_records_info($1::pg_lsn, pg_current_wal_flush_lsn())
		)
		select coalesce(c.relname || ': ', '') || r.kind, r.bytes, sum(r.bytes) over () + i.images
		  from (select node, kind, sum(bytes) as bytes from record group by 1, 2) r
		 cross join (select sum(images) as images from record) i
		  left join pg_class c on pg_relation_filenode(c.oid) = r.node
		 union all
		select 'full-page images', i.images, i.bytes + i.images
		  from (select sum(images) as images, sum(bytes) as bytes from record) i
		 order by 2 desc
		 limit $2`
	return s.shares(ctx, database, "create extension if not exists pg_walinspect", query, since, leading)
}

// functions reads which functions a database spent its time in.
func (s *server) functions(ctx context.Context, database string) ([]share, error) {
	const query = `
		select schemaname || '.' || funcname, self_time * 1000, sum(self_time) over () * 1000
		  from pg_stat_user_functions
		 where self_time > 0 and funcname <> 'pg_get_wal_records_info' -- by which this benchmark reads the log
		 order by 2 desc
		 limit $1`
	return s.shares(ctx, database, "select pg_stat_clear_snapshot()", query, leading)
}

func (s *server) shares(ctx context.Context, database, first, query string, args ...any) ([]share, error) {
	address, err := s.database(database)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(ctx, first); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	rows, err := conn.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[share])
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	return list, nil
}

// obstacles shows, for each workload with a target that was not met, where the time
// and the log go.
func obstacles(missed []target, all []*contestant) string {
	var out strings.Builder
	for _, c := range all {
		if c.Engine != "htdag" || !c.Sync || c.Profile == nil || !misses(missed, c.Shape) {
			continue
		}
		fmt.Fprintf(&out, "  %s: time of functions of the database, their own, in us a %s\n", c.Shape, c.Shape.unit())
		out.WriteString(parts(c.Profile.Functions, c.units()))
		fmt.Fprintf(&out, "  %s: log, in bytes a %s\n", c.Shape, c.Shape.unit())
		out.WriteString(parts(c.Profile.WAL, c.units()))
	}
	if out.Len() == 0 {
		return ""
	}
	return "\nWHAT STANDS IN THE WAY (a round in which everything was counted, which costs time too)\n" + out.String()
}

func misses(missed []target, shape Shape) bool {
	for _, t := range missed {
		if t.shape == shape && !t.met && t.unknown == "" {
			return true
		}
	}
	return false
}

func parts(list []share, units float64) string {
	rows := make([][]string, 0, len(list))
	for _, s := range list {
		rows = append(rows, []string{"  " + s.What, number(s.Total / units), fmt.Sprintf("%.0f %%", 100*s.Total/s.Of)})
	}
	return columns(rows, "<>>")
}
