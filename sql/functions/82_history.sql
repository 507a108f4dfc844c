-- What became of files: moves from path to path, and the tree as it was at some moment.
--
-- A version of a file is current from when it was seen until the next one was.

create or replace view code.files_as_of as
select v.file_id,
       f.codebase_id,
       f.path,
       v.ordinal,
       v.sha256,
       v.git_id,
       v.bytes,
       v.lines,
       v.symbols,
       v.complexity,
       v.seen_at,
       coalesce(v.sha256 = f.ingested_sha256, false) as is_current
  from code.file_versions v
  join code.files f on f.file_id = v.file_id
 where v.change <> 'deleted';
comment on view code.files_as_of is 'Versions of files, as code.as_of returns one of each: contents are in code.blobs by sha256; where is_current, symbols, imports, calls and chunks of file_id are those of this version.';

create or replace function code.shared_tail(p_path text, p_other text)
returns integer
language sql
immutable
parallel safe
return (
  select count(*) filter (where x.same)::integer
    from (
      select bool_and(a.element is not distinct from b.element) over (order by a.n) as same
        from unnest(pg_catalog.string_to_array(pg_catalog.reverse(p_path), '/')) with ordinality as a (element, n)
        left join unnest(pg_catalog.string_to_array(pg_catalog.reverse(p_other), '/')) with ordinality as b (element, n) on b.n = a.n
    ) x);
comment on function code.shared_tail(text, text) is 'How many elements two paths have in common, counted from the end.';

create or replace function code.follow_moves(p_codebase_id integer, p_came bigint[], p_went bigint[])
returns bigint
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
as $$
declare
  v_ready    timestamptz;
  v_followed bigint;
begin
  select c.ready_at into v_ready from code.codebases c where c.codebase_id = p_codebase_id;
  if v_ready is null then
    return 0::bigint;
  end if;
  with came as (
    select v.file_id, v.ordinal, v.sha256, v.seen_at, f.path
      from code.file_versions v
      join code.files f on f.file_id = v.file_id
     where (v.file_id = any (p_came)
            or v.sha256 in (select g.sha256 from code.files g where g.file_id = any (p_went)))
       and f.codebase_id = p_codebase_id
       and v.change in ('added', 'restored')
       and v.seen_at > v_ready -- all that a first ingestion found had been there
       and v.moved_from_id is null
       and v.bytes > 0
       and f.status <> 'deleted'
       and not exists (select from code.file_versions n where n.file_id = v.file_id and n.ordinal > v.ordinal)
  ),
  pairs as (
    select c.file_id, c.ordinal, g.file_id as from_id,
           row_number() over (partition by c.file_id order by t.tail desc, g.file_id) as choice,
           row_number() over (partition by g.file_id order by t.tail desc, c.file_id) as claim
      from came c
      join code.file_versions d on d.sha256 = c.sha256 and d.file_id <> c.file_id
      join code.files g on g.file_id = d.file_id and g.sha256 = d.sha256
     cross join lateral (select code.shared_tail(c.path, g.path) as tail) t
     where g.codebase_id = p_codebase_id
       and g.status = 'deleted'
       and c.seen_at between g.seen_at - interval '10 min' and g.seen_at + interval '1 hour'
       and (c.file_id = any (p_came) or g.file_id = any (p_went))
       and not exists (select from code.file_versions n where n.file_id = d.file_id and n.ordinal > d.ordinal and n.sha256 is not null)
       and not exists (select from code.file_versions o where o.moved_from_id = g.file_id and o.seen_at >= g.seen_at - interval '10 min')
  )
  update code.file_versions v
     set moved_from_id = p.from_id
    from pairs p
   where v.file_id = p.file_id
     and v.ordinal = p.ordinal
     and p.choice = 1
     and p.claim = 1;
  get diagnostics v_followed = row_count;
  return v_followed;
end;
$$;
comment on function code.follow_moves(integer, bigint[], bigint[]) is
  'Note of files that came, or where others went, which of the gone files each one was: one with the same content that went up to an hour before or ten minutes after, by the most alike path if there are several, and each but once. Returns how many were found.';

create or replace function code.as_of(p_codebase text, p_at timestamptz)
returns setof code.files_as_of
language plpgsql
stable
security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_codebase_id constant integer := code.codebase_id(p_codebase);
begin
  return query
  select f.file_id, f.codebase_id, f.path, v.ordinal, v.sha256, v.git_id, v.bytes, v.lines, v.symbols, v.complexity, v.seen_at,
         coalesce(f.status <> 'deleted' and v.sha256 = f.ingested_sha256, false)
    from code.files f
   cross join lateral (
           select h.*
             from code.file_versions h
            where h.file_id = f.file_id
              and h.seen_at <= p_at
            order by h.ordinal desc
            limit 1) v
   where f.codebase_id = v_codebase_id
     and v.change <> 'deleted'
   order by f.path collate "C";
