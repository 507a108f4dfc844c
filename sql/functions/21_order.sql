-- Order: numbering the steps of a version and writing them down.
--
-- Lock order: whoever writes steps holds the flow's row; then the making of lanes.
-- Advisory locks: class 1213481298 ('HTDR'), object -1 for making lanes.

-- Follow needs from any of the steps that are left over: each of them needs another.
create or replace function htdag.cycle_path(p_steps jsonb, p_left text[])
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
  v_path text[] := p_left[1:1];
  v_need text;
begin
  loop
    select n into v_need
      from jsonb_array_elements(p_steps) s, jsonb_array_elements_text(s -> 'needs') with ordinality needs(n, i)
     where s ->> 'name' = v_path[cardinality(v_path)] and n = any (p_left)
     order by i limit 1;
    exit when v_need = any (v_path);
    v_path := v_path || v_need;
  end loop;
  return array_to_string(v_path[array_position(v_path, v_need):] || v_need, ' -> ');
end;
$$;

comment on function htdag.cycle_path(jsonb, text[]) is
  'A dependency cycle among the steps that a topological order left over, as a path that ends where it began.';

-- Kahn's algorithm (1962): of the nodes whose needs are all placed, the first comes next.
create or replace function htdag.topological_order(p_nodes integer, p_dependents integer[], p_needs integer[])
returns integer[]
language plpgsql
immutable
set search_path = ''
as $$
declare
  v_order   integer[] := array[]::integer[];
  v_missing integer[] := array(select count(d)::integer from generate_series(1, p_nodes) i left join unnest(p_dependents) d on d = i
                                group by i order by i);
  v_next    integer;
begin
  loop
    v_next := array_position(v_missing, 0);
    exit when v_next is null;
    v_order := v_order || v_next;
    v_missing[v_next] := -1;
    for i in 1 .. coalesce(cardinality(p_needs), 0) loop
      if p_needs[i] = v_next then
        v_missing[p_dependents[i]] := v_missing[p_dependents[i]] - 1;
      end if;
    end loop;
  end loop;
  return v_order;
end;
$$;

comment on function htdag.topological_order(integer, integer[], integer[]) is
  'Nodes 1 to p_nodes so that p_dependents[i] comes after p_needs[i]; those on or behind a cycle are left out.';

-- Bundles are ordered as if each were one node; within a bundle the order is that
-- of all steps, so that its members get consecutive numbers.
create or replace function htdag.ordered_steps(p_flow text, p_steps jsonb)
returns text[]
language plpgsql
stable
set search_path = ''
as $$
declare
  v_names constant text[] := array(select s ->> 'name' from jsonb_array_elements(p_steps) with ordinality t(s, i) order by i);
  -- The place in v_names of the first step of each step's bundle.
  v_heads constant integer[] := array(select min(i) over (partition by coalesce('b:' || (s ->> 'bundle'), 's:' || (s ->> 'name')))::integer
                                        from jsonb_array_elements(p_steps) with ordinality t(s, i) order by i);
  v_dependents integer[];
  v_needs      integer[];
  v_order      integer[];
  v_head_order integer[];
begin
  select array_agg(i::integer), array_agg(array_position(v_names, n)) into v_dependents, v_needs
    from jsonb_array_elements(p_steps) with ordinality t(s, i), jsonb_array_elements_text(s -> 'needs') n;
  v_order := htdag.topological_order(cardinality(v_names), v_dependents, v_needs);
  if cardinality(v_order) < cardinality(v_names) then
    raise exception using errcode = 'HT004',
      message = format('flow "%s" has a cycle: %s', p_flow, htdag.cycle_path(p_steps,
        array(select n from unnest(v_names) with ordinality t(n, i) where not i = any (v_order) order by i))),
      hint = 'Remove one of the needs on the path.';
  end if;

  select htdag.topological_order(cardinality(v_names), array_agg(v_heads[d]), array_agg(v_heads[n])) into v_head_order
    from unnest(v_dependents, v_needs) e(d, n)
   where v_heads[d] <> v_heads[n];
  if cardinality(v_head_order) < cardinality(v_names) then
    raise exception using errcode = 'HT004',
      message = format('flow "%s" has a cycle through the bundles of %s', p_flow, (select string_agg(n, ', ' order by i)
        from unnest(v_names) with ordinality t(n, i) where not v_heads[i] = any (v_head_order))),
      hint = 'A bundle counts as one step: what one of its steps needs must not need another of its steps.';
  end if;
  return array(select v_names[i] from unnest(v_order) with ordinality o(i, place)
                order by array_position(v_head_order, v_heads[i]), place);
end;
$$;

comment on function htdag.ordered_steps(text, jsonb) is
  'Step names so that each comes after what it needs and bundles stay together; raises HT004 with the path of a cycle.';

