-- Flows: defining, versioning and validating DAGs.
--
-- A definition is one jsonb document. define_flow takes it whole; create_flow and
-- add_step build it up from psql. The newest version of a flow is a draft, edited in
-- place, until its first run publishes it; after that every change makes a new
-- version and the old one stays as it was for the runs that began on it.
--
-- Lock order: the flow's row, its newest version, then the making of lanes.
-- Advisory locks: class 1213481298 ('HTDR'), object -1 for making lanes.

-- Fill in every default, so that equal definitions have equal specs.
create or replace function htdag.normal_step(p_step jsonb)
returns jsonb
language sql
immutable
parallel safe
set search_path = ''
return jsonb_build_object(
  'name',          p_step ->> 'name',
  'kind',          coalesce(p_step ->> 'kind', p_step ->> 'name'),
  'group',         coalesce(p_step ->> 'group', ''),
  'queue',         coalesce(p_step ->> 'queue', 'default'),
  'bundle',        p_step ->> 'bundle',
  'needs',         coalesce(p_step -> 'needs', '[]'),
  'run_on',        coalesce(p_step ->> 'run_on', 'success'),
  'on_failure',    coalesce(p_step ->> 'on_failure', 'fail'),
  'map',           p_step ->> 'map',
  'wants_needs',   coalesce((p_step ->> 'wants_needs')::boolean, false),
  'timeout',       (coalesce(p_step ->> 'timeout', '60 s')::interval)::text,
  'max_retries',   coalesce((p_step ->> 'max_retries')::integer, 3),
  'initial_delay', (coalesce(p_step ->> 'initial_delay', '1 s')::interval)::text,
  'backoff',       coalesce((p_step ->> 'backoff')::double precision, 2),
  'max_delay',     coalesce((p_step ->> 'max_delay')::interval, greatest(interval '1 h', (p_step ->> 'initial_delay')::interval))::text);

comment on function htdag.normal_step(jsonb) is 'A step definition with every default written out.';

-- Raise HT004 for the first thing that is wrong with the steps, naming the step.
create or replace function htdag.check_steps(p_flow text, p_steps jsonb)
returns integer
language plpgsql
stable
set search_path = ''
as $$
declare
  v_step  jsonb;
  v_names text[] := array[]::text[];
  v_wrong text;
begin
  for v_step in select jsonb_array_elements(p_steps) loop
    v_wrong := case
      when v_step ->> 'name' is null
        then 'a step has no name'
      when v_step ->> 'name' !~ '^[a-z][a-z0-9_]{0,62}$'
        then format('step name "%s" is not lower case letters, digits and underscores, 1 to 63 of them', v_step ->> 'name')
      when v_step ->> 'name' = 'input'
        then 'a step cannot be called "input": maps call the run''s input so'
      when v_step ->> 'name' = any (v_names)
        then format('step "%s" is defined twice', v_step ->> 'name')
      when jsonb_typeof(v_step -> 'needs') <> 'array'
        then format('needs of step "%s" is not an array of step names', v_step ->> 'name')
      when v_step ->> 'run_on' not in ('success', 'failure', 'always')
        then format('run_on of step "%s" is "%s", not success, failure or always', v_step ->> 'name', v_step ->> 'run_on')
      when v_step ->> 'on_failure' not in ('fail', 'skip', 'continue')
        then format('on_failure of step "%s" is "%s", not fail, skip or continue', v_step ->> 'name', v_step ->> 'on_failure')
      when v_step ->> 'bundle' is not null and (v_step ->> 'map' is not null or v_step ->> 'run_on' <> 'success')
        then format('step "%s" is in bundle "%s" but is a map step or does not run on success', v_step ->> 'name', v_step ->> 'bundle')
      when v_step ->> 'run_on' <> 'success' and v_step -> 'needs' = '[]'
        then format('step "%s" runs on %s but needs no step', v_step ->> 'name', v_step ->> 'run_on')
      when not (v_step ->> 'timeout')::interval between interval '1 ms' and interval '1 year'
        then format('timeout of step "%s" is %s, not between 1 ms and 1 year', v_step ->> 'name', v_step ->> 'timeout')
      when not (v_step ->> 'max_retries')::integer between 0 and 1000
        then format('max_retries of step "%s" is %s, not between 0 and 1000', v_step ->> 'name', v_step ->> 'max_retries')
      when not (v_step ->> 'backoff')::double precision between 1 and 1000
        then format('backoff of step "%s" is %s, not between 1 and 1000', v_step ->> 'name', v_step ->> 'backoff')
      when not ((v_step ->> 'initial_delay')::interval between interval '0' and (v_step ->> 'max_delay')::interval
                and (v_step ->> 'max_delay')::interval <= interval '1 year')
        then format('delays of step "%s" are %s to %s, not ascending between 0 and 1 year',
               v_step ->> 'name', v_step ->> 'initial_delay', v_step ->> 'max_delay')
    end;
    if v_wrong is not null then
      raise exception using errcode = 'HT004',
        message = format('flow "%s": %s', p_flow, v_wrong),
        hint = 'Correct the definition; nothing was stored.';
    end if;
    v_names := v_names || (v_step ->> 'name');
  end loop;

  select coalesce(
           (select format('step "%s" needs "%s", which is not defined', s ->> 'name', n)
              from jsonb_array_elements(p_steps) s, jsonb_array_elements_text(s -> 'needs') n
             where not n = any (v_names) limit 1),
           (select format('step "%s" maps over "%s", which is neither input nor a step that it needs', s ->> 'name', s ->> 'map')
              from jsonb_array_elements(p_steps) s
             where s ->> 'map' is not null
               and split_part(s ->> 'map', '.', 1) <> 'input'
               and not s -> 'needs' ? split_part(s ->> 'map', '.', 1) limit 1),
           (select format('bundle "%s" has steps in queues %s: its steps are claimed as one', s ->> 'bundle',
                          string_agg(distinct s ->> 'queue', ' and '))
              from jsonb_array_elements(p_steps) s
             where s ->> 'bundle' is not null
             group by s ->> 'bundle'
            having count(distinct s ->> 'queue') > 1 limit 1))
    into v_wrong;
  if v_wrong is not null then
    raise exception using errcode = 'HT004',
      message = format('flow "%s": %s', p_flow, v_wrong),
      hint = 'Correct the definition; nothing was stored.';
  end if;
  return cardinality(v_names);
