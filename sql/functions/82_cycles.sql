-- Parts of a codebase that need each other, and the order in which the others lie.
--
-- Parts are files, packages (of what has none, files) or directories. Tests are left
-- out: a package's tests may import what imports the package. So are links of
-- documents, and in directories what is not built here: generators lie beside the
-- packages that they import.

create or replace function code.is_layered(p_status text, p_family text, p_precedence smallint, p_by text)
returns boolean
language sql
immutable
parallel safe
return p_status in ('ingested', 'partial')
   and p_family <> 'markdown'
   and p_precedence < case p_by when 'directory' then 1 else 2 end;
comment on function code.is_layered(text, text, smallint, text) is
  'Whether a file counts where parts of a codebase are compared.';

create or replace function code.part_of(p_path text, p_scope text, p_by text)
returns text
language sql
immutable
parallel safe
return case
         when p_by = 'directory' then coalesce(substring(p_path from '^(.*)/[^/]*$'), '.')
         when p_by = 'package' and p_scope is not null then
           -- go:net/http#http is net/http; the module is named where it is another: go:net/http#http_test.
           case
             when p_scope ~ '(?:^[a-z]+:|/)([^/#]+)#\1$' then regexp_replace(p_scope, '^[a-z]+:|#.*$', '', 'g')
             else regexp_replace(p_scope, '^[a-z]+:', '')
           end
         else p_path
       end;
comment on function code.part_of(text, text, text) is
  'The file, package or directory (p_by) that a file of that path and scope belongs to.';

create or replace function code.part_edges(p_codebase_id integer, p_by text, p_min_confidence double precision)
returns table (part text, needs text, imports bigint, calls bigint)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
begin
  if p_by is null or p_by not in ('file', 'package', 'directory') then
    raise exception using
      errcode = 'HT006',
      message = format('p_by is %L', p_by),
      hint    = 'It is file, package or directory.';
  end if;

  return query
  with parts as materialized (
    select f.file_id, code.part_of(f.path, f.scope, p_by) as part
      from code.files f
     where f.codebase_id = p_codebase_id
       and code.is_layered(f.status, f.family, f.precedence, p_by)
  ),
  links as (
    select i.file_id, i.resolved_file_id as needs_id, count(*) as imports, 0::bigint as calls
      from code.imports i
     where i.codebase_id = p_codebase_id
       and i.resolved_file_id is not null
     group by i.file_id, i.resolved_file_id
    union all
    select c.file_id, s.file_id, 0, count(*)
      from code.calls c
      join code.symbols s on s.symbol_id = c.callee_id
     where c.codebase_id = p_codebase_id
       and c.confidence >= p_min_confidence
       and s.file_id <> c.file_id
     group by c.file_id, s.file_id
  )
  select a.part, b.part, sum(l.imports)::bigint, sum(l.calls)::bigint
    from links l
    join parts a on a.file_id = l.file_id
    join parts b on b.file_id = l.needs_id
   where a.part <> b.part
   group by a.part, b.part;
end;
$$;
comment on function code.part_edges(integer, text, double precision) is
  'Which part of a codebase needs which: by imports and, unless p_min_confidence is null, by calls of at least that confidence.';

create or replace function code.components(p_nodes integer, p_from integer[], p_to integer[])
returns table (node integer, component integer, level integer)
language plpgsql
immutable
set search_path = ''
as $$
-- Tarjan, "Depth-first search and linear graph algorithms" (1972), with a stack of
-- its own. This one goes node by node: a depth-first search has an order, and each
-- step is a look into an array. Colouring, which is set-based, takes a statement for
-- every node of the longest chain, and again for each round.
declare
  v_first     integer[];                             -- of a node's edges, where the next node's begin
  v_to        integer[];
  v_next      integer[];                             -- the edge to follow next
  v_index     integer[] := array_fill(0, array[p_nodes]); -- order of discovery
  v_low       integer[] := v_index;                  -- earliest on the stack that is reached
  v_component integer[] := v_index;
  v_level     integer[] := v_index;
  v_stack     integer[] := v_index;
  v_path      integer[] := v_index;                  -- from the root to here
  v_found     integer := 0;
  v_stacked   integer := 0;
  v_depth     integer := 0;
  v_count     integer := 0;
  v_at        integer;
  v_other     integer;
  v_height    integer;
  v_top       integer;
