-- Signals: what a run is told from outside.
--
-- A signal is kept until a step takes it, so it may come before the step waits for it.
-- Sending locks the run, as parking a waiting task does: one of the two sees the other.

create or replace function htdag.take_signal(p_task htdag.tasks, p_step htdag.steps, p_now timestamptz)
returns htdag.step_results
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_payload jsonb;
begin
  delete from htdag.signals
   where signal_id = (select signal_id from htdag.signals where run_id = p_task.run_id and name = p_step.target order by signal_id limit 1)
  returning payload into v_payload;
  if found then
    return (p_task.task_id, 'succeeded', v_payload, null, null, interval '0')::htdag.step_results;
  elsif p_task.parked = 'signal' and p_task.due_at <= p_now then
    return (p_task.task_id, 'timed_out', null, format('no signal "%s" came within %s', p_step.target, p_step.timeout), null, interval '0')::htdag.step_results;
  elsif p_task.parked is null then
    update htdag.tasks set parked = 'signal', due_at = p_now + p_step.timeout where task_id = p_task.task_id;
  end if;
  return null;
end;
$$;

comment on function htdag.take_signal(htdag.tasks, htdag.steps, timestamptz) is
  'Give a waiting step the oldest signal that came for it, or park it until one comes or its time is over.';

-- Signals that came while a step waited, which another signal or an end has satisfied
-- since. They are kept for the next step of that name, but are nothing for pump to do.
-- Neither sending nor parking can come between: who sees the signal sees the task.
create or replace function htdag.unawait_signals()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_done integer;
begin
  if not exists (select from htdag.signals where awaited) then
    return 0;
  end if;
  update htdag.signals
     set awaited = false
   where signal_id = any (array(select g.signal_id from htdag.signals g
                                 where g.awaited
                                   and not exists (select from htdag.tasks t join htdag.steps s using (flow_version_id, step_no)
                                                    where t.run_id = g.run_id and s.kind = 'signal' and s.target = g.name)
                                 order by g.signal_id
                                   for update of g skip locked));
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.unawait_signals() is 'Forget that signals were awaited where no step waits any more; returns how many.';

create or replace function htdag.send_signals(p_run_ids bigint[], p_name text, p_payload jsonb)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_runs bigint[];
begin
  v_runs := array(select run_id from htdag.runs where run_id = any (p_run_ids) and finished_at is null order by run_id for no key update);
  insert into htdag.signals (run_id, name, payload, sent_at, awaited)
  select r, p_name, coalesce(p_payload, 'null'), v_now,
         exists (select from htdag.tasks t join htdag.steps s using (flow_version_id, step_no)
                  where t.run_id = r and t.parked = 'signal' and s.target = p_name)
    from unnest(v_runs) r;
  if cardinality(v_runs) > 0 then
    perform htdag.wake_idle(null);
  end if;
  return cardinality(v_runs);
end;
$$;

comment on function htdag.send_signals(bigint[], text, jsonb) is 'Keep a signal for each of the runs that has not ended; returns how many.';

create or replace function htdag.send_signal(p_run_id bigint, p_name text, p_payload jsonb default 'null')
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_run htdag.runs;
begin
  perform htdag.check_run(p_run_id);
  select * into v_run from htdag.runs where run_id = p_run_id;
  if not exists (select from htdag.steps where flow_version_id = v_run.flow_version_id and kind = 'signal' and target = p_name) then
    raise exception using errcode = 'HT006', message = format('no step of run %s waits for a signal "%s"', p_run_id, coalesce(p_name, 'null')),
      hint = coalesce((select 'Its steps wait for: ' || string_agg(distinct target, ', ') from htdag.steps
                        where flow_version_id = v_run.flow_version_id and kind = 'signal'), 'It waits for no signals at all.');
  elsif v_run.finished_at is not null or htdag.send_signals(array[p_run_id], p_name, p_payload) = 0 then
    raise exception using errcode = 'HT003', message = format('run %s has ended, so no step of it will take signal "%s"', p_run_id, p_name),
      hint = 'Start it anew, or retry it, first.';
  end if;
  return true;
end;
$$;

comment on function htdag.send_signal(bigint, text, jsonb) is
  'Tell a run something: the step that waits for the signal of that name ends with the payload as its output, at once or as soon as it waits. Raises HT001, HT003 for a run that has ended, HT006 for a signal that no step of it waits for.';

create or replace function htdag.broadcast_signal(p_name text, p_payload jsonb default 'null', p_flow text default null)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  return htdag.send_signals(array(
    select r.run_id
      from htdag.steps s
      join htdag.flow_versions v using (flow_version_id)
      join htdag.flows f on f.flow_id = v.flow_id
      join htdag.runs r on r.flow_id = f.flow_id and r.flow_version_id = v.flow_version_id
     where s.kind = 'signal' and s.target = p_name and (p_flow is null or f.name = p_flow)
       and r.finished_at is null and get_bit(r.succeeded | r.failed | r.skipped, s.step_no) = 0), p_name, p_payload);
end;
$$;

comment on function htdag.broadcast_signal(text, jsonb, text) is
  'Tell every run that has not ended and has a step waiting, or yet to wait, for the signal of that name; of one flow or of all. Returns how many were told.';

create or replace function htdag.clear_signals()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_done integer;
begin
  delete from htdag.signals
   where signal_id = any (array(select g.signal_id from htdag.signals g join htdag.runs r using (run_id)
                                 where r.finished_at is not null order by g.signal_id limit 1000 for update of g skip locked));
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.clear_signals() is 'Delete signals that no step took before their run ended; returns how many.';
