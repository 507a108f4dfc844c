-- Packages that manifests declare as needed.

create or replace function code.store_requirements(
  p_codebase_id  integer,
  p_replaced     bigint[],
  p_file_ids     bigint[],
  p_ordinals     integer[],
  p_ecosystems   text[],
  p_names        text[],
  p_requirements text[],
  p_kinds        text[],
  p_lines        integer[]
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
  -- Few files are manifests: most batches neither bring a row nor take one away.
  with given as materialized (
    select g.file_id, g.ordinal, g.ecosystem, g.name, nullif(g.requirement, '') as requirement, g.kind, g.line
      from unnest(p_file_ids, p_ordinals, p_ecosystems, p_names, p_requirements, p_kinds, p_lines)
        as g (file_id, ordinal, ecosystem, name, requirement, kind, line)
  ),
  known as materialized (
    select r.*
      from code.requirements r
     where r.file_id = any (p_replaced)
  ),
  gone as (
    delete from code.requirements r
     using known k
     where r.file_id = k.file_id
       and r.ordinal = k.ordinal
       and not exists (select from given g where g.file_id = k.file_id and g.ordinal = k.ordinal)
    returning 1
  ),
  kept as (
    update code.requirements r
       set ecosystem   = g.ecosystem,
           name        = g.name,
           requirement = g.requirement,
           kind        = g.kind,
           line        = g.line
      from given g
      join known k on k.file_id = g.file_id and k.ordinal = g.ordinal
     where r.file_id = k.file_id
       and r.ordinal = k.ordinal
       and (k.ecosystem, k.name, k.requirement, k.kind, k.line)
           is distinct from (g.ecosystem, g.name, g.requirement, g.kind, g.line)
    returning 1
  ),
  added as (
    insert into code.requirements (file_id, ordinal, codebase_id, ecosystem, name, requirement, kind, line)
    select g.file_id, g.ordinal, p_codebase_id, g.ecosystem, g.name, g.requirement, g.kind, g.line
      from given g
     where not exists (select from known k where k.file_id = g.file_id and k.ordinal = g.ordinal)
    returning 1
  )
  select (select count(*) from gone) + (select count(*) from kept) + (select count(*) from added) into v_written;
  return v_written;
end;
$$;
comment on function code.store_requirements(integer, bigint[], bigint[], integer[], text[], text[], text[], text[], integer[]) is
  'Replace what the files p_replaced declare as needed by difference. Returns how many rows were written.';
