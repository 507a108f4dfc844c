-- Flows: defining and versioning DAGs.
--
-- A definition is one jsonb document. define_flow takes it whole; create_flow and
-- add_step build it up from psql. The newest version of a flow is a draft, edited in
-- place, until its first run publishes it; after that every change makes a new
-- version and the old one stays as it was for the runs that began on it.
--
-- Lock order: the flow's row, its newest version, then the making of lanes.
-- Advisory locks: class 1213481298 ('HTDR'), object -1 for making lanes.

-- The whole definition with every default written out and every step checked.
create or replace function htdag.named_spec(p_flow text, p_spec jsonb)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
  v_steps   jsonb := '[]'::jsonb;
  v_step    jsonb;
  v_timeout interval;
begin
  if jsonb_typeof(coalesce(p_spec -> 'steps', '[]')) <> 'array' then
    raise exception using errcode = 'HT004',
      message = format('flow "%s": steps is not an array', p_flow), hint = 'Give "steps" as an array of objects.';
  end if;
  perform htdag.check_options(p_spec || jsonb_build_object('flow', p_flow));
  begin
    v_timeout := (p_spec ->> 'timeout')::interval;
    for v_step in select jsonb_array_elements(p_spec -> 'steps') loop
      v_steps := v_steps || htdag.normal_step(v_step);
    end loop;
  exception when data_exception or syntax_error then
    raise exception using errcode = 'HT004',
      message = format('flow "%s"%s: %s', p_flow, ', step "' || (v_step ->> 'name') || '"', sqlerrm),
      hint = 'Correct the definition; nothing was stored.';
  end;
  if jsonb_array_length(v_steps) > 1000 then
    raise exception using errcode = 'HT005',
      message = format('flow "%s" has %s steps; 1000 is the most', p_flow, jsonb_array_length(v_steps)),
      hint = 'Use a map step for work that repeats, or sub-flows.';
  elsif not v_timeout between interval '1 ms' and interval '1 year' then
    raise exception using errcode = 'HT004',
      message = format('timeout of flow "%s" is %s, not between 1 ms and 1 year', p_flow, v_timeout),
      hint = 'Leave the timeout out where runs may last as long as they do.';
  elsif p_spec ->> 'output' is not null and not exists (select from jsonb_array_elements(v_steps) s where s ->> 'name' = p_spec ->> 'output') then
    raise exception using errcode = 'HT004',
      message = format('flow "%s" takes its output from step "%s", which is not defined', p_flow, p_spec ->> 'output'),
      hint = 'Name one of the steps, or leave "output" out to get the outputs of all last steps.';
  end if;
  perform htdag.check_steps(p_flow, v_steps), htdag.ordered_steps(p_flow, v_steps);
  return jsonb_build_object('flow', p_flow, 'description', p_spec ->> 'description', 'timeout', v_timeout::text,
    'output', p_spec ->> 'output', 'steps', v_steps);
end;
$$;

comment on function htdag.named_spec(text, jsonb) is 'A definition with every default written out, under the name given; raises HT004 or HT005 when it is invalid.';

create or replace function htdag.normal_spec(p_spec jsonb)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
  v_flow constant text := p_spec ->> 'flow';
begin
  if v_flow is null or v_flow !~ '^[a-z][a-z0-9_.-]{0,62}$' then
    raise exception using errcode = 'HT004',
      message = format('flow name %s is not lower case letters, digits, dots, hyphens and underscores, 1 to 63 of them', coalesce('"' || v_flow || '"', 'null')),
      hint = 'Give the definition a "flow" key with such a name.';
  end if;
  return htdag.named_spec(v_flow, p_spec);
end;
$$;

comment on function htdag.normal_spec(jsonb) is 'A definition with every default written out; raises HT004 or HT005 when it is invalid.';

-- Store a normal spec as the newest version of its flow, unless it is that already.
create or replace function htdag.store_version(p_spec jsonb)
returns htdag.flow_versions
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_flow    constant text := p_spec ->> 'flow';
  v_flow_id integer;
  v_current htdag.flow_versions;
  v_mask    record;