end;
$$;

comment on function htdag.check_steps(text, jsonb) is
  'Number of steps; raises HT004, naming the step, when names, needs, map sources or options are wrong.';

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
  insert into htdag.lanes (queue, kind) values (p_queue, p_kind)
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
         timeout, max_retries, initial_delay, backoff, max_delay)
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
         (s ->> 'backoff')::double precision, (s ->> 'max_delay')::interval
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

create or replace function htdag.define_flow(p_spec jsonb)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_flow    constant text := p_spec ->> 'flow';
  v_steps   jsonb := '[]'::jsonb;
  v_step    jsonb;
  v_timeout interval;
  v_spec    jsonb;
  v_flow_id integer;
  v_current htdag.flow_versions;
  v_mask    record;
begin
  if v_flow is null or v_flow !~ '^[a-z][a-z0-9_.-]{0,62}$' then
    raise exception using errcode = 'HT004',
      message = format('flow name %s is not lower case letters, digits, dots, hyphens and underscores, 1 to 63 of them', coalesce('"' || v_flow || '"', 'null')),
      hint = 'Give the definition a "flow" key with such a name.';
  end if;
  if jsonb_typeof(coalesce(p_spec -> 'steps', '[]')) <> 'array' then
    raise exception using errcode = 'HT004',
      message = format('flow "%s": steps is not an array', v_flow), hint = 'Give "steps" as an array of objects.';
  end if;

  begin
    v_timeout := (p_spec ->> 'timeout')::interval;
    for v_step in select jsonb_array_elements(p_spec -> 'steps') loop
      v_steps := v_steps || htdag.normal_step(v_step);
    end loop;
  exception when data_exception then
    raise exception using errcode = 'HT004',
      message = format('flow "%s"%s: %s', v_flow, ', step "' || (v_step ->> 'name') || '"', sqlerrm),
      hint = 'Correct the definition; nothing was stored.';
  end;
  if jsonb_array_length(v_steps) > 1000 then
    raise exception using errcode = 'HT005',
      message = format('flow "%s" has %s steps; 1000 is the most', v_flow, jsonb_array_length(v_steps)),
      hint = 'Use a map step for work that repeats.';
  elsif not v_timeout between interval '1 ms' and interval '1 year' then
    raise exception using errcode = 'HT004',
      message = format('timeout of flow "%s" is %s, not between 1 ms and 1 year', v_flow, v_timeout),
      hint = 'Leave the timeout out where runs may last as long as they do.';
  end if;
  v_spec := jsonb_build_object('flow', v_flow, 'description', p_spec ->> 'description', 'timeout', v_timeout::text, 'steps', v_steps);
  perform htdag.check_steps(v_flow, v_spec -> 'steps');

  insert into htdag.flows (name, description) values (v_flow, p_spec ->> 'description')
      on conflict (name) do update set description = excluded.description
  returning flow_id into v_flow_id;

  -- The flow's row is locked from here on, so versions are made one at a time.
  select * into v_current from htdag.flow_versions
   where flow_id = v_flow_id order by version desc limit 1 for update;
  if found and v_current.spec = v_spec then
    return v_current.version;
  end if;

  if v_current.flow_version_id is null or v_current.published_at is not null then
    insert into htdag.flow_versions (flow_id, version, spec, step_count, regular, fatal)
    values (v_flow_id, coalesce(v_current.version, 0) + 1, '{}', 0, '', '')
    returning * into v_current;
  end if;
  perform htdag.write_steps(v_current.flow_version_id, v_flow, v_spec -> 'steps');
  select bit_or(case when run_on = 'success' then self else self & ~self end) as regular,
         bit_or(case when on_failure = 'fail' then self else self & ~self end) as fatal
    into v_mask from htdag.steps where flow_version_id = v_current.flow_version_id;
  update htdag.flow_versions
     set spec = v_spec, step_count = jsonb_array_length(v_spec -> 'steps'),
         run_timeout = (v_spec ->> 'timeout')::interval,
         regular = coalesce(v_mask.regular, ''), fatal = coalesce(v_mask.fatal, '')
   where flow_version_id = v_current.flow_version_id;
  return v_current.version;
