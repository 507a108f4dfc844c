-- Resolving: which file an import means, which symbol a call means.
--
-- A resolution is a function of the stored rows alone, and the same statements
-- compute it for a few rows or for all. What an edit can change is known by name:
-- imports that seek a name which some file now provides or no longer does, and
-- calls of a name under which a symbol came, went or moved (of these, 81_touched.sql
-- leaves out the ones whose answer cannot be another). So resolving the marked files
-- and names leaves the tables as resolving everything would.

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

create or replace function code.refresh_statistics()
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  analyze code.files, code.symbols, code.imports, code.provides, code.calls, code.type_refs;
  return 6;
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
  v_passing  bigint[];
  v_roots    boolean;
  v_moved    boolean;
  v_all      boolean;
  v_touched  record;
  v_changed  bigint[] := '{}'::bigint[];
  v_recalled bigint[] := '{}'::bigint[];
  v_retyped  bigint[];
begin
  perform code.lock_codebase(p_codebase_id);
  -- A mark without names stands for everything. It waits for the whole ingestion
  -- that left it; one file's run has not the time.
  with taken as materialized (
    delete from code.stale_links l
     where l.codebase_id = p_codebase_id
       and (p_file_ids is null or (l.file_id = any (p_file_ids) and l.names is not null))
    returning l.*
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
         coalesce(array_agg(t.file_id) filter (where t.passes_on), '{}'::bigint[]),
         coalesce(bool_or(t.roots), false),
         coalesce(bool_or(t.moved), false)
    into v_files, v_whole, v_of_files, v_ordinals, v_all, v_names, v_provided, v_passing, v_roots, v_moved
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
  if v_all then
    v_recalled := array(select code.resolve_calls(p_codebase_id, '{}', '{}', '{}', true));
    perform pg_catalog.set_config('enable_nestloop', 'on', true);
  else
    v_touched := code.touched_calls(p_codebase_id, v_files, v_names, v_provided, v_passing, v_changed, v_moved);
    v_recalled := array(select code.resolve_calls(
                                 p_codebase_id,
                                 array(select unnest(v_whole) union select unnest(v_changed) union select unnest(v_touched.whole)),
                                 v_of_files || v_touched.of_files,
                                 v_ordinals || v_touched.ordinals,
                                 false));
  end if;
  -- Definitions name few types each: those of a file that was stored are all looked at.
  v_retyped := array(select code.resolve_type_refs(
                              p_codebase_id, array(select unnest(v_files) union select unnest(v_changed)), v_names, v_all));

  insert into code.stale_dependencies (file_id, codebase_id)
  select x.file_id, p_codebase_id
    from (select unnest(v_files) union select unnest(v_changed) union select unnest(v_recalled) union select unnest(v_retyped)) as x (file_id)
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
