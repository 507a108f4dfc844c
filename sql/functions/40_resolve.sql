-- Resolution: from "these steps ended" to "these steps may start".
--
-- Readiness is derived from the masks of the run under its row lock: a step is due
-- when it was not scheduled and everything behind its gate has ended. There is
-- no counter that could drift and no wake-up that could get lost; taking a step
-- back is clearing its bit.
--
-- Callers hold the run rows locked, in ascending order.

-- Apply changes to locked runs, schedule what became due, and end runs that have nothing left.
--
-- What is handed to the runner takes over the row of the task that made it due, where
-- there is one: no indexed column changes, so this is a heap-only update in place of a
-- deletion and an insertion into every index. Rows of p_done that nothing takes over go.
create or replace function htdag.settle(
  p_changes    htdag.run_change[],
  p_runner     integer default null,
  p_lanes      integer[] default '{}',
  p_want       integer default 0,
  p_done       bigint[] default '{}',
  p_spare      bigint[] default '{}',
  out handed   bigint[],
  out waiting  integer[],
  out ended    boolean,
  out told     boolean
)
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now      constant timestamptz := htdag.clock();
  v_limited  constant integer[] := array(select lane_id from htdag.lanes where is_limited);
  v_changes  htdag.run_change[] := p_changes;
  v_more     htdag.run_change[];
  v_specials htdag.run_change[];
  v_first    bigint;
  v_last     bigint;
  v_got      bigint[];
  v_left     integer[];
  v_ended    bigint;
  v_told     bigint;
  v_heard    bigint[];
