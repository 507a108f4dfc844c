-- The corpus: codebases, contents, files, and what was extracted from them.
--
-- Whoever finds a file records its facts; whoever parses its content stores what
-- it found. Storing replaces by difference: rows that an edit leaves alone are
-- not written, so symbols keep their ids and what refers to them stays true.
-- Storing does not resolve anything: it leaves marks in code.stale_links, and
-- 81_resolve.sql takes them.
--
-- Locks: writers of derived rows hold the codebase's advisory lock until they
-- commit, shared where they touch their own files only (bulk batches), exclusive
-- where they go on to resolve. Take it before the first row lock.

-- Shapes ----------------------------------------------------------------------

create or replace view code.known_files as
select f.codebase_id,
       f.file_id,
       f.path,
       f.bytes,
       f.modified_ns,
       f.mode,
       f.inode,
       f.owner,
       f.status,
       f.reason,
       f.language,
       f.sha256,
       f.ingested_sha256,
       f.ingested_version,
       f.seen_at
  from code.files f
 where f.status <> 'deleted';
comment on view code.known_files is 'Facts of the files that exist, as a scan compares them with the disk.';

create or replace view code.recorded_files as
select f.file_id,
       f.path,
       f.status = 'pending' as changed,
       f.status = 'pending' as due,
       f.run_id
  from code.files f;
comment on view code.recorded_files is 'What became of a recorded fact: whether it differed from the known one, whether the content is to be ingested, and by which run.';

create or replace view code.file_contents as
select f.file_id,
       f.codebase_id,
       f.path,
       f.sha256,
       f.bytes,
       f.ingested_sha256,
       f.ingested_version,
       b.content
  from code.files f
  left join code.blobs b on b.sha256 = f.sha256
 where f.status <> 'deleted';
comment on view code.file_contents is 'Files that exist, with their bytes; content is null where it is unknown or over the size limit.';

-- Codebases -------------------------------------------------------------------

create or replace function code.lock_codebase(p_codebase_id integer, p_shared boolean default false)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
begin
  -- 0x636f6465 spells "code": the first key of every lock on a codebase.
  if p_shared then
    perform pg_catalog.pg_advisory_xact_lock_shared(1668244581, p_codebase_id);
  else
    perform pg_catalog.pg_advisory_xact_lock(1668244581, p_codebase_id);
  end if;
  return p_codebase_id;
end;
$$;
comment on function code.lock_codebase(integer, boolean) is
  'Hold the right to write derived rows of a codebase until the transaction ends; shared for those who write rows of their own files only.';

create or replace function code.register_codebase(p_name text, p_root text)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_codebase code.codebases;
begin
  if p_name is null or p_name = '' or p_name <> btrim(p_name) then
    raise exception using
      errcode = 'HT006',
      message = format('codebase name %L is blank or has blanks around it', p_name),
      hint    = 'Give a name such as the last part of the root.';
  end if;
  insert into code.codebases (name, root)
  values (p_name, p_root)
      on conflict (name) do nothing;
  select * into v_codebase from code.codebases where name = p_name;
  if v_codebase.root <> p_root then
    raise exception using
      errcode = 'HT003',
      message = format('codebase %L is registered with root %L, not %L', p_name, v_codebase.root, p_root),
      hint    = 'Choose another name, or code.forget_codebase(name) first.';
  end if;
  return v_codebase.codebase_id;
end;
$$;
comment on function code.register_codebase(text, text) is
  'Get or create a codebase. Roots may overlap or lie inside each other: each codebase then keeps its own rows of the shared files, contents are stored once.';

create or replace function code.codebase_id(p_name text)
returns integer
language plpgsql
stable
set search_path = ''
as $$
declare
  v_codebase_id integer;
begin
  select c.codebase_id into v_codebase_id from code.codebases c where c.name = p_name;
  if v_codebase_id is null then
    raise exception using
      errcode = 'HT001',
      message = format('no codebase is named %L', p_name),
      hint    = 'select name, root from code.codebases; register one with code.register_codebase(name, root).';
  end if;
  return v_codebase_id;
end;
$$;
comment on function code.codebase_id(text) is 'The key of the codebase of that name; HT001 where there is none.';

create or replace function code.forget_codebase(p_name text)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_codebase_id constant integer := code.codebase_id(p_name);
  v_files       bigint;
begin
  perform code.lock_codebase(v_codebase_id);
  delete from code.calls where codebase_id = v_codebase_id;
  delete from code.symbols where codebase_id = v_codebase_id;
  select count(*) into v_files from code.files where codebase_id = v_codebase_id;
  delete from code.codebases where codebase_id = v_codebase_id;
  return v_files;
end;
$$;
comment on function code.forget_codebase(text) is
  'Remove a codebase and everything derived from it; returns its number of files. Contents go with code.collect_blobs.';

-- Contents --------------------------------------------------------------------

create or replace function code.missing_blobs(p_sha256s bytea[])
returns setof bytea
language plpgsql
stable
set search_path = ''
as $$
begin
  return query
  select distinct g.sha256
    from unnest(p_sha256s) as g (sha256)
   where g.sha256 is not null
     and not exists (select from code.blobs b where b.sha256 = g.sha256 and b.content is not null);
end;
$$;
comment on function code.missing_blobs(bytea[]) is 'Which of these contents are not stored, or known but not kept.';

