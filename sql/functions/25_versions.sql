-- Versions: what differs between two definitions, what a flow looks like, and the
-- end of its use.
--
-- A difference is about meaning: specs are brought to their normal form first, steps
-- are matched by name and needs compared as sets, so that neither the order of steps
-- or keys nor a default written out counts.

create or replace view htdag.flow_changes as
select s.name                 as step,
       'option changed'::text as change,
       s.map_key              as option,
       s.map_key              as was,
       s.map_key              as becomes
  from htdag.flows f
  left join htdag.steps s on false;

comment on view htdag.flow_changes is
  'One change between two definitions of a flow: flow added, flow option changed, step added, step removed, need added, need removed or option changed. Step is null for changes of the flow as a whole.';

create or replace view htdag.flow_edges as
select s.step_no,
       s.name        as step,
       s.map_key     as need,
       s.kind,
       s.target,
       s.queue,
       s.group_path,
       s.map_key     as bundle,
       s.map_key     as map,
       s.run_on,
       s.on_failure,
       s.target      as condition,
       s.delay,
       v.version,
       (v.published_at is null)::boolean as draft
  from htdag.steps s
  join htdag.flow_versions v using (flow_version_id);

comment on view htdag.flow_edges is
  'One line of a drawing: a step and one of its needs; a step that needs nothing has one row with need null. Target is the function, flow or signal of a step that the engine does itself.';

-- A key that means nothing is a mistake, most often of spelling. The options that
-- there are can be read off the normal form, which has them all.
create or replace function htdag.check_options(p_spec jsonb)
returns integer
language plpgsql
stable
set search_path = ''
as $$
declare
  v_step_keys constant text[] := array(select jsonb_object_keys(htdag.normal_step('{"name": "a"}')) k order by k);
  v_flow_keys constant text[] := array['description', 'flow', 'output', 'steps', 'timeout'];
  v_step      jsonb;
  v_wrong     text;
begin
  select format('flow "%s" has the unknown option "%s"', p_spec ->> 'flow', key) into v_wrong
    from jsonb_object_keys(p_spec) key
   where key <> all (v_flow_keys)
   order by key limit 1;
  if v_wrong is not null then
    raise exception using errcode = 'HT004', message = v_wrong,
      hint = format('The options of a flow are %s.', array_to_string(v_flow_keys, ', '));
  end if;
  for v_step in select jsonb_array_elements(p_spec -> 'steps') loop
    if jsonb_typeof(v_step) <> 'object' then
      raise exception using errcode = 'HT004',
        message = format('flow "%s": step %s is not an object', p_spec ->> 'flow', v_step),
        hint = 'Give each step as an object with its name and options.';
    end if;
    select format('flow "%s": step "%s" has the unknown option "%s"', p_spec ->> 'flow', v_step ->> 'name', key) into v_wrong
      from jsonb_object_keys(v_step) key
     where key <> all (v_step_keys)
     order by key limit 1;
    if v_wrong is not null then
      raise exception using errcode = 'HT004', message = v_wrong,
        hint = format('The options of a step are %s.', array_to_string(v_step_keys, ', '));
    end if;
  end loop;
  return cardinality(v_step_keys);
end;
$$;

comment on function htdag.check_options(jsonb) is 'Number of options that a step may have; raises HT004 for a key of the definition or of a step that is none.';

