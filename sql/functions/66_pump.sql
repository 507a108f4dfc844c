-- Pump: the engine does its own steps. Steps of the kinds sql, flow, sleep and signal
-- are tasks like any other, which no runner claims; pump does, as runner 0, in the
-- one transaction in which it also answers them. So what the function of a sql step
-- writes is there exactly if the step has succeeded.
--
-- Lock order: tasks, then shards, then runs, as for completions. Only the first pass
-- of a call waits; what a later pass cannot lock at once is left for the next call.

create or replace function htdag.for_engine(p_lanes integer[])
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return cardinality(p_lanes) > 0
     and exists (select from htdag.lanes where lane_id = any (p_lanes) and htdag.by_engine(kind));
end;
$$;

comment on function htdag.for_engine(integer[]) is 'Whether some of the lanes hold steps that the engine runs itself.';

create or replace function htdag.pump_due()
returns boolean
language plpgsql
stable
set search_path = ''
as $$
declare
  v_now constant timestamptz := htdag.clock();
begin
  return exists (select from htdag.inbox)
      or exists (select from htdag.signals where awaited)
      or exists (select from htdag.tasks where parked in ('signal', 'sub-flow', 'memo') and due_at <= v_now)
      or exists (select from htdag.lanes l
                  cross join lateral (select from htdag.tasks t where t.lane_id = l.lane_id and t.runner_id is null and t.parked is null limit 1) t
                  where htdag.by_engine(l.kind) and not l.is_paused);
end;
$$;

comment on function htdag.pump_due() is 'Whether there is something for pump to do.';

create or replace function htdag.pump(p_limit integer default 100)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_total integer := 0;
  v_done  integer;
begin
  for v_turn in 1 .. p_limit + 1 loop
    v_done := htdag.run_engine_tasks(p_limit, p_wait => v_turn = 1);
    v_done := v_done + htdag.deliver_cancels(p_limit);
    if v_done = 0 then
      v_done := htdag.promote(); -- what waited for a time, a limit or to be admitted may be ours
    end if;
    v_total := v_total + v_done;
    exit when v_done = 0 or v_total >= p_limit;
  end loop;
  return v_total;
end;
$$;

comment on function htdag.pump(integer) is
  'Do what the engine does itself: run the functions of sql steps, start and finish sub-flows, end sleeps, take signals. Runners call it; flows of such steps alone need nothing else: select htdag.pump() until it returns 0. Stops after about p_limit steps; returns how many.';