begin
  handed := '{}'; waiting := '{}'; ended := false; told := false;
  -- One turn nearly always. Another only where a step ended without a task: a
  -- handler of failure that nothing called for, a condition, a memo, a map of nothing.
  while cardinality(v_changes) > 0 loop
    -- Partitions outside these bounds are not even opened.
    select min(c.run_id), max(c.run_id) into v_first, v_last from unnest(v_changes) c;
    with changed as materialized (
      select r.run_id, r.ctid as place, r.flow_version_id, r.epoch, r.priority, r.state,
             r.scheduled & ~c.unscheduled as scheduled,
             r.succeeded | c.succeeded as succeeded,
             r.failed | c.failed as failed,
             (r.skipped | c.skipped) & ~(r.succeeded | c.succeeded | r.failed | c.failed) as skipped,
             r.succeeded | r.failed | r.skipped | c.succeeded | c.failed | c.skipped as ended,
             p_spare[c.i] as spare
        from unnest(v_changes) with ordinality c(run_id, succeeded, failed, skipped, unscheduled, i)
       cross join lateral (select r.*, r.ctid from htdag.runs r where r.run_id = c.run_id and r.run_id between v_first and v_last offset 0) r
    ), due as materialized (
      select c.run_id, c.flow_version_id, c.epoch, c.state, c.spare, s.step_no, s.lane_id, s.queue, s.kind, s.timeout, s.delay, s.limit_key, s.self, s.dooms,
             (c.priority + s.priority) * 1000 - least(s.step_no, 999) as priority,
             coalesce(s.bundle_no, s.step_no) as lead_no,
             case when s.run_on = 'failure' and bit_count(s.gate & c.failed) = 0 then 'skip'
                  when s.special then 'special' else 'task' end as fate
        from changed c
        join htdag.steps s on s.flow_version_id = c.flow_version_id
       where get_bit(c.scheduled | c.ended, s.step_no) = 0
         and s.gate & c.ended = s.gate
         and (s.bundle_mask is null or s.bundle_mask & c.scheduled & c.ended = s.bundle_mask & c.scheduled)
    ), placed as (
      -- In a bundle, only the first stretch of consecutive due steps becomes a task.
      select d.*, row_number() over w = 1 as is_head,
             d.step_no - first_value(d.step_no) over w = row_number() over w - 1 as in_stretch
        from due d
       where d.fate = 'task'
      window w as (partition by d.run_id, d.lead_no order by d.step_no)
    ), heads as (
      select h.*, coalesce(h.lane_id, htdag.lane(htdag.templated(h.queue, h.run_id), h.kind)) as use_lane,
             case when h.limit_key like '%{%}%' then htdag.templated(h.limit_key, h.run_id) else h.limit_key end as use_limit,
             row_number() over (order by h.priority, h.run_id) as place,
             row_number() over (partition by h.run_id order by h.priority) as turn
        from (select p.*,
                     max(p.step_no) filter (where p.in_stretch) over (partition by p.run_id, p.lead_no) as last_step_no,
                     sum(p.timeout) filter (where p.in_stretch) over (partition by p.run_id, p.lead_no) as time_limit
                from placed p) h
       where h.is_head
    ), bits as (
      select run_id, place, flow_version_id, scheduled, succeeded, failed, skipped, c.ended from changed c
      union all
      select run_id, null, null, self, null, null, null, null from placed where in_stretch
      union all
      select run_id, null, null, self, null, null, null, null from due where fate = 'special'
      union all
      select run_id, null, null, null, null, null, self | dooms, self | dooms from due where fate = 'skip'
    ), moves as (
      select run_id, max(place) as place, max(flow_version_id) as flow_version_id,
             bit_or(scheduled) as scheduled, bit_or(succeeded) as succeeded, bit_or(failed) as failed, bit_or(skipped) as skipped, bit_or(b.ended) as ended
        from bits b
       group by run_id
       limit cardinality(v_changes) -- All of them; it has the planner start from here.
    ), moved as (
      -- The lock on a run keeps it in its place.
      update htdag.runs r
         set scheduled = c.scheduled,
             succeeded = c.succeeded,
             failed = c.failed,
             skipped = c.skipped,
             state = case when not e.all_ended then case r.state when 'paused' then 'paused' else 'running' end
                          when bit_count(c.failed & v.fatal) > 0 or r.error is not null then 'failed' else 'succeeded' end,
             started_at = coalesce(r.started_at, v_now),
             finished_at = case when e.all_ended then v_now end
        from moves c
       cross join lateral (select v.* from htdag.flow_versions v where v.flow_version_id = c.flow_version_id offset 0) v
       cross join lateral (select bit_count(c.ended) = v.step_count as all_ended) e
       where r.ctid = c.place and r.run_id = c.run_id and r.run_id between v_first and v_last
      returning r.run_id, r.finished_at, r.parent_task_id, case when r.finished_at is not null and v.heard && '{run.succeeded,run.failed}' then r.run_id end as heard
    ), told as (
      insert into htdag.inbox (kind, run_id, task_id)
      select 'child_ended', run_id, parent_task_id from moved where finished_at is not null and parent_task_id is not null
      returning inbox_id
    ), opened as materialized (
      select h.*, p.parked, t.taken, case when t.taken and h.turn = 1 and h.lane_id is not null then h.spare end as row_id
        from heads h
       cross join lateral (select case when h.state = 'paused' then 'paused' when h.delay > interval '0' then 'delay'
                                       when h.use_limit is not null or h.use_lane = any (v_limited)
                                            or h.lane_id is null and htdag.is_limited(h.use_lane) then 'limit' end as parked) p
       -- Where a run has special steps to open, in this turn or in another that is coming,
       -- they may take back what became due in this one: nothing of it is handed out.
       cross join lateral (select h.place <= p_want and p.parked is null and h.use_lane = any (p_lanes)
                                  and h.run_id <> all (array(select d.run_id from due d
                                        where d.fate = 'special'
                                           or d.fate = 'skip' and exists (select from htdag.steps s where s.flow_version_id = d.flow_version_id and s.special))) as taken) t
    ), spared as (
      select o.*, t.spot
        from opened o
       cross join lateral (select t.ctid as spot from htdag.tasks t where t.task_id = o.row_id offset 0) t
       where o.row_id is not null
       limit cardinality(v_changes)
    ), reused as (
      update htdag.tasks t
         set flow_version_id = o.flow_version_id, step_no = o.step_no, last_step_no = o.last_step_no, time_limit = o.time_limit, attempt = 1,
             memo_key = null, token = htdag.random_token(), ready_at = v_now, claimed_at = v_now, timeout_at = v_now + o.time_limit + interval '30 s'
        from spared o
       where t.ctid = o.spot and t.task_id = o.row_id
      returning t.task_id
    ), gone as (
      delete from htdag.tasks where task_id = any (array(select unnest(p_done) except select row_id from opened))
    ), made as (
      insert into htdag.tasks (run_id, flow_version_id, epoch, step_no, last_step_no, lane_id, priority, time_limit, ready_at,
             limit_key, parked, due_at, attempt, runner_id, token, claimed_at, timeout_at)
      select o.run_id, o.flow_version_id, o.epoch, o.step_no, o.last_step_no, o.use_lane, o.priority, o.time_limit, v_now,
             o.use_limit, o.parked, case when o.delay > interval '0' then v_now + o.delay when o.parked is not null then 'infinity' end,
             o.taken::integer, case when o.taken then p_runner end, case when o.taken then htdag.random_token() end,
             case when o.taken then v_now end, case when o.taken then v_now + o.time_limit + interval '30 s' end
        from opened o
       where o.row_id is null
       order by o.run_id, o.step_no
      returning task_id, runner_id, lane_id, parked
    )
    select (select array_agg(task_id order by task_id) from (select task_id from made where runner_id is not null union all select task_id from reused) t),
           (select array_agg(distinct lane_id) from made where runner_id is null and parked is null),
           (select count(*) from moved where finished_at is not null),
           (select count(*) from told),
           (select array_agg(heard order by heard) from moved where heard is not null),
           (select array_agg((d.run_id, d.self & ~d.self, d.self & ~d.self, d.self & ~d.self, d.self & ~d.self)::htdag.run_change)
              from due d join moved m on m.run_id = d.run_id where d.fate = 'skip' and m.finished_at is null),
           (select array_agg((run_id, self, self & ~self, self & ~self, self & ~self)::htdag.run_change order by run_id, step_no) from due where fate = 'special')
      into v_got, v_left, v_ended, v_told, v_heard, v_more, v_specials;

    handed := handed || coalesce(v_got, '{}');
    waiting := waiting || coalesce(v_left, '{}');
    ended := ended or v_ended > 0;
    told := told or v_told > 0;
    if v_heard is not null then
      perform htdag.emit(array_agg('run.' || r.state order by r.run_id), array_agg(r.run_id order by r.run_id)) from htdag.runs r where r.run_id = any (v_heard);
    end if;
    p_want := p_want - coalesce(cardinality(v_got), 0);
    p_done := '{}'; p_spare := '{}';
    v_changes := coalesce(v_more, '{}');
    if v_specials is not null then
      v_changes := v_changes || htdag.open_specials(v_specials);
      waiting := waiting || array(select distinct t.lane_id from unnest(v_specials) s
        join htdag.tasks t on t.run_id = s.run_id and t.step_no = position(B'1' in s.succeeded) - 1 and t.runner_id is null and t.parked is null);
    end if;
    -- One change per run, since a run's row is updated once a turn.
    if cardinality(v_changes) > 1 then
      v_changes := htdag.merge_changes(v_changes);
    end if;
  end loop;
