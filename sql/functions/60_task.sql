-- Tasks: claiming units of work.
--
-- A task is leased, never locked, while a runner works on it: row locks last for
-- one call. The fence is (task_id, token): a late answer finds no row with its token
-- and changes nothing.
--
-- Lock order: own elements of maps ascending, then map shards ascending, then runs
-- ascending, then what belongs to the runs, and inserts. Everything after that is only tried: limits, queued runs, tasks to
-- claim. A runner's row is never waited for by whoever holds a task.

create or replace function htdag.random_token()
returns bigint
language sql
volatile
parallel safe
return floor(random() * 9007199254740992)::bigint;

comment on function htdag.random_token() is
  'A fence for one claim. Random, since numbers of a sequence can come again after a crash.';

create or replace function htdag.is_live(p_run htdag.runs, p_epoch integer, p_step_no integer)
returns boolean
language sql
immutable
parallel safe
return (p_run).finished_at is null and (p_run).epoch = p_epoch
   and get_bit((p_run).succeeded | (p_run).failed | (p_run).skipped, p_step_no) = 0;

comment on function htdag.is_live(htdag.runs, integer, integer) is 'Whether a run still wants a task of a step that was made in an epoch of the run.';

-- Give rows of the shape htdag.claims for tasks that the caller has just leased. One
-- whose run was cancelled in that very moment is not given; the next upkeep removes it.
--
-- "offset 0", here and in other hot statements, keeps the order of joins: from what is
-- asked for to what it belongs to. A plan made while the tables were empty takes any
-- order to be as good, and would keep starting from all runs until they are analyzed.
create or replace function htdag.claimed(p_task_ids bigint[])
returns setof htdag.claims
language plpgsql
stable
set search_path = ''
as $$
begin
  return query
  select 'claimed'::text, t.task_id, t.token, t.run_id, f.name, t.flow_version_id, t.step_no, t.last_step_no,
         t.map_index, t.attempt,
         case when s.argument is null and (t.map_index is null or s.map_source_no is not null) then io.input
              when s.argument is null then htdag.element_input(t.run_id, t.step_no)
              else htdag.step_argument(s, htdag.step_document(t.run_id, t.step_no, t.map_index)) end,
         case when t.map_index is not null then
           (select mi.item from htdag.map_items mi where mi.run_id = t.run_id and mi.step_no = t.step_no and mi.map_index = t.map_index) end,
         case when s.wants_needs then htdag.needs_output(t.run_id, t.flow_version_id, t.step_no) end,
         l.queue
    from unnest(p_task_ids) i (task_id)
   cross join lateral (select * from htdag.tasks t where t.task_id = i.task_id offset 0) t
   cross join lateral (select r.flow_id, r.priority from htdag.runs r
                        where r.run_id = t.run_id and htdag.is_live(r, t.epoch, t.step_no) offset 0) r
   cross join lateral (select io.input from htdag.run_io io where io.run_id = t.run_id offset 0) io
    join htdag.flows f on f.flow_id = r.flow_id
    join htdag.steps s on s.flow_version_id = t.flow_version_id and s.step_no = t.step_no
    join htdag.lanes l on l.lane_id = coalesce(s.lane_id, t.lane_id)
   order by (r.priority + s.priority) * 1000 - least(s.step_no, 999), t.task_id;
end;
$$;

comment on function htdag.claimed(bigint[]) is 'Everything a runner needs to work on tasks that were just leased to it.';

create or replace function htdag.runner_lanes(p_runner integer)
returns integer[]
language plpgsql
stable
set search_path = ''
as $$
declare
  v_lanes integer[];
begin
  select array(select l.lane_id from htdag.lanes l where l.queue = any (r.queues) and l.kind = any (r.kinds) and not l.is_paused order by l.lane_id)
    into v_lanes
    from htdag.runners r
   where r.runner_id = p_runner and r.stopped_at is null;
  if not found then
    raise exception using errcode = 'HT001',
      message = format('runner %s is not registered', p_runner),
      detail = 'It was never registered, has said goodbye, or was silent for so long that its tasks were given to others.',
      hint = 'Register again with htdag.register_runner; drop what the runner was working on.';
  end if;
  return v_lanes;
end;
$$;

comment on function htdag.runner_lanes(integer) is 'Lanes that a runner may claim from. Raises HT001 for a runner that is not registered.';

-- Lock the first unclaimed tasks of one stretch of the claim index.
create or replace function htdag.lock_first(p_lane integer, p_after_priority integer, p_after_task bigint, p_below_priority integer, p_want integer)
returns bigint[]
language plpgsql
volatile
set search_path = ''
as $$
begin
  return array(select t.task_id from htdag.tasks t
                where t.lane_id = p_lane and t.runner_id is null and t.parked is null
                  and (t.priority, t.task_id) > (p_after_priority, p_after_task) and t.priority < p_below_priority
                order by t.priority, t.task_id
                limit p_want
                  for update skip locked);
end;
$$;

comment on function htdag.lock_first(integer, integer, bigint, integer, integer) is
  'Lock up to p_want claimable tasks of a lane after a task of a priority and below another priority; those that others hold are passed over.';

