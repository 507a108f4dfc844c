-- Repair: mends what htdag.invariant_violations shows, as far as it is clear what was
-- meant. For a database that was tampered with or restored in parts: nothing that the
-- verbs do needs it.

create or replace view htdag.repairs as
select v.invariant, v.run_id, v.task_id, v.detail as action
  from htdag.invariant_violations v;

comment on view htdag.repairs is 'What repair did: the rule that was broken, where, and how it was mended or why not.';

create or replace function htdag.repair(p_limit integer default 1000)
returns setof htdag.repairs
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_run    bigint;
  v_reaped integer;
begin
  v_reaped := htdag.reap();
  if v_reaped > 0 then
    return query select 'a lease has expired'::text, null::bigint, null::bigint, format('took back %s tasks', v_reaped);
  end if;
  for v_run in
    select distinct v.run_id from htdag.invariant_violations v order by 1 limit p_limit
  loop
    if exists (select from htdag.runs r where r.run_id = v_run) then
      -- A run that somebody holds is left for the next time.
      perform from htdag.runs r where r.run_id = v_run order by r.run_id for update skip locked;
      if found then
        return query select * from htdag.repair_run(v_run);
      end if;
    else
      with gone as (
        delete from htdag.tasks t
         where t.task_id = any (array(select w.task_id from htdag.tasks w where w.run_id = v_run order by w.task_id for update skip locked))
        returning t.task_id
      )
      select count(*)::integer into v_reaped from gone;
      delete from htdag.run_queue where run_id = v_run;
      return query select 'something belongs to no run'::text, v_run, null::bigint, format('deleted %s tasks, and its place in the queue', v_reaped);
    end if;
  end loop;
end;
$$;

comment on function htdag.repair(integer) is
  'Mend up to p_limit runs that htdag.invariant_violations names, and say what was done. Runs that somebody holds are passed over. Call it until it returns nothing, or only what it cannot mend.';

-- One locked run. What is wrong is read again now that it cannot change.
create or replace function htdag.repair_run(p_run_id bigint)
returns setof htdag.repairs
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_row    htdag.invariant_violations;
  v_action text;
  v_run    htdag.runs;
  v_blank  bit varying;
  v_again  bit varying;
begin
  for v_row in
    select * from htdag.invariant_violations v where v.run_id = p_run_id order by v.invariant, v.task_id
  loop
    v_action := case
      when v_row.task_id is not null then htdag.repair_task(v_row)
      when v_row.invariant like '%map%' then htdag.repair_map(p_run_id)
      else htdag.repair_row(v_row)
    end;
    return query select v_row.invariant, v_row.run_id, v_row.task_id, coalesce(v_action, 'left alone: it is not clear what was meant');
  end loop;

  -- Steps that lost their tasks are scheduled anew; a run with nothing left ends.
  select * into v_run from htdag.runs where run_id = p_run_id;
  if v_run.finished_at is null and v_run.state <> 'queued' then
    v_blank := v_run.scheduled & ~v_run.scheduled;
    select coalesce(bit_or(s.self), v_blank)::bit varying into v_again
      from htdag.steps s
     where s.flow_version_id = v_run.flow_version_id
       and get_bit(v_run.scheduled & ~(v_run.succeeded | v_run.failed | v_run.skipped), s.step_no) = 1
       and not exists (select from htdag.map_shards m where m.run_id = p_run_id and m.step_no = s.step_no)
       and not exists (select from htdag.tasks t where t.run_id = p_run_id and s.step_no between t.step_no and t.last_step_no);
    perform htdag.settle(array[(p_run_id, htdag.counted_maps(p_run_id), v_blank, v_blank, v_again)::htdag.run_change]);
    -- Tries that are in the log keep their numbers.
    update htdag.tasks t
       set attempt = a.attempt
      from (select step_no, map_index, epoch, max(attempt) as attempt from htdag.attempts where run_id = p_run_id group by 1, 2, 3) a
     where t.run_id = p_run_id and t.runner_id is null and t.step_no = a.step_no and coalesce(t.map_index, 0) = a.map_index
       and t.epoch = a.epoch and t.attempt < a.attempt;
  end if;
end;
$$;

comment on function htdag.repair_run(bigint) is 'Mend one run that the caller has locked; returns what was done.';

-- Map steps whose elements have all been counted though the step has not ended.
create or replace function htdag.counted_maps(p_run_id bigint)
returns bit varying
language plpgsql
volatile
set search_path = ''
as $$
begin
  return (select coalesce(bit_or(s.self) filter (where m.remaining = 0), r.scheduled & ~r.scheduled)::bit varying
            from htdag.runs r
            left join (select step_no, sum(remaining) as remaining from htdag.map_shards where run_id = p_run_id group by 1) m on true
            left join htdag.steps s on s.flow_version_id = r.flow_version_id and s.step_no = m.step_no
                  and get_bit(r.succeeded | r.failed | r.skipped, s.step_no) = 0
           where r.run_id = p_run_id
           group by r.scheduled);
end;
$$;

comment on function htdag.counted_maps(bigint) is 'Mask of map steps of a run that have no elements left but have not ended.';

-- A task that another transaction holds is about to be dealt with by that.
create or replace function htdag.repair_task(p_row htdag.invariant_violations)
returns text
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_task  htdag.tasks;
  v_child htdag.runs;
