-- Admission: when queued runs may start.
--
-- Limits are looked at when work is looked for, never in the claim of a task: a
-- run that may not start has no task yet. The number of running runs is counted,
-- not kept, under the flow's advisory lock; so there is no counter to drift and
-- nothing to give back when a run ends.
--
-- Locks are only tried: whoever holds one of these is admitting, or about to.
-- Advisory locks: class 1213481298 ('HTDR'), object flow_id.

create or replace function htdag.set_limits(
  p_flow                text,
  p_max_concurrent_runs integer default null,
  p_rate_per_minute     integer default null,
  p_cpu_threshold       double precision default null,
  p_memory_threshold    double precision default null,
  p_only_if_unset       boolean default false
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  insert into htdag.limits as l (flow_id, max_concurrent_runs, rate_per_minute, cpu_threshold, memory_threshold)
  select flow_id, p_max_concurrent_runs, p_rate_per_minute, p_cpu_threshold, p_memory_threshold
    from htdag.flows where name = p_flow
      on conflict (flow_id) do update
         set max_concurrent_runs = excluded.max_concurrent_runs, rate_per_minute = excluded.rate_per_minute,
             cpu_threshold = excluded.cpu_threshold, memory_threshold = excluded.memory_threshold
       where not p_only_if_unset;
  if found then
    return true;
  elsif exists (select from htdag.flows where name = p_flow) then
    return false;
  end if;
  raise exception using errcode = 'HT001', message = format('flow "%s" does not exist', p_flow),
    hint = 'select name from htdag.flows lists the flows there are.';
end;
$$;

comment on function htdag.set_limits(text, integer, integer, double precision, double precision, boolean) is
  'Set the admission limits of a flow, at once and for runs already waiting; null lifts a limit. Thresholds are shares (0 to 1) of a runner''s processors and memory in use. With p_only_if_unset, keeps limits that exist and returns false.';

-- The least loaded live runner decides: while one has room, runs may start. The
-- reason does not give the figures of the moment, so that it changes rarely.
create or replace function htdag.load_reason(p_limits htdag.limits)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
  v_now    constant timestamptz := htdag.clock();
  v_slack  constant double precision := case when p_limits.gated then 0.05 else 0 end::double precision;
  v_load   record;
begin
  if p_limits.cpu_threshold is null and p_limits.memory_threshold is null then
    return null;
  end if;
  select min(cpu) as cpu, min(memory) as memory into v_load
    from htdag.runners
   where stopped_at is null and seen_at > v_now - interval '15 s';
  return case
    when v_load.cpu > p_limits.cpu_threshold - v_slack
      then format('no runner has its cpu load under %s', p_limits.cpu_threshold - v_slack)
    when v_load.memory > p_limits.memory_threshold - v_slack
      then format('no runner has its memory use under %s', p_limits.memory_threshold - v_slack)
  end;
end;
$$;

comment on function htdag.load_reason(htdag.limits) is
  'Why load holds back new runs of a flow, or null. Reports older than 15 s do not count; no report means no objection.';

-- Admit what the limits of one flow allow, and tell the first of the others why
-- they wait: all of them would be too many rows to write each time the reason changes.
create or replace function htdag.admit_flow(p_flow_id integer)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now     constant timestamptz := htdag.clock();
  v_limits  htdag.limits;
  v_room    bigint := 1000::bigint;
  v_more    bigint;
  v_reason  text;
  v_due     timestamptz;
  v_spacing interval;
  v_done    integer := 0;
begin
  if not pg_try_advisory_xact_lock(1213481298, p_flow_id) then
    return 0;
  end if;
  select * into v_limits from htdag.limits where flow_id = p_flow_id for update skip locked;
  if not found and exists (select from htdag.limits where flow_id = p_flow_id) then
    return 0;
  end if;

  if v_limits.max_concurrent_runs is not null then
    select v_limits.max_concurrent_runs - count(*) into v_room
      from htdag.runs where flow_id = p_flow_id and state in ('running', 'paused') and parent_run_id is null;
    v_reason := format('%s runs are running, which is the limit', v_limits.max_concurrent_runs);
  end if;
  if v_limits.rate_per_minute is not null then
    -- Generic cell rate algorithm (ITU-T I.371) with a minute's allowance as its burst.
    -- The spacing is rounded down, so that a minute holds the full allowance.
    v_spacing := interval '1 us' * greatest(60000000 / v_limits.rate_per_minute, 1);
    v_more := floor(extract(epoch from v_now + interval '1 minute' - greatest(v_limits.next_start_at, v_now))
                    / extract(epoch from v_spacing))::bigint;
    if v_more < v_room then
      v_room := v_more;
      v_due := greatest(v_limits.next_start_at, v_now) + v_spacing * (greatest(v_room, 0) + 1) - interval '1 minute';
      v_reason := format('%s starts in the last minute, which is the limit', v_limits.rate_per_minute);
    end if;
  end if;
  if v_room > 0 and htdag.load_reason(v_limits) is not null then
    v_room := 0;
    v_due := null;
    v_reason := htdag.load_reason(v_limits);
  end if;
  if v_limits.gated is distinct from (htdag.load_reason(v_limits) is not null) then
    update htdag.limits set gated = not gated where flow_id = p_flow_id;
  end if;

  if v_room > 0 then
    v_done := htdag.admit_runs(array(select run_id from htdag.run_queue where flow_id = p_flow_id
                                      order by priority, run_id limit v_room for update skip locked));
    if v_limits.rate_per_minute is not null and v_done > 0 then
      update htdag.limits set next_start_at = greatest(next_start_at, v_now) + v_spacing * v_done
       where flow_id = p_flow_id;
    end if;
  end if;
  with head as (
    select run_id, reason, due_at from htdag.run_queue where flow_id = p_flow_id
     order by priority, run_id limit 100 for update skip locked
  ), held as (
    update htdag.run_queue q set reason = v_reason, due_at = v_due
      from head h
     where q.run_id = h.run_id and (h.reason is distinct from v_reason or h.due_at is distinct from v_due)
    returning q.run_id, h.reason is distinct from v_reason as is_news
  )
  insert into htdag.admission_log (run_id, decided_at, decision, reason)
  select run_id, v_now, 'held', v_reason from held where is_news;
  return v_done;
end;
$$;

comment on function htdag.admit_flow(integer) is
  'Admit the oldest queued runs of one flow as far as its limits allow; the next hundred are told the reason. Returns how many runs started.';

create or replace function htdag.admit_runs(p_run_ids bigint[])
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_runs bigint[];
begin
  -- A run that someone holds is being cancelled; it is left where it is.
  v_runs := array(select run_id from htdag.runs where run_id = any (p_run_ids) and state = 'queued' order by run_id for update skip locked);
  delete from htdag.run_queue where run_id = any (v_runs);
  update htdag.runs r
     set state = 'running', started_at = v_now, deadline_at = v_now + v.run_timeout
    from htdag.flow_versions v
   where r.run_id = any (v_runs) and v.flow_version_id = r.flow_version_id;
  insert into htdag.admission_log (run_id, decided_at, decision)
  select run_id, v_now, 'admitted' from unnest(v_runs) run_id;
  if cardinality(v_runs) > 0 then
    perform htdag.schedule(v_runs);
  end if;
  return cardinality(v_runs);
end;
$$;

comment on function htdag.admit_runs(bigint[]) is 'Start queued runs without asking the limits; returns how many were still queued.';

create or replace function htdag.admit()
returns integer
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
as $$
begin
  -- One probe per flow: the queue itself may be long.
  return (select coalesce(sum(htdag.admit_flow(flow_id)), 0)::integer
            from (select f.flow_id
                    from htdag.flows f
                   cross join lateral (select from htdag.run_queue q where q.flow_id = f.flow_id order by q.priority, q.run_id limit 1) q
                   order by f.flow_id) q);
end;
$$;

comment on function htdag.admit() is
  'Admit queued runs of every flow as far as limits allow; returns how many started. Called whenever work is looked for or a run has ended; calling it by hand does no harm.';

create or replace function htdag.fill_slots()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
begin
  return case when (select min(run_id) from htdag.run_queue) is not null then htdag.admit() else 0 end;
end;
$$;

comment on function htdag.fill_slots() is 'admit, where anything is queued at all. Returns how many runs started.';
