-- Which symbol a named type means. See 81_resolve for when this is asked; calls are
-- resolved in the same way, with more to go by.

create or replace function code.is_type(p_kind text)
returns boolean
language sql
immutable
parallel safe
return p_kind in ('class', 'struct', 'interface', 'trait', 'enum', 'type');
comment on function code.is_type(text) is 'Whether a symbol of that kind can be named as a type.';

create or replace function code.resolve_type_refs(p_codebase_id integer, p_file_ids bigint[], p_names text[], p_all boolean)
returns setof bigint
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
set enable_nestloop = off
as $$
declare
  v_files bigint[];
begin
  if not p_all then
    v_files := array(
      select distinct t.file_id
        from code.type_refs t
       where t.codebase_id = p_codebase_id
         and (t.file_id = any (p_file_ids) or t.name = any (p_names)));
    if v_files = '{}' then
      return;
    end if;
  end if;

  return query
  with importing as materialized (
    select i.file_id, i.ordinal, i.resolved_name, i.alias = '.' or '*' = any (i.names) as brings_all
      from code.imports i
     where p_all or i.file_id = any (v_files)
  ),
  named as materialized (
    select t.file_id, t.ordinal, t.reach, t.name, t.target, i.resolved_name, f.family, f.scope, f.precedence = 2 as tests
      from code.type_refs t
      join code.files f on f.file_id = t.file_id
      left join importing i on i.file_id = t.file_id and i.ordinal = t.import_ordinal
     where t.codebase_id = p_codebase_id
       and t.reach <> 'file'
       and (p_all or t.file_id = any (p_file_ids) or t.name = any (p_names))
       and (p_all or f.file_id = any (v_files))
  ),
  names as materialized (
    select distinct n.name from named n
  ),
  found as materialized (
    select s.*
      from (
        select s.symbol_id, s.file_id, s.name, s.qualified_name, s.key, s.kind
          from names n
          join code.symbols s on s.codebase_id = p_codebase_id and s.name = n.name
         where p_all or s.name = any (array(select x.name from names x))
        union all
        select s.symbol_id, s.file_id, s.export_name, s.export_name, s.key, s.kind
          from names n
          join code.symbols s on s.codebase_id = p_codebase_id and s.export_name = n.name
         where p_all or s.export_name = any (array(select x.name from names x))
      ) s
     where code.is_type(s.kind)
  ),
  types as materialized (
    select s.symbol_id, s.file_id, s.name, s.qualified_name, s.key, f.family, f.module, f.precedence, f.path,
           coalesce(f.scope, 'file ' || f.file_id) as unit
      from found s
      join code.files f on f.file_id = s.file_id
     where p_all or f.file_id = any (array(select x.file_id from found x))
  ),
  -- One definition for each name of a unit; the others are for other platforms.
  defined as materialized (
    select distinct on (t.unit, t.qualified_name) t.unit, t.family, t.qualified_name, t.symbol_id, t.precedence = 2 as tests
      from types t
     order by t.unit, t.qualified_name, t.precedence, t.path collate "C", t.key collate "C"
  ),
  reached as materialized (
    select n.file_id, n.ordinal, n.resolved_name, n.name, n.target
      from named n
     where n.reach = 'import'
       and n.resolved_name is not null
    union all
    select n.file_id, n.ordinal, i.resolved_name, n.name, n.target
      from named n
      join importing i on i.file_id = n.file_id
     where n.reach = 'package'
       and i.brings_all
       and i.resolved_name is not null
  ),
  exported as materialized (
    select distinct on (r.resolved_name, r.target) r.resolved_name, r.target, t.symbol_id
      from (select distinct x.resolved_name, x.name, x.target from reached x) r
      join code.provides p on p.codebase_id = p_codebase_id and p.name = r.resolved_name
      join types t on t.file_id = p.file_id and t.name = r.name
     where t.precedence < 2
       and (p_all or p.name = any (array(select x.resolved_name from reached x)))
       and (t.qualified_name = r.target or t.qualified_name = t.module || '.' || r.target)
     order by r.resolved_name, r.target, t.qualified_name = r.target desc, t.precedence, t.path collate "C", t.key collate "C"
  ),
  imported as materialized (
    select r.file_id, r.ordinal, min(e.symbol_id) as symbol_id
      from reached r
      join exported e on e.resolved_name = r.resolved_name and e.target = r.target
     group by r.file_id, r.ordinal
    having count(distinct e.symbol_id) = 1
  ),
  lone as materialized (
    select d.family, d.qualified_name, min(d.symbol_id) as symbol_id
      from defined d
     where not d.tests
     group by d.family, d.qualified_name
    having count(*) = 1
  ),
  answers as (
    select n.file_id, n.ordinal,
           coalesce(scoped.symbol_id, imported.symbol_id, lone.symbol_id) as type_id,
           case
             when scoped.symbol_id is not null then 0.95
             when imported.symbol_id is not null then case n.reach when 'import' then 0.95 else 0.8 end
             when lone.symbol_id is not null then 0.5
           end::double precision as confidence
      from named n
      left join defined scoped
        on n.reach = 'package'
       and scoped.unit = n.scope
       and scoped.qualified_name = n.target
       and (not scoped.tests or n.tests)
      left join imported on imported.file_id = n.file_id and imported.ordinal = n.ordinal
      -- Where files see each other's names, one that none of them has is not to be guessed.
      left join lone
        on n.reach = 'package'
       and n.scope is null
       and lone.family = n.family
       and lone.qualified_name = n.target
  ),
  changed as (
    update code.type_refs t
       set type_id    = a.type_id,
           confidence = a.confidence
      from answers a
     where t.file_id = a.file_id
       and t.ordinal = a.ordinal
       and (p_all or t.file_id = any (v_files))
       and (t.type_id, t.confidence) is distinct from (a.type_id, a.confidence)
    returning t.file_id
  )
  select distinct c.file_id from changed c;
end;
$$;
comment on function code.resolve_type_refs(integer, bigint[], text[], boolean) is
  'Resolve the types named in some files, and all of some names (or all). Confidence: 1 same file, 0.95 package or import, 0.8 star import, 0.5 unique in the codebase.';
