-- Tries that did not get through: another one, later, or the loss of the step.

-- Where each of the tasks that did not get through stopped, and what comes of it.
create or replace function htdag.stopped_changes(
  p_kept     htdag.tasks[],
  p_task_ids bigint[],
  p_tokens   bigint[],
  p_step_nos smallint[],
  p_outcomes text[],
  p_outputs  jsonb[],
  p_codes    text[],
  p_delays   interval[]
)
returns htdag.run_change[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_stops    smallint[];
  v_outcomes text[];
  v_codes    text[];
  v_delays   interval[];
  v_changes  htdag.run_change[];
  v_wrong    text;
begin
  select array_agg(k.stop order by k.task_id), array_agg(k.outcome order by k.task_id),
         array_agg(k.code order by k.task_id), array_agg(k.delay order by k.task_id),
         min(format('task %s (steps %s to %s): answers for steps %s', k.task_id, k.step_no, k.last_step_no, k.answers)) filter (where not k.is_sound)
    into v_stops, v_outcomes, v_codes, v_delays, v_wrong
    from (select t.task_id, t.step_no, t.last_step_no, max(a.step_no) as stop, (array_agg(a.outcome order by a.step_no desc))[1] as outcome,
                 (array_agg(a.code order by a.step_no desc))[1] as code, (array_agg(a.delay order by a.step_no desc))[1] as delay,
                 string_agg(format('%s %s', a.step_no, a.outcome), ', ' order by a.step_no) as answers,
                 min(a.step_no) = t.step_no and max(a.step_no) <= t.last_step_no and count(*) = max(a.step_no) - t.step_no + 1
                   and count(*) filter (where a.outcome = 'succeeded') >= count(*) - 1
                   and coalesce(min(a.step_no) filter (where a.outcome <> 'succeeded') = max(a.step_no), true) as is_sound
            from unnest(p_task_ids, p_tokens, p_step_nos, p_outcomes, p_codes, p_delays) a(task_id, token, step_no, outcome, code, delay)
            join unnest(p_kept) t on t.task_id = a.task_id and t.token = a.token
           group by t.task_id, t.step_no, t.last_step_no) k;
  if v_wrong is not null then
    raise exception using errcode = 'HT006', message = v_wrong,
      hint = 'Answer the steps of a task from its first on, without gaps; only the last answer may be other than succeeded. Nothing of the batch was stored.';
  end if;
  v_changes := htdag.retry_or_lose(p_kept, v_stops, v_outcomes, v_codes, v_delays);
  if 'decomposed' = any (v_outcomes) then
    perform htdag.start_parts(p_kept, p_task_ids, p_tokens, p_outcomes, p_outputs);
  end if;
  return v_changes;
end;
$$;

comment on function htdag.stopped_changes(htdag.tasks[], bigint[], bigint[], smallint[], text[], jsonb[], text[], interval[]) is
  'What answers that do not complete their tasks change in the runs. Raises HT006 where they do not fit the task.';

-- Deal with tasks that did not get through: p_step_nos[i] is where task i stopped,
-- p_outcomes[i] how. Steps before it in the bundle have succeeded. The task is
-- parked for another try, given back, or its step is lost. The caller holds the
-- tasks and their runs; tries are logged already.
create or replace function htdag.retry_or_lose(
  p_tasks    htdag.tasks[],
  p_step_nos smallint[],
  p_outcomes text[],
  p_codes    text[] default null,
  p_delays   interval[] default null
)
returns htdag.run_change[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now     constant timestamptz := htdag.clock();
  v_ids     constant bigint[] := array(select task_id from unnest(p_tasks));
  v_changes htdag.run_change[];
  v_lost    record;
begin
  with stopped as (
    select t.task_id, t.run_id, coalesce(h.lane_id, t.lane_id) as lane_id, h.priority * 1000 - least(h.step_no, 999) as priority, t.limit_key, o.outcome, s.step_no + (o.outcome = 'succeeded')::integer as step_no,
           case o.outcome when 'succeeded' then 0 else tries - (o.outcome in ('released', 'snoozed'))::integer end as attempt,
           case when again then 'retry' when o.outcome = 'snoozed' then 'snooze' when o.outcome = 'decomposed' then 'sub-flow' end as parked,
           case when again then v_now + htdag.retry_delay(s, tries) * (1 + s.jitter * (2 * random() - 1))
                when o.outcome = 'snoozed' then v_now + o.delay
                when o.outcome = 'decomposed' then 'infinity' end as due_at
      from unnest(p_tasks) with ordinality t
      join unnest(p_step_nos, p_outcomes, p_codes, p_delays) with ordinality o(step_no, outcome, code, delay, ordinality) using (ordinality)
      join htdag.steps s on s.flow_version_id = t.flow_version_id and s.step_no = o.step_no
      join htdag.steps h on h.flow_version_id = t.flow_version_id and h.step_no = t.step_no
     cross join lateral (select case when s.step_no = t.step_no then t.attempt else 1 end as tries) n
     cross join lateral (select o.outcome in ('failed', 'timed_out', 'lost') and n.tries <= s.max_retries
                                and coalesce(o.code <> all (s.no_retry), true) as again) a
     where again or o.outcome in ('succeeded', 'released', 'snoozed', 'decomposed')
  )
  update htdag.tasks t
     set step_no = k.step_no, attempt = k.attempt,
         runner_id = null, token = null, claimed_at = null, timeout_at = null,
         lane_id = k.lane_id, priority = r.priority * 1000 + k.priority,
         ready_at = case when k.parked in ('retry', 'snooze') then k.due_at else v_now end,
         parked = w.parked, due_at = case when w.parked in ('limit', 'paused') then 'infinity' else k.due_at end
    from stopped k
    join htdag.runs r on r.run_id = k.run_id
    join htdag.lanes l on l.lane_id = k.lane_id
   -- What goes back to be claimed at once queues anew for its limit.
   cross join lateral (select coalesce(k.parked, htdag.held_for(r.state, k.limit_key, l.is_limited)) as parked) w
   -- The list keeps a plan made for an empty table from reading all tasks for each of these.
   where t.task_id = any (v_ids) and t.task_id = k.task_id;
  perform htdag.emit_tries(p_tasks, p_step_nos, p_outcomes);

  select array_agg((d.run_id, d.bits, d.bits & ~d.bits, d.bits & ~d.bits, d.bits & ~d.bits)::htdag.run_change) into v_changes
    from (select t.run_id, bit_or(s.self)::bit varying as bits
            from unnest(p_tasks) with ordinality t
            join unnest(p_step_nos, p_outcomes) with ordinality o(step_no, outcome, ordinality) using (ordinality)
            join htdag.steps s on s.flow_version_id = t.flow_version_id
             and s.step_no between t.step_no and o.step_no - (o.outcome <> 'succeeded')::integer
           group by t.run_id) d;

  -- One by one, for a loss may take other tasks of its run with it.
  for v_lost in
    select t.task_id, t.run_id, coalesce(t.map_index, 0) as map_index, o.step_no
      from unnest(p_tasks) with ordinality t
      join unnest(p_step_nos, p_outcomes) with ordinality o(step_no, outcome, ordinality) using (ordinality)
     where o.outcome not in ('succeeded', 'released', 'snoozed', 'decomposed')
       and exists (select from htdag.tasks l where l.task_id = t.task_id and l.token = t.token)
     order by t.task_id
  loop
    delete from htdag.tasks where task_id = v_lost.task_id;
    perform htdag.bury(v_lost.run_id, v_lost.step_no, v_lost.map_index);
    v_changes := v_changes || htdag.lose_step(v_lost.run_id, v_lost.step_no);
  end loop;
  return coalesce(v_changes, '{}');
end;
$$;

comment on function htdag.retry_or_lose(htdag.tasks[], smallint[], text[], text[], interval[]) is
  'Park, give back or lose tasks that stopped short; returns what that changes in their runs.';

create or replace function htdag.retry_delay(p_step htdag.steps, p_tries integer)
returns interval
language sql
immutable
parallel safe
-- Grown as a number, whose range is larger than that of an interval.
return interval '1 s' * least(extract(epoch from (p_step).max_delay)::double precision,
  extract(epoch from (p_step).initial_delay)::double precision * power((p_step).backoff, least(p_tries - 1, 90)));

comment on function htdag.retry_delay(htdag.steps, integer) is 'How long to wait after so many tries before the next.';