end;
$$;

comment on function htdag.define_flow(jsonb) is
  'Define a flow from one document, {"flow", "description", "timeout", "steps": [...]}; returns the version. The same definition again changes nothing. Raises HT004 when it is invalid.';

create or replace function htdag.create_flow(
  p_flow        text,
  p_description text default null,
  p_timeout     interval default null
)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  if exists (select from htdag.flows where name = p_flow) then
    raise exception using errcode = 'HT003',
      message = format('flow "%s" exists already', p_flow),
      hint = 'Add steps with htdag.add_step, or replace the whole definition with htdag.define_flow.';
  end if;
  return htdag.define_flow(jsonb_build_object('flow', p_flow, 'description', p_description, 'timeout', p_timeout::text));
end;
$$;

comment on function htdag.create_flow(text, text, interval) is
  'Begin a flow without steps; add them with add_step. p_timeout bounds each run from its start. Raises HT003 when the flow exists.';

create or replace function htdag.add_step(
  p_flow          text,
  p_step          text,
  p_needs         text[] default '{}',
  p_kind          text default null,
  p_group         text default null,
  p_queue         text default null,
  p_bundle        text default null,
  p_map           text default null,
  p_run_on        text default null,
  p_on_failure    text default null,
  p_wants_needs   boolean default null,
  p_timeout       interval default null,
  p_max_retries   integer default null,
  p_initial_delay interval default null,
  p_backoff       double precision default null,
  p_max_delay     interval default null
)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_spec jsonb;
begin
  -- Two sessions that each add a step take turns, so that both are added.
  perform from htdag.flows where name = p_flow for no key update;
  select v.spec into v_spec
    from htdag.flows f
    join htdag.flow_versions v using (flow_id)
   where f.name = p_flow
   order by v.version desc
   limit 1;
  if not found then
    raise exception using errcode = 'HT001',
      message = format('flow "%s" does not exist', p_flow),
      hint = format('Create it first: select htdag.create_flow(%L);', p_flow);
  end if;
  return htdag.define_flow(jsonb_set(v_spec, '{steps}', v_spec -> 'steps' || jsonb_strip_nulls(jsonb_build_object(
    'name', p_step, 'needs', p_needs, 'kind', p_kind, 'group', p_group, 'queue', p_queue, 'bundle', p_bundle,
    'map', p_map, 'run_on', p_run_on, 'on_failure', p_on_failure, 'wants_needs', p_wants_needs,
    'timeout', p_timeout::text, 'max_retries', p_max_retries, 'initial_delay', p_initial_delay::text,
    'backoff', p_backoff, 'max_delay', p_max_delay::text))));
end;
$$;

comment on function htdag.add_step(text, text, text[], text, text, text, text, text, text, text, boolean, interval, integer, interval, double precision, interval) is
  'Add a step to the newest version of a flow; returns the version. Steps that it needs must exist. p_kind names the handler and defaults to the step''s name; p_map runs one task per element of a need''s array output ("step" or "step.key") or of the input ("input.key").';
