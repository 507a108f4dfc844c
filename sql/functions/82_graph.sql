-- The graph: which file needs which, who calls whom.

create or replace view code.file_edges as
select c.name                       as codebase,
       d.file_id,
       f.path,
       d.depends_on_id,
       t.path                       as depends_on,
       d.imports,
       d.calls,
       1                            as depth,
       d.types
  from code.dependencies d
  join code.codebases c on c.codebase_id = d.codebase_id
  join code.files f on f.file_id = d.file_id
  join code.files t on t.file_id = d.depends_on_id;
comment on view code.file_edges is 'Which file needs which. depth is 1 for what needs it directly.';

create or replace view code.call_edges as
select c.codebase_id,
       b.name                                    as codebase,
       c.file_id                                 as caller_file_id,
       cf.path                                   as caller_path,
       c.caller_id,
       caller.qualified_name                     as caller,
       c.line                                    as call_line,
       callee.file_id                            as callee_file_id,
       tf.path                                   as callee_path,
       c.callee_id,
       coalesce(callee.qualified_name,
                case when c.qualifier is null then c.name else c.qualifier || '.' || c.name end) as callee,
       c.confidence,
       c.ordinal
  from code.calls c
  join code.codebases b on b.codebase_id = c.codebase_id
  join code.files cf on cf.file_id = c.file_id
  left join code.symbols caller on caller.symbol_id = c.caller_id
  left join code.symbols callee on callee.symbol_id = c.callee_id
  left join code.files tf on tf.file_id = callee.file_id;
comment on view code.call_edges is 'Calls with both ends by name. An unresolved call has the callee as written and no callee_path.';

create or replace function code.update_dependencies(p_codebase_id integer)
returns bigint
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_files   bigint[];
  v_all     boolean;
  v_changed bigint;
begin
  with taken as (
    delete from code.stale_dependencies d
     where d.file_id = any (array(
             select s.file_id
               from code.stale_dependencies s
              where s.codebase_id = p_codebase_id
              order by s.file_id
                for update skip locked))
    returning d.file_id
  )
  select coalesce(array_agg(t.file_id), '{}'::bigint[]) into v_files from taken t;
  if v_files = '{}' then
    return 0::bigint;
  end if;
  v_all := cardinality(v_files) > 500;
  if v_all then
    perform pg_catalog.set_config('enable_nestloop', 'off', true);
  end if;

  with counted as (
    select x.file_id, x.depends_on_id, sum(x.imports)::integer as imports, sum(x.calls)::integer as calls, sum(x.types)::integer as types
      from (
        select i.file_id, i.resolved_file_id as depends_on_id, count(*) as imports, 0 as calls, 0 as types
          from code.imports i
         where i.file_id = any (v_files)
           and i.resolved_file_id is not null
         group by i.file_id, i.resolved_file_id
        union all
        select c.file_id, s.file_id, 0, count(*), 0
          from code.calls c
          join code.symbols s on s.symbol_id = c.callee_id
         where c.file_id = any (v_files)
           and c.callee_id is not null
         group by c.file_id, s.file_id
        union all
        select t.file_id, s.file_id, 0, 0, count(*)
          from code.type_refs t
          join code.symbols s on s.symbol_id = t.type_id
         where t.file_id = any (v_files)
           and t.type_id is not null
         group by t.file_id, s.file_id
      ) x
     where x.file_id <> x.depends_on_id
     group by x.file_id, x.depends_on_id
  ),
  gone as (
    delete from code.dependencies d
     where d.file_id = any (v_files)
       and not exists (select from counted n where n.file_id = d.file_id and n.depends_on_id = d.depends_on_id)
    returning 1
  ),
  written as (
    insert into code.dependencies as d (file_id, depends_on_id, codebase_id, imports, calls, types)
    select n.file_id, n.depends_on_id, p_codebase_id, n.imports, n.calls, n.types
      from counted n
     order by n.file_id, n.depends_on_id
        on conflict (file_id, depends_on_id) do update
       set imports = excluded.imports,
           calls   = excluded.calls,
           types   = excluded.types
     where (d.imports, d.calls, d.types) is distinct from (excluded.imports, excluded.calls, excluded.types)
    returning 1
  )
  select (select count(*) from gone) + (select count(*) from written) into v_changed;
  if v_all then
    perform pg_catalog.set_config('enable_nestloop', 'on', true);
  end if;
  return v_changed;
end;
$$;
comment on function code.update_dependencies(integer) is
  'Count the dependencies of the files marked for it anew. Marks that another transaction has in hand are left to it. Returns how many rows of code.dependencies were written.';

