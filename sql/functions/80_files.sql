-- Files: what is on disk, as whoever looked there says.

create or replace function code.record_files(
  p_codebase_id integer,
  p_version     integer,
  p_paths       text[],
  p_bytes       bigint[],
  p_modified_ns bigint[],
  p_modes       integer[],
  p_inodes      bigint[],
  p_owners      text[],
  p_sha256s     bytea[],
  p_reasons     text[],
  p_seen_at     timestamptz[]
)
returns setof code.recorded_files
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_changed    bigint[];
  v_unreadable bigint[];
begin
  if array_position(p_sha256s, null) is not null then
    perform code.lock_codebase(p_codebase_id);
  end if;
  with given as (
    select distinct on (g.path collate "C") g.path, g.bytes, g.modified_ns, g.mode, g.inode, g.sha256,
           nullif(g.owner, '') as owner, nullif(g.reason, '') as reason, g.seen_at
      from unnest(p_paths, p_bytes, p_modified_ns, p_modes, p_inodes, p_owners, p_sha256s, p_reasons, p_seen_at)
        as g (path, bytes, modified_ns, mode, inode, owner, sha256, reason, seen_at)
     order by g.path collate "C", g.seen_at desc
  ),
  known as (
    select f.* from code.files f where f.codebase_id = p_codebase_id and f.path = any (p_paths)
  ),
  written as (
    insert into code.files as f
           (codebase_id, path, bytes, modified_ns, mode, inode, owner, sha256, seen_at, status, reason)
    select p_codebase_id, g.path, g.bytes, g.modified_ns, g.mode, g.inode, g.owner, g.sha256, g.seen_at,
           case when g.sha256 is null then 'skipped' else 'pending' end,
           case when g.sha256 is null then coalesce(g.reason, 'unreadable') end
      from given g
     order by g.path collate "C"
        on conflict (codebase_id, path) do update
       set bytes            = excluded.bytes,
           modified_ns      = excluded.modified_ns,
           mode             = excluded.mode,
           inode            = excluded.inode,
           owner            = excluded.owner,
           sha256           = excluded.sha256,
           status           = case
                                when excluded.sha256 is null then 'skipped'
                                when f.status = 'deleted' then 'pending'
                                else f.status
                              end,
           reason           = case when excluded.sha256 is null then excluded.reason else f.reason end,
           ingested_sha256  = case when excluded.sha256 is null then null else f.ingested_sha256 end,
           ingested_version = case when excluded.sha256 is null then null else f.ingested_version end,
           deleted_at       = null,
           seen_at          = excluded.seen_at
     where excluded.seen_at >= f.seen_at
    returning f.file_id, f.bytes, f.modified_ns, f.mode, f.inode, f.owner, f.sha256
  )
  select coalesce(array_agg(w.file_id) filter (where k.file_id is null or k.status = 'deleted'
                    or (k.bytes, k.modified_ns, k.mode, k.inode, k.owner, k.sha256)
                       is distinct from (w.bytes, w.modified_ns, w.mode, w.inode, w.owner, w.sha256)), '{}'),
         coalesce(array_agg(w.file_id) filter (where w.sha256 is null and (k.ingested_sha256 is not null or k.status = 'deleted')), '{}')
    into v_changed, v_unreadable
    from written w
    left join known k on k.file_id = w.file_id;

  -- What cannot be read any more cannot be vouched for either.
  if v_unreadable <> '{}' then
    update code.files f
       set language     = null,
           lines        = null,
           encoding     = null,
           generated    = false,
           minified     = false,
           module       = null,
           doc          = null,
           parser       = null,
           parse_errors = 0,
           family       = null,
           scope        = null,
           precedence   = 0
     where f.file_id = any (v_unreadable);
    perform code.clear_files(p_codebase_id, v_unreadable, p_moved => true);
    perform code.resolve_files(p_codebase_id, v_unreadable);
  end if;

  return query
  select f.file_id,
         f.path,
         f.file_id = any (v_changed),
         f.sha256 is not null
           and (f.ingested_sha256 is distinct from f.sha256 or f.ingested_version is distinct from p_version),
         f.run_id
    from code.files f
   where f.codebase_id = p_codebase_id
     and f.path = any (p_paths)
   order by f.path collate "C";
end;
$$;
comment on function code.record_files(integer, integer, text[], bigint[], bigint[], integer[], bigint[], text[], bytea[], text[], timestamptz[]) is
  'Record what was seen on disk, unless something newer is recorded already. A null hash means unreadable, for the reason given. p_version is the extractor version that due is measured against.';