begin
  v_to := array(select e.t from unnest(p_from, p_to) as e (f, t) order by e.f, e.t);
  v_first := array(
    select (1 + sum(count(e.f)) over (order by n.i) - count(e.f))::integer
      from generate_series(1, p_nodes + 1) as n (i)
      left join unnest(p_from) as e (f) on e.f = n.i
     group by n.i
     order by n.i);
  v_next := v_first;

  for v_root in 1 .. p_nodes loop
    continue when v_index[v_root] > 0;
    v_at := v_root;
    loop
      if v_index[v_at] = 0 then
        v_found := v_found + 1;
        v_stacked := v_stacked + 1;
        v_depth := v_depth + 1;
        v_index[v_at] := v_found;
        v_low[v_at] := v_found;
        v_stack[v_stacked] := v_at;
        v_path[v_depth] := v_at;
      end if;
      if v_next[v_at] < v_first[v_at + 1] then
        v_other := v_to[v_next[v_at]];
        v_next[v_at] := v_next[v_at] + 1;
        if v_index[v_other] = 0 then
          v_at := v_other;
        elsif v_component[v_other] = 0 then
          v_low[v_at] := least(v_low[v_at], v_index[v_other]);
        else
          v_level[v_at] := greatest(v_level[v_at], v_level[v_other] + 1);
        end if;
        continue;
      end if;
      if v_low[v_at] = v_index[v_at] then
        v_count := v_count + 1;
        v_height := 0;
        v_top := v_stacked;
        loop
          v_other := v_stack[v_top];
          v_component[v_other] := v_count;
          v_height := greatest(v_height, v_level[v_other]);
          exit when v_other = v_at;
          v_top := v_top - 1;
        end loop;
        for v_i in v_top .. v_stacked loop
          v_level[v_stack[v_i]] := v_height;
        end loop;
        v_stacked := v_top - 1;
      end if;
      v_depth := v_depth - 1;
      exit when v_depth = 0;
      v_other := v_at;
      v_at := v_path[v_depth];
      if v_component[v_other] = 0 then
        v_low[v_at] := least(v_low[v_at], v_low[v_other]);
      else
        v_level[v_at] := greatest(v_level[v_at], v_level[v_other] + 1);
      end if;
    end loop;
  end loop;

  return query
  select n.i::integer, n.component, n.level
    from unnest(v_component, v_level) with ordinality as n (component, level, i);
end;
$$;
comment on function code.components(integer, integer[], integer[]) is
  'The strongly connected components of a graph of nodes 1 to p_nodes. A component''s number is higher than those of all that it needs; its level is one more than the highest of theirs, 0 where it needs none.';

create or replace function code.import_cycles(p_codebase text, p_by text default 'package')
returns table (cycle integer, parts integer, part text, imports text, path text, line integer, module text)
language plpgsql
stable
security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_codebase_id constant integer := code.codebase_id(p_codebase);
  v_parts       text[];
  v_needs       text[];
  v_names       text[];
  v_from        integer[];
  v_to          integer[];
