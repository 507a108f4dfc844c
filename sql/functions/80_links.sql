-- Links of files: what they import, provide and call, as it is written in them.

create or replace function code.store_imports(
  p_codebase_id integer,
  p_replaced    bigint[],
  p_file_ids    bigint[],
  p_ordinals    integer[],
  p_modules     text[],
  p_aliases     text[],
  p_names       text[],
  p_lines       integer[],
  p_seeks       text[],
  p_exports     text[]
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
    select g.file_id, g.ordinal, g.module, nullif(g.alias, '') as alias, g.names::text[] as names, g.line, g.seeks::text[] as seeks,
           g.exports::text[] as exports
      from unnest(p_file_ids, p_ordinals, p_modules, p_aliases, p_names, p_lines, p_seeks, p_exports)
        as g (file_id, ordinal, module, alias, names, line, seeks, exports)
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
    returning i.file_id, i.exports <> '{}' as passes_on
  ),
  kept as (
    update code.imports i
       set module  = g.module,
           alias   = g.alias,
           names   = g.names,
           line    = g.line,
           seeks   = g.seeks,
           exports = g.exports
      from given g
      join known k on k.file_id = g.file_id and k.ordinal = g.ordinal
     where i.file_id = k.file_id
       and i.ordinal = k.ordinal
       and (k.module, k.alias, k.names, k.line, k.seeks, k.exports)
           is distinct from (g.module, g.alias, g.names, g.line, g.seeks, g.exports)
    returning i.file_id,
              (k.module, k.alias, k.names, k.seeks) is distinct from (g.module, g.alias, g.names, g.seeks) as changed,
              (k.exports <> '{}' or g.exports <> '{}') and (k.seeks, k.exports) is distinct from (g.seeks, g.exports) as passes_on
  ),
  added as (
    insert into code.imports (file_id, ordinal, codebase_id, module, alias, names, line, seeks, exports)
    select g.file_id, g.ordinal, p_codebase_id, g.module, g.alias, g.names, g.line, g.seeks, g.exports
      from given g
     where not exists (select from known k where k.file_id = g.file_id and k.ordinal = g.ordinal)
    returning file_id, exports <> '{}' as passes_on
  ),
  -- Any call of a file may go through any of its imports, and so may calls elsewhere
  -- where it passes on what it imports.
  changes as (
    select x.file_id, bool_or(x.passes_on) as passes_on
      from (select file_id, passes_on from gone
             union all
            select file_id, passes_on from kept where changed or passes_on
             union all
            select file_id, passes_on from added) x
     group by x.file_id
  ),
  marked as (
    update code.stale_links l
       set calls     = null,
           passes_on = l.passes_on or c.passes_on
      from changes c
     where l.file_id = c.file_id
  )
  select (select count(*) from gone) + (select count(*) from kept) + (select count(*) from added) into v_written;
  return v_written;
end;
$$;
comment on function code.store_imports(integer, bigint[], bigint[], integer[], text[], text[], text[], integer[], text[], text[]) is
  'Replace the imports of the files p_replaced by difference. p_names, p_seeks and p_exports hold one text array per import, written as text. Call it after store_symbols. Returns how many rows were written.';

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
  known as materialized (
    select c.*
      from code.calls c
     where c.file_id = any (p_replaced)
  ),
  -- What another file answers depends on what is called, not on the line: calls of
  -- a file that say the same have the same answer, wherever an edit moves them.
  answered as materialized (
    select distinct on (k.file_id, k.reach, k.name, k.target, coalesce(k.import_ordinal, -1))
           k.file_id, k.reach, k.name, k.target, coalesce(k.import_ordinal, -1) as import_ordinal, k.callee_id, k.confidence
      from known k
     where k.reach not in ('file', 'none')
     order by k.file_id, k.reach, k.name, k.target, coalesce(k.import_ordinal, -1)
  ),
  given as materialized (
    select g.file_id, g.ordinal, caller.symbol_id as caller_id, g.name, nullif(g.qualifier, '') as qualifier,
           g.line, g.reach, g.target,
           coalesce(callee.symbol_id, a.callee_id) as callee_id,
           case when callee.symbol_id is not null then g.confidence else a.confidence end as confidence,
           nullif(g.import_ordinal, -1) as import_ordinal,
           g.reach not in ('file', 'none') and a.file_id is null as unanswered
      from unnest(p_file_ids, p_ordinals, p_caller_keys, p_names, p_qualifiers, p_lines, p_reaches, p_targets,
                  p_callee_keys, p_confidences, p_import_ordinals)
        as g (file_id, ordinal, caller_key, name, qualifier, line, reach, target,
              callee_key, confidence, import_ordinal)
      left join local caller on caller.file_id = g.file_id and caller.key = g.caller_key
      left join local callee on callee.file_id = g.file_id and callee.key = g.callee_key
      left join answered a
        on a.file_id = g.file_id
       and a.reach = g.reach
       and a.name = g.name
       and a.target = g.target
       and a.import_ordinal = g.import_ordinal
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
  ),
  marked as (
    update code.stale_links l
       set calls = l.calls || u.ordinals
      from (select g.file_id, array_agg(g.ordinal order by g.ordinal) as ordinals
              from given g
             where g.unanswered
             group by g.file_id) u
     where l.file_id = u.file_id
       and l.calls is not null
  )
  select (select count(*) from gone) + (select count(*) from kept) + (select count(*) from added) into v_written;
  return v_written;
end;
$$;
comment on function code.store_calls(integer, bigint[], bigint[], integer[], text[], text[], text[], integer[], text[], text[],
  text[], double precision[], integer[]) is
  'Replace the calls of the files p_replaced by difference. Calls answered within their file name the callee''s key; what is new to a file is added to its mark. Call it after store_symbols and store_imports. Returns how many rows were written.';