create or replace function code.dependents(p_path text, p_codebase text default null, p_depth integer default 1)
returns setof code.file_edges
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
  return query
  with recursive reached as (
    select f.file_id, 0 as depth
      from code.files f
      join code.codebases c on c.codebase_id = f.codebase_id
     where f.path = p_path
       and (p_codebase is null or c.name = p_codebase)
    union
    select d.file_id, r.depth + 1
      from reached r
      join code.dependencies d on d.depends_on_id = r.file_id
     where r.depth < p_depth
  ),
  nearest as (
    select r.file_id, min(r.depth) as depth from reached r group by r.file_id
  )
  select distinct on (e.codebase, n.depth, e.path)
         e.codebase, e.file_id, e.path, e.depends_on_id, e.depends_on, e.imports, e.calls, n.depth, e.types
    from nearest n
    join code.file_edges e on e.file_id = n.file_id
    join nearest o on o.file_id = e.depends_on_id and o.depth = n.depth - 1
   where n.depth > 0
   order by e.codebase, n.depth, e.path, e.calls + e.imports + e.types desc, e.depends_on;
end;
$$;
comment on function code.dependents(text, text, integer) is
  'Files that need the file at p_path, directly (depth 1) or through others up to p_depth; each with the strongest edge that leads to it.';

create or replace function code.matching_symbols(p_symbol text, p_codebase text)
returns setof bigint
language plpgsql
stable
set search_path = ''
as $$
begin
  -- The index is on names: the last part of what was asked for.
  return query
  select s.symbol_id
    from code.codebases c
    join code.symbols s
      on s.codebase_id = c.codebase_id
     and s.name = substring(p_symbol from '[^.:#/]+$')
    join code.files f on f.file_id = s.file_id
   where (p_codebase is null or c.name = p_codebase)
     and p_symbol in (s.name, s.qualified_name, f.path || '#' || s.qualified_name, f.module || '.' || s.qualified_name);
end;
$$;
comment on function code.matching_symbols(text, text) is
  'Symbols that a person may mean by Do, Client.Do, http.Client.Do or client.go#Client.Do.';

create or replace function code.callers(p_symbol text, p_codebase text default null)
returns setof code.call_edges
language plpgsql
stable
security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
begin
  return query
  select e.*
    from code.matching_symbols(p_symbol, p_codebase) as m (symbol_id)
    join code.symbols s on s.symbol_id = m.symbol_id
    join code.calls c on c.codebase_id = s.codebase_id and c.name in (s.name, s.export_name) and c.callee_id = s.symbol_id
    join code.call_edges e on e.caller_file_id = c.file_id and e.ordinal = c.ordinal
   order by e.codebase, e.caller_path, e.call_line;
end;
$$;
comment on function code.callers(text, text) is
  'Calls of the symbols named Do, Client.Do, http.Client.Do or client.go#Client.Do.';

create or replace function code.callees(p_symbol text, p_codebase text default null)
returns setof code.call_edges
language plpgsql
stable
security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
begin
  return query
  select e.*
    from code.matching_symbols(p_symbol, p_codebase) as m (symbol_id)
    join code.symbols s on s.symbol_id = m.symbol_id
    join code.call_edges e on e.caller_file_id = s.file_id and e.caller_id = s.symbol_id
   order by e.codebase, e.caller_path, e.call_line;
end;
$$;
comment on function code.callees(text, text) is
  'Calls made by the symbols named Do, Client.Do, http.Client.Do or client.go#Client.Do.';

create or replace view code.type_edges as
select t.codebase_id,
       b.name                                  as codebase,
       t.file_id                               as user_file_id,
       uf.path                                 as user_path,
       t.user_id,
       u.qualified_name                        as user_name,
       t.line,
       t.kind,
       s.file_id                               as type_file_id,
       tf.path                                 as type_path,
       t.type_id,
       coalesce(s.qualified_name, t.target)    as type_name,
       t.confidence,
       t.ordinal
  from code.type_refs t
  join code.codebases b on b.codebase_id = t.codebase_id
  join code.files uf on uf.file_id = t.file_id
  left join code.symbols u on u.symbol_id = t.user_id
  left join code.symbols s on s.symbol_id = t.type_id
  left join code.files tf on tf.file_id = s.file_id;
comment on view code.type_edges is 'Types that definitions name, with both ends by name. One that was not found is as written and has no type_path.';

create or replace function code.type_users(p_symbol text, p_codebase text default null)
returns setof code.type_edges
language plpgsql
stable
security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
begin
  return query
  select e.*
    from code.symbols_named(p_symbol, p_codebase) as m (symbol_id)
    join code.symbols s on s.symbol_id = m.symbol_id
    join code.type_refs t on t.codebase_id = s.codebase_id and t.name in (s.name, s.export_name) and t.type_id = s.symbol_id
    join code.type_edges e on e.user_file_id = t.file_id and e.ordinal = t.ordinal
   order by e.codebase, e.user_path, e.line, e.ordinal;
end;
$$;
comment on function code.type_users(text, text) is
  'Definitions that name the types Client, http.Client or client.go#Client: in their signature, as a field, as what they extend; HT001 where there is no such symbol.';
