-- Explanations: why is it not finished?

create or replace function htdag.readers(p_lane_id integer)
returns bigint
language plpgsql
stable
set search_path = ''
as $$
declare
  v_now constant timestamptz := htdag.clock();
begin
  return (select count(*)
            from htdag.lanes l
            join htdag.runners r on l.queue = any (r.queues) and l.kind = any (r.kinds)
           where l.lane_id = p_lane_id and r.stopped_at is null and r.lease_expires_at > v_now);
end;
$$;

comment on function htdag.readers(integer) is 'Number of live runners that claim from a lane.';

-- The runs, or the tasks' runs, that take the places of a limit; the first five by name.
create or replace function htdag.holders(p_run_ids bigint[])
returns text
language sql
immutable
parallel safe
return case when cardinality(p_run_ids) > 0 then
  '; held by ' || case when cardinality(p_run_ids) = 1 then 'run ' else 'runs ' end || array_to_string(p_run_ids[:5], ', ')
  || case when cardinality(p_run_ids) > 5 then format(' and %s more', cardinality(p_run_ids) - 5) else '' end end;

comment on function htdag.holders(bigint[]) is 'Who holds the places of a limit, in words; null for nobody.';

create or replace function htdag.why_queued(p_run htdag.runs)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
  v_now    constant timestamptz := htdag.clock();
  v_queued htdag.run_queue;
  v_limits htdag.limits;
  v_room   record;
  v_before bigint;
  v_reason text;
begin
  select * into v_queued from htdag.run_queue where run_id = p_run.run_id;
  if v_queued.starts_at = 'infinity' then
    return (select 'queued; ' || htdag.pause_words(p) from htdag.pauses p where kind = 'run' and name = p_run.run_id::text);
  elsif v_queued.starts_at > v_now then
    return format('queued; starts at %s', v_queued.starts_at);
  end if;
  select * into v_limits from htdag.limits where flow_id = p_run.flow_id;
  select * into v_room from htdag.flow_room(v_limits);
  if v_room.room > 0 then
    v_room.reason := null;
    if p_run.limit_key is not null then
      select * into v_room from htdag.key_room(v_limits, p_run.limit_key);
      v_room.reason := case when v_room.room = 0 then v_room.reason end;
    end if;
  elsif v_limits.is_paused then
    return format('queued for %s: %s', date_trunc('second', v_now - p_run.queued_at), v_room.reason);
  end if;
  v_reason := coalesce(v_room.reason, v_queued.reason);
  select count(*) into v_before
    from (select from htdag.run_queue q
           where q.flow_id = p_run.flow_id and q.starts_at is null and (v_limits.key is null or q.limit_key = v_queued.limit_key)
             and (q.priority < v_queued.priority or q.priority = v_queued.priority and q.run_id < v_queued.run_id)
           limit 10000) q;
  return case
    when v_reason is null and v_queued.starts_at is null and v_before = 0 then 'queued; nobody has looked at it yet: is a runner running?'
    else format('queued for %s', date_trunc('second', v_now - p_run.queued_at))
         || case when v_before > 0 then format(' behind %s others%s', case when v_before = 10000 then '10000 or more' else v_before::text end,
                                               case when v_limits.key is not null then format(' of %s "%s"', v_limits.key, v_queued.limit_key) else '' end) else '' end
         || coalesce(': ' || v_reason, '') || coalesce('; next look at ' || v_room.due_at, '')
         || case when v_reason like '%runs are running%' then coalesce(htdag.holders(array(
              select r.run_id from htdag.runs r
               where r.flow_id = p_run.flow_id and r.state in ('running', 'paused') and r.parent_run_id is null
                 and (v_reason not like '%"%' or r.limit_key = p_run.limit_key)
               order by r.run_id)), '') else '' end
  end;
end;
$$;

comment on function htdag.why_queued(htdag.runs) is 'What a queued run waits for, as things are now.';

create or replace function htdag.why_task(p_task htdag.tasks, p_step htdag.steps)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
  v_lane htdag.lanes;
  v_room record;