end;
$$;

comment on function htdag.settle(htdag.run_change[], integer, integer[], integer, bigint[], bigint[]) is
  'Apply what ended to locked runs and schedule what became due. Tasks p_done are through; p_spare names for each change the one whose row may be used again. Up to p_want new tasks in p_lanes are handed to p_runner at once; waiting names the lanes of the others; ended says whether a run ended, told whether a parent has to be told so.';

-- Special steps are opened one by one: each looks at what its own run has. Those that
-- cannot be opened come last, for the end of a run takes its other steps with it.
create or replace function htdag.open_specials(p_specials htdag.run_change[])
returns htdag.run_change[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_changes  htdag.run_change[] := array[]::htdag.run_change[];
  v_broken   htdag.run_change[] := array[]::htdag.run_change[];
  v_problems text[] := array[]::text[];
  v_special  htdag.run_change;
  v_opened   record;
begin
  foreach v_special in array p_specials loop
    select * into v_opened from htdag.open_step(v_special.run_id, (position(B'1' in v_special.succeeded) - 1)::smallint);
    if v_opened.problem is not null then
      v_broken := v_broken || v_special;
      v_problems := v_problems || v_opened.problem;
    else
      v_changes := v_changes || v_opened.changes;
    end if;
  end loop;
  for i in 1 .. cardinality(v_broken) loop
    v_changes := v_changes || htdag.lose_step(v_broken[i].run_id, (position(B'1' in v_broken[i].succeeded) - 1)::smallint, v_problems[i]);
  end loop;
  return v_changes;
end;
$$;

comment on function htdag.open_specials(htdag.run_change[]) is
  'Open due steps, each given as the bit that it would set; returns what those that ended at once change in their runs.';

-- The change that a step failing for good makes to its locked run.
create or replace function htdag.lose_step(p_run_id bigint, p_step_no smallint, p_error text default null)
returns htdag.run_change
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now    constant timestamptz := htdag.clock();
  v_run    htdag.runs;
  v_step   htdag.steps;
  v_blank  bit varying;
  v_change htdag.run_change;
begin
  select * into v_run from htdag.runs where run_id = p_run_id;
  select * into v_step from htdag.steps where flow_version_id = v_run.flow_version_id and step_no = p_step_no;
  v_blank := v_step.self & ~v_step.self;
  v_change := (p_run_id, v_blank, v_step.self, v_blank, v_blank)::htdag.run_change;

  if p_error is not null then
    insert into htdag.attempts (run_id, step_no, epoch, attempt, outcome, ready_at, finished_at, error)
    values (p_run_id, p_step_no, v_run.epoch, 1, 'failed_permanently', v_now, v_now, p_error);
    perform htdag.bury(p_run_id, p_step_no, case when v_step.is_map then -1 else 0 end);
  end if;
  perform htdag.emit_dead(p_run_id, p_step_no);

  if v_step.is_map then
    perform htdag.withdraw_tasks(array[p_run_id], 'cancelled', format('step %s failed', v_step.name), p_step_no);
  end if;
  if v_step.on_failure = 'fail' then
    -- Handlers of failure stay: they are what is left to do.
    perform htdag.withdraw_tasks(array[p_run_id], 'cancelled', format('step %s failed', v_step.name), p_handlers => false);
    select (v.regular & ~(v_run.succeeded | v_run.failed | v_step.self))::bit varying into v_change.skipped
      from htdag.flow_versions v where v.flow_version_id = v_run.flow_version_id;
  elsif v_step.on_failure = 'skip' then
    v_change.skipped := v_step.dooms;
  end if;
  if v_step.bundle_no is not null then
    -- What is left of the bundle is scheduled anew, as far as it may still run.
    v_change.unscheduled := v_step.bundle_mask & ~(v_run.succeeded | v_run.failed | v_step.self);
  end if;
  return v_change;
end;
$$;

comment on function htdag.lose_step(bigint, smallint, text) is
  'What a step that failed for good does to its locked run: fail it, skip its dependents, or let them run. Withdraws tasks that became pointless.';

-- Schedule the first steps of new runs.
create or replace function htdag.schedule(p_run_ids bigint[])
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_settled record;
  v_lanes   integer[] := array[]::integer[];
begin
  -- By the hundred, since settle compares its runs with each other.
  for i in 0 .. (cardinality(p_run_ids) - 1) / 100 loop
    select * into v_settled from htdag.settle(array(
      select (r.run_id, r.succeeded, r.failed, r.skipped, r.succeeded)::htdag.run_change
        from htdag.runs r where r.run_id = any (p_run_ids[i * 100 + 1 : i * 100 + 100]) order by r.run_id));
    v_lanes := array(select unnest(v_lanes) union select unnest(v_settled.waiting));
  end loop;
  return htdag.wake_idle(v_lanes);
end;
$$;

comment on function htdag.schedule(bigint[]) is
  'Schedule the first steps of runs that are new or were just admitted, and wake an idle runner; returns how many queues were notified.';