end;
$$;
comment on function code.as_of(text, timestamptz) is
  'The files of a codebase as they were at a moment, as far as they were ingested: in order of path, each in the version that was seen last by then. Contents: join code.blobs using (sha256), for as long as the setting keep_versions has them kept. Raises HT001.';

create or replace function code.content_as_of(p_codebase text, p_path text, p_at timestamptz)
returns bytea
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
  v_codebase_id constant integer := code.codebase_id(p_codebase);
begin
  return (
    select b.content
      from code.files f
     cross join lateral (
             select h.sha256
               from code.file_versions h
              where h.file_id = f.file_id
                and h.seen_at <= p_at
              order by h.ordinal desc
              limit 1) v
      join code.blobs b on b.sha256 = v.sha256
     where f.codebase_id = v_codebase_id
       and f.path = p_path);
end;
$$;
comment on function code.content_as_of(text, text, timestamptz) is
  'Content of one file as it was at a moment; null where there was no such file, or its content is not kept any more. Raises HT001.';

create or replace view code.symbol_histories as
select f.path,
       s.kind,
       s.name,
       s.qualified_name,
       f.first_seen_at,
       f.first_seen_at as last_changed_at,
       0::bigint       as edits,
       f.path          as moved_from,
       f.first_seen_at as moved_at
  from code.symbols s
  join code.files f on f.file_id = s.file_id;
comment on view code.symbol_histories is 'What became of a definition; report.symbol_history says what each column is.';

create or replace function code.symbol_history(p_codebase text, p_path text default null, p_name text default null)
returns setof code.symbol_histories
language plpgsql
stable
security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_codebase_id constant integer := code.codebase_id(p_codebase);
begin
  return query
  with chosen as materialized (
    select s.file_id, s.key, s.kind, s.name, s.qualified_name, s.body_hash, f.path, f.first_seen_at
      from code.symbols s
      join code.files f on f.file_id = s.file_id
     where s.codebase_id = v_codebase_id
       and (p_path is null or f.path = p_path)
       and (p_name is null or s.name = p_name)
  ),
  edits as materialized (
    select e.file_id, e.key,
           count(*) filter (where e.change = 'changed') as edits,
           max(e.changed_at) filter (where e.change = 'changed') as changed_at,
           max(e.changed_at) filter (where e.change = 'added') as added_at,
           (array_agg(e.body_hash order by e.change_id desc) filter (where e.change = 'added'))[1] as body_hash,
           (array_agg(e.change order by e.change_id))[1] as first_change,
           min(e.changed_at) as first_at
      from code.symbol_changes e
     where e.codebase_id = v_codebase_id
       and (p_name is null or e.name = p_name)
       and (p_path is null or e.file_id in (select c.file_id from chosen c))
     group by e.file_id, e.key
  ),
  arrivals as materialized (
    select distinct on (v.file_id) v.file_id, v.seen_at, v.moved_from_id
      from code.file_versions v
      join code.files f on f.file_id = v.file_id
     where f.codebase_id = v_codebase_id
       and (p_path is null and p_name is null or f.file_id in (select c.file_id from chosen c))
       and v.change in ('added', 'restored')
     order by v.file_id, v.ordinal desc
  ),
  removals as materialized (
    select r.name, r.kind, r.body_hash, r.file_id, r.changed_at, f.path, f.first_seen_at
      from code.symbol_changes r
      join code.files f on f.file_id = r.file_id
     where r.codebase_id = v_codebase_id
       and (p_name is null or r.name = p_name)
       and (p_path is null or r.name in (select c.name from chosen c))
       and r.change = 'removed'
  ),
  lives as (
    select c.file_id, c.key, c.path, c.kind, c.name, c.qualified_name,
           case when e.first_change = 'added' then e.first_at else c.first_seen_at end as here_at,
           coalesce(e.added_at, a.seen_at) as came_at,
           e.changed_at,
           coalesce(e.edits, 0) as edits,
           case when e.added_at is null then a.moved_from_id end as moved_from_id,
           coalesce(e.body_hash, c.body_hash) as body_hash
      from chosen c
      left join edits e on e.file_id = c.file_id and e.key = c.key
      left join arrivals a on a.file_id = c.file_id
  )
  select distinct on (l.file_id, l.key)
         l.path, l.kind, l.name, l.qualified_name,
         least(l.here_at, o.first_seen_at, r.first_seen_at),
         greatest(l.changed_at, l.here_at),
         l.edits,
         coalesce(o.path, r.path),
         case when coalesce(o.path, r.path) is not null then l.came_at end
    from lives l
    left join code.files o on o.file_id = l.moved_from_id
    left join removals r
      on o.file_id is null
     and r.name = l.name
     and r.kind = l.kind
     and r.body_hash = l.body_hash
     and r.file_id <> l.file_id
     and r.changed_at between l.came_at - interval '1 hour' and l.came_at + interval '1 hour'
   order by l.file_id, l.key, r.changed_at desc;
end;
$$;
comment on function code.symbol_history(text, text, text) is
  'Since when definitions have been there, when each changed last and where it was before, as report.symbol_history has it: of a codebase, or of one file or one name in it. Raises HT001.';
