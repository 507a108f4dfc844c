-- Which symbol a call means. See 81_resolve for when this is asked.

create or replace function code.inside_name(p_resolved_name text, p_target text)
returns text
language sql
immutable
parallel safe
return case
         when strpos(p_target, '.') > 0 and split_part(p_target, '.', 1) = substring(p_resolved_name from '[^/.:]+$')
           then substr(p_target, strpos(p_target, '.') + 1)
       end;
comment on function code.inside_name(text, text) is
  'The target without its first part where that may be the resolved module itself; null where it cannot.';

create or replace function code.resolve_calls(
  p_codebase_id integer,
  p_file_ids    bigint[],
  p_of_files    bigint[],
  p_ordinals    integer[],
  p_all         boolean
)
returns setof bigint
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
set enable_nestloop = off
set join_collapse_limit = 1
as $$
declare
  v_files     bigint[];
  v_exporters bigint[] := '{}'::bigint[];
begin
  -- The planner cannot know how many rows a step below yields, and guesses few; its
  -- nested loops then took seconds for one file. So tables are narrowed by arrays,
  -- which use their indexes, and what is left is joined by hash, in the order in which
  -- it is written: to look for a better one took three times as long as the rest.
  if not p_all then
    v_files := array(
      select distinct x.file_id
        from (select unnest(p_file_ids) union select unnest(p_of_files)) as x (file_id));
    if v_files = '{}' then
      return;
    end if;
    v_exporters := code.exporting_files(p_codebase_id, v_files);
  end if;

  return query
  with recursive importing as materialized (
    select i.file_id, i.ordinal, i.resolved_name, i.alias = '.' or '*' = any (i.names) as brings_all
      from code.imports i
     where p_all or i.file_id = any (v_files)
  ),
  asked_for as (
    select c.file_id, c.ordinal, c.name, c.target, c.reach, c.import_ordinal
      from code.calls c
     where c.codebase_id = p_codebase_id
       and (p_all or c.file_id = any (p_file_ids))
     union all
    select c.file_id, c.ordinal, c.name, c.target, c.reach, c.import_ordinal
      from (select distinct o.file_id, o.ordinal
              from unnest(p_of_files, p_ordinals) as o (file_id, ordinal)
             where not p_all
               and not o.file_id = any (p_file_ids)) o
     cross join lateral (
             select * from code.calls x where x.file_id = o.file_id and x.ordinal = o.ordinal offset 0) c
  ),
  called as materialized (
    select c.file_id, c.ordinal, c.name, c.target, i.resolved_name,
           f.family, f.scope, f.precedence = 2 as tests,
           -- Through an import that no file satisfies, nothing here is called.
           case when c.import_ordinal is not null and i.resolved_name is null then 'none' else c.reach end as reach
      from asked_for c
      join code.files f on f.file_id = c.file_id
      left join importing i on i.file_id = c.file_id and i.ordinal = c.import_ordinal
     where c.reach <> 'file'
       and (p_all or f.file_id = any (v_files))
  ),
  -- Through an import: any file that provides the resolved name may hold it, or pass
  -- it on from another. What is taken out of a module may be a module itself.
  reached as materialized (
    select c.file_id, c.ordinal, c.resolved_name, c.name, c.target
      from called c
     where c.reach in ('import', 'type')
       and c.resolved_name is not null
    union all
    select c.file_id, c.ordinal, i.resolved_name, c.name, c.target
      from called c
      join importing i on i.file_id = c.file_id
     where c.reach = 'package'
       and i.brings_all
       and i.resolved_name is not null
  ),
  exporters as materialized (
    select p.name, i.resolved_name, split_part(e.name, ' as ', 1) as original,
           coalesce(nullif(split_part(e.name, ' as ', 2), ''), e.name) as exposed
      from code.imports i
      join code.provides p on p.file_id = i.file_id
      join code.files f on f.file_id = i.file_id
     cross join lateral unnest(i.exports) as e (name)
     where i.codebase_id = p_codebase_id
       and i.exports <> '{}'
       and i.resolved_name is not null
       and f.precedence < 2
       and (p_all or i.file_id = any (v_exporters))
       and (p_all or p.file_id = any (v_exporters))
  ),
  passed as materialized (
    select r.resolved_name as first_name, r.target as first_target, r.resolved_name, r.name, o.target, 0 as steps, o.guess as guesses
      from (select distinct x.resolved_name, x.name, x.target from reached x) r
     cross join lateral (
             select r.target, 0 as guess
             union all
             select code.inside_name(r.resolved_name, r.target), 1) o
     where o.target is not null
    union
    select p.first_name, p.first_target, e.resolved_name, t.name, o.target, p.steps + 1, p.guesses + o.guess + case e.exposed when '*' then 1 else 0 end
      from passed p
      join exporters e on e.name = p.resolved_name
     cross join lateral (select split_part(p.target, '.', 1) as first, strpos(p.target, '.') as dot) d
     cross join lateral (
             -- all but the default
             select p.name, p.target where e.exposed = '*' and d.first <> 'default'
             union all
             -- the module itself
             select p.name, substr(p.target, d.dot + 1) where e.original = '*' and e.exposed = d.first and d.dot > 0
             union all
             select case when d.dot = 0 then e.original else p.name end, e.original || case when d.dot = 0 then '' else substr(p.target, d.dot) end
              where e.original <> '*' and e.exposed = d.first) t
     cross join lateral (
             select t.target, 0 as guess
             union all
             select code.inside_name(e.resolved_name, t.target), 1) o
     where p.steps < 6
       and o.target is not null
  ),
  names as materialized (
    select c.name from called c where c.reach <> 'none'
     union
    select p.name from passed p
  ),
  found as materialized (
    select s.*
      from (
        select s.symbol_id, s.file_id, s.name, s.qualified_name, s.key, s.kind, s.parent_key
          from names n
          join code.symbols s on s.codebase_id = p_codebase_id and s.name = n.name
         where p_all or s.name = any (array(select x.name from names x))
        union all
        select s.symbol_id, s.file_id, s.export_name, s.export_name, s.key, s.kind, s.parent_key
          from names n
          join code.symbols s on s.codebase_id = p_codebase_id and s.export_name = n.name
         where p_all or s.export_name = any (array(select x.name from names x))
      ) s
     where code.is_callable(s.kind, s.parent_key)
  ),
  callable as materialized (
    select s.symbol_id, s.file_id, s.name, s.qualified_name, s.key, s.kind,
           f.family, f.scope, f.module, f.precedence, f.path,
           coalesce(f.scope, 'file ' || f.file_id) as unit
      from found s
      join code.files f on f.file_id = s.file_id
     where p_all or f.file_id = any (array(select x.file_id from found x))
  ),
  -- One definition for each name of a unit; the others are for other platforms.
  defined as materialized (
    select distinct on (s.unit, s.qualified_name)
           s.unit, s.family, s.name, s.qualified_name, s.symbol_id, s.precedence = 2 as tests,
           s.qualified_name <> s.name and s.kind <> 'field' as has_body
      from callable s
     order by s.unit, s.qualified_name, s.precedence, s.path collate "C", s.key collate "C"
  ),
  exported as materialized (
    select distinct on (i.first_name, i.first_target) i.first_name as resolved_name, i.first_target as target, s.symbol_id
      from passed i
      join code.provides p on p.codebase_id = p_codebase_id and p.name = i.resolved_name
      join callable s on s.file_id = p.file_id and s.name = i.name
     where s.precedence < 2
       and (p_all or p.name = any (array(select x.resolved_name from passed x)))
       and (s.qualified_name = i.target or s.qualified_name = s.module || '.' || i.target)
     order by i.first_name, i.first_target, i.steps, i.guesses, s.qualified_name = i.target desc, s.precedence, s.path collate "C", s.key collate "C"
  ),
  imported as materialized (
    select r.file_id, r.ordinal, min(e.symbol_id) as symbol_id
      from reached r
      join exported e on e.resolved_name = r.resolved_name and e.target = r.target
     group by r.file_id, r.ordinal
    having count(distinct e.symbol_id) = 1
  ),
  -- A method on something unknown: the only one of its name in the caller's own
  -- unit and those that its file imports, or else the only one anywhere.
  asked as materialized (
    select distinct c.file_id, c.name, c.family, c.tests, coalesce(c.scope, 'file ' || c.file_id) as unit
      from called c
     where c.reach in ('self', 'type', 'method')
  ),
  named as materialized (
    select i.resolved_name
      from importing i
     where i.file_id in (select a.file_id from asked a)
       and i.resolved_name is not null
    union
    select c.resolved_name
      from called c
     where c.resolved_name is not null
  ),
  named_units as materialized (
    select n.resolved_name, p.file_id
      from named n
      join code.provides p on p.codebase_id = p_codebase_id and p.name = n.resolved_name
     where p_all or p.name = any (array(select x.resolved_name from named x))
  ),
  -- A package has many files but is one unit. Of interest are those that define
  -- something of a called name.
  units as materialized (
    select distinct n.resolved_name, coalesce(f.scope, 'file ' || f.file_id) as unit
      from named_units n
      join code.files f on f.file_id = n.file_id
     where f.precedence < 2
       and (p_all or f.file_id = any (array(select x.file_id from named_units x)))
       and coalesce(f.scope, 'file ' || f.file_id) in (select d.unit from defined d)
  ),
  sight as materialized (
    select distinct a.file_id, a.unit, true as own
      from asked a
    union
    select i.file_id, u.unit, false
      from importing i
      join units u on u.resolved_name = i.resolved_name
     where i.file_id in (select a.file_id from asked a)
  ),
  -- By file first: many units define a method of a common name, few are in sight.
  candidates as materialized (
    select a.file_id, a.name, a.tests, v.unit, v.own
      from asked a
      join sight v on v.file_id = a.file_id
  ),
  visible as materialized (
    select c.file_id, c.name, min(d.symbol_id) as symbol_id
      from candidates c
      join defined d on d.unit = c.unit and d.name = c.name
     where d.qualified_name <> d.name
       and (not d.tests or (c.own and c.tests))
     group by c.file_id, c.name
    having count(distinct d.symbol_id) = 1
  ),
  -- A member that a named type does not define itself may come to it from another
  -- type of its unit, by embedding or inheritance.
  sole_methods as materialized (
    select d.unit, d.name, d.tests, min(d.symbol_id) as symbol_id
      from defined d
     where d.has_body
     group by d.unit, d.name, d.tests
    having count(*) = 1
  ),
  typed as materialized (
    select c.file_id, c.ordinal, c.name, c.scope as unit, c.tests
      from called c
     where c.reach in ('self', 'type')
       and c.resolved_name is null
    union all
    select c.file_id, c.ordinal, c.name, u.unit, false
      from called c
      join units u on u.resolved_name = c.resolved_name
     where c.reach in ('self', 'type')
  ),
  inherited as materialized (
    select t.file_id, t.ordinal, min(m.symbol_id) as symbol_id
      from typed t
      join sole_methods m on m.unit = t.unit and m.name = t.name
     where t.tests or not m.tests
     group by t.file_id, t.ordinal
    having count(*) = 1
  ),
  lone_methods as materialized (
    select d.family, d.name, min(d.symbol_id) as symbol_id
      from defined d
     where d.qualified_name <> d.name
       and not d.tests
     group by d.family, d.name
    having count(*) = 1
  ),
  lone_names as materialized (
    select d.family, d.qualified_name, min(d.symbol_id) as symbol_id
      from defined d
     where not d.tests
     group by d.family, d.qualified_name
    having count(*) = 1
  ),
  answers as (
    select c.file_id,
           c.ordinal,
           case
             when c.reach = 'none' then null
             when scoped.symbol_id is not null then scoped.symbol_id
             when imported.symbol_id is not null then imported.symbol_id
             when c.reach = 'import' then null
             when named.symbol_id is not null then named.symbol_id
             when c.reach = 'package' then null
             when inherited.symbol_id is not null then inherited.symbol_id
             when visible.symbol_id is not null then visible.symbol_id
             else lone.symbol_id
           end as callee_id,
           case
             when c.reach = 'none' then null
             when scoped.symbol_id is not null then case c.reach when 'package' then 0.95 else 0.9 end
             when imported.symbol_id is not null then case c.reach when 'import' then 0.95 when 'type' then 0.9 else 0.8 end
             when c.reach = 'import' then null
             when named.symbol_id is not null then case c.reach when 'type' then 0.7 else 0.5 end
             when c.reach = 'package' then null
             when inherited.symbol_id is not null then 0.75
             when visible.symbol_id is not null then 0.6
             when lone.symbol_id is not null then 0.5
           end::double precision as confidence
      from called c
      left join defined scoped
        on c.reach in ('self', 'package', 'type')
       and c.resolved_name is null
       and scoped.unit = c.scope
       and scoped.qualified_name = c.target
       and (not scoped.tests or c.tests)
      left join imported
        on imported.file_id = c.file_id
       and imported.ordinal = c.ordinal
      -- Where files see each other's names, a bare name that none of them has is not to be guessed.
      left join lone_names named
        on c.reach in ('type', 'package')
       and c.scope is null
       and named.family = c.family
       and named.qualified_name = c.target
      left join inherited
        on inherited.file_id = c.file_id
       and inherited.ordinal = c.ordinal
      left join visible
        on c.reach in ('self', 'type', 'method')
       and visible.file_id = c.file_id
       and visible.name = c.name
      left join lone_methods lone
        on c.reach in ('self', 'type', 'method')
       and lone.family = c.family
       and lone.name = c.name
  ),
  changed as (
    update code.calls c
       set callee_id  = a.callee_id,
           confidence = a.confidence
      from answers a
     where c.file_id = a.file_id
       and c.ordinal = a.ordinal
       and (p_all or c.file_id = any (v_files))
       and (c.callee_id, c.confidence) is distinct from (a.callee_id, a.confidence)
    returning c.file_id
  )
  select distinct c.file_id from changed c;
end;
$$;
comment on function code.resolve_calls(integer, bigint[], bigint[], integer[], boolean) is
  'Resolve the calls of some files, and single ones of others (or all). Confidence: 1 and 0.95 same file (by the caller), 0.95 import or package, also where others pass it on, 0.9 own or named type, 0.8 star import, 0.75 the only method of the name in the type''s unit, 0.7 type unique, 0.6 method unique in sight, 0.5 unique in the codebase.';
