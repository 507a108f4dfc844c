-- Tasks: claiming, completing and failing units of work.
--
-- A task is leased, never locked, while a runner works on it: row locks last for
-- one call. The fence is (task_id, token): deleting the row is what proves that
-- the answer came in time, so a late answer finds nothing and changes nothing.
--
-- Lock order: own tasks ascending, then map shards ascending, then runs ascending,
-- then inserts. Everything after that is only tried: limits, queued runs, tasks to
-- claim. A runner's row is never waited for by whoever holds a task.

create or replace function htdag.random_token()
returns bigint
language sql
volatile
parallel safe
set search_path = ''
return floor(random() * 9007199254740992)::bigint;

comment on function htdag.random_token() is
  'A fence for one claim. Random, since numbers of a sequence can come again after a crash.';

create or replace function htdag.is_live(p_run htdag.runs, p_task htdag.tasks)
returns boolean
language sql
immutable
parallel safe
return (p_run).finished_at is null and (p_run).epoch = (p_task).epoch
   and get_bit((p_run).succeeded | (p_run).failed | (p_run).skipped, (p_task).step_no) = 0;

comment on function htdag.is_live(htdag.runs, htdag.tasks) is 'Whether a task is still wanted by its run.';

-- Give rows of the shape htdag.claims for tasks that the caller has just leased. One
-- whose run was cancelled in that very moment is not given; the next upkeep removes it.
create or replace function htdag.claimed(p_task_ids bigint[])
returns setof htdag.claims
language plpgsql
stable
set search_path = ''
as $$
begin
  return query
  select 'claimed'::text, t.task_id, t.token, t.run_id, f.name, t.flow_version_id, t.step_no, t.last_step_no,
         t.map_index, t.attempt, io.input,
         case when t.map_index is not null then
           (select mi.item from htdag.map_items mi where mi.run_id = t.run_id and mi.step_no = t.step_no and mi.map_index = t.map_index) end,
         case when s.wants_needs then htdag.needs_output(t.run_id, t.flow_version_id, t.step_no) end,
         l.queue
    from htdag.tasks t
    join htdag.runs r on r.run_id = t.run_id and htdag.is_live(r, t)
    join htdag.flows f on f.flow_id = r.flow_id
    join htdag.steps s on s.flow_version_id = t.flow_version_id and s.step_no = t.step_no
    join htdag.run_io io on io.run_id = t.run_id
    join htdag.lanes l on l.lane_id = t.lane_id
   where t.task_id = any (p_task_ids)
   order by t.priority, t.task_id;
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
  select array(select l.lane_id from htdag.lanes l where l.queue = any (r.queues) and l.kind = any (r.kinds) order by l.lane_id)
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

-- Lease up to p_want tasks of the lanes. A lane is one range of the claim index;
-- lanes are visited by the priority of their first task and then by its age, so that
-- none is forgotten while another always has work.
create or replace function htdag.lease_tasks(p_runner integer, p_lanes integer[], p_want integer)
returns bigint[]
language plpgsql
volatile
set search_path = ''
set lock_timeout = '10 ms'
as $$
declare
  v_now   constant timestamptz := htdag.clock();
  v_taken bigint[] := array[]::bigint[];
  v_lane  integer;
begin
  for v_lane in
    select l from unnest(p_lanes) l
     cross join lateral (select t.priority, t.task_id from htdag.tasks t
                          where t.lane_id = l and t.runner_id is null and t.parked is null
                          order by t.priority, t.task_id limit 1) h
     order by h.priority, h.task_id
  loop
    v_taken := v_taken || array(select t.task_id from htdag.tasks t
                                 where t.lane_id = v_lane and t.runner_id is null and t.parked is null
                                 order by t.priority, t.task_id
                                 limit p_want - cardinality(v_taken)
                                   for update skip locked);
    exit when cardinality(v_taken) >= p_want;
  end loop;
  if cardinality(v_taken) > 0 then
    update htdag.tasks
       set runner_id = p_runner, token = htdag.random_token(), attempt = attempt + 1,
           claimed_at = v_now, timeout_at = v_now + time_limit + interval '30 s'
     where task_id = any (v_taken);
  end if;
  return v_taken;
