-- Children: runs that are the body of a step of another run.
--
-- No transaction locks two levels of the hierarchy. A child's end is a message in
-- htdag.inbox, which pump delivers to the parent's task; that is parked meanwhile. A
-- parent that gives up leaves messages for its children. Going down, from the older run to
-- the younger, locks are in order anyway, but are only tried.

create or replace function htdag.start_child(p_task htdag.tasks, p_flow_version_id integer, p_input jsonb)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now   constant timestamptz := htdag.clock();
  v_child bigint;
begin
  insert into htdag.runs (flow_id, flow_version_id, state, priority, scheduled, succeeded, failed, skipped, queued_at, started_at, deadline_at,
         parent_run_id, parent_task_id, parent_step_no, root_run_id, depth)
  select v.flow_id, v.flow_version_id, 'running', r.priority, m.blank, m.blank, m.blank, m.blank, v_now, v_now, v_now + v.run_timeout,
         r.run_id, p_task.task_id, p_task.step_no, coalesce(r.root_run_id, r.run_id), r.depth + 1
    from htdag.runs r, htdag.flow_versions v, lateral (select repeat('0', v.step_count)::bit varying as blank) m
   where r.run_id = p_task.run_id and v.flow_version_id = p_flow_version_id
  returning run_id into v_child;
  insert into htdag.run_io (run_id, input) values (v_child, coalesce(p_input, '{}'));
  if htdag.is_heard(array[v_child]) then
    perform htdag.emit('{run.started}', array[v_child]);
  end if;
  perform htdag.schedule(array[v_child]);
  perform htdag.pause_locked(array[v_child], p.reason, p.with_flow)
     from htdag.pauses p where p.kind = 'run' and p.name = p_task.run_id::text;
  return v_child;
end;
$$;

comment on function htdag.start_child(htdag.tasks, integer, jsonb) is
  'Start a run as the body of a task, with the priority of its parent and without asking limits, which hold back only runs that begin something; returns its id.';

create or replace function htdag.check_depth(p_run_id bigint)
returns integer
language plpgsql
stable
set search_path = ''
as $$
declare
  v_depth constant smallint := (select depth from htdag.runs where run_id = p_run_id);
begin
  if v_depth >= 50 then
    raise exception using errcode = 'HT005', message = format('run %s is at depth %s, the most there is', p_run_id, v_depth),
      hint = 'Look for a flow that runs itself without end.';
  end if;
  return v_depth::integer;
end;
$$;

comment on function htdag.check_depth(bigint) is 'Depth of a run; raises HT005 where nothing may be nested deeper.';

create or replace function htdag.run_flow(p_task htdag.tasks, p_step htdag.steps, p_now timestamptz)
returns htdag.step_results
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_document constant jsonb := htdag.step_document(p_task.run_id, p_task.step_no, p_task.map_index);
begin
  perform htdag.check_depth(p_task.run_id);
  perform htdag.start_child(p_task, (htdag.current_version(p_step.target)).flow_version_id,
    case when p_step.argument is null and p_step.is_map then v_document -> 'item' else htdag.step_argument(p_step, v_document) end);
  update htdag.tasks set parked = 'sub-flow', due_at = p_now + p_step.timeout where task_id = p_task.task_id;
  return null;
exception when sqlstate 'HT001' or sqlstate 'HT003' or sqlstate 'HT005' then
  return (p_task.task_id, 'failed_permanently', null, format('flow "%s" was not started: %s', p_step.target, sqlerrm), sqlstate, interval '0')::htdag.step_results;
end;
$$;

comment on function htdag.run_flow(htdag.tasks, htdag.steps, timestamptz) is
  'Start the run that a flow step stands for, on the run''s input or the map''s element unless the step has an argument, and park its task until that has ended.';