create or replace function code.store_blobs(p_sha256s bytea[], p_bytes bigint[], p_contents bytea[])
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_stored bigint;
begin
  -- In order of hash, so that two who store the same contents cannot deadlock.
  insert into code.blobs as b (sha256, bytes, content)
  select distinct on (g.sha256) g.sha256, g.bytes, g.content
    from unnest(p_sha256s, p_bytes, p_contents) as g (sha256, bytes, content)
   where g.sha256 is not null
   order by g.sha256, g.content is null
      on conflict (sha256) do update
     set content = excluded.content
   where b.content is null
     and excluded.content is not null;
  get diagnostics v_stored = row_count;
  return v_stored;
end;
$$;
comment on function code.store_blobs(bytea[], bigint[], bytea[]) is
  'Store contents that are not there yet; a null content makes a content known without keeping it. Returns how many were written.';

create or replace function code.collect_blobs(p_age interval default interval '1 day')
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_collected bigint;
begin
  delete from code.blobs b
   where b.stored_at < now() - p_age
     and not exists (select from code.files f where f.sha256 = b.sha256)
     and not exists (select from code.files f where f.ingested_sha256 = b.sha256);
  get diagnostics v_collected = row_count;
  return v_collected;
end;
$$;
comment on function code.collect_blobs(interval) is 'Remove contents that no file has had for longer than p_age. Returns how many.';

-- Facts about files -----------------------------------------------------------

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
         coalesce(array_agg(w.file_id) filter (where w.sha256 is null and k.ingested_sha256 is not null), '{}')
    into v_changed, v_unreadable
    from written w
    left join known k on k.file_id = w.file_id;

  -- What cannot be read any more cannot be vouched for either.
  if v_unreadable <> '{}' then
    perform code.clear_files(p_codebase_id, v_unreadable);
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

create or replace function code.clear_files(p_codebase_id integer, p_file_ids bigint[])
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
    delete from code.imports i where i.file_id = any (p_file_ids)
  ),
  calls as (
    delete from code.calls c where c.file_id = any (p_file_ids)
  ),
  chunks as (
    delete from code.chunks c where c.file_id = any (p_file_ids)
  )
  select code.mark_stale(
           p_codebase_id,
           array_agg(f.file_id),
           array_agg(coalesce(s.names, '{}')::text),
           array_agg(coalesce(p.names, '{}')::text),
           array_agg(r.file_id is not null))
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
      on r.file_id = f.file_id;
  return v_cleared;
end;
$$;
comment on function code.clear_files(integer, bigint[]) is
  'Remove all that was derived from files and mark them stale. Returns their number.';