exception when lock_not_available then
  -- SKIP LOCKED does wait where a row is changed twice while it is being looked at:
  -- claimed by one transaction, then ended by another. That other may in turn
  -- wait for a run that our caller holds, so nothing is claimed this time.
  return array[]::bigint[];
end;
$$;

comment on function htdag.lease_tasks(integer, integer[], integer) is
  'Lease up to p_want ready tasks of the lanes to a runner, soonest first; returns their ids. Tasks that others are claiming are passed over.';

create or replace function htdag.claim_steps(p_runner integer, p_want integer default 1)
returns setof htdag.claims
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
as $$
declare
  v_lanes constant integer[] := htdag.runner_lanes(p_runner);
  v_taken bigint[] := array[]::bigint[];
begin
  perform htdag.check_want(p_want);
  if p_want > 0 then
    v_taken := htdag.lease_tasks(p_runner, v_lanes, p_want);
    if cardinality(v_taken) = 0 and htdag.promote() > 0 then
      v_taken := htdag.lease_tasks(p_runner, htdag.runner_lanes(p_runner), p_want);
    end if;
  end if;
  if cardinality(v_taken) > 0 then
    -- Its heartbeat may hold the row: then a needless wake-up may come.
    update htdag.runners set idle = false
     where runner_id = any (array(select runner_id from htdag.runners where runner_id = p_runner and idle
                                   order by runner_id for update skip locked));
  end if;
  return query select * from htdag.claimed(v_taken);
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

-- Complete a batch of steps and claim the next in one round trip. Element i of
-- each array is one finished step; a bundle's steps come in order.
create or replace function htdag.complete_steps(
  p_runner   integer,
  p_task_ids bigint[],
  p_tokens   bigint[],
  p_step_nos smallint[],
  p_outcomes text[],
  p_outputs  jsonb[],
  p_errors   text[],
  p_ran      interval[],
  p_want     integer default 0
)
returns setof htdag.claims
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
as $$
declare
  v_now     constant timestamptz := htdag.clock();
  v_lanes   constant integer[] := htdag.runner_lanes(p_runner);
  v_done    htdag.tasks[];
  v_kept    htdag.tasks[] := array[]::htdag.tasks[];
  v_changes htdag.run_change[];
  v_settled record;
  v_taken   bigint[] := array[]::bigint[];
