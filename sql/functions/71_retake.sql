-- Retaking: steps of an ended run are taken back, so that the run goes on.
--
-- A retry clears bits of the masks and raises the run's epoch; readiness follows from the
-- masks as always. What is taken back: the steps that failed, or those that are named;
-- whatever needs one of these, handlers of failure and steps that always run
-- included, since what they looked at will be different; and what was skipped
-- because the run was lost or cancelled. A step skipped by its own condition, or because no
-- failure called for it, stays skipped unless something that it needs is taken back.
--
-- Lock order: tasks, then shards, then runs, as for completions. Of an ended run, tasks
-- are left only where a claim or a completion has missed its end.

create or replace view htdag.retry_plan as
select s.name     as step,
       s.name     as state,
       s.name     as happens,
       s.step_no::integer as elements_kept
  from htdag.steps s;

comment on view htdag.retry_plan is
  'What a retry would do with a step: its state now; "runs again", "runs for the first time" (in both cases as far as conditions and failures let it) or "kept"; and, for a map step that runs again, how many elements keep their outputs.';

create or replace function htdag.behind(p_step htdag.steps)
returns bit varying
language plpgsql
stable
set search_path = ''
as $$
begin
  return (p_step.gate | coalesce((select bit_or(n.self) from htdag.steps n
                                   where n.flow_version_id = p_step.flow_version_id and n.name = any (p_step.needs)), p_step.gate))::bit varying;
end;
$$;

comment on function htdag.behind(htdag.steps) is 'The steps that one rests on: its needs, and what the rest of its bundle needs from outside.';

-- Steps are numbered topologically, so one pass finds all that rests on others.
create or replace function htdag.retaken_steps(p_run htdag.runs, p_from text[])
returns bit varying
language plpgsql
stable
set search_path = ''
as $$
declare
  v_steps  constant htdag.steps[] := array(select s from htdag.steps s where s.flow_version_id = p_run.flow_version_id order by s.step_no);
  v_step   htdag.steps;
  v_taken  bit varying := (p_run.failed & ~p_run.failed)::bit varying;
  v_doomed bit varying := (p_run.failed & ~p_run.failed)::bit varying;
begin
  foreach v_step in array v_steps loop
    if v_step.name = any (p_from) or p_from is null and get_bit(p_run.failed, v_step.step_no) = 1
       or bit_count(htdag.behind(v_step) & v_taken) > 0 then
      v_taken := v_taken | v_step.self;
    end if;
  end loop;
  if exists (select from unnest(v_steps) s where s.on_failure = 'fail' and get_bit(p_run.failed & ~v_taken, s.step_no) = 1) then
    -- A failure that is not retried goes on to fail the run: what it took with it stays skipped.
    return v_taken;
  end if;

  foreach v_step in array v_steps loop
    if bit_count(htdag.behind(v_step) & v_taken) > 0 then
      v_taken := v_taken | v_step.self;
    elsif get_bit(p_run.failed & ~v_taken, v_step.step_no) = 1 and v_step.on_failure = 'skip' then
      v_doomed := v_doomed | v_step.dooms;
    end if;
    continue when get_bit(p_run.skipped & ~v_taken & ~v_doomed, v_step.step_no) = 0;
    if v_step.run_on = 'failure' and bit_count(v_step.gate & p_run.failed & ~v_taken) = 0 then
      v_doomed := v_doomed | v_step.dooms;
    elsif get_bit(p_run.scheduled, v_step.step_no) = 1 and htdag.is_declined(v_step, htdag.step_document(p_run.run_id, v_step.step_no)) then
      v_doomed := v_doomed | case v_step.on_skip when 'cascade' then v_step.dooms else v_doomed end;
    else
      v_taken := v_taken | v_step.self;
    end if;
  end loop;
  return v_taken;
end;
$$;

comment on function htdag.retaken_steps(htdag.runs, text[]) is 'Which steps of an ended run a retry takes back.';

-- Of a map that did not succeed, whose elements are what they were, those that
-- succeeded stay, unless whole maps are asked for.
create or replace function htdag.keeps_elements(p_run htdag.runs, p_taken bit varying, p_step htdag.steps, p_only_failed boolean)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return p_only_failed and p_step.is_map and get_bit(p_run.succeeded, p_step.step_no) = 0 and bit_count(htdag.behind(p_step) & p_taken) = 0;
end;
$$;

comment on function htdag.keeps_elements(htdag.runs, bit varying, htdag.steps, boolean) is 'Whether the succeeded elements of a step that is taken back are kept.';

create or replace function htdag.check_retry(p_run_id bigint, p_run htdag.runs, p_from text[])
returns boolean
language plpgsql
stable
set search_path = ''
as $$
declare
  v_unknown text;