create or replace function code.mark_stale(
  p_codebase_id integer,
  p_file_ids    bigint[],
  p_names       text[],
  p_provided    text[],
  p_roots       boolean[]
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
  insert into code.stale_links as l (file_id, codebase_id, names, provided, roots)
  select g.file_id, p_codebase_id, g.names::text[], g.provided::text[], g.roots
    from unnest(p_file_ids, p_names, p_provided, p_roots) as g (file_id, names, provided, roots)
   order by g.file_id
      on conflict (file_id) do update
     set names    = case
                      when l.names is not null and excluded.names is not null
                        then array(select unnest(l.names) union select unnest(excluded.names))
                    end,
         provided = case
                      when l.provided is not null and excluded.provided is not null
                        then array(select unnest(l.provided) union select unnest(excluded.provided))
                    end,
         roots    = l.roots or excluded.roots;
  get diagnostics v_marked = row_count;
  return v_marked;
end;
$$;
comment on function code.mark_stale(integer, bigint[], text[], text[], boolean[]) is
  'Note that files are to be resolved and which names they gained or lost; p_names and p_provided hold one text array per file, written as text.';

create or replace function code.forget_files(p_codebase_id integer, p_paths text[], p_seen_at timestamptz default 'infinity')
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_file_ids bigint[];
begin
  perform code.lock_codebase(p_codebase_id);
  with gone as (
    update code.files f
       set status           = 'deleted',
           deleted_at       = now(),
           seen_at          = least(p_seen_at, htdag.clock()),
           reason           = null,
           ingested_sha256  = null,
           ingested_version = null
     where f.codebase_id = p_codebase_id
       and f.path = any (p_paths)
       and f.status <> 'deleted'
       and f.seen_at <= p_seen_at
    returning f.file_id, f.bytes, f.sha256, f.ingested_at
  ),
  versions as (
    insert into code.file_versions (file_id, ordinal, change, sha256, bytes)
    select g.file_id, v.last + 1, 'deleted', null, 0
      from gone g
     cross join lateral (select max(v.ordinal) as last from code.file_versions v where v.file_id = g.file_id) v
     where v.last is not null
  )
  select coalesce(array_agg(g.file_id), '{}'::bigint[]) into v_file_ids from gone g;

  perform code.clear_files(p_codebase_id, v_file_ids);
  perform code.resolve_files(p_codebase_id, v_file_ids);
  return cardinality(v_file_ids)::bigint;
end;
$$;
comment on function code.forget_files(integer, text[], timestamptz) is
  'Files were gone from disk at p_seen_at: their rows stay, marked deleted; what was derived from them goes, and what referred to them is resolved anew. Returns how many were not known to be gone.';

-- Extractions -----------------------------------------------------------------
--
-- Everything for a batch of files goes in as columns: one array each. Optional
-- texts are given as '', optional numbers as -1, since not every client can put
-- nulls into arrays.

create or replace function code.is_callable(p_kind text, p_parent_key text)
returns boolean
language sql
immutable
parallel safe
return p_kind in ('function', 'method', 'macro', 'class', 'struct')
    or (p_kind = 'field' and p_parent_key like 'interface %');
comment on function code.is_callable(text, text) is
  'Whether a call can mean a symbol: what has a body, what is constructed by its name, and methods that an interface declares.';

create or replace function code.symbol_names(p_file_id bigint)
returns text[]
language plpgsql
stable
set search_path = ''
as $$
begin
  return array(
    select distinct n.name
      from code.symbols s
     cross join lateral (values (s.name), (s.export_name)) as n (name)
     where s.file_id = p_file_id
       and n.name is not null);
end;
$$;
comment on function code.symbol_names(bigint) is 'Every name by which a symbol of the file can be called.';

create or replace function code.reserve_symbol_ids(p_count integer)
returns setof bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  return query
  select nextval('code.symbols_symbol_id_seq')
    from generate_series(1, p_count);
end;
$$;
comment on function code.reserve_symbol_ids(integer) is
  'Ids for symbols that a client is about to COPY, so that it can name them in its calls.';

create or replace function code.mark_copied(p_codebase_id integer, p_file_ids bigint[])
returns bigint
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_marked bigint;
begin
  -- Before a codebase is ready everything in it is resolved at once, so there is
  -- no use in noting names.
  insert into code.stale_links (file_id, codebase_id, names, provided, roots)
  select f.file_id,
         p_codebase_id,
         case when c.ready_at is not null then code.symbol_names(f.file_id) end,
         case when c.ready_at is not null then array(select p.name from code.provides p where p.file_id = f.file_id) end,
         exists (select from code.import_roots r where r.file_id = f.file_id)
    from unnest(p_file_ids) as f (file_id)
    join code.codebases c on c.codebase_id = p_codebase_id
   order by f.file_id
      on conflict (file_id) do update
     set names    = excluded.names,
         provided = excluded.provided,
         roots    = excluded.roots;
  get diagnostics v_marked = row_count;
  return v_marked;
end;
$$;
comment on function code.mark_copied(integer, bigint[]) is
  'Mark files that had nothing derived before and whose rows a client has copied in. Returns their number.';

create or replace function code.store_symbols(
  p_codebase_id     integer,
  p_replaced        bigint[],
  p_file_ids        bigint[],
  p_keys            text[],
  p_parent_keys     text[],
  p_kinds           text[],
  p_names           text[],
  p_qualified_names text[],
  p_signatures      text[],
  p_docs            text[],
  p_exporteds       boolean[],
  p_export_names    text[],
  p_start_lines     integer[],
  p_end_lines       integer[],
  p_start_bytes     integer[],
  p_end_bytes       integer[],
  p_complexities    integer[]
)
returns bigint
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_written bigint;
begin
  with given as materialized (
    select g.file_id, g.key, nullif(g.parent_key, '') as parent_key, g.kind, g.name, g.qualified_name,
           nullif(g.signature, '') as signature, nullif(g.doc, '') as doc,
           g.exported, nullif(g.export_name, '') as export_name,
           g.start_line, g.end_line, g.start_byte, g.end_byte, g.complexity
      from unnest(p_file_ids, p_keys, p_parent_keys, p_kinds, p_names, p_qualified_names, p_signatures, p_docs,
                  p_exporteds, p_export_names, p_start_lines, p_end_lines, p_start_bytes, p_end_bytes, p_complexities)
        as g (file_id, key, parent_key, kind, name, qualified_name, signature, doc,
              exported, export_name, start_line, end_line, start_byte, end_byte, complexity)
  ),
  known as materialized (
    select s.*
      from code.symbols s
     where s.file_id = any (p_replaced)
  ),
  gone as (
    delete from code.symbols s
     using known k
     where s.symbol_id = k.symbol_id
       and not exists (select from given g where g.file_id = k.file_id and g.key = k.key)
    returning s.file_id, s.name, s.export_name
  ),
  kept as (
    update code.symbols s
       set parent_key     = g.parent_key,
           kind           = g.kind,
           name           = g.name,
           qualified_name = g.qualified_name,
           signature      = g.signature,
           doc            = g.doc,
           exported       = g.exported,
           export_name    = g.export_name,
           start_line     = g.start_line,
           end_line       = g.end_line,
           start_byte     = g.start_byte,
           end_byte       = g.end_byte,
           complexity     = g.complexity
      from given g
      join known k on k.file_id = g.file_id and k.key = g.key
     where s.symbol_id = k.symbol_id
       and (k.parent_key, k.kind, k.name, k.qualified_name, k.signature, k.doc,
            k.exported, k.export_name, k.start_line, k.end_line, k.start_byte, k.end_byte, k.complexity)
           is distinct from
           (g.parent_key, g.kind, g.name, g.qualified_name, g.signature, g.doc,
            g.exported, g.export_name, g.start_line, g.end_line, g.start_byte, g.end_byte, g.complexity)
    returning s.file_id,
              s.name,
              s.export_name,
              (k.parent_key, k.kind, k.name, k.qualified_name, k.export_name)
                is distinct from (g.parent_key, g.kind, g.name, g.qualified_name, g.export_name) as renamed,
              k.name as former_name,
              k.export_name as former_export_name
  ),
  added as (
    insert into code.symbols
           (codebase_id, file_id, key, parent_key, kind, name, qualified_name, signature, doc,
            exported, export_name, start_line, end_line, start_byte, end_byte, complexity)
    select p_codebase_id, g.file_id, g.key, g.parent_key, g.kind, g.name, g.qualified_name, g.signature, g.doc,
           g.exported, g.export_name, g.start_line, g.end_line, g.start_byte, g.end_byte, g.complexity
      from given g
     where not exists (select from known k where k.file_id = g.file_id and k.key = g.key)
    returning file_id, name, export_name
  ),
  touched as (
    select x.file_id, n.name
      from (
        select file_id, array[name, export_name] as names from gone
        union all
        select file_id, array[name, export_name] from added
        union all
        select file_id, array[name, former_name, export_name, former_export_name] from kept where renamed
      ) x
     cross join lateral (select distinct u from unnest(x.names) as u) as n (name)
     where n.name is not null
     group by x.file_id, n.name
  ),
  marks as (
    select t.file_id, array_agg(t.name)::text as names
      from touched t
     group by t.file_id
  )
  select (select count(*) from gone) + (select count(*) from kept) + (select count(*) from added)
         + 0 * coalesce(code.mark_stale(
             p_codebase_id,
             array_agg(r.file_id),
             array_agg(coalesce(m.names, '{}')),
             array_agg('{}'::text),
             array_agg(false)), 0)
    into v_written
    from unnest(p_replaced) as r (file_id)
    left join marks m on m.file_id = r.file_id;
  return v_written;
end;
$$;
comment on function code.store_symbols(integer, bigint[], bigint[], text[], text[], text[], text[], text[], text[], text[],
  boolean[], text[], integer[], integer[], integer[], integer[], integer[]) is
  'Replace the symbols of the files p_replaced by difference on their keys, and mark the names that came or went. Returns how many rows were written.';

create or replace function code.store_imports(
  p_codebase_id integer,
  p_replaced    bigint[],
  p_file_ids    bigint[],
  p_ordinals    integer[],
  p_modules     text[],
  p_aliases     text[],
  p_names       text[],
  p_lines       integer[],
  p_seeks       text[]
)
returns bigint
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_written bigint;
begin
  with given as materialized (
    select g.file_id, g.ordinal, g.module, nullif(g.alias, '') as alias, g.names::text[] as names, g.line, g.seeks::text[] as seeks
      from unnest(p_file_ids, p_ordinals, p_modules, p_aliases, p_names, p_lines, p_seeks)
        as g (file_id, ordinal, module, alias, names, line, seeks)
  ),
  known as materialized (
    select i.*
      from code.imports i
     where i.file_id = any (p_replaced)
  ),
  gone as (
    delete from code.imports i
     using known k
     where i.file_id = k.file_id
       and i.ordinal = k.ordinal
       and not exists (select from given g where g.file_id = k.file_id and g.ordinal = k.ordinal)
    returning 1
  ),
  kept as (
    update code.imports i
       set module = g.module,
           alias  = g.alias,
           names  = g.names,
           line   = g.line,
           seeks  = g.seeks
      from given g
      join known k on k.file_id = g.file_id and k.ordinal = g.ordinal
     where i.file_id = k.file_id
       and i.ordinal = k.ordinal
       and (k.module, k.alias, k.names, k.line, k.seeks) is distinct from (g.module, g.alias, g.names, g.line, g.seeks)
    returning 1
  ),
  added as (
    insert into code.imports (file_id, ordinal, codebase_id, module, alias, names, line, seeks)
    select g.file_id, g.ordinal, p_codebase_id, g.module, g.alias, g.names, g.line, g.seeks
      from given g
     where not exists (select from known k where k.file_id = g.file_id and k.ordinal = g.ordinal)
    returning 1
  )
  select (select count(*) from gone) + (select count(*) from kept) + (select count(*) from added) into v_written;
  return v_written;
end;
$$;
comment on function code.store_imports(integer, bigint[], bigint[], integer[], text[], text[], text[], integer[], text[]) is
  'Replace the imports of the files p_replaced by difference. p_names and p_seeks hold one text array per import, written as text. Returns how many rows were written.';

create or replace function code.store_provides(
  p_codebase_id  integer,
  p_replaced     bigint[],
  p_file_ids     bigint[],
  p_names        text[],
  p_root_files   bigint[],
  p_prefixes     text[],
  p_directories  text[]
)
returns bigint
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_written bigint;
begin
  with given as materialized (
    select distinct g.file_id, g.name from unnest(p_file_ids, p_names) as g (file_id, name)
  ),
  known as materialized (
    select p.file_id, p.name from code.provides p where p.file_id = any (p_replaced)
  ),
  gone as (
    delete from code.provides p
     using (select * from known except select * from given) x
     where p.file_id = x.file_id
       and p.name = x.name
    returning p.file_id, p.name
  ),
  added as (
    insert into code.provides (file_id, name, codebase_id)
    select x.file_id, x.name, p_codebase_id
      from (select * from given except select * from known) x
    returning file_id, name
  ),
  given_roots as materialized (
    select distinct on (g.file_id, g.prefix) g.file_id, g.prefix, g.directory
      from unnest(p_root_files, p_prefixes, p_directories) as g (file_id, prefix, directory)
     order by g.file_id, g.prefix, g.directory
  ),
  known_roots as materialized (
    select r.file_id, r.prefix, r.directory from code.import_roots r where r.file_id = any (p_replaced)
  ),
  gone_roots as (
    delete from code.import_roots r
     using known_roots k
     where r.file_id = k.file_id
       and r.prefix = k.prefix
       and not exists (select from given_roots g where g.file_id = k.file_id and g.prefix = k.prefix)
    returning r.file_id
  ),
  moved_roots as (
    update code.import_roots r
       set directory = g.directory
      from given_roots g
     where r.file_id = g.file_id
       and r.prefix = g.prefix
       and r.directory <> g.directory
    returning r.file_id
  ),
  added_roots as (
    insert into code.import_roots (file_id, prefix, codebase_id, directory)
    select g.file_id, g.prefix, p_codebase_id, g.directory
      from given_roots g
     where not exists (select from known_roots k where k.file_id = g.file_id and k.prefix = g.prefix)
    returning file_id
  ),
  names as (
    select x.file_id, array_agg(x.name) as names
      from (select * from gone union all select * from added) x
     group by x.file_id
  ),
  roots as (
    select file_id from gone_roots
    union
    select file_id from moved_roots
    union
    select file_id from added_roots
  ),
  -- Calls find symbols through what their files provide: where that changes, all
  -- of a file's names count as touched. Those of a new file do already.
  symbols as (
    select f.file_id, code.symbol_names(f.file_id) as names
      from code.files f
     where f.file_id in (select n.file_id from names n)
       and f.ingested_sha256 is not null
  )
  select (select count(*) from gone) + (select count(*) from added) + (select count(*) from roots)
         + 0 * coalesce((
             select code.mark_stale(
                      p_codebase_id,
                      array_agg(f.file_id),
                      array_agg(coalesce(s.names, '{}')::text),
                      array_agg(coalesce(n.names, '{}')::text),
                      array_agg(r.file_id is not null))
               from (select file_id from names union select file_id from roots) f
               left join names n on n.file_id = f.file_id
               left join roots r on r.file_id = f.file_id
               left join symbols s on s.file_id = f.file_id
             having count(*) > 0), 0)
    into v_written;
  return v_written;
end;
$$;
comment on function code.store_provides(integer, bigint[], bigint[], text[], bigint[], text[], text[]) is
  'Replace the names that the files p_replaced provide and the import roots that they declare, and mark what changed. Call it after store_symbols. Returns how many rows were written.';

create or replace function code.store_calls(
  p_codebase_id     integer,
  p_replaced        bigint[],
  p_file_ids        bigint[],
  p_ordinals        integer[],
  p_caller_keys     text[],
  p_names           text[],
  p_qualifiers      text[],
  p_lines           integer[],
  p_reaches         text[],
  p_targets         text[],
  p_callee_keys     text[],
  p_confidences     double precision[],
  p_import_ordinals integer[]
)
returns bigint
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_written bigint;
begin
  with local as materialized (
    select s.file_id, s.key, s.symbol_id
      from code.symbols s
     where s.file_id = any (p_replaced)
  ),
  given as materialized (
    select g.file_id, g.ordinal, caller.symbol_id as caller_id, g.name, nullif(g.qualifier, '') as qualifier,
           g.line, g.reach, g.target,
           callee.symbol_id as callee_id,
           case when callee.symbol_id is not null then g.confidence end as confidence,
           nullif(g.import_ordinal, -1) as import_ordinal
      from unnest(p_file_ids, p_ordinals, p_caller_keys, p_names, p_qualifiers, p_lines, p_reaches, p_targets,
                  p_callee_keys, p_confidences, p_import_ordinals)
        as g (file_id, ordinal, caller_key, name, qualifier, line, reach, target,
              callee_key, confidence, import_ordinal)
      left join local caller on caller.file_id = g.file_id and caller.key = g.caller_key
      left join local callee on callee.file_id = g.file_id and callee.key = g.callee_key
  ),
  known as materialized (
    select c.*
      from code.calls c
     where c.file_id = any (p_replaced)
  ),
  gone as (
    delete from code.calls c
     using known k
     where c.file_id = k.file_id
       and c.ordinal = k.ordinal
       and not exists (select from given g where g.file_id = k.file_id and g.ordinal = k.ordinal)
    returning 1
  ),
  kept as (
    update code.calls c
       set caller_id      = g.caller_id,
           name           = g.name,
           qualifier      = g.qualifier,
           line           = g.line,
           reach          = g.reach,
           target         = g.target,
           callee_id      = g.callee_id,
           confidence     = g.confidence,
           import_ordinal = g.import_ordinal
      from given g
      join known k on k.file_id = g.file_id and k.ordinal = g.ordinal
     where c.file_id = k.file_id
       and c.ordinal = k.ordinal
       and ((k.caller_id, k.name, k.qualifier, k.line, k.reach, k.target, k.import_ordinal)
            is distinct from
            (g.caller_id, g.name, g.qualifier, g.line, g.reach, g.target, g.import_ordinal)
            -- What another file answers is left to resolving; it may still hold.
            or (g.reach = 'file' and (k.callee_id, k.confidence) is distinct from (g.callee_id, g.confidence)))
    returning 1
  ),
  added as (
    insert into code.calls
           (file_id, ordinal, codebase_id, caller_id, name, qualifier, line, reach, target, callee_id, confidence, import_ordinal)
    select g.file_id, g.ordinal, p_codebase_id, g.caller_id, g.name, g.qualifier, g.line, g.reach, g.target,
           g.callee_id, g.confidence, g.import_ordinal
      from given g
     where not exists (select from known k where k.file_id = g.file_id and k.ordinal = g.ordinal)
    returning 1
  )
  select (select count(*) from gone) + (select count(*) from kept) + (select count(*) from added) into v_written;
  return v_written;
end;
$$;
comment on function code.store_calls(integer, bigint[], bigint[], integer[], text[], text[], text[], integer[], text[], text[],
  text[], double precision[], integer[]) is
  'Replace the calls of the files p_replaced by difference. Calls answered within their file name the callee''s key. Call it after store_symbols. Returns how many rows were written.';

create or replace function code.store_chunks(
  p_codebase_id integer,
  p_replaced    bigint[],
  p_file_ids    bigint[],
  p_symbol_keys text[],
  p_start_lines integer[],
  p_end_lines   integer[],
  p_text_hashes bytea[],
  p_contents    text[],
  p_words       text[]
)
returns bigint
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_written bigint;
begin
  -- A chunk is known by its text: moved down by an edit above, it keeps its row
  -- and its place in the indexes. Its ordinal is a name, not a position.
  with given as materialized (
    select g.file_id, nullif(g.symbol_key, '') as symbol_key, g.start_line, g.end_line, g.text_hash,
           g.content, g.words, g.n,
           row_number() over (partition by g.file_id, g.text_hash order by g.n) as copy
      from unnest(p_file_ids, p_symbol_keys, p_start_lines, p_end_lines, p_text_hashes, p_contents, p_words)
        with ordinality as g (file_id, symbol_key, start_line, end_line, text_hash, content, words, n)
  ),
  known as materialized (
    select c.file_id, c.ordinal, c.symbol_key, c.start_line, c.end_line, c.text_hash,
           row_number() over (partition by c.file_id, c.text_hash order by c.start_line, c.ordinal) as copy
      from code.chunks c
     where c.file_id = any (p_replaced)
  ),
  last as (
    select k.file_id, max(k.ordinal) as ordinal from known k group by k.file_id
  ),
  gone as (
    delete from code.chunks c
     using known k
     where c.file_id = k.file_id
       and c.ordinal = k.ordinal
       and not exists (
             select from given g where g.file_id = k.file_id and g.text_hash = k.text_hash and g.copy = k.copy)
    returning 1
  ),
  kept as (
    update code.chunks c
       set symbol_key = g.symbol_key,
           start_line = g.start_line,
           end_line   = g.end_line
      from given g
      join known k on k.file_id = g.file_id and k.text_hash = g.text_hash and k.copy = g.copy
     where c.file_id = k.file_id
       and c.ordinal = k.ordinal
       and (k.symbol_key, k.start_line, k.end_line) is distinct from (g.symbol_key, g.start_line, g.end_line)
    returning 1
  ),
  added as (
    insert into code.chunks (file_id, ordinal, codebase_id, symbol_key, start_line, end_line, text_hash, content, words)
    select g.file_id,
           coalesce(l.ordinal + 1, 0) + row_number() over (partition by g.file_id order by g.n) - 1,
           p_codebase_id, g.symbol_key, g.start_line, g.end_line, g.text_hash, g.content, g.words::tsvector
      from given g
      left join last l on l.file_id = g.file_id
     where not exists (
             select from known k where k.file_id = g.file_id and k.text_hash = g.text_hash and k.copy = g.copy)
    returning 1
  )
  select (select count(*) from gone) + (select count(*) from kept) + (select count(*) from added) into v_written;
  return v_written;
end;
$$;
comment on function code.store_chunks(integer, bigint[], bigint[], text[], integer[], integer[], bytea[], text[], text[]) is
  'Replace the chunks of the files p_replaced by difference on their text. Chunks are given in order. Returns how many rows were written.';

create or replace function code.store_files(
  p_codebase_id  integer,
  p_version      integer,
  p_file_ids     bigint[],
  p_sha256s      bytea[],
  p_statuses     text[],
  p_reasons      text[],
  p_languages    text[],
  p_lines        integer[],
  p_encodings    text[],
  p_generated    boolean[],
  p_minified     boolean[],
  p_modules      text[],
  p_docs         text[],
  p_parsers      text[],
  p_parse_errors integer[],
  p_families     text[],
  p_scopes       text[],
  p_precedences  smallint[],
  p_symbols      integer[],
  p_complexities integer[]
)
returns bigint
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_written bigint;
begin
  with given as materialized (
    select g.file_id, g.sha256, g.status, nullif(g.reason, '') as reason, nullif(g.language, '') as language,
           nullif(g.lines, -1) as lines, nullif(g.encoding, '') as encoding, g.generated, g.minified,
           nullif(g.module, '') as module, nullif(g.doc, '') as doc, nullif(g.parser, '') as parser,
           g.parse_errors, nullif(g.family, '') as family, nullif(g.scope, '') as scope, g.precedence,
           g.symbols, g.complexity
      from unnest(p_file_ids, p_sha256s, p_statuses, p_reasons, p_languages, p_lines, p_encodings, p_generated,
                  p_minified, p_modules, p_docs, p_parsers, p_parse_errors, p_families, p_scopes, p_precedences,
                  p_symbols, p_complexities)
        as g (file_id, sha256, status, reason, language, lines, encoding, generated,
              minified, module, doc, parser, parse_errors, family, scope, precedence, symbols, complexity)
  ),
  known as materialized (
    select f.* from code.files f where f.file_id = any (p_file_ids)
  ),
  written as (
    update code.files f
       set status           = g.status,
           reason           = g.reason,
           language         = g.language,
           lines            = g.lines,
           encoding         = g.encoding,
           generated        = g.generated,
           minified         = g.minified,
           module           = g.module,
           doc              = g.doc,
           parser           = g.parser,
           parse_errors     = g.parse_errors,
           family           = g.family,
           scope            = g.scope,
           precedence       = g.precedence,
           ingested_sha256  = g.sha256,
           ingested_version = p_version,
           ingested_at      = now()
      from given g
      join known k on k.file_id = g.file_id
     where f.file_id = g.file_id
       and f.status <> 'deleted'
    returning f.file_id,
              f.bytes,
              g.sha256,
              g.lines,
              g.symbols,
              g.complexity,
              k.ingested_sha256,
              (k.family, k.scope, k.precedence, k.module) is distinct from (f.family, f.scope, f.precedence, f.module) as moved
  ),
  versions as (
    insert into code.file_versions (file_id, ordinal, change, sha256, bytes, lines, symbols, complexity)
    select w.file_id,
           coalesce(v.last, 0) + 1,
           case
             when v.last is null then 'added'
             when v.gone then 'restored'
             else 'modified'
           end,
           w.sha256, w.bytes, w.lines, w.symbols, w.complexity
      from written w
     cross join lateral (
             select max(v.ordinal) as last,
                    (array_agg(v.change order by v.ordinal desc))[1] = 'deleted' as gone,
                    (array_agg(v.sha256 order by v.ordinal desc))[1] as sha256
               from code.file_versions v
              where v.file_id = w.file_id) v
     where w.sha256 is distinct from v.sha256
        or v.last is null
  ),
  -- Symbols are found by their file's scope, and files are chosen by precedence:
  -- where these change, all its names count as touched.
  moved as (
    select w.file_id,
           code.symbol_names(w.file_id)::text as names,
           array(select p.name from code.provides p where p.file_id = w.file_id)::text as provided
      from written w
     where w.moved
       and w.ingested_sha256 is not null
  )
  select (select count(*) from written)
         + 0 * coalesce((
             select code.mark_stale(
                      p_codebase_id,
                      array_agg(m.file_id),
                      array_agg(m.names),
                      array_agg(m.provided),
                      array_agg(false))
               from moved m
             having count(*) > 0), 0)
    into v_written;
  return v_written;
end;
$$;
comment on function code.store_files(integer, integer, bigint[], bytea[], text[], text[], text[], integer[], text[], boolean[],
  boolean[], text[], text[], text[], integer[], text[], text[], smallint[], integer[], integer[]) is
  'Set what ingestion found out about files, append a version where the content is new, and mark what moved to another scope. Call it after store_symbols. Returns how many rows were written.';

-- Upkeep ----------------------------------------------------------------------

create or replace function code.clean_search_index(p_analyze boolean default false)
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_pages bigint;
begin
  -- GIN indexes keep new entries in a list that every search reads from end to
  -- end; merged into the tree they are found at once.
  select coalesce(sum(pg_catalog.gin_clean_pending_list(i.indexrelid)), 0)::bigint
    into v_pages
    from pg_catalog.pg_index i
    join pg_catalog.pg_class x on x.oid = i.indexrelid
    join pg_catalog.pg_am a on a.oid = x.relam
   where i.indrelid = 'code.chunks'::regclass
     and a.amname = 'gin';
  if p_analyze then
    -- Contents are left out: reading them takes longer than all the rest.
    analyze code.chunks (file_id, ordinal, codebase_id, symbol_key, start_line, text_hash, words),
            code.vectors (model_id, text_hash), code.embeddings, code.dependencies;
  end if;
  return v_pages;
end;
$$;
comment on function code.clean_search_index(boolean) is
  'Merge the pending entries of the search indexes, and count the corpus for the planner where asked. Returns how many pages were merged.';

-- Vectors ---------------------------------------------------------------------

create or replace view code.unembedded_texts as
select c.codebase_id,
       c.file_id,
       m.model_id,
       c.text_hash,
       c.content
  from code.chunks c
 cross join code.models m
 where not exists (select from code.vectors v where v.model_id = m.model_id and v.text_hash = c.text_hash);
comment on view code.unembedded_texts is 'Chunks without a vector, for each model. Equal texts appear once for each chunk that holds them.';

create or replace view code.unsigned_vectors as
select c.codebase_id,
       c.file_id,
       v.model_id,
       v.text_hash,
       v.dimensions,
       v.weights
  from code.vectors v
  join code.chunks c on c.text_hash = v.text_hash
 where not exists (select from code.embeddings e where e.model_id = v.model_id and e.text_hash = v.text_hash);
comment on view code.unsigned_vectors is 'Vectors that the signature index lacks, once for each chunk that they describe.';

create or replace function code.register_model(p_name text, p_dimensions integer)
returns smallint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_model code.models;
begin
  insert into code.models (name, dimensions)
  values (p_name, p_dimensions)
      on conflict (name) do nothing;
  select * into v_model from code.models where name = p_name;
  if v_model.dimensions <> p_dimensions then
    raise exception using
      errcode = 'HT003',
      message = format('model %L has %s dimensions, not %s', p_name, v_model.dimensions, p_dimensions),
      hint    = 'Give another model another name, or delete it from code.models and all its vectors with it.';
  end if;
  return v_model.model_id;
end;
$$;
comment on function code.register_model(text, integer) is 'Get or create an embedding model.';

create or replace function code.count_unembedded(p_codebase_id integer, p_model_id smallint)
returns bigint
language plpgsql
stable
set search_path = ''
set jit = off
as $$
begin
  return (
    select count(distinct t.text_hash)
      from code.unembedded_texts t
     where t.codebase_id = p_codebase_id
       and t.model_id = p_model_id);
end;
$$;
comment on function code.count_unembedded(integer, smallint) is 'How many different texts of a codebase have no vector of a model.';

create or replace function code.store_vectors(p_model_id smallint, p_text_hashes bytea[], p_dimensions text[], p_weights text[])
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_stored bigint;
begin
  -- In order of hash, so that two who store the same texts cannot deadlock.
  insert into code.vectors (model_id, text_hash, dimensions, weights)
  select p_model_id, g.text_hash, nullif(g.dimensions, '')::smallint[], g.weights::real[]
    from unnest(p_text_hashes, p_dimensions, p_weights) as g (text_hash, dimensions, weights)
   order by g.text_hash
      on conflict (model_id, text_hash) do nothing;
  get diagnostics v_stored = row_count;
  return v_stored;
end;
$$;
comment on function code.store_vectors(smallint, bytea[], text[], text[]) is
  'Store vectors of texts that have none. Each is given as the text of an array; dimensions are empty for dense ones. Returns how many were new.';

create or replace function code.store_signatures(p_model_id smallint, p_text_hashes bytea[], p_signatures text[])
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_stored bigint;
begin
  insert into code.embeddings (model_id, text_hash, signature)
  select p_model_id, g.text_hash, g.signature::bit varying
    from unnest(p_text_hashes, p_signatures) as g (text_hash, signature)
   order by g.text_hash
      on conflict (model_id, text_hash) do nothing;
  get diagnostics v_stored = row_count;
  return v_stored;
end;
$$;
comment on function code.store_signatures(smallint, bytea[], text[]) is
  'Add vectors to the signature index. Returns how many were new.';

create or replace function code.collect_vectors()
returns bigint
language plpgsql
volatile
set search_path = ''
set jit = off
as $$
declare
  v_collected bigint;
begin
  delete from code.vectors v
   where not exists (select from code.chunks c where c.text_hash = v.text_hash);
  get diagnostics v_collected = row_count;
  return v_collected;
end;
$$;
comment on function code.collect_vectors() is 'Remove vectors of texts that no chunk holds any more, and their signatures. Returns how many.';

create or replace function code.collect_events(p_age interval default interval '7 days')
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_queue    constant regclass := to_regclass('pgmq.q_code_events');
  v_messages bigint[];
begin
  if v_queue is null then
    return 0::bigint;
  end if;
  -- The table is there once the first event was sent, so it is named at run time.
  execute format('select coalesce(array_agg(q.msg_id), ''{}''::bigint[]) from %s q where q.enqueued_at < $1', v_queue)
     into v_messages
    using now() - p_age;
  if v_messages <> '{}' then
    perform pgmq.delete('code_events', v_messages);
  end if;
  return cardinality(v_messages)::bigint;
end;
$$;
comment on function code.collect_events(interval) is
  'Remove events that nobody has taken from the queue code_events for longer than p_age. Returns how many.';

create or replace function code.upkeep()
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  return code.collect_blobs() + code.collect_vectors() + code.collect_events();
end;
$$;
comment on function code.upkeep() is
  'Remove what nothing refers to any more: contents, vectors, events that were never read. To be called now and then; returns how many rows went.';

create or replace view code.invariant_violations as
select 'symbol without a live file' as invariant, s.file_id, s.symbol_id::text as detail
  from code.symbols s
 where not exists (select from code.files f where f.file_id = s.file_id and f.codebase_id = s.codebase_id and f.status <> 'deleted')
union all
select 'call without a live file', c.file_id, c.ordinal::text
  from code.calls c
 where not exists (select from code.files f where f.file_id = c.file_id and f.codebase_id = c.codebase_id and f.status <> 'deleted')
union all
select 'caller is no symbol of the file', c.file_id, c.ordinal::text
  from code.calls c
 where c.caller_id is not null
   and not exists (select from code.symbols s where s.symbol_id = c.caller_id and s.file_id = c.file_id)
union all
select 'callee is no symbol of the codebase', c.file_id, c.ordinal::text
  from code.calls c
 where c.callee_id is not null
   and not exists (select from code.symbols s where s.symbol_id = c.callee_id and s.codebase_id = c.codebase_id)
union all
select 'deleted file with derived rows', f.file_id, f.path
  from code.files f
 where f.status = 'deleted'
   and (exists (select from code.imports i where i.file_id = f.file_id)
        or exists (select from code.provides p where p.file_id = f.file_id)
        or exists (select from code.chunks c where c.file_id = f.file_id))
union all
select 'import means a file that does not provide the name', i.file_id, i.ordinal::text
  from code.imports i
 where i.resolved_file_id is not null
   and not exists (select from code.provides p where p.file_id = i.resolved_file_id and p.name = i.resolved_name);
comment on view code.invariant_violations is 'What the corpus promises and does not hold; empty when all is well. Calls and imports may be listed while their marks in code.stale_links wait.';