begin
  select * into v_task from htdag.tasks where task_id = p_row.task_id order by task_id for update skip locked;
  if not found and p_row.invariant <> 'a run goes on for a task that has gone' then
    return 'nothing: its task is gone or held';
  end if;
  case
    when p_row.invariant in ('a task belongs to no live run', 'a task''s step has ended or was not scheduled') then
      delete from htdag.tasks where task_id = p_row.task_id;
      return 'deleted the task';
    when p_row.invariant in ('two tasks are for one step', 'two tasks are for one element') then
      -- The one that is worked on stays, or else the oldest.
      if v_task.runner_id is null and exists (
           select from htdag.tasks o
            where o.run_id = v_task.run_id and o.map_index is not distinct from v_task.map_index and o.task_id <> v_task.task_id
              and o.step_no <= v_task.last_step_no and v_task.step_no <= o.last_step_no
              and (o.runner_id is not null or o.task_id < v_task.task_id or v_task.map_index is not null)) then
        delete from htdag.tasks where task_id = p_row.task_id;
        return 'deleted the task';
      end if;
      return 'kept the task';
    when p_row.invariant = 'a task is parked for the pause of a run that is not paused' then
      update htdag.tasks set parked = null, due_at = null where task_id = p_row.task_id;
      return 'made the task claimable';
    when p_row.invariant = 'a task waits for a run that it has not or that has ended unheard' then
      select * into v_child from htdag.runs where parent_run_id = v_task.run_id and parent_task_id = v_task.task_id order by run_id desc limit 1;
      if found then
        insert into htdag.inbox (kind, run_id, task_id) values ('child_ended', v_child.run_id, v_task.task_id);
        return format('told the task that run %s ended', v_child.run_id);
      end if;
      update htdag.tasks set parked = null, due_at = null where task_id = p_row.task_id;
      return 'made the task start anew';
    when p_row.invariant = 'a run goes on for a task that has gone' then
      insert into htdag.inbox (kind, run_id, reason) values ('cancel', p_row.run_id, 'nothing waits for it');
      return 'told the run to end';
    else
      return null;
  end case;
end;
$$;

comment on function htdag.repair_task(htdag.invariant_violations) is 'Mend what is wrong with one task; returns what was done, null where nothing is known to do.';

create or replace function htdag.repair_row(p_row htdag.invariant_violations)
returns text
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now constant timestamptz := htdag.clock();
  v_run htdag.runs;
begin
  select * into v_run from htdag.runs where run_id = p_row.run_id;
  case p_row.invariant
    when 'a step is in two final masks' then
      update htdag.runs set failed = failed & ~succeeded, skipped = skipped & ~(succeeded | failed) where run_id = p_row.run_id;
      return 'counted each step once: success before failure before skipping';
    when 'a finished run has steps that did not end' then
      update htdag.runs set skipped = ~(succeeded | failed) where run_id = p_row.run_id;
      return 'marked them as skipped';
    when 'a queued run has begun' then
      delete from htdag.run_queue where run_id = p_row.run_id;
      update htdag.runs set state = 'running', started_at = v_now where run_id = p_row.run_id;
      return 'took it out of the queue';
    when 'a queued run is not in the queue, or the reverse' then
      if v_run.state = 'queued' then
        insert into htdag.run_queue (run_id, flow_id, priority, limit_key)
        values (v_run.run_id, v_run.flow_id, v_run.priority, coalesce(v_run.limit_key, ''));
        return 'put it into the queue';
      end if;
      delete from htdag.run_queue where run_id = p_row.run_id;
      return 'took it out of the queue';
    when 'a scheduled step has no task' then
      return 'scheduled it anew';
    when 'a running run has nothing to do' then
      return 'looked again at what is due';
    when 'a signal is awaited but no step waits' then
      update htdag.signals set awaited = false where run_id = p_row.run_id and awaited;
      return 'kept the signal for a step to come';
    else
      return null;
  end case;
end;
$$;

comment on function htdag.repair_row(htdag.invariant_violations) is 'Mend what is wrong with a run as a whole; returns what was done, null where nothing is known to do.';

-- Count elements by the log of tries, and give those that are left and have no task one.
create or replace function htdag.repair_map(p_run_id bigint)
returns text
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_run      htdag.runs;
  v_step_nos smallint[];
  v_elements integer[];
begin
  select * into v_run from htdag.runs where run_id = p_run_id;
  if v_run.finished_at is not null then
    return null;
  end if;
  perform from htdag.map_shards m where m.run_id = p_run_id order by m.step_no, m.shard for update skip locked;
  update htdag.map_shards m
     set remaining = m.total - d.done, opened = m.total
    from (select s.step_no, s.shard, count(a.run_id)::integer as done
            from htdag.map_shards s
            left join htdag.attempts a on a.run_id = s.run_id and a.step_no = s.step_no and a.map_index % 16 = s.shard
                 and a.outcome = 'succeeded' and not a.superseded
           where s.run_id = p_run_id
           group by 1, 2) d
   where m.run_id = p_run_id and m.step_no = d.step_no and m.shard = d.shard;
  select array_agg(i.step_no order by i.step_no, i.map_index), array_agg(i.map_index order by i.step_no, i.map_index)
    into v_step_nos, v_elements
    from htdag.map_items i
   where i.run_id = p_run_id and i.map_index >= 0 and get_bit(v_run.succeeded | v_run.failed | v_run.skipped, i.step_no) = 0
     and not exists (select from htdag.tasks t where t.run_id = p_run_id and t.step_no = i.step_no and t.map_index = i.map_index)
     and not exists (select from htdag.attempts a where a.run_id = p_run_id and a.step_no = i.step_no and a.map_index = i.map_index
                        and a.outcome = 'succeeded' and not a.superseded);
  if v_elements is not null then
    perform htdag.open_tasks(array[p_run_id], v_step_nos, v_elements);
  end if;
  return format('counted its elements anew; opened %s', coalesce(cardinality(v_elements), 0));
end;
$$;

comment on function htdag.repair_map(bigint) is 'Set the counts of a run''s map steps right and open elements that have no task; returns what was done.';