begin
  perform htdag.check_run(p_run_id);
  if p_run.parent_run_id is not null then
    raise exception using errcode = 'HT003', message = format('run %s is part of run %s and cannot be retried by itself', p_run_id, p_run.root_run_id),
      hint = format('Retry run %s once it has ended: its steps that run flows start new runs.', p_run.root_run_id);
  elsif p_run.finished_at is null then
    raise exception using errcode = 'HT003', message = format('run %s has not ended: it is %s', p_run_id, p_run.state),
      hint = 'Cancel it first, or wait for its end.';
  elsif p_run.state = 'succeeded' and p_from is null then
    raise exception using errcode = 'HT003', message = format('run %s succeeded', p_run_id),
      hint = 'Name the steps that shall run again in p_from.';
  end if;
  select n into v_unknown from unnest(p_from) n
   where not exists (select from htdag.steps s where s.flow_version_id = p_run.flow_version_id and s.name = n)
   limit 1;
  if v_unknown is not null or p_from = '{}' or array_position(p_from, null) is not null then
    raise exception using errcode = 'HT006',
      message = case when v_unknown is null then 'p_from names no step' else format('run %s has no step "%s"', p_run_id, v_unknown) end,
      hint = 'Its steps are: ' || (select string_agg(s.name, ', ' order by s.step_no) from htdag.steps s where s.flow_version_id = p_run.flow_version_id);
  end if;
  return true;
end;
$$;

comment on function htdag.check_retry(bigint, htdag.runs, text[]) is 'True; raises HT001, HT003 or HT006 where a run cannot be retried so.';

-- Take steps of a locked, ended run back. It goes on at once; where its flow is limited it
-- queues, as a run that is new, and the caller schedules only the others.
create or replace function htdag.retake(p_run htdag.runs, p_from text[], p_only_failed boolean)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now     constant timestamptz := htdag.clock();
  v_taken   constant bit varying := htdag.retaken_steps(p_run, p_from);
  v_limited constant boolean := exists (select from htdag.limits where flow_id = p_run.flow_id);
begin
  if bit_count(v_taken) = 0 then
    return null;
  end if;
  with gone as (
    delete from htdag.tasks where run_id = p_run.run_id returning *
  )
  insert into htdag.attempts (run_id, step_no, map_index, epoch, attempt, outcome, ready_at, claimed_at, finished_at, runner_id, error)
  select run_id, step_no, coalesce(map_index, 0), epoch, attempt, 'cancelled', ready_at, claimed_at, v_now, runner_id, 'its run had ended'
    from gone where runner_id is not null
      on conflict do nothing;
  update htdag.attempts a
     set superseded = true
    from (select s.step_no, htdag.keeps_elements(p_run, v_taken, s, p_only_failed) as keeps
            from htdag.steps s where s.flow_version_id = p_run.flow_version_id and get_bit(v_taken, s.step_no) = 1 offset 0) s
   where a.run_id = p_run.run_id and a.step_no = s.step_no and not a.superseded and not (a.outcome = 'succeeded' and s.keeps);
  delete from htdag.map_items where run_id = p_run.run_id and get_bit(v_taken, step_no) = 1;
  delete from htdag.map_shards where run_id = p_run.run_id and get_bit(v_taken, step_no) = 1;
  update htdag.dead_tasks set retried_at = v_now where run_id = p_run.run_id and get_bit(v_taken, step_no) = 1;
  -- What died in runs that steps had started is done again in new ones.
  delete from htdag.dead_tasks
   where run_id in (with recursive below as (
                      select p_run.run_id
                      union all
                      select c.run_id from below b join htdag.runs c on c.parent_run_id = b.run_id
                    )
                    select b.run_id from below b where b.run_id <> p_run.run_id);
  delete from htdag.pauses where kind = 'run' and name = p_run.run_id::text;
  insert into htdag.retries (run_id, epoch, retried_at, retried_by, from_steps, was_state, was_error, ended_at)
  values (p_run.run_id, p_run.epoch + 1, v_now, session_user, p_from, p_run.state, p_run.error, p_run.finished_at);

  update htdag.runs r
     set state = case when v_limited then 'queued' else 'running' end, epoch = p_run.epoch + 1, error = null, finished_at = null, queued_at = v_now,
         started_at = case when not v_limited then v_now end, deadline_at = case when not v_limited then v_now + v.run_timeout end,
         scheduled = r.scheduled & ~v_taken, succeeded = r.succeeded & ~v_taken, failed = r.failed & ~v_taken, skipped = r.skipped & ~v_taken
    from htdag.flow_versions v
   where r.run_id = p_run.run_id and v.flow_version_id = r.flow_version_id;
  if v_limited then
    insert into htdag.run_queue (run_id, flow_id, priority, limit_key)
    values (p_run.run_id, p_run.flow_id, p_run.priority, coalesce(p_run.limit_key, ''));
  end if;
  if htdag.is_heard(array[p_run.run_id]) then
    perform htdag.emit(array['run.retried', case when v_limited then 'run.queued' else 'run.started' end], array[p_run.run_id, p_run.run_id]);
  end if;
  return not v_limited;
end;
$$;

comment on function htdag.retake(htdag.runs, text[], boolean) is
  'Take steps of a locked, ended run back; true where it is to be scheduled, false where it queues, null where it has nothing to do again.';
