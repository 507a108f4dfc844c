-- Runs: starting, cancelling and asking about them.
--
-- Lock order: what starts from a run takes the run's row first and touches tasks
-- only with SKIP LOCKED. A row skipped belongs to a completion that waits for the
-- run and will then find it ended, or to a claim, whose runner is not given the task
-- or is told to drop it at its next heartbeat.

-- Publish the newest version of a flow, if that is not done, and return it.
create or replace function htdag.current_version(p_flow text)
returns htdag.flow_versions
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_version htdag.flow_versions;
begin
  select v.* into v_version
    from htdag.flows f
    join htdag.flow_versions v using (flow_id)
   where f.name = p_flow and f.retired_at is null
   order by v.version desc
   limit 1;
  if not found then
    if exists (select from htdag.flows where name = p_flow and retired_at is not null) then
      raise exception using errcode = 'HT003',
        message = format('flow "%s" is retired', p_flow),
        hint = format('Bring it back first: select htdag.retire_flow(%L, p_retired => false);', p_flow);
    end if;
    raise exception using errcode = 'HT001',
      message = format('flow "%s" does not exist', p_flow),
      hint = 'select flow from report.flows lists the flows there are; define_flow makes one.';
  end if;
  if v_version.published_at is null then
    update htdag.flow_versions set published_at = htdag.clock()
     where flow_version_id = v_version.flow_version_id and published_at is null;
    select v.* into v_version from htdag.flow_versions v where v.flow_version_id = v_version.flow_version_id;
  end if;
  return v_version;
end;
$$;

comment on function htdag.current_version(text) is 'The newest version of a flow, published by this call if it was a draft. Raises HT001, and HT003 when the flow is retired.';

-- The tasks that every run of a version begins with, where nothing but masks decides that.
create or replace function htdag.first_tasks(p_flow_version_id integer)
returns table (step_no smallint, last_step_no smallint, lane_id integer, priority integer, time_limit interval, bits bit varying)
language plpgsql
stable
set search_path = ''
as $$
begin
  return query
  select f.step_no, f.last_step_no, f.lane_id, f.priority, f.time_limit, f.bits
    from (select min(s.step_no) as step_no, max(s.step_no) as last_step_no, (array_agg(s.lane_id order by s.step_no))[1] as lane_id,
                 (array_agg(s.priority * 1000 - least(s.step_no, 999) order by s.step_no))[1] as priority,
                 sum(s.timeout) as time_limit, bit_or(s.self)::bit varying as bits,
                 bool_and(bool_and(not s.special and s.run_on <> 'failure' and s.delay = interval '0' and s.limit_key is null
                                   and s.lane_id is not null and not l.is_limited)) over () as is_plain
            from htdag.steps s
            left join htdag.lanes l on l.lane_id = s.lane_id
           where s.flow_version_id = p_flow_version_id and bit_count(s.gate) = 0
           group by coalesce(s.bundle_no, s.step_no)) f
   where f.is_plain;
end;
$$;

comment on function htdag.first_tasks(integer) is
  'Tasks that runs of a version begin with, priorities without the run''s; none where a first step has a condition, a delay, a limit or the like.';