create or replace function code.clear_files(p_codebase_id integer, p_file_ids bigint[], p_moved boolean default false)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_cleared bigint;
begin
  if p_file_ids = '{}' then
    return 0::bigint;
  end if;
  with symbols as (
    delete from code.symbols s where s.file_id = any (p_file_ids) returning s.file_id, s.name, s.export_name
  ),
  provides as (
    delete from code.provides p where p.file_id = any (p_file_ids) returning p.file_id, p.name
  ),
  roots as (
    delete from code.import_roots r where r.file_id = any (p_file_ids) returning r.file_id
  ),
  imports as (
    delete from code.imports i where i.file_id = any (p_file_ids) returning i.file_id, i.exports
  ),
  requirements as (
    delete from code.requirements r where r.file_id = any (p_file_ids)
  ),
  calls as (
    delete from code.calls c where c.file_id = any (p_file_ids)
  ),
  types as (
    delete from code.type_refs t where t.file_id = any (p_file_ids)
  ),
  chunks as (
    delete from code.chunks c where c.file_id = any (p_file_ids)
  ),
  findings as (
    delete from code.findings f where f.file_id = any (p_file_ids)
  )
  select code.mark_stale(
           p_codebase_id,
           array_agg(f.file_id),
           array_agg(coalesce(s.names, '{}')::text),
           array_agg(coalesce(p.names, '{}')::text),
           array_agg(r.file_id is not null),
           p_passing => array_agg(i.file_id is not null),
           p_moved   => p_moved)
    into v_cleared
    from unnest(p_file_ids) as f (file_id)
    left join (select x.file_id, array_agg(distinct n.name) filter (where n.name is not null) as names
                 from symbols x
                cross join lateral (values (x.name), (x.export_name)) as n (name)
                group by x.file_id) s
      on s.file_id = f.file_id
    left join (select x.file_id, array_agg(x.name) as names from provides x group by x.file_id) p
      on p.file_id = f.file_id
    left join (select distinct x.file_id from roots x) r
      on r.file_id = f.file_id
    left join (select distinct x.file_id from imports x where x.exports <> '{}') i
      on i.file_id = f.file_id;
  return v_cleared;
end;
$$;
comment on function code.clear_files(integer, bigint[], boolean) is
  'Remove all that was derived from files and mark them stale; p_moved says that their scope is forgotten already. Returns their number.';

create or replace function code.mark_stale(
  p_codebase_id integer,
  p_file_ids    bigint[],
  p_names       text[],
  p_provided    text[],
  p_roots       boolean[],
  p_calls_same  boolean default false,
  p_passing     boolean[] default null,
  p_moved       boolean default false
)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_marked bigint;
begin
  -- Arrays of arrays must be rectangular in SQL; so each element is the text of one.
  insert into code.stale_links as l (file_id, codebase_id, names, provided, roots, calls, passes_on, moved)
  select g.file_id, p_codebase_id, g.names::text[], g.provided::text[], g.roots, case when p_calls_same then '{}'::integer[] end,
         coalesce(g.passing, false), p_moved
    from unnest(p_file_ids, p_names, p_provided, p_roots, p_passing) as g (file_id, names, provided, roots, passing)
   order by g.file_id
      on conflict (file_id) do update
     set names     = case
                       when l.names is not null and excluded.names is not null
                         then array(select unnest(l.names) union select unnest(excluded.names))
                     end,
         provided  = case
                       when l.provided is not null and excluded.provided is not null
                         then array(select unnest(l.provided) union select unnest(excluded.provided))
                     end,
         roots     = l.roots or excluded.roots,
         calls     = null,
         passes_on = l.passes_on or excluded.passes_on,
         moved     = l.moved or excluded.moved;
  get diagnostics v_marked = row_count;
  return v_marked;
end;
$$;
comment on function code.mark_stale(integer, bigint[], text[], text[], boolean[], boolean, boolean[], boolean) is
  'Note that files are to be resolved and which names they gained or lost; p_names and p_provided hold one text array per file, written as text. All their own calls and imports are to be resolved too, unless p_calls_same says that none need it and no mark was there before. p_passing says whether what a file passes on of others has changed, p_moved whether its symbols were found in another way before.';

create or replace function code.forget_files(p_codebase_id integer, p_paths text[], p_seen_at timestamptz default 'infinity')
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now      timestamptz;
  v_file_ids bigint[];
begin
  perform code.lock_codebase(p_codebase_id);
  v_now := htdag.clock();
  with gone as (
    update code.files f
       set status           = 'deleted',
           deleted_at       = now(),
           seen_at          = least(p_seen_at, v_now),
           reason           = null,
           ingested_sha256  = null,
           ingested_version = null
     where f.codebase_id = p_codebase_id
       and f.path = any (p_paths)
       and f.status <> 'deleted'
       and f.seen_at <= p_seen_at
    returning f.file_id, f.seen_at
  ),
  versions as (
    insert into code.file_versions (file_id, ordinal, change, sha256, bytes, seen_at, recorded_at)
    select g.file_id, v.last + 1, 'deleted', null, 0, g.seen_at, v_now
      from gone g
     cross join lateral (select max(v.ordinal) as last from code.file_versions v where v.file_id = g.file_id) v
     where v.last is not null
  )
  select coalesce(array_agg(g.file_id), '{}'::bigint[]) into v_file_ids from gone g;

  perform code.follow_moves(p_codebase_id, '{}', v_file_ids);
  perform code.clear_files(p_codebase_id, v_file_ids);
  perform code.resolve_files(p_codebase_id, v_file_ids);
  return cardinality(v_file_ids)::bigint;
end;
$$;
comment on function code.forget_files(integer, text[], timestamptz) is
  'Files were gone from disk at p_seen_at: their rows stay, marked deleted; what was derived from them goes, and what referred to them is resolved anew. Returns how many were not known to be gone.';
