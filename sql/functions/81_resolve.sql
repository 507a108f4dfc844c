-- Resolving: which file an import means, which symbol a call means.
--
-- A resolution is a function of the stored rows alone, and the same statements
-- compute it for a few rows or for all. What an edit can change is known by name:
-- imports that seek a name which some file now provides or no longer does, and
-- calls of a name under which a symbol came, went or moved. So resolving the marked
-- files and names leaves the tables as resolving everything would.

create or replace function code.translated_name(p_seek text, p_prefix text, p_directory text)
returns text
language sql
immutable
parallel safe
-- The standard library's go.mod says "module std", but nobody imports "std/fmt".
return case
         when p_prefix = 'go:std' then
           'go:' || coalesce(nullif(ltrim(p_directory || '/' || substr(p_seek, 4), '/'), ''), '.')
         else
           split_part(p_prefix, ':', 1) || ':'
             || coalesce(nullif(ltrim(p_directory || substr(p_seek, length(p_prefix) + 1), '/'), ''), '.')
       end;
comment on function code.translated_name(text, text, text) is
  'The name relative to the codebase that a sought name has under an import root.';

create or replace function code.resolve_imports(p_codebase_id integer, p_file_ids bigint[], p_provided text[], p_all boolean)
returns setof bigint
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_seeks text[];
begin
  -- Who seeks a provided name may write it under the prefix of an import root.
  select coalesce(array_agg(distinct x.seek), '{}')
    into v_seeks
    from (
      select n.name as seek
        from unnest(p_provided) as n (name)
      union all
      select case
               when r.prefix = 'go:std' then 'go:' || ltrim(u.rest, '/')
               when u.rest = '.' then r.prefix
               else r.prefix || u.rest
             end
        from unnest(p_provided) as n (name)
        join code.import_roots r
          on r.codebase_id = p_codebase_id
         and split_part(r.prefix, ':', 1) = split_part(n.name, ':', 1)
       cross join lateral (select split_part(n.name, ':', 1) || ':' as family) p
       cross join lateral (
               select case
                        when r.directory = '' and n.name = p.family || '.' then '.'
                        when r.directory = '' then '/' || substr(n.name, length(p.family) + 1)
                        when n.name = p.family || r.directory then '.'
                        when starts_with(n.name, p.family || r.directory || '/')
                          then substr(n.name, length(p.family || r.directory) + 1)
                      end as rest) u
       where u.rest is not null
    ) x
   where not p_all;

  return query
  with wanted as materialized (
    select i.file_id, i.ordinal, i.seeks, f.path
      from code.imports i
      join code.files f on f.file_id = i.file_id
     where i.codebase_id = p_codebase_id
       and (p_all or i.file_id = any (p_file_ids) or i.seeks && v_seeks)
  ),
  sought as materialized (
    select distinct s.seek
      from wanted w
     cross join lateral unnest(w.seeks) as s (seek)
  ),
  mapped as materialized (
    select s.seek, s.seek as name, 1000 as nearness, '' as directory
      from sought s
    union all
    select s.seek, code.translated_name(s.seek, r.prefix, r.directory), length(r.prefix), r.directory
      from sought s
      join code.import_roots r
        on r.codebase_id = p_codebase_id
       and (s.seek = r.prefix
            or starts_with(s.seek, r.prefix || '/')
            or (r.prefix = 'go:std' and starts_with(s.seek, 'go:')))
  ),
  -- Of several files that provide a name, one named like it, then one that
  -- speaks for a whole directory, then the first by path; never tests if avoidable.
  providers as materialized (
    select distinct on (p.name) p.name, p.file_id
      from (select distinct m.name from mapped m) n
      join code.provides p on p.codebase_id = p_codebase_id and p.name = n.name
      join code.files f on f.file_id = p.file_id
     cross join lateral (select substring(f.path from '([^/]+?)(?:\.[^./]*)?$') as base) b
     order by p.name,
              f.precedence,
              b.base = substring(p.name from '[^/.:]+$') desc nulls last,
              b.base in ('doc', 'index', '__init__', 'mod', 'lib', 'main') desc,
              f.path collate "C"
  ),
  choices as (
    select distinct on (w.file_id, w.ordinal) w.file_id, w.ordinal, p.name, p.file_id as provider
      from wanted w
     cross join lateral unnest(w.seeks) with ordinality as s (seek, n)
      join mapped m on m.seek = s.seek
      join providers p on p.name = m.name
     order by w.file_id, w.ordinal, s.n, m.nearness desc,
              -- among roots of one name, the one that encloses the importing file most closely
              case when m.directory = '' or starts_with(w.path, m.directory || '/') then length(m.directory) else -1 end desc,
              m.directory collate "C"
  ),
  changed as (
    update code.imports i
       set resolved_name    = c.name,
           resolved_file_id = c.provider
      from wanted w
      left join choices c on c.file_id = w.file_id and c.ordinal = w.ordinal
     where i.file_id = w.file_id
       and i.ordinal = w.ordinal
       and (i.resolved_name, i.resolved_file_id) is distinct from (c.name, c.provider)
    returning i.file_id
  )
  select distinct c.file_id from changed c;