create or replace function htdag.finish_child(p_task htdag.tasks, p_now timestamptz)
returns htdag.step_results
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_child htdag.runs;
begin
  select * into v_child from htdag.runs
   where parent_run_id = p_task.run_id and parent_task_id = p_task.task_id order by run_id desc limit 1;
  if v_child.finished_at is null and p_task.due_at > p_now then
    return null;
  elsif v_child.finished_at is null then
    insert into htdag.inbox (kind, run_id, reason) values ('cancel', v_child.run_id, format('run %s gave it up: its step is over its time', p_task.run_id));
    return (p_task.task_id, 'timed_out', null, format('run %s did not end in time', v_child.run_id), null, p_now - v_child.started_at)::htdag.step_results;
  elsif v_child.state = 'succeeded' then
    return (p_task.task_id, 'succeeded', htdag.run_output(v_child.run_id), null, null, p_now - v_child.started_at)::htdag.step_results;
  end if;
  return (p_task.task_id, 'failed', null, format('run %s %s%s', v_child.run_id, v_child.state, ': ' || htdag.run_problem(v_child.run_id)),
    null, p_now - v_child.started_at)::htdag.step_results;
end;
$$;

comment on function htdag.finish_child(htdag.tasks, timestamptz) is
  'What has become of the run that a parked task waits for; null while it goes on.';

-- A definition that a step gave itself is kept as a flow of its own, "flow:step", so
-- that equal ones share a version.
create or replace function htdag.part_version(p_flow_version_id integer, p_step_no integer, p_spec jsonb)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_name    text;
  v_spec    jsonb;
  v_version integer;
begin
  select f.name || ':' || s.name into v_name
    from htdag.flow_versions v join htdag.flows f using (flow_id) join htdag.steps s using (flow_version_id)
   where v.flow_version_id = p_flow_version_id and s.step_no = p_step_no;
  if jsonb_typeof(p_spec) is distinct from 'object' then
    raise exception using errcode = 'HT004', message = format('flow "%s": the definition is not an object', v_name),
      hint = 'A step that decomposes itself answers with {"steps": [...]}.';
  end if;
  v_spec := htdag.named_spec(v_name, p_spec - 'input');
  -- Two transactions that each made several would wait for each other's.
  perform pg_advisory_xact_lock(1213481298, -3)
    where not exists (select from htdag.flows join htdag.flow_versions using (flow_id) where name = v_name and spec = v_spec);
  select flow_version_id into v_version from htdag.flows join htdag.flow_versions using (flow_id) where name = v_name and spec = v_spec
   order by flow_version_id limit 1;
  if not found then
    v_version := (htdag.store_version(v_spec)).flow_version_id;
    update htdag.flow_versions set published_at = htdag.clock() where flow_version_id = v_version;
  end if;
  return v_version;
end;
$$;

comment on function htdag.part_version(integer, integer, jsonb) is 'Version for a definition that a step gave itself while running, made on first use. Raises HT004.';

-- A definition that is wrong fails its own step, not the batch it came in.
create or replace function htdag.decompose(
  p_kept           htdag.tasks[],
  p_task_ids       bigint[],
  p_tokens         bigint[],
  p_step_nos       smallint[],
  inout p_outcomes text[],
  inout p_outputs  jsonb[],
  inout p_errors   text[],
  inout p_codes    text[]
)
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_task htdag.tasks;
begin
  p_errors := coalesce(p_errors, array_fill(null::text, array[cardinality(p_task_ids)]));
  p_codes := coalesce(p_codes, array_fill(null::text, array[cardinality(p_task_ids)]));
  for i in 1 .. cardinality(p_task_ids) loop
    continue when p_outcomes[i] <> 'decomposed';
    select t.* into v_task from unnest(p_kept) t where t.task_id = p_task_ids[i] and t.token = p_tokens[i];
    continue when not found;
    begin
      perform htdag.check_depth(v_task.run_id);
      p_outputs[i] := jsonb_build_object('flow_version_id', htdag.part_version(v_task.flow_version_id, p_step_nos[i], p_outputs[i]))
        || case when p_outputs[i] ? 'input' then jsonb_build_object('input', p_outputs[i] -> 'input') else '{}' end;
    exception when sqlstate 'HT004' or sqlstate 'HT005' then
      p_outcomes[i] := 'failed_permanently';
      p_errors[i] := sqlerrm;
      p_codes[i] := sqlstate;
      p_outputs[i] := null;
    end;
  end loop;
end;
$$;