begin
  select * into v_lane from htdag.lanes where lane_id = p_task.lane_id;
  if p_task.parked = 'limit' then
    for v_room in
      select r.*, l.kind
        from (values ('key', p_task.limit_key), ('queue', case when v_lane.is_limited then v_lane.queue end)) l(kind, key)
       cross join lateral htdag.task_room(l.kind, l.key) r
       where l.key is not null
       order by r.room, r.due_at desc nulls last
       limit 1
    loop
      exit when v_room.room > 0 or v_lane.is_paused;
      return format('step %s waits for a limit: %s', p_step.name, v_room.reason) || coalesce('; next look at ' || v_room.due_at, '')
             || case when v_room.due_at is null then coalesce(htdag.holders(array(
                  select distinct t.run_id from htdag.tasks t join htdag.steps s using (flow_version_id, step_no)
                   where case v_room.kind when 'key' then t.limit_key = p_task.limit_key and (t.parked is null or t.parked = 'sub-flow')
                              else t.parked is null and coalesce(s.lane_id, t.lane_id) in (select o.lane_id from htdag.lanes o where o.queue = v_lane.queue) end
                   order by 1)), '') else '' end;
    end loop;
    if not v_lane.is_paused then
      return format('step %s waits for its turn under a limit that has room: is a runner running?', p_step.name);
    end if;
  end if;
  return case
    when p_task.parked = 'paused' then format('step %s is ready, but its run is paused', p_step.name)
    when p_task.parked = 'delay' then format('step %s starts at %s', p_step.name, p_task.due_at)
    when p_task.parked = 'signal' then format('step %s waits for signal %s%s', p_step.name, p_step.target,
      case when p_task.due_at < 'infinity' then format(' until %s', p_task.due_at) else '' end)
    when p_task.parked = 'sub-flow' then format('step %s waits for its sub-flow%s', p_step.name,
      (select format(', run %s, which is %s', c.run_id, c.state) from htdag.runs c
        where c.parent_run_id = p_task.run_id and c.parent_task_id = p_task.task_id order by c.run_id desc limit 1))
    when p_task.parked is not null and p_task.parked <> 'limit' then
      format('step %s waits until %s (%s) after try %s%s', p_step.name, p_task.due_at, p_task.parked, p_task.attempt,
        (select ': ' || a.error from htdag.attempts a
          where a.run_id = p_task.run_id and a.step_no = p_task.step_no and a.map_index = coalesce(p_task.map_index, 0)
          order by a.finished_at desc, a.attempt desc limit 1))
    when p_task.runner_id is not null then
      format('step %s runs on runner %s (%s) since %s', p_step.name, p_task.runner_id,
        (select name from htdag.runners where runner_id = p_task.runner_id), p_task.claimed_at)
    when v_lane.is_paused then
      format('step %s is ready, but %s', p_step.name,
        coalesce((select htdag.pause_words(p) from htdag.pauses p where p.kind = 'queue' and p.name = v_lane.queue), format('queue %s is paused', v_lane.queue)))
    when htdag.by_engine(v_lane.kind) then
      format('step %s is ready since %s for htdag.pump(), which runners and upkeep call', p_step.name, p_task.ready_at)
    when htdag.readers(p_task.lane_id) = 0 then
      format('step %s is ready, but no runner reads kind %s of queue %s', p_step.name, v_lane.kind, v_lane.queue)
    else
      format('step %s is ready since %s; runners that read queue %s: %s', p_step.name, p_task.ready_at, v_lane.queue, htdag.readers(p_task.lane_id))
  end;
end;
$$;

comment on function htdag.why_task(htdag.tasks, htdag.steps) is 'What a live task waits for, or who works on it.';

create or replace function htdag.why(p_run_id bigint)
returns setof text
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
  v_run htdag.runs;
begin
  perform htdag.check_run(p_run_id);
  select * into v_run from htdag.runs where run_id = p_run_id;
  if v_run.finished_at is not null then
    return next format('run %s %s at %s', p_run_id, v_run.state, v_run.finished_at)
                || coalesce(': ' || htdag.run_problem(p_run_id), '');
    return;
  elsif v_run.state = 'queued' then
    return next htdag.why_queued(v_run);
    return;
  elsif v_run.state = 'paused' then
    return next coalesce((select htdag.pause_words(p) from htdag.pauses p where p.kind = 'run' and p.name = p_run_id::text),
                         format('run %s is paused', p_run_id));
  end if;

  return query
  select e.line || case when count(*) > 1 then format(' (%s elements)', count(*)) else '' end
    from (select s.step_no, htdag.why_task(t, s) as line
            from htdag.tasks t
            join htdag.steps s on s.flow_version_id = t.flow_version_id and s.step_no = t.step_no
           where t.run_id = p_run_id) e
   group by e.step_no, e.line
   order by e.step_no, e.line
   limit 100;
end;
$$;

comment on function htdag.why(bigint) is
  'Why a run is not finished, one line per reason: what it is queued for, which limit or pause holds it and who holds the limit, which step waits for what, who works on it; of a run that has ended, how and why. Raises HT001.';
