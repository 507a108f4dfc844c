-- Pauses: holding a run, a flow or a queue, and letting it go on.
--
-- Tasks of a paused run are parked; those that runners work on may finish, and what
-- they open is parked in turn. A paused flow admits no runs; of a paused queue nothing
-- is claimed. None of these is seen by a claim, which finds its index range empty.
--
-- Lock order: runs ascending, then tasks with SKIP LOCKED. A row skipped is being
-- claimed: its runner may finish.

create or replace function htdag.pause_words(p_pause htdag.pauses)
returns text
language sql
stable
parallel safe
return format('%s %s is paused since %s by %s%s', (p_pause).kind, (p_pause).name, (p_pause).paused_at, (p_pause).paused_by, ': ' || (p_pause).reason);

comment on function htdag.pause_words(htdag.pauses) is 'What is said to those who wait for the end of a pause.';

-- Lock runs that have not ended, and the runs below them, in ascending order.
create or replace function htdag.lock_trees(p_run_ids bigint[])
returns setof htdag.runs
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select r.*
    from htdag.runs r
   where r.run_id = any (array(
           with recursive tree as (
             select unnest(p_run_ids) as run_id
             union
             select c.run_id from tree t join htdag.runs c on c.parent_run_id = t.run_id
           )
           select run_id from tree))
     and r.finished_at is null
   order by r.run_id
     for no key update;
end;
$$;

comment on function htdag.lock_trees(bigint[]) is 'Lock those of the runs and of the runs below them that have not ended; returns them by run_id.';

create or replace function htdag.pause_runs(p_run_ids bigint[], p_reason text, p_with_flow boolean default false)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
begin
  return htdag.pause_locked(array(select r.run_id from htdag.lock_trees(p_run_ids) r where r.state in ('queued', 'running')),
                            p_reason, p_with_flow);
end;
$$;

comment on function htdag.pause_runs(bigint[], text, boolean) is 'Pause runs and the runs below them; returns how many were not paused before.';

create or replace function htdag.pause_locked(p_run_ids bigint[], p_reason text, p_with_flow boolean)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now    constant timestamptz := htdag.clock();
  v_paused bigint[];
begin
  with made as (
    insert into htdag.pauses (kind, name, paused_at, paused_by, reason, with_flow, time_left, starts_at)
    select 'run', r.run_id::text, v_now, session_user, p_reason, p_with_flow, r.deadline_at - v_now, q.starts_at
      from htdag.runs r
      left join htdag.run_queue q using (run_id)
     where r.run_id = any (p_run_ids)
     order by r.run_id
        -- A run that ended while it was paused, and was taken up again, is not paused.
        on conflict (kind, name) do update
           set paused_at = excluded.paused_at, paused_by = excluded.paused_by, reason = excluded.reason, with_flow = excluded.with_flow,
               time_left = excluded.time_left, starts_at = excluded.starts_at
         where excluded.starts_at is distinct from 'infinity'
    returning name::bigint as run_id
  )
  select coalesce(array_agg(run_id order by run_id), '{}') into v_paused from made;
  update htdag.run_queue set starts_at = 'infinity', reason = null, due_at = null where run_id = any (p_run_ids);
  update htdag.runs set state = 'paused', deadline_at = null where run_id = any (p_run_ids) and state = 'running';
  perform htdag.park_tasks(p_run_ids);
  if htdag.is_heard(v_paused) then
    perform htdag.emit('{run.paused}', v_paused, p_details => array_fill(jsonb_strip_nulls(jsonb_build_object('reason', p_reason)), array[cardinality(v_paused)]));
  end if;
  return cardinality(v_paused);
end;
$$;

comment on function htdag.pause_locked(bigint[], text, boolean) is 'Pause runs that are queued or running and that the caller has locked; returns how many were not paused before.';

create or replace function htdag.park_tasks(p_run_ids bigint[])
returns integer
language plpgsql
volatile
set search_path = ''
set lock_timeout = '10 ms'
as $$
declare
  v_done integer;
begin
  loop
    begin
      update htdag.tasks set parked = 'paused', due_at = 'infinity'
       where task_id = any (array(select task_id from htdag.tasks
                                   where run_id = any (p_run_ids) and runner_id is null and parked is null
                                   order by task_id for update skip locked));
      get diagnostics v_done = row_count;
      exit;
    exception when lock_not_available then
      -- SKIP LOCKED met a row that was just changed twice (see lease_tasks): look again.
      null;
    end;
  end loop;
  return v_done;
end;
$$;

comment on function htdag.park_tasks(bigint[]) is 'Park the ready tasks of paused runs, which the caller has locked; returns how many.';

create or replace function htdag.pause_run(p_run_id bigint, p_reason text default null)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
begin
  perform htdag.check_run(p_run_id);
  return htdag.pause_runs(array[p_run_id], p_reason) > 0;
end;
$$;

