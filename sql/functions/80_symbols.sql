-- Symbols of files.
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
  insert into code.stale_links as l (file_id, codebase_id, names, provided, roots, passes_on)
  select f.file_id,
         p_codebase_id,
         case when c.ready_at is not null then code.symbol_names(f.file_id) end,
         case when c.ready_at is not null then array(select p.name from code.provides p where p.file_id = f.file_id) end,
         exists (select from code.import_roots r where r.file_id = f.file_id),
         c.ready_at is not null and exists (select from code.imports i where i.file_id = f.file_id and i.exports <> '{}')
    from unnest(p_file_ids) as f (file_id)
    join code.codebases c on c.codebase_id = p_codebase_id
   order by f.file_id
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
         passes_on = l.passes_on or excluded.passes_on;
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
  p_complexities    integer[],
  p_body_hashes     bigint[]
)
returns bigint
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_now     constant timestamptz := htdag.clock();
  v_written bigint;
begin
  with given as materialized (
    select g.file_id, g.key, nullif(g.parent_key, '') as parent_key, g.kind, g.name, g.qualified_name,
           nullif(g.signature, '') as signature, nullif(g.doc, '') as doc,
           g.exported, nullif(g.export_name, '') as export_name,
           g.start_line, g.end_line, g.start_byte, g.end_byte, g.complexity, g.body_hash
      from unnest(p_file_ids, p_keys, p_parent_keys, p_kinds, p_names, p_qualified_names, p_signatures, p_docs,
                  p_exporteds, p_export_names, p_start_lines, p_end_lines, p_start_bytes, p_end_bytes, p_complexities,
                  p_body_hashes)
        as g (file_id, key, parent_key, kind, name, qualified_name, signature, doc,
              exported, export_name, start_line, end_line, start_byte, end_byte, complexity, body_hash)
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
    returning s.file_id, s.key, s.kind, s.name, s.qualified_name, s.export_name, s.body_hash
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
           complexity     = g.complexity,
           body_hash      = g.body_hash
      from given g
      join known k on k.file_id = g.file_id and k.key = g.key
     where s.symbol_id = k.symbol_id
       and (k.parent_key, k.kind, k.name, k.qualified_name, k.signature, k.doc,
            k.exported, k.export_name, k.start_line, k.end_line, k.start_byte, k.end_byte, k.complexity, k.body_hash)
           is distinct from
           (g.parent_key, g.kind, g.name, g.qualified_name, g.signature, g.doc,
            g.exported, g.export_name, g.start_line, g.end_line, g.start_byte, g.end_byte, g.complexity, g.body_hash)
    returning s.file_id,
              s.key,
              s.kind,
              s.name,
              s.qualified_name,
              s.body_hash,
              (k.signature, k.doc, k.body_hash) is distinct from (g.signature, g.doc, g.body_hash)
                and k.body_hash is not null as edited,
              s.export_name,
              (k.parent_key, k.kind, k.name, k.qualified_name, k.export_name)
                is distinct from (g.parent_key, g.kind, g.name, g.qualified_name, g.export_name) as renamed,
              k.name as former_name,
              k.export_name as former_export_name
  ),
  added as (
    insert into code.symbols
           (codebase_id, file_id, key, parent_key, kind, name, qualified_name, signature, doc,
            exported, export_name, start_line, end_line, start_byte, end_byte, complexity, body_hash)
    select p_codebase_id, g.file_id, g.key, g.parent_key, g.kind, g.name, g.qualified_name, g.signature, g.doc,
           g.exported, g.export_name, g.start_line, g.end_line, g.start_byte, g.end_byte, g.complexity, g.body_hash
      from given g
     where not exists (select from known k where k.file_id = g.file_id and k.key = g.key)
    returning file_id, key, kind, name, qualified_name, export_name, body_hash
  ),
  -- Of edits only: symbols that come with a whole file came when the file did.
  changes as (
    insert into code.symbol_changes (codebase_id, file_id, key, change, kind, name, qualified_name, body_hash, changed_at)
    select p_codebase_id, x.file_id, x.key, x.change, x.kind, x.name, x.qualified_name, x.body_hash, v_now
      from (
        select g.file_id, g.key, 'removed' as change, g.kind, g.name, g.qualified_name, g.body_hash from gone g
        union all
        select a.file_id, a.key, 'added', a.kind, a.name, a.qualified_name, a.body_hash from added a
        union all
        select k.file_id, k.key, 'changed', k.kind, k.name, k.qualified_name, k.body_hash from kept k where k.edited
      ) x
      join code.files f on f.file_id = x.file_id
     where f.ingested_sha256 is not null
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
             array_agg(false),
             p_calls_same => true), 0)
    into v_written
    from unnest(p_replaced) as r (file_id)
    left join marks m on m.file_id = r.file_id;
  return v_written;
end;
$$;
comment on function code.store_symbols(integer, bigint[], bigint[], text[], text[], text[], text[], text[], text[], text[],
  boolean[], text[], integer[], integer[], integer[], integer[], integer[], bigint[]) is
  'Replace the symbols of the files p_replaced by difference on their keys, and mark the names that came or went. What store_imports, store_provides, store_calls and store_files find changed is added to the mark, so call this first. Returns how many rows were written.';
