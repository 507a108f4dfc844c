-- Questions of the command line.

-- name: IngestionProgress :one
select r.state, coalesce(i.files_seen, 0)::integer as files_seen, coalesce(i.files_changed, 0)::integer as files_changed,
       coalesce(i.files_gone, 0)::integer as files_gone, coalesce(i.files_done, 0)::integer as files_done,
       coalesce(i.bytes_changed, 0)::bigint as bytes_changed, coalesce(i.bytes_done, 0)::bigint as bytes_done,
       (i.run_id is not null)::boolean as scanned, r.steps_total, r.steps_done, coalesce(r.error, '')::text as error,
       coalesce((select s.step from report.steps s where s.run_id = r.run_id and s.state in ('running', 'ready') limit 1), '')::text as step
  from report.runs r
  left join code.ingestions i on i.run_id = r.run_id
 where r.run_id = @run_id;

-- name: FilesByReason :many
select f.status, coalesce(f.reason, '')::text as reason, count(*)::bigint as files, coalesce(sum(f.bytes), 0)::bigint as bytes
  from report.files f
 where f.codebase = any (@codebases::text[])
 group by 1, 2
 order by 1, 2;

-- name: Languages :many
select l.language, sum(l.files)::bigint as files, sum(l.lines)::bigint as lines, sum(l.bytes)::bigint as bytes, sum(l.symbols)::bigint as symbols
  from report.languages l
 where l.codebase = any (@codebases::text[])
 group by 1
 order by 4 desc, 1;

-- name: CorpusTotals :one
select (select count(*) from code.symbols s where s.codebase_id = any (c.ids))::bigint as symbols,
       (select count(*) from code.imports i where i.codebase_id = any (c.ids))::bigint as imports,
       (select count(*) from code.imports i where i.codebase_id = any (c.ids) and i.resolved_file_id is not null)::bigint as imports_resolved,
       (select count(*) from code.calls k where k.codebase_id = any (c.ids))::bigint as calls,
       (select count(*) from code.calls k where k.codebase_id = any (c.ids) and k.callee_id is not null)::bigint as calls_resolved,
       (select count(*) from code.chunks h where h.codebase_id = any (c.ids))::bigint as chunks
  from (select array_agg(codebase_id) as ids from code.codebases where name = any (@codebases::text[])) c;
