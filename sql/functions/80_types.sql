-- Types that definitions name, as it is written in files.

create or replace function code.store_type_refs(
  p_codebase_id     integer,
  p_replaced        bigint[],
  p_file_ids        bigint[],
  p_ordinals        integer[],
  p_user_keys       text[],
  p_kinds           text[],
  p_lines           integer[],
  p_reaches         text[],
  p_names           text[],
  p_targets         text[],
  p_type_keys       text[],
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
    select t.* from code.type_refs t where t.file_id = any (p_replaced)
  ),
  given as materialized (
    select g.file_id, g.ordinal, u.symbol_id as user_id, g.kind, g.line, g.reach, g.name, g.target, t.symbol_id as type_id,
           nullif(g.import_ordinal, -1) as import_ordinal
      from unnest(p_file_ids, p_ordinals, p_user_keys, p_kinds, p_lines, p_reaches, p_names, p_targets, p_type_keys, p_import_ordinals)
        as g (file_id, ordinal, user_key, kind, line, reach, name, target, type_key, import_ordinal)
      left join local u on u.file_id = g.file_id and u.key = g.user_key
      left join local t on t.file_id = g.file_id and t.key = g.type_key
  ),
  gone as (
    delete from code.type_refs t
     using known k
     where t.file_id = k.file_id
       and t.ordinal = k.ordinal
       and not exists (select from given g where g.file_id = k.file_id and g.ordinal = k.ordinal)
    returning 1
  ),
  -- What another file answers is left to resolving, which looks at all of a stored
  -- file's types again; it may still hold.
  kept as (
    update code.type_refs t
       set user_id        = g.user_id,
           kind           = g.kind,
           line           = g.line,
           reach          = g.reach,
           name           = g.name,
           target         = g.target,
           import_ordinal = g.import_ordinal,
           type_id        = case when g.reach = 'file' then g.type_id when k.reach <> 'file' then k.type_id end,
           confidence     = case when g.reach = 'file' then 1 when k.reach <> 'file' then k.confidence end
      from given g
      join known k on k.file_id = g.file_id and k.ordinal = g.ordinal
     where t.file_id = k.file_id
       and t.ordinal = k.ordinal
       and ((k.user_id, k.kind, k.line, k.reach, k.name, k.target, k.import_ordinal)
            is distinct from
            (g.user_id, g.kind, g.line, g.reach, g.name, g.target, g.import_ordinal)
            or (g.reach = 'file' and k.type_id is distinct from g.type_id))
    returning 1
  ),
  added as (
    insert into code.type_refs
           (file_id, ordinal, codebase_id, user_id, kind, line, reach, name, target, type_id, confidence, import_ordinal)
    select g.file_id, g.ordinal, p_codebase_id, g.user_id, g.kind, g.line, g.reach, g.name, g.target,
           g.type_id, case when g.type_id is not null then 1 end, g.import_ordinal
      from given g
     where not exists (select from known k where k.file_id = g.file_id and k.ordinal = g.ordinal)
    returning 1
  )
  select (select count(*) from gone) + (select count(*) from kept) + (select count(*) from added) into v_written;
  return v_written;
end;
$$;
comment on function code.store_type_refs(integer, bigint[], bigint[], integer[], text[], text[], integer[], text[], text[], text[],
  text[], integer[]) is
  'Replace the types named in the files p_replaced by difference. Those defined in the same file are given by key. Call it after store_symbols. Returns how many rows were written.';