comment on function htdag.pause_run(bigint, text) is
  'Hold a run and the runs below it: what is ready waits, what runs may finish, what that opens waits too. Its deadline stands still; it keeps its place under the limits. A queued run is not admitted. False where it was paused or had ended already. Raises HT001.';

create or replace function htdag.check_run(p_run_id bigint)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  if exists (select from htdag.runs where run_id = p_run_id) then
    return true;
  end if;
  raise exception using errcode = 'HT001', message = format('run %s does not exist', coalesce(p_run_id::text, 'null')),
    hint = 'select run_id from report.runs lists the runs there are.';
end;
$$;

comment on function htdag.check_run(bigint) is 'True; raises HT001 for a run that does not exist.';

create or replace function htdag.resume_runs(p_run_ids bigint[])
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now   constant timestamptz := htdag.clock();
  v_runs  bigint[];
  v_lanes integer[];
  v_done  integer;
begin
  v_runs := array(select r.run_id from htdag.lock_trees(p_run_ids) r
                    join htdag.pauses p on p.kind = 'run' and p.name = r.run_id::text
                   where r.state in ('paused', 'queued'));
  update htdag.run_queue q
     set starts_at = case when p.starts_at > v_now then p.starts_at end
    from htdag.pauses p
   where q.run_id = any (v_runs) and p.kind = 'run' and p.name = q.run_id::text;
  update htdag.runs r
     set state = 'running', deadline_at = v_now + p.time_left
    from htdag.pauses p
   where r.run_id = any (v_runs) and r.state = 'paused' and p.kind = 'run' and p.name = r.run_id::text;
  delete from htdag.pauses where kind = 'run' and name = any (v_runs::text[]);
  get diagnostics v_done = row_count;
  if htdag.is_heard(v_runs) then
    perform htdag.emit('{run.resumed}', v_runs);
  end if;

  with freed as (
    update htdag.tasks t
       set parked = w.parked, due_at = case w.parked when 'delay' then t.due_at when 'limit' then 'infinity' end
      from (select k.task_id,
                   -- A task that became due during the pause keeps the time at which its delay ends.
                   case when k.due_at > v_now and k.due_at < 'infinity' then 'delay'
                        else htdag.held_for('running', k.limit_key, l.is_limited) end as parked
              from htdag.tasks k
              join htdag.lanes l on l.lane_id = k.lane_id
             where k.run_id = any (v_runs) and k.parked = 'paused'
             order by k.task_id
               for update of k skip locked) w
     where t.task_id = w.task_id
    returning t.lane_id
  )
  select array_agg(distinct lane_id) into v_lanes from freed;
  if v_done > 0 then
    perform htdag.wake_idle(case when not exists (select from htdag.run_queue where run_id = any (v_runs)) then coalesce(v_lanes, '{}') end);
  end if;
  return v_done;
end;
$$;

comment on function htdag.resume_runs(bigint[]) is 'Let paused runs and the runs below them go on; returns how many were paused.';

create or replace function htdag.resume_run(p_run_id bigint)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_parent bigint;
begin
  perform htdag.check_run(p_run_id);
  select p.run_id into v_parent from htdag.runs r join htdag.runs p on p.run_id = r.parent_run_id
   where r.run_id = p_run_id and p.state = 'paused';
  if found then
    raise exception using errcode = 'HT003', message = format('run %s is paused together with run %s, which it is a step of', p_run_id, v_parent),
      hint = format('Resume that: select htdag.resume_run(%s).', v_parent);
  end if;
  return htdag.resume_runs(array[p_run_id]) > 0;
end;
$$;

comment on function htdag.resume_run(bigint) is
  'Let a paused run and the runs below it go on, with as much time to the deadline as was left. False where it was not paused. Raises HT001, and HT003 below a run that is paused.';

create or replace function htdag.flow_number(p_flow text)
returns integer
language plpgsql
stable
set search_path = ''
as $$
declare
  v_flow_id integer;
begin
  select flow_id into v_flow_id from htdag.flows where name = p_flow;
  if not found then
    raise exception using errcode = 'HT001', message = format('flow %s does not exist', coalesce('"' || p_flow || '"', 'null')),
      hint = 'select name from htdag.flows lists the flows there are.';
  end if;
  return v_flow_id;
end;
$$;

comment on function htdag.flow_number(text) is 'Number of a flow. Raises HT001.';

create or replace function htdag.pause_flow(p_flow text, p_reason text default null, p_running boolean default false)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_now     constant timestamptz := htdag.clock();
  v_flow_id constant integer := htdag.flow_number(p_flow);
  v_done    boolean;