end;
$$;
comment on function code.resolve_imports(integer, bigint[], text[], boolean) is
  'Resolve the imports of some files and those that seek any of the provided names (or all). Returns the files whose imports now mean something else.';

create or replace function code.resolve_calls(
  p_codebase_id integer,
  p_file_ids    bigint[],
  p_names       text[],
  p_all         boolean,
  p_of_files    bigint[],
  p_ordinals    integer[]
)
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
  -- The planner cannot know how many rows a step below yields, and guesses few; its
  -- nested loops then took seconds for one file. So tables are narrowed by arrays,
  -- which use their indexes, and what is left is joined by hash.
  if not p_all then
    v_files := array(
      select distinct c.file_id
        from code.calls c
       where c.codebase_id = p_codebase_id
         and (c.file_id = any (p_file_ids) or c.file_id = any (p_of_files) or c.name = any (p_names)));
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
  called as materialized (
    select c.file_id, c.ordinal, c.name, c.target, i.resolved_name,
           f.family, f.scope, f.precedence = 2 as tests,
           -- Through an import that no file satisfies, nothing here is called.
           case when c.import_ordinal is not null and i.resolved_name is null then 'none' else c.reach end as reach
      from code.calls c
      join code.files f on f.file_id = c.file_id
      left join importing i on i.file_id = c.file_id and i.ordinal = c.import_ordinal
     where c.codebase_id = p_codebase_id
       and c.reach <> 'file'
       and (p_all
            or c.file_id = any (p_file_ids)
            or c.name = any (p_names)
            or (c.file_id = any (p_of_files)
                and (c.file_id, c.ordinal) in (select o.file_id, o.ordinal from unnest(p_of_files, p_ordinals) as o (file_id, ordinal))))
       and (p_all or f.file_id = any (v_files))
  ),
  names as materialized (
    select distinct c.name from called c where c.reach <> 'none'
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
  -- Through an import: any file that provides the resolved name may hold it.
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
  exported as materialized (
    select distinct on (t.resolved_name, t.target) t.resolved_name, t.target, s.symbol_id
      from (select distinct r.resolved_name, r.name, r.target from reached r) t
      join code.provides p on p.codebase_id = p_codebase_id and p.name = t.resolved_name
      join callable s on s.file_id = p.file_id and s.name = t.name
     where s.precedence < 2
       and (p_all or p.name = any (array(select x.resolved_name from reached x)))
       and (s.qualified_name = t.target or s.qualified_name = s.module || '.' || t.target)
     order by t.resolved_name, t.target, s.qualified_name = t.target desc, s.precedence, s.path collate "C", s.key collate "C"
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
comment on function code.resolve_calls(integer, bigint[], text[], boolean, bigint[], integer[]) is
  'Resolve the calls of some files, single ones of others, and all calls of some names (or all). Confidence: 1 and 0.95 same file (by the caller), 0.95 import or package, 0.9 own or named type, 0.8 star import, 0.75 the only method of the name in the type''s unit, 0.7 type unique, 0.6 method unique in sight, 0.5 unique in the codebase.';

create or replace function code.refresh_statistics()
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  analyze code.files, code.symbols, code.imports, code.provides, code.calls;
  return 5;
end;
$$;
comment on function code.refresh_statistics() is
  'Tell the planner how much there is to resolve. Returns the number of tables.';

create or replace function code.resolve_marked(p_codebase_id integer, p_file_ids bigint[])
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_files    bigint[]; -- all that are marked
  v_whole    bigint[]; -- those of which everything is to be resolved
  v_of_files bigint[]; -- of the others, the calls that are
  v_ordinals integer[];
  v_names    text[];
  v_provided text[];
  v_roots    boolean;
  v_all      boolean;
  v_changed  bigint[] := '{}'::bigint[];
  v_recalled bigint[] := '{}'::bigint[];
begin
  perform code.lock_codebase(p_codebase_id);
  -- A mark without names stands for everything. It waits for the whole ingestion
  -- that left it; one file's run has not the time.
  with taken as materialized (
    delete from code.stale_links l
     where l.codebase_id = p_codebase_id
       and (p_file_ids is null or (l.file_id = any (p_file_ids) and l.names is not null))
    returning l.file_id, l.names, l.provided, l.roots, l.calls
  ),
  single as (
    select array_agg(t.file_id) as of_files, array_agg(o.ordinal) as ordinals
      from taken t
     cross join lateral unnest(t.calls) as o (ordinal)
  )
  select coalesce(array_agg(t.file_id), '{}'::bigint[]),
         coalesce(array_agg(t.file_id) filter (where t.calls is null), '{}'::bigint[]),
         coalesce((select s.of_files from single s), '{}'::bigint[]),
         coalesce((select s.ordinals from single s), '{}'::integer[]),
         coalesce(bool_or(t.names is null or t.provided is null), false),
         array(select distinct n from taken x cross join lateral unnest(x.names) as n),
         array(select distinct n from taken x cross join lateral unnest(x.provided) as n),
         coalesce(bool_or(t.roots), false)
    into v_files, v_whole, v_of_files, v_ordinals, v_all, v_names, v_provided, v_roots
    from taken t;
  if v_files = '{}' then
    return 0::bigint;
  end if;

  -- From about a tenth of the files on, reading everything once is quicker.
  select v_all or (cardinality(v_files) > 200 and cardinality(v_files) * 10 > count(*))
    into v_all
    from code.files f
   where f.codebase_id = p_codebase_id
     and f.status <> 'deleted';

  if v_all then
    -- The planner must know how much there is, and nothing is looked up one by one.
    perform code.refresh_statistics();
    perform pg_catalog.set_config('enable_nestloop', 'off', true);
  end if;
  if v_all or v_roots or v_whole <> '{}' or v_provided <> '{}' then
    v_changed := array(select code.resolve_imports(p_codebase_id, v_whole, v_provided, v_all or v_roots));
  end if;
  if v_all or v_whole <> '{}' or v_changed <> '{}' or v_names <> '{}' or v_of_files <> '{}' then
    v_recalled := array(select code.resolve_calls(
                                 p_codebase_id,
                                 array(select unnest(v_whole) union select unnest(v_changed)),
                                 v_names, v_all, v_of_files, v_ordinals));
  end if;
  if v_all then
    perform pg_catalog.set_config('enable_nestloop', 'on', true);
  end if;

  insert into code.stale_dependencies (file_id, codebase_id)
  select x.file_id, p_codebase_id
    from (select unnest(v_files) union select unnest(v_changed) union select unnest(v_recalled)) as x (file_id)
   order by x.file_id
      on conflict (file_id) do nothing;
  return cardinality(v_files)::bigint;
end;
$$;
comment on function code.resolve_marked(integer, bigint[]) is
  'Take the marks of some files (null: of all) and resolve what they touch. Holds the codebase''s lock until the transaction ends. Returns how many files were marked.';

create or replace function code.resolve_files(p_codebase_id integer, p_file_ids bigint[])
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  return code.resolve_marked(p_codebase_id, p_file_ids);
end;
$$;
comment on function code.resolve_files(integer, bigint[]) is
  'Resolve what storing or forgetting these files has touched, in them and elsewhere. Returns how many of them needed it.';

create or replace function code.resolve_codebase(p_codebase_id integer, p_anew boolean default false)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  if p_anew then
    perform code.lock_codebase(p_codebase_id);
    perform code.mark_stale(p_codebase_id, array_agg(f.file_id), array_agg('{}'::text), array_agg('{}'::text), array_agg(true))
       from code.files f
      where f.codebase_id = p_codebase_id
        and f.status <> 'deleted'
     having count(*) > 0;
  end if;
  return code.resolve_marked(p_codebase_id, null);
end;
$$;
comment on function code.resolve_codebase(integer, boolean) is
  'Resolve whatever is marked in a codebase, or, anew, everything. Returns how many files were marked.';