-- A stretch is one range of the claim index: a lane, or what is left of it between
-- floors. Stretches are visited by the priority of their first task and then by its age,
-- so that none is forgotten while another always has work.
create or replace function htdag.lock_next(p_lanes integer[], p_floors bigint[], p_want integer)
returns bigint[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_taken   bigint[] := array[]::bigint[];
  v_stretch record;
begin
  if cardinality(p_lanes) = 1 and p_floors is null then
    return htdag.lock_first(p_lanes[1], -2147483647, 0, 2147483647, p_want);
  end if;
  for v_stretch in
    select s.*
      from htdag.stretches(p_lanes, p_floors) s
     cross join lateral (select t.priority, t.task_id from htdag.tasks t
                          where t.lane_id = s.lane_id and t.runner_id is null and t.parked is null
                            and (t.priority, t.task_id) > (s.after_priority, s.after_task) and t.priority < s.below_priority
                          order by t.priority, t.task_id limit 1) h
     order by h.priority, h.task_id
  loop
    v_taken := v_taken || htdag.lock_first(v_stretch.lane_id, v_stretch.after_priority, v_stretch.after_task, v_stretch.below_priority,
                                           p_want - cardinality(v_taken));
    exit when cardinality(v_taken) >= p_want;
  end loop;
  return v_taken;
end;
$$;

comment on function htdag.lock_next(integer[], bigint[], integer) is 'Lock up to p_want claimable tasks of the lanes above the floors, soonest first.';

-- Lease up to p_want tasks of the lanes; p_must says that the caller would rather have
-- one that lies below a floor than none.
create or replace function htdag.lease_tasks(p_runner integer, p_lanes integer[], p_want integer, p_must boolean default false)
returns bigint[]
language plpgsql
volatile
set search_path = ''
set lock_timeout = '10 ms'
as $$
declare
  v_now    constant timestamptz := htdag.clock();
  v_began  constant timestamptz := clock_timestamp();
  v_known  constant bigint[] := nullif(current_setting('htdag.floors', true), '')::bigint[];
  v_floors bigint[] := case when v_known[1] > htdag.microseconds(v_began) then v_known end;
  v_pages  bigint := htdag.pages_read();
  v_taken  bigint[];
begin
  v_taken := htdag.lock_next(p_lanes, v_floors, p_want);
  if v_floors is not null and p_must and cardinality(v_taken) = 0 and v_known[2] < htdag.microseconds(v_began) then
    v_floors := null;
    v_taken := htdag.lock_next(p_lanes, null, p_want);
  end if;
  v_pages := htdag.pages_read() - v_pages;
  if cardinality(v_taken) > 0 then
    update htdag.tasks
       set runner_id = p_runner, token = htdag.random_token(), attempt = attempt + 1,
           claimed_at = v_now, timeout_at = v_now + time_limit + interval '30 s'
     where task_id = any (v_taken);
  end if;
  if v_known is not null or v_pages > 16 then
    perform htdag.keep_floors(p_lanes, v_known, v_floors is null, v_taken, cardinality(v_taken) < p_want, v_pages, v_began);
  end if;
  return v_taken;
exception when lock_not_available then
  -- SKIP LOCKED does wait where a row is changed twice while it is being looked at:
  -- claimed by one transaction, then ended by another. That other may in turn
  -- wait for a run that our caller holds, so nothing is claimed this time.
  return array[]::bigint[];
end;
$$;

comment on function htdag.lease_tasks(integer, integer[], integer, boolean) is
  'Lease up to p_want ready tasks of the lanes to a runner, soonest first; returns their ids. Tasks that others are claiming are passed over.';

create or replace function htdag.claim_steps(p_runner integer, p_want integer default 1)
returns setof htdag.claims
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
  v_lanes constant integer[] := htdag.runner_lanes(p_runner);
  v_taken bigint[] := array[]::bigint[];
begin
  perform htdag.check_want(p_want);
  if p_want > 0 then
    v_taken := htdag.lease_tasks(p_runner, v_lanes, p_want, p_must => true);
    if cardinality(v_taken) = 0 and htdag.promote() > 0 then
      v_taken := htdag.lease_tasks(p_runner, htdag.runner_lanes(p_runner), p_want, p_must => true);
    end if;
  end if;
  if cardinality(v_taken) > 0 then
    -- Its heartbeat may hold the row: then a needless wake-up may come.
    update htdag.runners set idle = false
     where runner_id = any (array(select runner_id from htdag.runners where runner_id = p_runner and idle
                                   order by runner_id for update skip locked));
  end if;
  if cardinality(v_taken) > 0 then
    return query select * from htdag.claimed(v_taken);
  elsif p_want > 0 and htdag.pump_due() then
    return query select * from htdag.verdict('pump');
  end if;
end;
$$;

comment on function htdag.claim_steps(integer, integer) is
  'Claim up to p_want tasks for a registered runner. Each comes with its token, which every answer must carry. Raises HT001 for a runner that is not registered, HT006 for a want that is null or negative.';

create or replace function htdag.check_want(p_want integer)
returns boolean
language plpgsql
immutable
set search_path = ''
as $$
begin
  if p_want is null or p_want < 0 then
    raise exception using errcode = 'HT006',
      message = format('want is %s', coalesce(p_want::text, 'null')),
      hint = 'Say how many tasks to claim at most: 0 or more.';
  end if;
  return true;
end;
$$;

comment on function htdag.check_want(integer) is 'True; raises HT006 for a number of tasks that cannot be claimed.';

create or replace function htdag.verdict(p_verdict text, p_task_id bigint default 0, p_queue text default '')
returns setof htdag.claims
language plpgsql
immutable
set search_path = ''
as $$
begin
  return query
  select p_verdict, p_task_id, null::bigint, 0::bigint, ''::text, 0, 0::smallint, 0::smallint,
         null::integer, 0::smallint, '{}'::jsonb, null::jsonb, null::jsonb, p_queue;
end;
$$;

comment on function htdag.verdict(text, bigint, text) is 'An answer of an exchange that is no claim.';