-- Insert runs and schedule them, or queue those that have to wait. Ids may be given.
-- Where they all begin with the same tasks, those are inserted in one go.
create or replace function htdag.insert_runs(
  p_version  htdag.flow_versions,
  p_inputs   jsonb[],
  p_priority smallint,
  p_start_at timestamptz default null,
  p_run_ids  bigint[] default null
)
returns bigint[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now     constant timestamptz := htdag.clock();
  v_blank   constant bit varying := repeat('0', p_version.step_count)::bit varying;
  v_start   constant timestamptz := case when p_start_at > v_now then p_start_at end;
  v_limits  htdag.limits;
  v_held    boolean;
  v_runs    bigint[];
  v_lanes   integer[];
begin
  select * into v_limits from htdag.limits where flow_id = p_version.flow_id;
  v_held := found or v_start is not null;

  with numbered as materialized (
    select i, coalesce(given_id, nextval('htdag.runs_run_id_seq'::regclass)) as run_id, input,
           case when v_limits.key is not null then htdag.limit_key(input, v_limits.key) end as limit_key
      from unnest(p_inputs, p_run_ids) with ordinality u(input, given_id, i)
  ), first as materialized (
    select * from htdag.first_tasks(p_version.flow_version_id) where not v_held
  ), started as (
    insert into htdag.runs (run_id, flow_id, flow_version_id, state, priority, scheduled, succeeded, failed, skipped, queued_at,
           started_at, deadline_at, limit_key)
    overriding system value
    select run_id, p_version.flow_id, p_version.flow_version_id, case when v_held then 'queued' else 'running' end,
           p_priority, coalesce((select bit_or(bits) from first), v_blank), v_blank, v_blank, v_blank, v_now,
           case when not v_held then v_now end, case when not v_held then v_now + p_version.run_timeout end, limit_key
      from numbered
  ), io as (
    insert into htdag.run_io (run_id, input) select run_id, input from numbered
  ), opened as (
    insert into htdag.tasks (run_id, flow_version_id, epoch, step_no, last_step_no, lane_id, priority, time_limit, ready_at)
    select n.run_id, p_version.flow_version_id, 0, f.step_no, f.last_step_no, f.lane_id, p_priority * 1000 + f.priority, f.time_limit, v_now
      from numbered n cross join first f
     order by n.run_id, f.step_no
  ), held as (
    insert into htdag.run_queue (run_id, flow_id, priority, starts_at, limit_key)
    select run_id, p_version.flow_id, p_priority, v_start, coalesce(limit_key, '') from numbered where v_held
  )
  select array_agg(run_id order by i), (select array_agg(distinct lane_id) from first) into v_runs, v_lanes from numbered;

  if v_runs[1] / 65536 <> v_runs[cardinality(v_runs)] / 65536 then
    -- Upkeep does this too, but nobody may be running it.
    perform htdag.make_partitions();
  end if;
  if v_runs is null then
    return array[]::bigint[];
  end if;
  if p_version.heard is not null then
    perform htdag.emit(array[case when v_held then 'run.queued' else 'run.started' end], v_runs);
  end if;
  if v_held then
    perform htdag.wake_idle(null);
  elsif v_lanes is not null then
    perform htdag.wake_idle(v_lanes);
  else
    perform htdag.schedule(v_runs);
  end if;
  return v_runs;
end;
$$;

comment on function htdag.insert_runs(htdag.flow_versions, jsonb[], smallint, timestamptz, bigint[]) is
  'Insert one run of a flow version per input and schedule them; those of limited flows and those with a start time to come are queued. Returns their ids in the order of the inputs.';

create or replace function htdag.start_flows(
  p_flow         text,
  p_inputs       jsonb[],
  p_priority     integer default 0,
  p_keys         text[] default null,
  p_on_duplicate text default 'return',
  p_debounce     interval default null,
  p_delay        interval default null,
  p_start_at     timestamptz default null
)
returns setof bigint
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
  v_version constant htdag.flow_versions := htdag.current_version(p_flow);
begin
  if array_position(p_inputs, null) is not null then
    raise exception using errcode = 'HT006',
      message = format('input %s of flow "%s" is null', array_position(p_inputs, null), p_flow), hint = 'Pass ''{}'' for a run without input.';
  elsif p_priority not between -10000 and 10000 then
    raise exception using errcode = 'HT006',
      message = format('priority is %s', p_priority), hint = 'Give one between -10000 and 10000; lower is sooner.';
  elsif p_delay is not null then
    if p_start_at is not null or p_delay < interval '0' then
      raise exception using errcode = 'HT006',
        message = format('the delay is %s%s', p_delay, ' and the start is at ' || p_start_at), hint = 'Give either a delay of 0 or more or a time to start at.';
    end if;
    p_start_at := htdag.clock() + p_delay;
  end if;
  if p_keys is not null or p_debounce is not null then
    return query select htdag.start_keyed(v_version, p_inputs, coalesce(p_priority, 0)::smallint, p_keys, p_on_duplicate, p_debounce, p_start_at);
  else
    return query select unnest(htdag.insert_runs(v_version, p_inputs, coalesce(p_priority, 0)::smallint, p_start_at));
  end if;
end;
$$;

comment on function htdag.start_flows(text, jsonb[], integer, text[], text, interval, interval, timestamptz) is
  'Start one run of a flow per input; returns their ids in the order of the inputs. Runs of limited flows are queued until admitted, runs with a delay or a time until then. Priorities are from -10000 to 10000, lower is sooner. Keys, one per input, are as in start_flow.';

create or replace function htdag.start_flow(
  p_flow         text,
  p_input        jsonb default '{}',
  p_priority     integer default 0,
  p_key          text default null,
  p_on_duplicate text default 'return',
  p_debounce     interval default null,
  p_delay        interval default null,
  p_start_at     timestamptz default null
)
returns bigint
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
  return (select r from htdag.start_flows(p_flow, array[p_input], p_priority, case when p_key is not null then array[p_key] end,
                                          p_on_duplicate, p_debounce, p_delay, p_start_at) r);
end;
$$;

comment on function htdag.start_flow(text, jsonb, integer, text, text, interval, interval, timestamptz) is
  'Start a run of a flow on one input; returns its id at once. With a key that has a run already, p_on_duplicate decides: return (that run, also when it has ended), restart_failed (unless it failed or was cancelled), restart (unless it has ended), reject (HT003), replace (cancel it and start anew), debounce (a run that still waits for its time gets the new input and waits p_debounce more). Follow it in report.runs and report.steps.';

create or replace function htdag.cancel_run(p_run_id bigint, p_reason text default 'cancelled')
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
  v_run htdag.runs;
begin
  select * into v_run from htdag.runs where run_id = p_run_id for update;
  if not found then
    raise exception using errcode = 'HT001', message = format('run %s does not exist', coalesce(p_run_id::text, 'null')),
      hint = 'select run_id from report.runs lists the runs there are.';
  elsif v_run.finished_at is not null then
    return false;
  end if;
  perform htdag.end_runs(array[p_run_id], coalesce(p_reason, 'cancelled'));
  -- Sub-flows that nobody holds end with it, level by level; the others at pump's next turn.
  while htdag.deliver_cancels(1000) > 0 loop
    null;
  end loop;
  if (select min(run_id) from htdag.run_queue) is not null or exists (select from htdag.inbox) then
    -- Not admit: a session that cancels and then dallies would keep others from admitting.
    perform htdag.wake_idle(null);
  end if;
  return true;
end;
$$;

comment on function htdag.cancel_run(bigint, text) is
  'End a run now: its tasks are withdrawn, handlers at work on them see their context end within a heartbeat, and their results count no more. False if it had ended already. Raises HT001.';

-- Take back the tasks of runs whose rows the caller has locked. Claimed ones are
-- logged as attempts with the outcome given.
create or replace function htdag.withdraw_tasks(
  p_run_ids  bigint[],
  p_outcome  text,
  p_error    text,
  p_step_no  smallint default null,
  p_handlers boolean default true
)
returns integer
language plpgsql
volatile
set search_path = ''
set lock_timeout = '10 ms'
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_done integer;
begin
  loop
    begin
      with withdrawn as (
        delete from htdag.tasks t
         where t.task_id = any (array(select w.task_id
                                        from htdag.tasks w
                                        join htdag.steps s using (flow_version_id, step_no)
                                       where w.run_id = any (p_run_ids)
                                         and (p_step_no is null or w.step_no = p_step_no)
                                         and (p_handlers or s.run_on = 'success')
                                       order by w.task_id
                                         for update of w skip locked))
        returning t.*
      ), logged as (
        -- A task of the caller's own batch may have its try in the log already.
        insert into htdag.attempts (run_id, step_no, map_index, epoch, attempt, outcome, ready_at, claimed_at, finished_at, runner_id, error)
        select run_id, step_no, coalesce(map_index, 0), epoch, attempt, p_outcome, ready_at, claimed_at, v_now, runner_id, p_error
          from withdrawn where runner_id is not null
            on conflict do nothing
      ), told as (
        insert into htdag.inbox (kind, run_id, reason)
        select 'cancel', r.run_id, format('run %s gave it up: %s', w.run_id, p_error)
          from withdrawn w
          join htdag.runs r on r.parent_run_id = w.run_id and r.parent_task_id = w.task_id
         where w.parked = 'sub-flow' and r.finished_at is null
      )
      select count(*)::integer into v_done from withdrawn;
      if exists (select from htdag.signals where run_id = any (p_run_ids) and awaited) then
        perform htdag.unawait_signals();
      end if;
      exit;
    exception when lock_not_available then
      -- SKIP LOCKED met a row that was just changed twice (see lease_tasks): look again.
      null;
    end;
  end loop;
  return v_done;
end;
$$;

comment on function htdag.withdraw_tasks(bigint[], text, text, smallint, boolean) is
  'Delete the live tasks of locked runs, of one step or of all, with or without those of handlers of failure; returns how many.';

create or replace function htdag.run_untouched(p_run_id bigint)
returns boolean
language sql
stable
security definer
set search_path = ''
return exists (
  select from htdag.runs r
   where r.run_id = p_run_id
     and r.finished_at is null
     and r.succeeded = r.scheduled & ~r.scheduled
     and r.failed = r.succeeded
     and not exists (select from htdag.tasks t where t.run_id = r.run_id and t.attempt > 0)
     and not exists (select from htdag.attempts a where a.run_id = r.run_id));

comment on function htdag.run_untouched(bigint) is
  'True while no runner has claimed anything of the run, so that whatever it will read is yet to be read.';
