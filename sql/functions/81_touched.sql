-- Which calls an edit may have touched: those whose answer could be another one now.
-- The rest need not be looked at; there may be thousands of them for a common name.

create or replace function code.passed_names(p_codebase_id integer, p_names text[])
returns text[]
language plpgsql
stable
set search_path = ''
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
  if not exists (select from code.imports i where i.codebase_id = p_codebase_id and i.exports <> '{}') then
    return p_names;
  end if;
  return array(
    with recursive reached as (
      select n.name from unnest(p_names) as n (name)
       union
      select p.name
        from reached r
        join code.imports i on i.codebase_id = p_codebase_id and i.resolved_name = r.name and i.exports <> '{}'
        join code.provides p on p.file_id = i.file_id
    )
    select r.name from reached r);
end;
$$;
comment on function code.passed_names(integer, text[]) is
  'The given provided names, and those of files through which what they stand for is passed on.';

create or replace function code.other_names(p_codebase_id integer, p_provided text[], p_names text[])
returns text[]
language plpgsql
stable
set search_path = ''
set jit = off
as $$
begin
  return array(
    with recursive renamings as materialized (
      select distinct split_part(e.name, ' as ', 1) as original, split_part(e.name, ' as ', 2) as exposed
        from code.imports i
       cross join lateral unnest(i.exports) as e (name)
       where i.codebase_id = p_codebase_id
         and i.exports <> '{}'
         and i.resolved_name = any (p_provided)
         and e.name like '% as %'
    ),
    known as (
      select n.name from unnest(p_names) as n (name)
       union
      select r.exposed
        from known k
        join renamings r on r.original = k.name
    )
    select k.name from known k);
end;
$$;
comment on function code.other_names(integer, text[], text[]) is
  'The given symbol names, and those under which they are passed on by who imports one of the provided names.';

create or replace function code.exporting_files(p_codebase_id integer, p_file_ids bigint[])
returns bigint[]
language plpgsql
stable
set search_path = ''
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
  if not exists (select from code.imports i where i.codebase_id = p_codebase_id and i.exports <> '{}') then
    return '{}'::bigint[];
  end if;
  return array(
    with recursive reached as (
      select distinct i.resolved_name as name
        from code.imports i
       where i.file_id = any (p_file_ids)
         and i.resolved_name is not null
       union
      select i.resolved_name
        from reached r
        join code.provides p on p.codebase_id = p_codebase_id and p.name = r.name
        join code.imports i on i.file_id = p.file_id
       where i.exports <> '{}'
         and i.resolved_name is not null
    )
    select distinct p.file_id
      from reached r
      join code.provides p on p.codebase_id = p_codebase_id and p.name = r.name
     where exists (select from code.imports i where i.file_id = p.file_id and i.exports <> '{}'));
end;
$$;
comment on function code.exporting_files(integer, bigint[]) is
  'Files through which calls of the given files may be passed on to others.';

create or replace function code.touched_calls(
  p_codebase_id  integer,
  p_file_ids     bigint[],
  p_names        text[],
  p_provided     text[],
  p_passing      bigint[],
  p_changed      bigint[],
  p_moved        boolean,
  out whole      bigint[],
  out of_files   bigint[],
  out ordinals   integer[]
)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
set join_collapse_limit = 1
as $$
declare
  v_passing  bigint[];
  v_units    text[];
  v_provided text[];
  v_names    text[];
  v_near     bigint[];
begin
  whole    := '{}'::bigint[];
  of_files := '{}'::bigint[];
  ordinals := '{}'::integer[];

  -- Where a file passes on something else now, so do its importers see something else.
  v_passing := array(
    select unnest(p_passing)
     union
    select i.file_id from code.imports i where i.file_id = any (p_changed) and i.exports <> '{}');
  if v_passing <> '{}' then
    v_provided := code.passed_names(p_codebase_id, array(
      select unnest(p_provided)
       union
      select p.name from code.provides p where p.file_id = any (v_passing)));
    whole := array(
      select distinct i.file_id from code.imports i where i.codebase_id = p_codebase_id and i.resolved_name = any (v_provided));
  end if;
  if p_names = '{}' then
    return;
  end if;

  -- In sight of a symbol that came or went are the files of its unit, and those that
  -- import one of these.
  v_units := array(select distinct coalesce(f.scope, 'file ' || f.file_id) from code.files f where f.file_id = any (p_file_ids));
  v_near := array(
    select unnest(p_file_ids)
     union
    select f.file_id
      from code.files f
     where f.codebase_id = p_codebase_id
       and f.scope = any (v_units));
  v_provided := code.passed_names(p_codebase_id, array(
    select unnest(p_provided)
     union
    select p.name from code.provides p where p.file_id = any (v_near)));
  v_near := array(
    select unnest(v_near)
     union
    select i.file_id from code.imports i where i.codebase_id = p_codebase_id and i.resolved_name = any (v_provided));
  v_names := code.other_names(p_codebase_id, v_provided, p_names);

  -- Out of sight only what is alone in the codebase answers. Where two others of the
  -- name have been there all along, none was alone and none is.
  with elsewhere as materialized (
    select distinct f.family, coalesce(f.scope, 'file ' || f.file_id) as unit, s.name, s.qualified_name
      from code.symbols s
      join code.files f on f.file_id = s.file_id
     where not p_moved
       and s.codebase_id = p_codebase_id
       and s.name = any (v_names)
       and code.is_callable(s.kind, s.parent_key)
       and f.precedence < 2
       and not coalesce(f.scope, 'file ' || f.file_id) = any (v_units)
       and not exists (select from code.stale_links l where l.file_id = s.file_id)
  ),
  methods as (
    select e.family, e.name
      from elsewhere e
     where e.qualified_name <> e.name
     group by e.family, e.name
    having count(*) > 1
  ),
  namesakes as (
    select e.family, e.qualified_name
      from elsewhere e
     group by e.family, e.qualified_name
    having count(*) > 1
  )
  select coalesce(array_agg(c.file_id), '{}'::bigint[]), coalesce(array_agg(c.ordinal), '{}'::integer[])
    into of_files, ordinals
    from code.calls c
    join code.files f on f.file_id = c.file_id
   where c.codebase_id = p_codebase_id
     and c.name = any (v_names)
     and c.reach not in ('file', 'none')
     and (p_moved
          or c.file_id = any (v_near)
          or (c.reach in ('self', 'type', 'method') and (f.family, c.name) not in (select m.family, m.name from methods m))
          or (c.reach in ('type', 'package') and f.scope is null
              and (f.family, c.target) not in (select n.family, n.qualified_name from namesakes n)));
end;
$$;
comment on function code.touched_calls(integer, bigint[], text[], text[], bigint[], bigint[], boolean) is
  'Calls that may mean something else since these files were stored or forgotten: all of some files, and single ones of others. p_names came or went in the files; p_passing are those that pass on something else, p_changed those with imports that mean something else now; p_moved says that where the symbols were is not known.';
