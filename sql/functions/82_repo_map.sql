-- A map of a codebase for a reader with little room: the definitions that most of
-- it rests on, as an outline.
--
-- Files are ranked by PageRank (Brin and Page 1998) over what needs what, which is
-- how the repository maps of coding assistants are made: a file matters if files that
-- matter need it. The rank of a file is then dealt out to the definitions that it
-- calls or names as types, by the square root of how often, so that a hundred calls from one place do
-- not outweigh ten files. Tests and generated files have no vote.

create or replace function code.file_ranks(p_codebase_id integer, p_rounds integer default 12)
returns table (file_id bigint, rank double precision)
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  c_damping constant double precision := 0.85::double precision;
  v_files   constant bigint[] := array(
    select f.file_id
      from code.files f
     where f.codebase_id = p_codebase_id
       and f.status in ('ingested', 'partial')
       and f.precedence < 2
       and f.family <> 'markdown'
       and not f.generated
       and not f.minified
     order by f.file_id);
  v_count   constant integer := cardinality(v_files);
  v_from    integer[];
  v_to      integer[];
  v_share   double precision[];
  v_sinks   integer[];
  v_ranks   double precision[] := array_fill(1.0 / greatest(v_count, 1)::double precision, array[v_count]);
  v_lost    double precision;
begin
  with numbered as materialized (
    select n.file_id, n.i::integer as i from unnest(v_files) with ordinality as n (file_id, i)
  ),
  edges as materialized (
    select a.i as f, b.i as t, sqrt(d.imports + d.calls + d.types) as weight
      from code.dependencies d
      join numbered a on a.file_id = d.file_id
      join numbered b on b.file_id = d.depends_on_id
     where d.codebase_id = p_codebase_id
  )
  select array_agg(e.f order by e.t, e.f),
         array_agg(e.t order by e.t, e.f),
         array_agg(e.weight / e.total order by e.t, e.f),
         array(select n.i from numbered n where n.i not in (select e.f from edges e))
    into v_from, v_to, v_share, v_sinks
    from (select e.f, e.t, e.weight, sum(e.weight) over (partition by e.f) as total from edges e) e;

  -- Each round needs the one before. Twelve leave a seventh (0.85^12) of the error at
  -- the beginning, which is small against what lies between the ranks of files.
  for v_round in 1 .. p_rounds loop
    -- Who needs nothing votes for all alike.
    select coalesce(sum(v_ranks[s.i]), 0) into v_lost from unnest(v_sinks) as s (i);
    v_ranks := array(
      select (1 - c_damping + c_damping * v_lost) / greatest(v_count, 1) + c_damping * coalesce(g.given, 0)
        from generate_series(1, v_count) as n (i)
        left join (select e.t, sum(v_ranks[e.f] * e.share) as given
                     from unnest(v_from, v_to, v_share) as e (f, t, share)
                    group by e.t) g on g.t = n.i
       order by n.i);
  end loop;

  return query select r.file_id, r.rank from unnest(v_files, v_ranks) as r (file_id, rank);
end;
$$;
comment on function code.file_ranks(integer, integer) is
  'How much of a codebase rests on each of its files: PageRank over code.dependencies, weighted by the square root of imports, calls and named types. The ranks add up to one.';

create or replace function code.repo_map(p_codebase text, p_token_budget integer default 2000)
returns table (place integer, path text, line integer, symbol text, outline text, tokens integer, rank double precision)
language plpgsql
stable
security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_codebase_id constant integer := code.codebase_id(p_codebase);
begin
  if p_token_budget is null or p_token_budget < 1 then
    raise exception using
      errcode = 'HT006',
      message = format('p_token_budget is %s', coalesce(p_token_budget::text, 'null')),
      hint    = 'Say how many tokens the outline may have, as in 2000.';
  end if;

  return query
  with ranks as materialized (
    select r.file_id, r.rank from code.file_ranks(v_codebase_id) r
  ),
  -- No line of the outline is shorter than five tokens, so no more files can appear.
  shown as materialized (
    select r.file_id, r.rank, f.path, row_number() over (order by r.rank desc, f.path collate "C") as nth
      from ranks r
      join code.files f on f.file_id = r.file_id
     order by nth
     limit greatest(p_token_budget / 10, 1) + 20
  ),
  definitions as materialized (
    select s.symbol_id, s.file_id, s.name, s.qualified_name, s.key, s.start_line, s.exported, w.path, w.rank,
           '  ' || coalesce(nullif(s.signature, ''), s.kind || ' ' || s.name) as outline
      from shown w
      join code.symbols s on s.file_id = w.file_id
     where s.kind in ('function', 'method', 'class', 'struct', 'interface', 'trait', 'enum', 'type', 'macro')
  ),
  -- What a file calls of its own says nothing to those outside it.
  votes as (
    select v.symbol_id, sum(v.rank * v.weight / v.total) as given
      from (select u.file_id, u.symbol_id, r.rank, u.weight, sum(u.weight) over (partition by u.file_id) as total
              from (select c.file_id, c.callee_id as symbol_id, sqrt(count(*)) as weight
                      from (select c.file_id, c.callee_id
                              from code.calls c
                             where c.codebase_id = v_codebase_id
                               and c.callee_id is not null
                             union all
                            select t.file_id, t.type_id
                              from code.type_refs t
                             where t.codebase_id = v_codebase_id
                               and t.type_id is not null) c
                     group by c.file_id, c.callee_id) u
              join ranks r on r.file_id = u.file_id) v
      join definitions d on d.symbol_id = v.symbol_id and d.file_id <> v.file_id
     group by v.symbol_id
  ),
  -- A tenth of a file's rank goes to what it defines and others can see, used or not.
  scored as (
    select d.*,
           coalesce(v.given, 0)
           + case when d.exported then 0.1 * d.rank / count(*) filter (where d.exported) over (partition by d.file_id) else 0 end as score
      from definitions d
      left join votes v on v.symbol_id = d.symbol_id
  ),
  ordered as (
    select s.*,
           row_number() over (partition by s.file_id order by s.score desc, s.start_line, s.key collate "C") = 1 as leads,
           ceil(octet_length(s.outline || E'\n') / 3.6)::integer as cost,
           ceil(octet_length(s.path || E':\n') / 3.6)::integer as heading
      from scored s
     where s.score > 0
  ),
  spent as (
    select o.*,
           sum(o.cost + case when o.leads then o.heading else 0 end)
             over (order by o.score desc, o.path collate "C", o.start_line, o.key collate "C") as so_far
      from ordered o
  ),
  kept as materialized (
    select s.*, max(s.score) over (partition by s.file_id) as best
      from spent s
     where s.so_far <= p_token_budget
  ),
  lines as (
    select k.file_id, k.path, null::integer as line, null::text as symbol, k.path || ':' as outline, k.heading as cost,
           k.best, k.rank as score, '' as key
      from kept k
     where k.leads
    union all
    select k.file_id, k.path, k.start_line, k.qualified_name, k.outline, k.cost, k.best, k.score, k.key
      from kept k
  )
  select row_number() over (order by l.best desc, l.path collate "C", l.line nulls first, l.key collate "C")::integer,
         l.path, l.line, l.symbol, l.outline, l.cost, l.score
    from lines l
   order by 1;
end;
$$;
comment on function code.repo_map(text, integer) is
  'An outline of what a codebase rests on, of at most p_token_budget tokens (3.6 bytes each): the best files, each with its best definitions in order of line. string_agg(outline, E''\n'' order by place) is the text of it.';