begin
  perform htdag.check_want(p_want);
  if htdag.check_answers(p_task_ids, p_tokens, p_step_nos, p_outcomes) then
    -- Of two answers for one step the first counts.
    select array_agg(task_id), array_agg(token), array_agg(step_no), array_agg(outcome), array_agg(output), array_agg(error), array_agg(ran)
      into p_task_ids, p_tokens, p_step_nos, p_outcomes, p_outputs, p_errors, p_ran
      from (select distinct on (task_id, token, step_no) *
              from unnest(p_task_ids, p_tokens, p_step_nos, p_outcomes, p_outputs, p_errors, p_ran) with ordinality
                   a(task_id, token, step_no, outcome, output, error, ran, i)
             where task_id is not null
             order by task_id, token, step_no, i) a;
  end if;

  -- The fence: a task whose every step succeeded is deleted by its token, here.
  with answers as (
    select task_id, token, min(step_no) as first_no, max(step_no) as last_no, count(*) as steps, bool_and(outcome = 'succeeded') as whole
      from unnest(p_task_ids, p_tokens, p_step_nos, p_outcomes) a(task_id, token, step_no, outcome)
     group by task_id, token
     order by task_id
  ), gone as (
    delete from htdag.tasks t using answers a
     where t.task_id = a.task_id and t.token = a.token and a.whole and t.step_no = a.first_no and t.last_step_no = a.last_no
       and a.steps = a.last_no - a.first_no + 1
    returning t as task
  )
  select array_agg(task order by (task).task_id) into v_done from gone;
  v_done := coalesce(v_done, '{}');
  -- A task with a step that did not succeed, or not yet, stays for now, locked.
  if cardinality(v_done) < (select count(distinct a) from unnest(p_task_ids) a) then
    v_kept := htdag.own_tasks(p_task_ids, p_tokens);
  end if;

  -- Shards, then runs, then whatever is inserted.
  -- Elements of a map do not lock their run unless their shard asks for it.
  perform htdag.lock_runs(v_kept || array(select t from unnest(v_done) t where t.map_index is null), htdag.count_down(v_done));
  v_done := htdag.live_tasks(v_done);
  v_kept := htdag.live_tasks(v_kept);

  insert into htdag.attempts (run_id, step_no, map_index, attempt, outcome, ready_at, claimed_at, finished_at, ran, runner_id, output, error)
  select t.run_id, a.step_no, coalesce(t.map_index, 0), case when a.step_no = t.step_no then t.attempt else 1 end,
         a.outcome, t.ready_at, t.claimed_at, v_now, a.ran, p_runner, a.output,
         case when a.outcome <> 'succeeded' then coalesce(nullif(a.error, ''), 'no reason given') end
    from unnest(p_task_ids, p_tokens, p_step_nos, p_outcomes, p_outputs, p_errors, p_ran) a(task_id, token, step_no, outcome, output, error, ran)
    join unnest(v_done || v_kept) t on t.task_id = a.task_id and t.token = a.token
   where a.outcome <> 'released';

  v_changes := htdag.done_changes(v_done);
  if cardinality(v_kept) > 0 then
    v_changes := htdag.merge_changes(v_changes || htdag.stopped_changes(v_kept, p_task_ids, p_tokens, p_step_nos, p_outcomes));
  end if;
  select * into v_settled from htdag.settle(v_changes, p_runner, v_lanes, p_want);
  v_taken := v_settled.handed;
  if v_settled.ended or cardinality(v_taken) < p_want then
    perform htdag.fill_slots();
  end if;
  if cardinality(v_taken) < p_want then
    v_taken := v_taken || htdag.lease_tasks(p_runner, v_lanes, p_want - cardinality(v_taken));
    if cardinality(v_taken) < p_want then
      -- There was less than this runner could take: no other is needed.
      v_settled.waiting := array(select unnest(v_settled.waiting) except select unnest(v_lanes));
    end if;
  end if;
  if cardinality(v_taken) > 0 then
    return query select * from htdag.claimed(v_taken);
  end if;

  return query
  select 'stale'::text, a.task_id, null::bigint, 0::bigint, ''::text, 0, 0::smallint, 0::smallint,
         null::integer, 0::smallint, '{}'::jsonb, null::jsonb, null::jsonb, ''::text
    from (select distinct unnest(p_task_ids) as task_id) a
   where not exists (select from unnest(v_done || v_kept) t where t.task_id = a.task_id);
  if cardinality(v_settled.waiting) > 0 then
    return query
    select 'wake'::text, 0::bigint, null::bigint, 0::bigint, ''::text, 0, 0::smallint, 0::smallint,
           null::integer, 0::smallint, '{}'::jsonb, null::jsonb, null::jsonb, q
      from htdag.idle_queues(v_settled.waiting) q;
  end if;
end;
$$;

comment on function htdag.complete_steps(integer, bigint[], bigint[], smallint[], text[], jsonb[], text[], interval[], integer) is
  'Report finished steps and claim up to p_want more, in one transaction. Outcomes: succeeded, failed (retried while tries are left), failed_permanently, timed_out (likewise retried), released (give the task back, no try counted). Answers with the verdicts of htdag.claims; a stale result changes nothing and does not disturb the others. Raises HT001 for a runner that is not registered, HT006 for answers that make no sense.';

-- Refuse answers that make no sense before they half-count.
create or replace function htdag.check_answers(p_task_ids bigint[], p_tokens bigint[], p_step_nos smallint[], p_outcomes text[])
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_wrong  bigint;
  v_double boolean;
