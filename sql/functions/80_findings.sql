-- Secrets that were found in files. They are masked before anything is stored that can
-- be searched; what is left of them here is where they are.

create or replace function code.store_findings(
  p_codebase_id integer,
  p_replaced    bigint[],
  p_file_ids    bigint[],
  p_rules       text[],
  p_lines       integer[],
  p_excerpts    text[]
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
    select g.file_id, row_number() over (partition by g.file_id order by g.n)::integer - 1 as ordinal, g.rule, g.line, g.excerpt
      from unnest(p_file_ids, p_rules, p_lines, p_excerpts) with ordinality as g (file_id, rule, line, excerpt, n)
  ),
  gone as (
    delete from code.findings f
     where f.file_id = any (p_replaced)
       and not exists (select from given g where g.file_id = f.file_id and g.ordinal = f.ordinal)
    returning 1
  ),
  kept as (
    insert into code.findings as f (file_id, ordinal, codebase_id, rule, line, excerpt)
    select g.file_id, g.ordinal, p_codebase_id, g.rule, g.line, g.excerpt
      from given g
     order by g.file_id, g.ordinal
        on conflict (file_id, ordinal) do update
       set rule    = excluded.rule,
           line    = excluded.line,
           excerpt = excluded.excerpt
     where (f.rule, f.line, f.excerpt) is distinct from (excluded.rule, excluded.line, excluded.excerpt)
    returning 1
  )
  select (select count(*) from gone) + (select count(*) from kept) into v_written;
  return v_written;
end;
$$;
comment on function code.store_findings(integer, bigint[], bigint[], text[], integer[], text[]) is
  'Replace the findings of the files p_replaced by difference. Findings are given in order. Returns how many rows were written.';