begin
  perform pg_advisory_xact_lock_shared(1213481298, -3); -- subscriptions wait
  insert into htdag.flows (name, description) values (v_flow, p_spec ->> 'description')
      on conflict (name) do update set description = excluded.description
  returning flow_id into v_flow_id;

  -- The flow's row is locked from here on, so versions are made one at a time.
  select * into v_current from htdag.flow_versions
   where flow_id = v_flow_id order by version desc limit 1 for update;
  if found and (v_current.spec = p_spec or not exists (select from htdag.diff_specs(htdag.filled_spec(v_current.spec), p_spec))) then
    return v_current;
  end if;

  if v_current.flow_version_id is null or v_current.published_at is not null then
    insert into htdag.flow_versions (flow_id, version, spec, step_count, regular, fatal, heard)
    values (v_flow_id, coalesce(v_current.version, 0) + 1, '{}', 0, '', '',
           (select array_agg(distinct k) from htdag.subscriptions u, unnest(u.kinds) k where u.flows is null or v_flow = any (u.flows)))
    returning * into v_current;
  end if;
  perform htdag.write_steps(v_current.flow_version_id, v_flow, p_spec -> 'steps');
  select bit_or(case when run_on = 'success' then self else self & ~self end) as regular,
         bit_or(case when on_failure = 'fail' then self else self & ~self end) as fatal
    into v_mask from htdag.steps where flow_version_id = v_current.flow_version_id;
  update htdag.flow_versions
     set spec = p_spec, step_count = jsonb_array_length(p_spec -> 'steps'),
         run_timeout = (p_spec ->> 'timeout')::interval,
         regular = coalesce(v_mask.regular, ''), fatal = coalesce(v_mask.fatal, '')
   where flow_version_id = v_current.flow_version_id
  returning * into v_current;
  return v_current;
end;
$$;

comment on function htdag.store_version(jsonb) is 'Make a version of a flow from a normal spec, if it differs from the newest; returns the newest.';

create or replace function htdag.define_flow(p_spec jsonb)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  return (htdag.store_version(htdag.normal_spec(p_spec))).version;
end;
$$;

comment on function htdag.define_flow(jsonb) is
  'Define a flow from one document, {"flow", "description", "timeout", "output", "steps": [...]}; returns the version. The same definition again changes nothing. Raises HT004 when it is invalid.';

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
  p_max_delay     interval default null,
  p_jitter        double precision default null,
  p_no_retry      text[] default null,
  p_sql           text default null,
  p_sub_flow      text default null,
  p_signal        text default null,
  p_delay         interval default null,
  p_run_if        jsonpath default null,
  p_skip_if       jsonpath default null,
  p_on_skip       text default null,
  p_argument      jsonpath default null,
  p_memo          interval default null,
  p_memo_version  text default null,
  p_priority      integer default null,
  p_limit_key     text default null
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
    'name', p_step, 'needs', p_needs,
    'kind', coalesce(p_kind, case when p_sql is not null then 'sql' when p_sub_flow is not null then 'flow' when p_signal is not null then 'signal' end),
    'group', p_group, 'queue', p_queue, 'bundle', p_bundle,
    'map', p_map, 'run_on', p_run_on, 'on_failure', p_on_failure, 'wants_needs', p_wants_needs,
    'timeout', p_timeout::text, 'max_retries', p_max_retries, 'initial_delay', p_initial_delay::text,
    'backoff', p_backoff, 'max_delay', p_max_delay::text, 'jitter', p_jitter, 'no_retry', p_no_retry,
    'sql', p_sql, 'flow', p_sub_flow, 'signal', p_signal, 'delay', p_delay::text, 'run_if', p_run_if::text, 'skip_if', p_skip_if::text,
    'on_skip', p_on_skip, 'argument', p_argument::text, 'memo', p_memo::text, 'memo_version', p_memo_version,
    'priority', p_priority, 'limit_key', p_limit_key))));
end;
$$;

comment on function htdag.add_step is
  'Add a step to the newest version of a flow; returns the version. Steps that it needs must exist. p_kind names the handler and defaults to the step''s name; p_sql, p_sub_flow and p_signal make it a step of the engine''s own. p_map runs one task per element of a need''s array output ("step" or "step.key") or of the input ("input.key"). sql/README.md describes every option.';
