-- Ways through the graph: how one symbol comes to call another, and what an edit
-- of a file may touch.
--
-- Both go outwards level by level. A level is one statement over all that the level
-- before found; what was reached is kept in arrays, so cycles end by themselves and
-- nothing is written: these run on a replica too.

create or replace function code.files_named(p_path text, p_codebase text)
returns setof bigint
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_codebase_id constant integer := case when p_codebase is not null then code.codebase_id(p_codebase) end;
  v_similar     text;
begin
  return query
  select f.file_id
    from code.files f
   where f.path = p_path
     and (v_codebase_id is null or f.codebase_id = v_codebase_id)
     and f.status <> 'deleted';
  if not found then
    select string_agg(s.path, ', ')
      into v_similar
      from (select distinct f.path
              from code.files f
             where f.path like '%' || replace(replace(substring(p_path from '[^/]*$'), '\', '\\'), '_', '\_')
               and substring(f.path from '[^/]*$') = substring(p_path from '[^/]*$')
               and (v_codebase_id is null or f.codebase_id = v_codebase_id)
               and f.status <> 'deleted'
             order by f.path
             limit 3) s;
    raise exception using
      errcode = 'HT001',
      message = format('no file is at %L', p_path),
      hint    = coalesce('There is ' || v_similar || '.', 'Paths begin at the root of the codebase: select path from report.files.');
  end if;
end;
$$;
comment on function code.files_named(text, text) is 'The files at a path, one for each codebase that has it; HT001 where there is none.';

create or replace function code.symbols_named(p_symbol text, p_codebase text)
returns setof bigint
language plpgsql
stable
set search_path = ''
as $$
declare
  v_codebase_id constant integer := case when p_codebase is not null then code.codebase_id(p_codebase) end;
begin
  return query
  select m.symbol_id from code.matching_symbols(p_symbol, p_codebase) as m (symbol_id);
  if not found then
    raise exception using
      errcode = 'HT001',
      message = case when v_codebase_id is null
                     then format('no symbol is named %L', p_symbol)
                     else format('no symbol of codebase %L is named %L', p_codebase, p_symbol) end,
      hint    = format('Write it as Do, Client.Do, http.Client.Do or client.go#Client.Do: select path, qualified_name from report.symbols where name ilike %L.',
                       '%' || coalesce(substring(p_symbol from '[^.:#/]+$'), '') || '%');
  end if;
end;
$$;
comment on function code.symbols_named(text, text) is 'The symbols that a name may mean, as code.matching_symbols has it; HT001 where there is none.';

create or replace function code.call_path(
  p_from           text,
  p_to             text,
  p_codebase       text default null,
  p_max_depth      integer default 25,
  p_min_confidence double precision default 0
)
returns table (step integer, codebase text, path text, line integer, symbol text, call_line integer, confidence double precision)
language plpgsql
stable
security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_to       constant bigint[] := array(select s.symbol_id from code.symbols_named(p_to, p_codebase) as s (symbol_id));
  v_frontier bigint[] := array(select s.symbol_id from code.symbols_named(p_from, p_codebase) as s (symbol_id));
  v_depth    integer := 0;
  v_callers  bigint[];
  v_files    bigint[];
  v_ordinals integer[];
  -- What was reached, and by which call.
  v_reached  bigint[] := v_frontier;
  v_by       bigint[] := array_fill(null::bigint, array[cardinality(v_frontier)]);
  v_in       bigint[] := v_by;
  v_at       integer[] := array_fill(null::integer, array[cardinality(v_frontier)]);
begin
  if p_max_depth is null or p_max_depth < 0 then
    raise exception using
      errcode = 'HT006',
      message = format('p_max_depth is %s', coalesce(p_max_depth::text, 'null')),
      hint    = 'Say how many calls the chain may have, as in 25.';
  end if;

  -- One turn for each call of the chain.
  while v_frontier <> '{}' and not v_frontier && v_to and v_depth < p_max_depth loop
    v_depth := v_depth + 1;
    select coalesce(array_agg(n.callee_id), '{}'), array_agg(n.caller_id), array_agg(n.file_id), array_agg(n.ordinal)
      into v_frontier, v_callers, v_files, v_ordinals
      from (select distinct on (c.callee_id) c.callee_id, c.caller_id, c.file_id, c.ordinal
              from code.calls c
              join code.files f on f.file_id = c.file_id
             where c.file_id = any (array(select distinct s.file_id from code.symbols s where s.symbol_id = any (v_frontier)))
               and c.caller_id = any (v_frontier)
               and c.confidence >= p_min_confidence
               and not exists (select from unnest(v_reached) as r (symbol_id) where r.symbol_id = c.callee_id)
             order by c.callee_id, c.confidence desc, f.path collate "C", c.ordinal) n;
    v_reached := v_reached || v_frontier;
    v_by := v_by || v_callers;
    v_in := v_in || v_files;
    v_at := v_at || v_ordinals;
  end loop;

  return query
  with recursive steps as (
    (select r.symbol_id, r.by_id, r.file_id, r.ordinal, 0 as back
       from unnest(v_reached, v_by, v_in, v_at) as r (symbol_id, by_id, file_id, ordinal)
       join code.symbols s on s.symbol_id = r.symbol_id
       join code.files f on f.file_id = s.file_id
      where r.symbol_id = any (v_to)
      order by f.path collate "C", s.start_line
      limit 1)
    union all
    select r.symbol_id, r.by_id, r.file_id, r.ordinal, s.back + 1
      from steps s
      join unnest(v_reached, v_by, v_in, v_at) as r (symbol_id, by_id, file_id, ordinal) on r.symbol_id = s.by_id
  )
  select v_depth - t.back, b.name, f.path, s.start_line, s.qualified_name, c.line, c.confidence
    from steps t
    join code.symbols s on s.symbol_id = t.symbol_id
    join code.files f on f.file_id = s.file_id
    join code.codebases b on b.codebase_id = s.codebase_id
    left join code.calls c on c.file_id = t.file_id and c.ordinal = t.ordinal
   order by t.back desc;
end;
$$;
comment on function code.call_path(text, text, text, integer, double precision) is
  'The shortest chain of calls from one symbol to another, of at most p_max_depth calls of at least that confidence: a row for each symbol, with the line in the symbol before it that calls it. No rows where there is no such chain.';

create or replace function code.blast_radius(
  p_path      text,
  p_codebase  text default null,
  p_max_depth integer default 3,
  p_max_rows  integer default 1000
)
returns table (distance integer, codebase text, path text, symbol text, line integer, reason text, confidence double precision)
language plpgsql
stable
security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_new_files   bigint[] := array(select f.file_id from code.files_named(p_path, p_codebase) as f (file_id));
  v_files       bigint[] := v_new_files;
  v_codebases   constant integer[] := array(select f.codebase_id from code.files f where f.file_id = any (v_new_files));
  v_new_symbols bigint[] := array(select s.symbol_id from code.symbols s where s.file_id = any (v_new_files));
  v_symbols     bigint[] := v_new_symbols;
  v_depth       integer := 0;
  v_rows        bigint := 0::bigint;
  -- Of what a turn found:
  v_of_files    bigint[];
  v_found       bigint[]; -- null for the file as such
  v_reasons     text[];
  v_confidences double precision[];
begin
  if p_max_depth is null or p_max_depth < 1 or p_max_rows is null or p_max_rows < 1 then
    raise exception using
      errcode = 'HT006',
      message = format('p_max_depth is %s and p_max_rows is %s', coalesce(p_max_depth::text, 'null'), coalesce(p_max_rows::text, 'null')),
      hint    = 'Both are at least one.';
  end if;

  -- One turn for each step away from the file.
  while (v_new_files <> '{}' or v_new_symbols <> '{}') and v_depth < p_max_depth and v_rows < p_max_rows loop
    v_depth := v_depth + 1;
    select coalesce(array_agg(u.file_id), '{}'), array_agg(u.symbol_id), array_agg(u.reason), array_agg(u.confidence)
      into v_of_files, v_found, v_reasons, v_confidences
      from code.users_of(v_codebases, v_new_files, v_new_symbols, v_files, v_symbols) u;

    return query
    select v_depth, b.name, f.path, s.qualified_name, s.start_line, u.reason, u.confidence
      from unnest(v_of_files, v_found, v_reasons, v_confidences) as u (file_id, symbol_id, reason, confidence)
      join code.files f on f.file_id = u.file_id
      join code.codebases b on b.codebase_id = f.codebase_id
      left join code.symbols s on s.symbol_id = u.symbol_id
     order by b.name, u.symbol_id is not null, f.path collate "C", s.start_line, s.qualified_name
     limit p_max_rows - v_rows;

    v_rows := v_rows + cardinality(v_of_files);
    v_new_files := array(select u.file_id from unnest(v_of_files, v_found) as u (file_id, symbol_id) where u.symbol_id is null);
    v_new_symbols := array_remove(v_found, null);
    v_files := v_files || v_new_files;
    v_symbols := v_symbols || v_new_symbols;
  end loop;
end;
$$;
comment on function code.blast_radius(text, text, integer, integer) is
  'What an edit of a file may touch: files (symbol is null) and symbols that use it, directly (distance 1) or through others, each with what makes it one of them. Nearest first, at most p_max_rows; files that import it count whether they use it or not.';

create or replace function code.users_of(
  p_codebase_ids integer[],
  p_files        bigint[],
  p_symbols      bigint[],
  p_but_files    bigint[],
  p_but_symbols  bigint[]
)
returns table (file_id bigint, symbol_id bigint, reason text, confidence double precision)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  -- Calls and named types are indexed by the name that they mean.
  v_names constant text[] := array(
    select distinct n.name
      from code.symbols s
     cross join lateral (values (s.name), (s.export_name)) as n (name)
     where s.symbol_id = any (p_symbols)
       and n.name is not null);
  -- Whoever imports a name that a file provides may mean that file, whichever of
  -- several that provide it the import was resolved to.
  v_provided constant text[] := array(
    select distinct p.name from code.provides p where p.file_id = any (p_files));
begin
  return query
  with calling as materialized (
    select c.file_id, c.caller_id, c.callee_id, c.line, c.ordinal, c.confidence
      from code.calls c
     where c.codebase_id = any (p_codebase_ids)
       and c.name = any (v_names)
       and c.callee_id = any (p_symbols)
  ),
  naming as materialized (
    select t.file_id, t.user_id, t.type_id, t.line, t.confidence
      from code.type_refs t
     where t.codebase_id = any (p_codebase_ids)
       and t.name = any (v_names)
       and t.type_id = any (p_symbols)
  ),
  importing as (
    select i.file_id, i.line, i.module
      from code.imports i
     where i.resolved_file_id = any (array(
             select p.file_id
               from code.provides p
              where p.codebase_id = any (p_codebase_ids)
                and p.name = any (v_provided)))
       and i.resolved_name = any (v_provided)
  ),
  links as (
    select c.file_id, c.caller_id as symbol_id, format('calls %s in line %s', s.qualified_name, c.line) as reason, c.confidence, 1 as rank, c.line
      from calling c
      join code.symbols s on s.symbol_id = c.callee_id
     where c.caller_id is not null
    union all
    select c.file_id, null, format('calls %s in line %s', s.qualified_name, c.line), c.confidence, 1, c.line
      from calling c
      join code.symbols s on s.symbol_id = c.callee_id
    union all
    select t.file_id, t.user_id, format('names %s in line %s', s.qualified_name, t.line), t.confidence, 2, t.line
      from naming t
      join code.symbols s on s.symbol_id = t.type_id
     where t.user_id is not null
    union all
    select t.file_id, null, format('names %s in line %s', s.qualified_name, t.line), t.confidence, 2, t.line
      from naming t
      join code.symbols s on s.symbol_id = t.type_id
    union all
    select i.file_id, null, format('imports %s in line %s', i.module, i.line), 1, 3, i.line
      from importing i
  )
  select distinct on (l.file_id, l.symbol_id) l.file_id, l.symbol_id, l.reason, l.confidence
    from links l
   where case when l.symbol_id is null
              then not exists (select from unnest(p_but_files) as b (file_id) where b.file_id = l.file_id)
              else not exists (select from unnest(p_but_symbols) as b (symbol_id) where b.symbol_id = l.symbol_id) end
   order by l.file_id, l.symbol_id, l.rank, l.confidence desc, l.line, l.reason;
end;
$$;
comment on function code.users_of(integer[], bigint[], bigint[], bigint[], bigint[]) is
  'Symbols that call or name any of the given ones, and files that do or that import any of the given files, but those left out; each once, with the best reason.';