-- Tasks that are the engine's to do now, locked together with their shards and runs.
create or replace function htdag.engine_tasks(p_limit integer, p_wait boolean)
returns htdag.tasks[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now   constant timestamptz := htdag.clock();
  v_ids   bigint[];
  v_tasks htdag.tasks[];
begin
  v_ids := array(
    select task_id
      from ((select i.task_id from htdag.inbox i where i.kind = 'child_ended' order by i.inbox_id limit p_limit)
            union
            (select t.task_id from htdag.lanes l
              cross join lateral (select t.task_id from htdag.tasks t where t.lane_id = l.lane_id and t.runner_id is null and t.parked is null
                                   order by t.priority, t.task_id limit p_limit) t
              where htdag.by_engine(l.kind) and not l.is_paused)
            union
            (select t.task_id from htdag.tasks t where t.parked in ('signal', 'sub-flow', 'memo') and t.due_at <= v_now order by t.due_at limit p_limit)
            union
            (select t.task_id from htdag.signals g
               join htdag.tasks t on t.run_id = g.run_id and t.parked = 'signal'
               join htdag.steps s on s.flow_version_id = t.flow_version_id and s.step_no = t.step_no and s.target = g.name
              where g.awaited order by t.task_id limit p_limit)) c
     order by task_id
     limit p_limit);
  -- A message may come for a task that has long gone on to something else.
  v_tasks := array(select t from htdag.tasks t
                     join htdag.steps s using (flow_version_id, step_no)
                    where t.task_id = any (v_ids) and t.runner_id is null
                      and (t.parked in ('signal', 'sub-flow', 'memo') or t.parked is null and htdag.by_engine(s.kind))
                    order by t.task_id for update of t skip locked);
  if p_wait then
    perform htdag.lock_shards(v_tasks);
    perform from htdag.runs where run_id = any (array(select t.run_id from unnest(v_tasks) t)) order by run_id for no key update;
    return htdag.live_tasks(v_tasks);
  end if;
  return htdag.try_runs(htdag.try_shards(v_tasks));
end;
$$;

comment on function htdag.engine_tasks(integer, boolean) is
  'Up to p_limit tasks that pump may work on, locked with all that their completion will lock; without p_wait only those that nobody else holds.';

create or replace function htdag.try_shards(p_tasks htdag.tasks[])
returns htdag.tasks[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_locked htdag.map_shards[];
begin
  v_locked := array(select s from htdag.map_shards s
                     where (s.run_id, s.step_no, s.shard) in (select t.run_id, t.step_no, (t.map_index % 16)::smallint
                                                                from unnest(p_tasks) t where t.map_index is not null)
                     order by s.run_id, s.step_no, s.shard
                       for no key update skip locked);
  return array(select t from unnest(p_tasks) t
                where t.map_index is null
                   or exists (select from unnest(v_locked) s where s.run_id = t.run_id and s.step_no = t.step_no and s.shard = t.map_index % 16));
end;
$$;

comment on function htdag.try_shards(htdag.tasks[]) is 'Those of the tasks whose map shards could be locked at once, or that are no elements of a map.';

create or replace function htdag.run_engine_tasks(p_limit integer, p_wait boolean)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now     constant timestamptz := htdag.clock();
  v_tasks   constant htdag.tasks[] := htdag.engine_tasks(p_limit, p_wait);
  v_heard   constant bigint[] := array(select i.inbox_id from htdag.inbox i
                                        where i.kind = 'child_ended' and i.task_id = any (array(select t.task_id from unnest(v_tasks) t)));
  v_task    htdag.tasks;
  v_step    htdag.steps;
  v_result  htdag.step_results;
  v_results htdag.step_results[] := array[]::htdag.step_results[];
  v_answer  htdag.claims;
  v_seen    bigint[] := array[]::bigint[];
begin
  foreach v_task in array v_tasks loop
    v_seen := v_seen || v_task.task_id;
    select * into v_step from htdag.steps where flow_version_id = v_task.flow_version_id and step_no = v_task.step_no;
    v_result := case
      when v_task.parked = 'sub-flow' then htdag.finish_child(v_task, v_now)
      when v_task.parked = 'memo' then htdag.recall_task(v_task, v_now)
      when v_step.kind = 'signal' then htdag.take_signal(v_task, v_step, v_now)
      when v_step.kind = 'flow' then htdag.run_flow(v_task, v_step, v_now)
      when v_step.kind = 'sleep' then (v_task.task_id, 'succeeded', null, null, null, interval '0')::htdag.step_results
      else htdag.run_function(v_task, v_step)
    end;
    if v_result.outcome is not null then
      v_results := v_results || v_result;
    end if;
    exit when v_result.outcome = 'timed_out' and v_step.kind = 'sql';
  end loop;
  -- Messages to tasks that have heard, have gone or have gone on. One that came since has
  -- not been heard: of a child that ended just now, or that began here and had nothing to do.
  delete from htdag.inbox i
   where i.kind = 'child_ended'
     and (i.inbox_id = any (v_heard) and i.task_id = any (v_seen)
          or not exists (select from htdag.tasks t where t.task_id = i.task_id and t.parked = 'sub-flow'));

  if cardinality(v_results) > 0 then
    update htdag.tasks t
       set runner_id = 0, token = htdag.random_token(), claimed_at = v_now, timeout_at = v_now + t.time_limit, parked = null, due_at = null,
           attempt = t.attempt + (t.parked is distinct from 'sub-flow' or s.kind = 'flow')::integer
      from htdag.steps s
     where t.task_id = any (array(select r.task_id from unnest(v_results) r)) and s.flow_version_id = t.flow_version_id and s.step_no = t.step_no;
    for v_answer in
      select c.*
        from (select array_agg(r.task_id order by r.task_id) as ids, array_agg(t.token order by r.task_id) as tokens,
                     array_agg(t.step_no order by r.task_id) as steps, array_agg(r.outcome order by r.task_id) as outcomes,
                     array_agg(r.output order by r.task_id) as outputs, array_agg(r.error order by r.task_id) as errors,
                     array_agg(r.ran order by r.task_id) as ran, array_agg(r.code order by r.task_id) as codes
                from unnest(v_results) r join htdag.tasks t using (task_id)) a,
             lateral htdag.complete_steps(0, a.ids, a.tokens, a.steps, a.outcomes, a.outputs, a.errors, a.ran, 0, a.codes) c
    loop
      if v_answer.verdict = 'wake' then
        perform htdag.wake(array[v_answer.queue]);
      end if;
    end loop;
  end if;
  perform htdag.unawait_signals();
  return cardinality(v_tasks);
end;
$$;

comment on function htdag.run_engine_tasks(integer, boolean) is 'One pass of pump over tasks; returns how many it looked at.';

-- A function that was cancelled has used up the time of the whole call: pump stops there.
create or replace function htdag.run_function(p_task htdag.tasks, p_step htdag.steps)
returns htdag.step_results
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_began    constant timestamptz := clock_timestamp();
  v_function constant regprocedure := to_regprocedure(p_step.target || '(jsonb)');
  v_document jsonb;
  v_output   jsonb;
  v_detail   text;
begin
  v_document := htdag.step_document(p_task.run_id, p_task.step_no, p_task.map_index);
  if p_step.argument is not null then
    v_document := htdag.step_argument(p_step, v_document);
  end if;
  if v_function is null or not htdag.may_run(v_function) then
    return (p_task.task_id, 'failed_permanently', null,
      format('function %s(jsonb) %s', p_step.target, case when v_function is null then 'does not exist any more' else 'is not security definer any more' end),
      'HT003', interval '0')::htdag.step_results;
  end if;
  begin
    execute format('select %s($1)', v_function::oid::regproc) into v_output using v_document;
    if jsonb_typeof(v_output) = 'object' and v_output ? 'decompose' then
      return (p_task.task_id, 'decomposed', v_output -> 'decompose', null, null, clock_timestamp() - v_began)::htdag.step_results;
    end if;
    return (p_task.task_id, 'succeeded', v_output, null, null, clock_timestamp() - v_began)::htdag.step_results;
  exception
    when query_canceled then
      return (p_task.task_id, 'timed_out', null, format('%s was cancelled: %s', v_function, sqlerrm), sqlstate, clock_timestamp() - v_began)::htdag.step_results;
    when others then
      get stacked diagnostics v_detail = pg_exception_detail;
      -- Conflicts with other transactions are nobody's fault: no try is counted.
      return (p_task.task_id, case when sqlstate like '40%' then 'released' else 'failed' end, null,
        concat_ws('. ', sqlerrm, nullif(v_detail, '')), sqlstate, clock_timestamp() - v_began)::htdag.step_results;
  end;
end;
$$;

comment on function htdag.run_function(htdag.tasks, htdag.steps) is
  'Call the function of a sql step; what it wrote is undone if it fails. An answer {"decompose": definition} makes the step a run of that definition.';