-- Options of a step or flow as text; those that are null are as if they were absent.
create or replace function htdag.spec_options(p_spec jsonb)
returns jsonb
language sql
immutable
parallel safe
set search_path = ''
return (select coalesce(jsonb_object_agg(key, value #>> '{}'), '{}')
          from jsonb_each(p_spec)
         where value <> 'null' and key not in ('flow', 'steps', 'name', 'needs'));

comment on function htdag.spec_options(jsonb) is 'The options of a normal step or flow as an object of texts, without what identifies and connects it.';

-- Both specs are in normal form; p_from is null where there was nothing.
create or replace function htdag.diff_specs(p_from jsonb, p_to jsonb)
returns setof htdag.flow_changes
language plpgsql
immutable
set search_path = ''
as $$
begin
  return query
  with old as (
    select s, s ->> 'name' as name, i from jsonb_array_elements(p_from -> 'steps') with ordinality t(s, i)
  ), new as (
    select s, s ->> 'name' as name, i from jsonb_array_elements(p_to -> 'steps') with ordinality t(s, i)
  ), kept as (
    select o.s as was, n.s as becomes, n.name, n.i from old o join new n on n.name = o.name
  ), changes as (
    select -1::bigint as place, 0 as rank, null::text as step, 'flow added' as change, null::text as option, null::text as was, p_to ->> 'flow' as becomes
     where p_from is null
    union all
    select 0, 0, null, 'flow option changed', key, o.value, n.value
      from jsonb_each_text(htdag.spec_options(p_from)) o
      full join jsonb_each_text(htdag.spec_options(p_to)) n using (key)
     where o.value is distinct from n.value
    union all
    -- A step that comes or goes is told by what is not default about it.
    select n.i, 1, n.name, 'step added', null, null, htdag.telling_options(n.s)
      from new n where n.name not in (select name from old)
    union all
    select b.i, 2, b.name, 'need added', 'needs', null, need
      from kept b, jsonb_array_elements_text(b.becomes -> 'needs') need
     where not b.was -> 'needs' ? need
    union all
    select b.i, 3, b.name, 'need removed', 'needs', need, null
      from kept b, jsonb_array_elements_text(b.was -> 'needs') need
     where not b.becomes -> 'needs' ? need
    union all
    select b.i, 4, b.name, 'option changed', c.key, c.was, c.becomes
      from kept b
     cross join lateral (select key, o.value as was, n.value as becomes
                           from jsonb_each_text(htdag.spec_options(b.was)) o
                           full join jsonb_each_text(htdag.spec_options(b.becomes)) n using (key)
                          where o.value is distinct from n.value) c
    union all
    select 100000 + o.i, 5, o.name, 'step removed', null, htdag.telling_options(o.s), null
      from old o where o.name not in (select name from new)
  )
  select c.step, c.change, c.option, c.was, c.becomes
    from (select distinct * from changes) c
   order by c.place, c.rank, c.option, c.was, c.becomes;
end;
$$;

comment on function htdag.diff_specs(jsonb, jsonb) is 'What differs between two definitions in normal form, flow first, then steps in their order, steps that are gone last.';

create or replace function htdag.telling_options(p_step jsonb)
returns text
language sql
immutable
parallel safe
set search_path = ''
return (select coalesce(jsonb_object_agg(s.key, s.value), '{}')::text
          from jsonb_each(p_step) s
          left join jsonb_each(htdag.normal_step(p_step - array(select k from jsonb_object_keys(p_step) k where k not in ('name', 'kind')))) d using (key)
         where s.key <> 'name' and s.value <> 'null'
           and (s.value is distinct from d.value and s.key <> 'kind' or s.key = 'kind' and s.value <> p_step -> 'name'));

comment on function htdag.telling_options(jsonb) is 'What of a normal step is not default for its kind, as jsonb text.';

-- What has come to be an option since a spec was stored has its default. Nothing is
-- checked: rules may have become stricter too.
create or replace function htdag.filled_spec(p_spec jsonb)
returns jsonb
language sql
immutable
parallel safe
set search_path = ''
return p_spec || jsonb_build_object('steps', (
  select coalesce(jsonb_agg(htdag.normal_step(s) order by i), '[]')
    from jsonb_array_elements(p_spec -> 'steps') with ordinality t(s, i)));

comment on function htdag.filled_spec(jsonb) is 'A spec that was stored, in today''s normal form.';

create or replace function htdag.version_spec(p_flow text, p_version integer)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
  v_spec jsonb;
begin
  select v.spec into v_spec
    from htdag.flows f
    join htdag.flow_versions v using (flow_id)
   where f.name = p_flow and (p_version is null or v.version = p_version)
   order by v.version desc
   limit 1;
  if not found then
    raise exception using errcode = 'HT001',
      message = format('flow "%s" %s', p_flow, case
        when exists (select from htdag.flows where name = p_flow) then format('has no version %s', p_version)
        else 'does not exist' end),
      hint = 'select flow, version from report.flows lists the flows there are with their newest versions.';
  end if;
  return htdag.filled_spec(v_spec);
end;
$$;

comment on function htdag.version_spec(text, integer) is 'The definition of a version of a flow in normal form, of the newest when p_version is null. Raises HT001.';

create or replace function htdag.diff_versions(p_flow text, p_from integer, p_to integer default null)
returns setof htdag.flow_changes
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
  return query
  select * from htdag.diff_specs(htdag.version_spec(p_flow, p_from), htdag.version_spec(p_flow, p_to));
end;
$$;

comment on function htdag.diff_versions(text, integer, integer) is
  'What changed from one version of a flow to another, by default the newest: one row per change, none when they mean the same. Raises HT001.';

create or replace function htdag.diff_flow(p_spec jsonb)
returns setof htdag.flow_changes
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
  v_new constant jsonb := htdag.normal_spec(p_spec);
  v_old jsonb;
begin
  if exists (select from htdag.flows where name = v_new ->> 'flow') then
    v_old := htdag.version_spec(v_new ->> 'flow', null);
  end if;
  return query select * from htdag.diff_specs(v_old, v_new);
end;
$$;

comment on function htdag.diff_flow(jsonb) is
  'What define_flow would change with this definition: one row per change, none when the newest version means the same. Stores nothing. Raises HT004 when the definition is invalid.';

create or replace function htdag.flow_graph(p_flow text, p_version integer default null)
returns setof htdag.flow_edges
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
  perform htdag.version_spec(p_flow, p_version);
  return query
  select s.step_no, s.name, need, s.kind, s.target, s.queue, s.group_path,
         (select b.name from htdag.steps b where b.flow_version_id = s.flow_version_id and b.step_no = s.bundle_no),
         case when s.is_map then concat_ws('.', coalesce((select m.name from htdag.steps m where m.flow_version_id = s.flow_version_id and m.step_no = s.map_source_no), 'input'), s.map_key) end,
         s.run_on, s.on_failure,
         nullif(concat_ws(' and ', 'if ' || s.run_if::text, 'unless ' || s.skip_if::text), ''), s.delay, v.version, v.published_at is null
    from htdag.flows f
    join lateral (select * from htdag.flow_versions v
                   where v.flow_id = f.flow_id and (p_version is null or v.version = p_version)
                   order by v.version desc limit 1) v on true
    join htdag.steps s using (flow_version_id)
    left join lateral unnest(s.needs) need on true
   where f.name = p_flow
   order by s.step_no, need;
end;
$$;

comment on function htdag.flow_graph(text, integer) is
  'The DAG of a version of a flow, by default the newest, as rows to draw: one per step and need, in topological order. Raises HT001.';

create or replace function htdag.retire_flow(p_flow text, p_retired boolean default true)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_was timestamptz;
begin
  select retired_at into v_was from htdag.flows where name = p_flow for no key update;
  if not found then
    raise exception using errcode = 'HT001',
      message = format('flow "%s" does not exist', p_flow),
      hint = 'select flow from report.flows lists the flows there are.';
  elsif (v_was is not null) = coalesce(p_retired, true) then
    return false;
  end if;
  update htdag.flows set retired_at = case when v_was is null then htdag.clock() end where name = p_flow;
  return true;
end;
$$;

comment on function htdag.retire_flow(text, boolean) is
  'Take a flow out of use, or with p_retired => false into use again: a retired flow starts no new runs, those it has go on. False if that was so already. Raises HT001.';