begin
  -- Who empties the last shard of a map must see what others did while it waited.
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'HT003',
      message = format('steps cannot be completed in a transaction that is %s', current_setting('transaction_isolation')),
      hint = 'Use read committed, which is PostgreSQL''s default.';
  end if;
  select min(i) filter (where a.task_id is null or a.token is null or a.step_no is null or a.outcome is null
                           or a.outcome <> all (array['succeeded', 'failed', 'failed_permanently', 'timed_out', 'released'])),
         count(*) > 1 and count(*) > count(distinct (a.task_id, a.token, a.step_no))
    into v_wrong, v_double
    from unnest(p_task_ids, p_tokens, p_step_nos, p_outcomes) with ordinality a(task_id, token, step_no, outcome, i);
  if v_wrong is not null then
    raise exception using errcode = 'HT006',
      message = format('answer %s of the batch: task %s, token %s, step number %s, outcome %s', v_wrong, coalesce(p_task_ids[v_wrong]::text, 'null'),
        coalesce(p_tokens[v_wrong]::text, 'null'), coalesce(p_step_nos[v_wrong]::text, 'null'), coalesce('"' || p_outcomes[v_wrong] || '"', 'null')),
      hint = 'None of them may be null; the outcome is succeeded, failed, failed_permanently, timed_out or released. Nothing of the batch was stored.';
  end if;
  return v_double;
end;
$$;

comment on function htdag.check_answers(bigint[], bigint[], smallint[], text[]) is
  'Whether some step is answered twice. Raises HT006 for answers that are incomplete or have an unknown outcome, HT003 in a transaction with a snapshot of its own.';