comment on function htdag.decompose(htdag.tasks[], bigint[], bigint[], smallint[], text[], jsonb[], text[], text[]) is
  'Turn the definitions among the answers into versions, and those that are invalid into failures.';

-- Not for a task that another answer of the batch has taken along.
create or replace function htdag.start_parts(p_kept htdag.tasks[], p_task_ids bigint[], p_tokens bigint[], p_outcomes text[], p_outputs jsonb[])
returns integer
language plpgsql
volatile
set search_path = ''
as $$
begin
  return (select count(htdag.start_child(t, (a.output ->> 'flow_version_id')::integer,
                   coalesce(a.output -> 'input',
                     (select i.item from htdag.map_items i where i.run_id = t.run_id and i.step_no = t.step_no and i.map_index = t.map_index),
                     (select io.input from htdag.run_io io where io.run_id = t.run_id))))
            from unnest(p_task_ids, p_tokens, p_outcomes, p_outputs) a(task_id, token, outcome, output)
            join unnest(p_kept) t on t.task_id = a.task_id and t.token = a.token
            join htdag.tasks l on l.task_id = t.task_id and l.parked = 'sub-flow'
           where a.outcome = 'decomposed')::integer;
end;
$$;

comment on function htdag.start_parts(htdag.tasks[], bigint[], bigint[], text[], jsonb[]) is 'Start the runs into which steps decomposed themselves; returns how many.';

-- End runs that the caller has locked. Their children hear of it.
create or replace function htdag.end_runs(p_run_ids bigint[], p_reason text)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_done integer;
begin
  perform htdag.withdraw_tasks(p_run_ids, 'cancelled', p_reason);
  delete from htdag.run_queue where run_id = any (p_run_ids);
  with ended as (
    update htdag.runs
       set state = 'cancelled', finished_at = v_now, error = p_reason, skipped = ~(succeeded | failed)
     where run_id = any (p_run_ids)
    returning run_id, parent_task_id
  ), told as (
    insert into htdag.inbox (kind, run_id, task_id)
    select 'child_ended', run_id, parent_task_id from ended where parent_task_id is not null
  )
  select count(*)::integer into v_done from ended;
  if htdag.is_heard(p_run_ids) then
    perform htdag.emit('{run.cancelled}', p_run_ids);
  end if;
  return v_done;
end;
$$;

comment on function htdag.end_runs(bigint[], text) is 'Cancel locked runs; returns how many.';

create or replace function htdag.deliver_cancels(p_limit integer)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_messages htdag.inbox[];
  v_runs     bigint[];
begin
  v_messages := array(select i from htdag.inbox i where i.kind = 'cancel' order by i.inbox_id limit p_limit for update skip locked);
  if cardinality(v_messages) = 0 then
    return 0;
  end if;
  v_runs := array(select run_id from htdag.runs
                   where run_id = any (array(select m.run_id from unnest(v_messages) m)) and finished_at is null
                   order by run_id for no key update skip locked);
  perform htdag.end_runs(array_agg(m.run_id), m.reason)
     from unnest(v_messages) m where m.run_id = any (v_runs)
    group by m.reason;
  delete from htdag.inbox i
   where i.inbox_id = any (array(select m.inbox_id from unnest(v_messages) m))
     and exists (select from htdag.runs r where r.run_id = i.run_id and r.finished_at is not null);
  return cardinality(v_runs);
end;
$$;

comment on function htdag.deliver_cancels(integer) is
  'Cancel the runs whose parents gave them up, as far as nobody else holds them; returns how many.';

create or replace function htdag.run_members(p_run_id bigint)
returns setof htdag.members
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
  return query
  with recursive members as (
    select p_run_id as run_id, null::text as group_path
    union all
    select c.run_id, coalesce(m.group_path, s.group_path)
      from members m
      join htdag.runs c on c.parent_run_id = m.run_id
      join htdag.runs p on p.run_id = m.run_id
      join htdag.steps s on s.flow_version_id = p.flow_version_id and s.step_no = c.parent_step_no
  )
  select m.run_id, m.group_path from members m;
end;
$$;

comment on function htdag.run_members(bigint) is 'A run and all the runs below it, each with the group of the step of the run that it is below.';