-- Lanes are made one at a time: two transactions that each made several, in
-- different orders, would wait for each other's.
create or replace function htdag.lane(p_queue text, p_kind text)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_lane_id integer;
begin
  select lane_id into v_lane_id from htdag.lanes where queue = p_queue and kind = p_kind;
  if found then
    return v_lane_id;
  end if;
  perform pg_advisory_xact_lock(1213481298, -1);
  insert into htdag.lanes (queue, kind, is_limited, is_paused)
  values (p_queue, p_kind, exists (select from htdag.task_limits l where l.kind = 'queue' and l.key = p_queue),
          exists (select from htdag.pauses p where p.kind = 'queue' and p.name = p_queue))
      on conflict (queue, kind) do nothing
  returning lane_id into v_lane_id;
  if v_lane_id is null then
    select lane_id into v_lane_id from htdag.lanes where queue = p_queue and kind = p_kind;
  end if;
  return v_lane_id;
end;
$$;

comment on function htdag.lane(text, text) is 'Number of the lane for a queue and kind, made on first use.';

-- Write the rows of a draft version from its normalised, checked spec.
create or replace function htdag.write_steps(p_flow_version_id integer, p_flow text, p_steps jsonb)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_order constant text[] := htdag.ordered_steps(p_flow, p_steps);
  v_n     constant integer := cardinality(v_order);
  v_blank constant bit varying := repeat('0', v_n)::bit varying;
begin
  delete from htdag.steps where flow_version_id = p_flow_version_id;

  with placed as (
    select array_position(v_order, s ->> 'name') - 1 as step_no, s, s ->> 'bundle' as bundle,
           array(select jsonb_array_elements_text(s -> 'needs')) as needs
      from jsonb_array_elements(p_steps) s
  ), numbered as (
    select p.*, min(p.step_no) over (partition by p.bundle) as first_no,
           array(select array_position(v_order, n) - 1 from unnest(p.needs) n) as need_nos
      from placed p
  )
  insert into htdag.steps (flow_version_id, step_no, name, group_path, kind, queue, lane_id, needs, bundle_no, bundle_mask,
         self, gate, dooms, run_on, on_failure, map_source_no, map_key, is_map, wants_needs,
         timeout, max_retries, initial_delay, backoff, max_delay, jitter, no_retry,
         target, delay, run_if, skip_if, on_skip, memo, memo_version, argument, priority, limit_key)
  select p_flow_version_id, m.step_no, s ->> 'name', s ->> 'group', s ->> 'kind', s ->> 'queue',
         case when s ->> 'queue' not like '%{%}%' then htdag.lane(s ->> 'queue', s ->> 'kind') end,
         m.needs,
         case when m.bundle is not null then m.first_no end,
         case when m.bundle is not null then htdag.mask(v_n, array(select step_no from numbered b where b.bundle = m.bundle)) end,
         htdag.mask(v_n, array[m.step_no]),
         htdag.mask(v_n, case when m.bundle is null then m.need_nos
           else array(select distinct n from numbered b, unnest(b.need_nos) n
                       where b.bundle = m.bundle
                         and not n in (select step_no from numbered i where i.bundle = m.bundle)) end),
         v_blank, s ->> 'run_on', s ->> 'on_failure',
         array_position(v_order, split_part(s ->> 'map', '.', 1)) - 1,
         nullif(substr(s ->> 'map', length(split_part(s ->> 'map', '.', 1)) + 2), ''),
         s ->> 'map' is not null, (s ->> 'wants_needs')::boolean,
         (s ->> 'timeout')::interval, (s ->> 'max_retries')::smallint, (s ->> 'initial_delay')::interval,
         (s ->> 'backoff')::double precision, (s ->> 'max_delay')::interval, (s ->> 'jitter')::double precision,
         array(select jsonb_array_elements_text(s -> 'no_retry')),
         coalesce(s ->> 'sql', s ->> 'flow', s ->> 'signal'), (s ->> 'delay')::interval, (s ->> 'run_if')::jsonpath, (s ->> 'skip_if')::jsonpath,
         s ->> 'on_skip', (s ->> 'memo')::interval, s ->> 'memo_version', (s ->> 'argument')::jsonpath,
         (s ->> 'priority')::smallint, s ->> 'limit_key'
    from numbered m;

  -- From the last step to the first, since what a step dooms includes what its
  -- dependents doom; handlers of failure are not doomed by it.
  for v_no in reverse v_n - 1 .. 0 loop
    update htdag.steps s
       set dooms = coalesce((select bit_or(d.self | d.dooms) from htdag.steps d
                              where d.flow_version_id = p_flow_version_id
                                and d.run_on = 'success' and s.name = any (d.needs)), v_blank)
     where s.flow_version_id = p_flow_version_id and s.step_no = v_no;
  end loop;
  return v_n;
end;
$$;

comment on function htdag.write_steps(integer, text, jsonb) is 'Replace the step rows of a draft version; returns their number.';

create or replace function htdag.mask(p_bits integer, p_set integer[])
returns bit varying
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  v_mask bit varying := repeat('0', p_bits)::bit varying;
  v_bit  integer;
begin
  foreach v_bit in array p_set loop
    v_mask := set_bit(v_mask, v_bit, 1);
  end loop;
  return v_mask;
end;
$$;

comment on function htdag.mask(integer, integer[]) is 'A bit string of p_bits bits with the given ones set.';