create or replace function htdag.own_tasks(p_task_ids bigint[], p_tokens bigint[])
returns htdag.tasks[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_tasks htdag.tasks[];
begin
  with own as (
    select t as task
      from htdag.tasks t
     where t.task_id = any (p_task_ids)
       and exists (select from unnest(p_task_ids, p_tokens) a(task_id, token) where a.task_id = t.task_id and a.token = t.token)
     order by t.task_id
       for update
  )
  select array_agg(task order by (task).task_id) into v_tasks from own;
  return coalesce(v_tasks, '{}');
end;
$$;

comment on function htdag.own_tasks(bigint[], bigint[]) is 'The tasks that still belong to the given tokens, locked, by task_id.';

-- Count elements of map steps as done. Returns one task of each shard that is
-- through or should open more elements: only for those is the run locked.
create or replace function htdag.count_down(p_done htdag.tasks[])
returns htdag.tasks[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_reached htdag.tasks[];
begin
  if not exists (select from unnest(p_done) t where t.map_index is not null) then
    return array[]::htdag.tasks[];
  end if;
  perform from htdag.map_shards s
   where (s.run_id, s.step_no, s.shard) in (select t.run_id, t.step_no, (t.map_index % 16)::smallint
                                              from unnest(p_done) t where t.map_index is not null)
   order by s.run_id, s.step_no, s.shard
     for no key update;

  with closed as (
    select t.run_id, t.step_no, (t.map_index % 16)::smallint as shard, count(*)::integer as n, (array_agg(t))[1] as task
      from unnest(p_done) t
     where t.map_index is not null
     group by 1, 2, 3
  ), counted as (
    update htdag.map_shards s
       set remaining = s.remaining - c.n
      from closed c
     where s.run_id = c.run_id and s.step_no = c.step_no and s.shard = c.shard
    returning c.task, s.remaining, s.opened < s.total and s.opened - (s.total - s.remaining) < 32 as is_short
  )
  select array_agg(task) into v_reached from counted where remaining = 0 or is_short;
  return coalesce(v_reached, '{}');
end;
$$;

comment on function htdag.count_down(htdag.tasks[]) is 'Count finished map elements; returns one task of each shard that is through or needs more elements opened.';

create or replace function htdag.lock_runs(p_movers htdag.tasks[], p_reached htdag.tasks[])
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_runs constant bigint[] := array(select t.run_id from unnest(p_movers || p_reached) t);
begin
  perform from htdag.runs where run_id = any (v_runs) order by run_id for no key update;
  perform htdag.open_more(p_reached);
  return cardinality(v_runs);
end;
$$;

comment on function htdag.lock_runs(htdag.tasks[], htdag.tasks[]) is
  'Lock, in ascending order, the runs that tasks move; map elements only where their shard is through or runs short.';

-- Open further elements of map shards, so that a map has about a thousand live
-- tasks however long it is. The caller holds the shards and their runs.
create or replace function htdag.open_more(p_reached htdag.tasks[])
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_runs     bigint[];
  v_steps    smallint[];
  v_elements integer[];
begin
  if cardinality(p_reached) = 0 then
    return 0;
  end if;
  with short as (
    select s.*
      from (select distinct t.run_id, t.step_no, (t.map_index % 16)::smallint as shard from unnest(htdag.live_tasks(p_reached)) t) k
      join htdag.map_shards s using (run_id, step_no, shard)
     where s.opened < s.total
  ), widened as (
    update htdag.map_shards s
       set opened = least(s.total, s.total - s.remaining + 63)
      from short o
     where s.run_id = o.run_id and s.step_no = o.step_no and s.shard = o.shard
    returning s.run_id, s.step_no, s.shard, o.opened as first, s.opened - 1 as last
  )
  select array_agg(w.run_id), array_agg(w.step_no), array_agg((j * 16 + w.shard)::integer)
    into v_runs, v_steps, v_elements
    from widened w, generate_series(w.first, w.last) j;
  return htdag.open_elements(v_runs, v_steps, v_elements);
end;
$$;

comment on function htdag.open_more(htdag.tasks[]) is 'Insert the next tasks of map shards that run short; returns how many.';

create or replace function htdag.live_tasks(p_tasks htdag.tasks[])
returns htdag.tasks[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_live htdag.tasks[];
  v_dead htdag.tasks[];
begin
  select array_agg(t order by t.task_id) filter (where l.is_live), array_agg(t) filter (where not l.is_live)
    into v_live, v_dead
    from unnest(p_tasks) t
    left join htdag.runs r on r.run_id = t.run_id
   cross join lateral (select coalesce(htdag.is_live(r, t), false) as is_live) l;
  if v_dead is not null then
    delete from htdag.tasks where task_id = any (array(select t.task_id from unnest(v_dead) t));
    insert into htdag.attempts (run_id, step_no, map_index, attempt, outcome, ready_at, claimed_at, finished_at, runner_id, error)
    select t.run_id, t.step_no, coalesce(t.map_index, 0), t.attempt, 'cancelled', t.ready_at, t.claimed_at, v_now, t.runner_id,
           'its step ended before it did'
      from unnest(v_dead) t where t.runner_id is not null
        on conflict do nothing;
  end if;
  return coalesce(v_live, '{}');
end;
$$;

comment on function htdag.live_tasks(htdag.tasks[]) is
  'Those of the tasks whose step is still open in a run that goes on; the others lost a race against the end of their step and are deleted.';

-- What wholly succeeded tasks change in their runs, one change per run. A map step
-- has succeeded when no shard has elements left; the caller holds the run, so of
-- two completions that empty the last two shards the later one sees both.
create or replace function htdag.done_changes(p_done htdag.tasks[])
returns htdag.run_change[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_changes htdag.run_change[];
begin
  select array_agg((d.run_id, d.bits, d.blank, d.blank, d.blank)::htdag.run_change order by d.run_id)
    into v_changes
    from (select t.run_id, bit_or(s.self) as bits, bit_or(s.self & ~s.self) as blank
            from unnest(p_done) t
            join htdag.steps s on s.flow_version_id = t.flow_version_id and s.step_no between t.step_no and t.last_step_no
           where t.map_index is null
              or not exists (select from htdag.map_shards m where m.run_id = t.run_id and m.step_no = t.step_no and m.remaining > 0)
           group by t.run_id) d;
  return coalesce(v_changes, '{}');
end;
$$;

comment on function htdag.done_changes(htdag.tasks[]) is 'The bits that succeeded tasks set in their runs.';

create or replace function htdag.merge_changes(p_changes htdag.run_change[])
returns htdag.run_change[]
language plpgsql
immutable
set search_path = ''
as $$
begin
  return array(select (c.run_id, bit_or(c.succeeded), bit_or(c.failed), bit_or(c.skipped), bit_or(c.unscheduled))::htdag.run_change
                 from unnest(p_changes) c group by c.run_id order by c.run_id);
end;
$$;

comment on function htdag.merge_changes(htdag.run_change[]) is 'One change per run, in ascending order.';

-- Where each of the tasks that did not get through stopped, and what comes of it.
create or replace function htdag.stopped_changes(
  p_kept     htdag.tasks[],
  p_task_ids bigint[],
  p_tokens   bigint[],
  p_step_nos smallint[],
  p_outcomes text[]
)
returns htdag.run_change[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_stops    smallint[];
  v_outcomes text[];
  v_wrong    text;
begin
  select array_agg(k.stop order by k.task_id), array_agg(k.outcome order by k.task_id),
         min(format('task %s (steps %s to %s): answers for steps %s', k.task_id, k.step_no, k.last_step_no, k.answers)) filter (where not k.is_sound)
    into v_stops, v_outcomes, v_wrong
    from (select t.task_id, t.step_no, t.last_step_no, max(a.step_no) as stop, (array_agg(a.outcome order by a.step_no desc))[1] as outcome,
                 string_agg(format('%s %s', a.step_no, a.outcome), ', ' order by a.step_no) as answers,
                 min(a.step_no) = t.step_no and max(a.step_no) <= t.last_step_no and count(*) = max(a.step_no) - t.step_no + 1
                   and count(*) filter (where a.outcome = 'succeeded') >= count(*) - 1
                   and coalesce(min(a.step_no) filter (where a.outcome <> 'succeeded') = max(a.step_no), true) as is_sound
            from unnest(p_task_ids, p_tokens, p_step_nos, p_outcomes) a(task_id, token, step_no, outcome)
            join unnest(p_kept) t on t.task_id = a.task_id and t.token = a.token
           group by t.task_id, t.step_no, t.last_step_no) k;
  if v_wrong is not null then
    raise exception using errcode = 'HT006', message = v_wrong,
      hint = 'Answer the steps of a task from its first on, without gaps; only the last answer may be other than succeeded. Nothing of the batch was stored.';
  end if;
  return htdag.retry_or_lose(p_kept, v_stops, v_outcomes);
end;
$$;

comment on function htdag.stopped_changes(htdag.tasks[], bigint[], bigint[], smallint[], text[]) is
  'What answers that do not complete their tasks change in the runs. Raises HT006 where they do not fit the task.';

-- Deal with tasks that did not get through: p_step_nos[i] is where task i stopped,
-- p_outcomes[i] how. Steps before it in the bundle have succeeded. The task is
-- parked for another try, given back, or its step is lost. The caller holds the
-- tasks and their runs; tries are logged already.
create or replace function htdag.retry_or_lose(p_tasks htdag.tasks[], p_step_nos smallint[], p_outcomes text[])
returns htdag.run_change[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now     constant timestamptz := htdag.clock();
  v_changes htdag.run_change[];
  v_lost    record;
begin
  with stopped as (
    select t.task_id, s.step_no + (o.outcome = 'succeeded')::integer as step_no,
           case when o.outcome = 'succeeded' then 0 else tries - (not again)::integer end as attempt,
           again, v_now + htdag.retry_delay(s, tries) as due_at
      from unnest(p_tasks) with ordinality t
      join unnest(p_step_nos, p_outcomes) with ordinality o(step_no, outcome, ordinality) using (ordinality)
      join htdag.steps s on s.flow_version_id = t.flow_version_id and s.step_no = o.step_no
     cross join lateral (select case when s.step_no = t.step_no then t.attempt else 1 end as tries) n
     cross join lateral (select o.outcome in ('failed', 'timed_out', 'lost') and n.tries <= s.max_retries as again) a
     where again or o.outcome in ('succeeded', 'released')
  )
  update htdag.tasks t
     set step_no = k.step_no, attempt = k.attempt,
         runner_id = null, token = null, claimed_at = null, timeout_at = null,
         ready_at = case when again then k.due_at else v_now end,
         parked = case when again then 'retry' end, due_at = case when again then k.due_at end
    from stopped k
   where t.task_id = k.task_id;

  select array_agg((d.run_id, d.bits, d.bits & ~d.bits, d.bits & ~d.bits, d.bits & ~d.bits)::htdag.run_change) into v_changes
    from (select t.run_id, bit_or(s.self)::bit varying as bits
            from unnest(p_tasks) with ordinality t
            join unnest(p_step_nos, p_outcomes) with ordinality o(step_no, outcome, ordinality) using (ordinality)
            join htdag.steps s on s.flow_version_id = t.flow_version_id
             and s.step_no between t.step_no and o.step_no - (o.outcome <> 'succeeded')::integer
           group by t.run_id) d;

  -- One by one, for a loss may take other tasks of its run with it.
  for v_lost in
    select t.task_id, t.run_id, o.step_no
      from unnest(p_tasks) with ordinality t
      join unnest(p_step_nos, p_outcomes) with ordinality o(step_no, outcome, ordinality) using (ordinality)
     where o.outcome not in ('succeeded', 'released')
       and exists (select from htdag.tasks l where l.task_id = t.task_id and l.token = t.token)
     order by t.task_id
  loop
    delete from htdag.tasks where task_id = v_lost.task_id;
    v_changes := v_changes || htdag.lose_step(v_lost.run_id, v_lost.step_no);
  end loop;
  return coalesce(v_changes, '{}');
end;
$$;

comment on function htdag.retry_or_lose(htdag.tasks[], smallint[], text[]) is
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

create or replace function htdag.complete_step(p_task_id bigint, p_token bigint, p_output jsonb default null)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
as $$
begin
  return htdag.answer_step(p_task_id, p_token, 'succeeded', p_output, null);
end;
$$;

comment on function htdag.complete_step(bigint, bigint, jsonb) is
  'Complete one claimed step by hand (the first of a bundle: the rest becomes claimable again). Raises HT002 when the token is not the present one.';

create or replace function htdag.fail_step(p_task_id bigint, p_token bigint, p_error text, p_permanent boolean default false)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
as $$
begin
  return htdag.answer_step(p_task_id, p_token, case when p_permanent then 'failed_permanently' else 'failed' end, null, p_error);
end;
$$;

comment on function htdag.fail_step(bigint, bigint, text, boolean) is
  'Fail one claimed step by hand. It is tried again as its definition says unless p_permanent. Raises HT002 when the token is not the present one.';

create or replace function htdag.answer_step(p_task_id bigint, p_token bigint, p_outcome text, p_output jsonb, p_error text)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now    constant timestamptz := htdag.clock();
  v_task   htdag.tasks;
  v_answer htdag.claims;
begin
  select * into v_task from htdag.tasks where task_id = p_task_id;
  if v_task.token is distinct from p_token or p_token is null then
    raise exception using errcode = 'HT002',
      message = format('task %s is not claimed with token %s', p_task_id, coalesce(p_token::text, 'null')),
      detail = case when v_task.task_id is null then 'There is no such live task: it ended, or its run did.'
                    else 'It was given to another runner, or taken back.' end,
      hint = 'Drop the result: it does not count any more.';
  end if;
  for v_answer in
    select * from htdag.complete_steps(v_task.runner_id, array[p_task_id], array[p_token], array[v_task.step_no],
      array[p_outcome], array[p_output], array[p_error], array[v_now - v_task.claimed_at])
  loop
    if v_answer.verdict = 'stale' then
      raise exception using errcode = 'HT002', message = format('task %s ended together with run %s', p_task_id, v_task.run_id),
        hint = 'Drop the result: it does not count any more.';
    elsif v_answer.verdict = 'wake' then
      perform htdag.wake(array[v_answer.queue]);
    end if;
  end loop;
  return true;
end;
$$;

comment on function htdag.answer_step(bigint, bigint, text, jsonb, text) is 'complete_steps for one step, with errors instead of verdicts.';