begin
  select coalesce(array_agg(e.part), '{}'), array_agg(e.needs)
    into v_parts, v_needs
    from code.part_edges(v_codebase_id, p_by, null) e;
  v_names := array(select distinct n.name collate "C" from unnest(v_parts || v_needs) as n (name) order by 1);
  select array_agg(a.i::integer), array_agg(b.i::integer)
    into v_from, v_to
    from unnest(v_parts, v_needs) as e (part, needs)
    join unnest(v_names) with ordinality as a (name, i) on a.name = e.part
    join unnest(v_names) with ordinality as b (name, i) on b.name = e.needs;

  return query
  with members as materialized (
    select c.component, v_names[c.node] as part,
           count(*) over (partition by c.component)::integer as size,
           min(c.node) over (partition by c.component) as first
      from code.components(cardinality(v_names), v_from, v_to) c
  ),
  numbered as materialized (
    select m.part, m.component, m.size, dense_rank() over (order by m.size desc, m.first)::integer as cycle
      from members m
     where m.size > 1
  ),
  files as materialized (
    select f.file_id, f.path, n.part, n.component
      from code.files f
      join numbered n on n.part = code.part_of(f.path, f.scope, p_by)
     where f.codebase_id = v_codebase_id
       and code.is_layered(f.status, f.family, f.precedence, p_by)
  )
  select distinct on (n.cycle, a.part collate "C", b.part collate "C")
         n.cycle, n.size, a.part, b.part, a.path, i.line, i.module
    from numbered n
    join files a on a.part = n.part
    join code.imports i on i.file_id = a.file_id
    join files b on b.file_id = i.resolved_file_id and b.component = a.component and b.part <> a.part
   order by n.cycle, a.part collate "C", b.part collate "C", a.path collate "C", i.line;
end;
$$;
comment on function code.import_cycles(text, text) is
  'Packages (or files, or directories: p_by) that import each other in a circle, the largest circle first: a row for each import within it, with the first place that says so. Tests are left out. Packages are those of languages that have them, and files elsewhere.';

create or replace function code.layers(p_codebase text, p_by text default 'directory', p_min_confidence double precision default 0.9)
returns table (layer integer, part text, cycle integer, files integer, needs integer, needed_by integer)
language plpgsql
stable
security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_codebase_id constant integer := code.codebase_id(p_codebase);
  v_parts       text[];
  v_needs       text[];
  v_names       text[];
  v_counts      integer[];
  v_from        integer[];
  v_to          integer[];
begin
  select coalesce(array_agg(e.part), '{}'), array_agg(e.needs)
    into v_parts, v_needs
    from code.part_edges(v_codebase_id, p_by, p_min_confidence) e;
  select coalesce(array_agg(p.part), '{}'), array_agg(p.files)
    into v_names, v_counts
    from (select code.part_of(f.path, f.scope, p_by) collate "C" as part, count(*)::integer as files
            from code.files f
           where f.codebase_id = v_codebase_id
             and code.is_layered(f.status, f.family, f.precedence, p_by)
           group by 1
           order by 1) p;
  select array_agg(a.i::integer), array_agg(b.i::integer)
    into v_from, v_to
    from unnest(v_parts, v_needs) as e (part, needs)
    join unnest(v_names) with ordinality as a (name, i) on a.name = e.part
    join unnest(v_names) with ordinality as b (name, i) on b.name = e.needs;

  return query
  with degrees as (
    select x.i, sum(x.o)::integer as needs, sum(1 - x.o)::integer as needed_by
      from (select unnest(v_from) as i, 1 as o union all select unnest(v_to), 0) x
     group by x.i
  ),
  laid as (
    select c.node, c.level, c.component, count(*) over (partition by c.component) as size
      from code.components(cardinality(v_names), v_from, v_to) c
  ),
  circles as (
    select l.component, row_number() over (order by min(l.node))::integer as cycle
      from laid l
     where l.size > 1
     group by l.component
  )
  select l.level, v_names[l.node], k.cycle, v_counts[l.node], coalesce(d.needs, 0), coalesce(d.needed_by, 0)
    from laid l
    left join degrees d on d.i = l.node
    left join circles k on k.component = l.component
   order by l.level, k.cycle nulls first, l.node;
end;
$$;
comment on function code.layers(text, text, double precision) is
  'The directories (or packages, or files: p_by) of a codebase from the ground up: layer 0 needs no other, each further one only what lies below it. Parts with the same cycle need each other and lie in one layer. What counts is imports, and calls of at least that confidence; tests are left out.';