begin
  -- Having limits is what sends new runs to the queue.
  insert into htdag.limits as l (flow_id, is_paused) values (v_flow_id, true)
      on conflict (flow_id) do update set is_paused = true where not l.is_paused;
  v_done := found;
  insert into htdag.pauses (kind, name, paused_at, paused_by, reason) values ('flow', p_flow, v_now, session_user, p_reason)
      on conflict (kind, name) do nothing;
  if p_running then
    v_done := htdag.pause_runs(array(select run_id from htdag.runs
                                      where flow_id = v_flow_id and state in ('running', 'paused') and parent_run_id is null),
                               p_reason, p_with_flow => true) > 0 or v_done;
  end if;
  return v_done;
end;
$$;

comment on function htdag.pause_flow(text, text, boolean) is
  'Let new runs of a flow wait in the queue; with p_running, its running runs are paused as well. Runs that are steps of other runs start all the same. False where nothing changed. Raises HT001.';

create or replace function htdag.resume_flow(p_flow text)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_flow_id constant integer := htdag.flow_number(p_flow);
  v_done    boolean;
begin
  update htdag.limits set is_paused = false where flow_id = v_flow_id and is_paused;
  v_done := found;
  -- Without limits runs need not pass through the queue.
  delete from htdag.limits
   where flow_id = v_flow_id and v_done
     and num_nonnulls(max_concurrent_runs, rate_per_minute, cpu_threshold, memory_threshold, key) = 0;
  delete from htdag.pauses where kind = 'flow' and name = p_flow;
  if v_done then
    perform htdag.resume_runs(array(select r.run_id from htdag.pauses p join htdag.runs r on r.run_id = p.name::bigint
                                     where p.kind = 'run' and p.with_flow and r.flow_id = v_flow_id));
    perform htdag.wake_idle(null);
  end if;
  return v_done;
end;
$$;

comment on function htdag.resume_flow(text) is
  'Admit runs of a paused flow again, and resume those that were paused with it. False where it was not paused. Raises HT001.';

create or replace function htdag.pause_queue(p_queue text, p_reason text default null)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_done boolean;
begin
  if coalesce(p_queue, '') = '' then
    raise exception using errcode = 'HT006', message = 'no queue is given', hint = 'select distinct queue from htdag.lanes lists the queues there are.';
  end if;
  -- A lane that is just being made is seen here, or sees this.
  perform pg_advisory_xact_lock(1213481298, -1);
  insert into htdag.pauses (kind, name, paused_at, paused_by, reason) values ('queue', p_queue, v_now, session_user, p_reason)
      on conflict (kind, name) do nothing;
  v_done := found;
  update htdag.lanes set is_paused = true where queue = p_queue and not is_paused;
  return v_done;
end;
$$;

comment on function htdag.pause_queue(text, text) is
  'Let nothing of a queue be claimed; what runs may finish. The queue need not exist yet. False where it was paused already.';

create or replace function htdag.resume_queue(p_queue text)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_done  boolean;
  v_lanes integer[];
begin
  perform pg_advisory_xact_lock(1213481298, -1);
  delete from htdag.pauses where kind = 'queue' and name = p_queue;
  v_done := found;
  with freed as (
    update htdag.lanes set is_paused = false where queue = p_queue and is_paused returning lane_id
  )
  select array_agg(lane_id) into v_lanes from freed;
  perform htdag.wake_idle(coalesce(v_lanes, '{}'));
  return v_done;
end;
$$;

comment on function htdag.resume_queue(text) is 'Let runners claim from a paused queue again. False where it was not paused.';

-- What a pause could not see: a task whose claim was taken back in that moment, a run
-- that began while its parent was being paused. And pauses of runs that have ended.
create or replace function htdag.tidy_pauses()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_runs bigint[];
  v_late bigint[];
begin
  if not exists (select from htdag.pauses where kind = 'run') then
    return 0;
  end if;
  delete from htdag.pauses
   where ctid = any (array(select p.ctid
                             from htdag.pauses p
                             left join htdag.runs r on r.run_id = p.name::bigint
                            where p.kind = 'run' and (r.run_id is null or r.state not in ('paused', 'queued'))
                            order by p.name limit 1000 for update of p skip locked));
  v_runs := array(select r.run_id
                    from htdag.pauses p
                    join htdag.runs r on r.run_id = p.name::bigint and r.state = 'paused'
                   where p.kind = 'run' and exists (select from htdag.tasks t where t.run_id = r.run_id and t.runner_id is null and t.parked is null)
                   order by r.run_id limit 100 for no key update of r skip locked);
  v_late := array(select c.run_id
                    from htdag.pauses p
                    join htdag.runs c on c.parent_run_id = p.name::bigint
                   where p.kind = 'run' and c.state = 'running'
                   order by c.run_id limit 100 for no key update of c skip locked);
  return htdag.park_tasks(v_runs) + htdag.pause_locked(v_late, 'its parent is paused', false);
end;
$$;

comment on function htdag.tidy_pauses() is
  'Park what became ready, and pause what began, while its run was being paused; forget pauses of runs that have ended. Returns how many tasks and runs were paused.';
