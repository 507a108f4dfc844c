-- Resolution: from "these steps ended" to "these steps may start".
--
-- Readiness is derived from the masks of the run under its row lock: a step is due
-- when it was not scheduled and everything behind its gate has ended. There is
-- no counter that could drift and no wake-up that could get lost; taking a step
-- back is clearing its bit.
--
-- Callers hold the run rows locked, in ascending order.

-- The lane for a step whose queue depends on the run's input. {key} stands for
-- the input's value of that key; a run without it waits in the queue as written.
create or replace function htdag.templated_lane(p_queue text, p_kind text, p_run_id bigint)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_key   constant text := substring(p_queue from '\{(.*?)\}');
  v_value text;
begin
  select coalesce(input ->> v_key, '{' || v_key || '}') into v_value from htdag.run_io where run_id = p_run_id;
  return htdag.lane(replace(p_queue, '{' || v_key || '}', v_value), p_kind);
end;
$$;

comment on function htdag.templated_lane(text, text, bigint) is 'Number of the lane that a templated queue means for one run.';

-- Lay out the elements of a map step and open its first window of tasks. Returns the number of elements.
create or replace function htdag.open_map(p_run_id bigint, p_step_no smallint)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_step   htdag.steps;
  v_source jsonb;
  v_total  integer;
begin
  select s.* into v_step
    from htdag.runs r join htdag.steps s using (flow_version_id)
   where r.run_id = p_run_id and s.step_no = p_step_no;
  if v_step.map_source_no is null then
    select input into v_source from htdag.run_io where run_id = p_run_id;
  else
    v_source := htdag.step_output(p_run_id, v_step.map_source_no);
  end if;
  if v_step.map_key is not null then
    v_source := v_source #> string_to_array(v_step.map_key, '.');
  end if;
  if jsonb_typeof(v_source) is distinct from 'array' then
    return null;
  end if;

  insert into htdag.map_items (run_id, step_no, map_index, item)
  select p_run_id, p_step_no, i - 1, item
    from jsonb_array_elements(v_source) with ordinality t(item, i);
  get diagnostics v_total = row_count;

  insert into htdag.map_shards (run_id, step_no, shard, total, opened, remaining)
  select p_run_id, p_step_no, shard, n, least(n, 63), n
    from generate_series(0, least(v_total, 16) - 1) shard,
         lateral (select (v_total - shard + 15) / 16 as n) c;
  perform htdag.open_elements(array[p_run_id], array[p_step_no],
    array(select (j * 16 + shard)::integer from htdag.map_shards s, generate_series(0, s.opened - 1) j
           where s.run_id = p_run_id and s.step_no = p_step_no order by 1));
  return v_total;
end;
$$;

comment on function htdag.open_map(bigint, smallint) is
  'Store the elements of a map step and insert the first thousand or so of its tasks; returns the number of elements, null when the source is not an array.';

-- Insert tasks for elements of map steps: one (run, step) pair for all elements, or one per element.
create or replace function htdag.open_elements(p_run_ids bigint[], p_step_nos smallint[], p_elements integer[])
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_done integer;
begin
  insert into htdag.tasks (run_id, flow_version_id, epoch, step_no, last_step_no, map_index, lane_id, priority, time_limit, ready_at)
  select r.run_id, r.flow_version_id, r.epoch, s.step_no, s.step_no, e.map_index,
         coalesce(s.lane_id, htdag.templated_lane(s.queue, s.kind, r.run_id)),
         r.priority * 1000 - least(s.step_no, 999), s.timeout, v_now
    from (select p_run_ids[case when cardinality(p_run_ids) = 1 then 1 else i end] as run_id,
                 p_step_nos[case when cardinality(p_step_nos) = 1 then 1 else i end] as step_no,
                 map_index
            from unnest(p_elements) with ordinality t(map_index, i)) e
    join htdag.runs r on r.run_id = e.run_id
    join htdag.steps s on s.flow_version_id = r.flow_version_id and s.step_no = e.step_no
   order by r.run_id, s.step_no, e.map_index;
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.open_elements(bigint[], smallint[], integer[]) is 'Insert tasks for elements of map steps; returns how many.';

-- Apply changes to locked runs, schedule what became due, and end runs that have nothing left.
create or replace function htdag.settle(
  p_changes    htdag.run_change[],
  p_runner     integer default null,
  p_lanes      integer[] default '{}',
  p_want       integer default 0,
  out handed   bigint[],
  out waiting  integer[],
  out ended    boolean
)
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now     constant timestamptz := htdag.clock();
  v_changes htdag.run_change[] := p_changes;
  v_more    htdag.run_change[];
  v_maps    htdag.run_change[];
  v_map     htdag.run_change;
  v_broken  htdag.run_change[];
  v_got     bigint[];
  v_left    integer[];
  v_ended   bigint;
  v_count   integer;
begin
  handed := '{}'; waiting := '{}'; ended := false;
  -- One turn nearly always. Another only where a step ended without a task: a
  -- handler of failure that nothing called for, a map over no elements.
  while cardinality(v_changes) > 0 loop
    with changed as materialized (
      select r.run_id, r.flow_id, r.flow_version_id, r.epoch, r.priority,
             r.scheduled & ~c.unscheduled as scheduled,
             r.succeeded | c.succeeded as succeeded,
             r.failed | c.failed as failed,
             (r.skipped | c.skipped) & ~(r.succeeded | c.succeeded | r.failed | c.failed) as skipped,
             r.succeeded | r.failed | r.skipped | c.succeeded | c.failed | c.skipped as ended
        from unnest(v_changes) c
        join htdag.runs r on r.run_id = c.run_id
    ), due as materialized (
      select c.run_id, c.flow_version_id, c.epoch, c.priority, s.step_no, s.lane_id, s.queue, s.kind, s.timeout, s.self, s.dooms,
             coalesce(s.bundle_no, s.step_no) as lead_no,
             case when s.run_on = 'failure' and bit_count(s.gate & c.failed) = 0 then 'skip'
                  when s.is_map then 'map' else 'task' end as fate
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
      select h.*, coalesce(h.lane_id, htdag.templated_lane(h.queue, h.kind, h.run_id)) as use_lane,
             row_number() over (order by h.priority * 1000 - least(h.step_no, 999), h.run_id) as place
        from (select p.*,
                     max(p.step_no) filter (where p.in_stretch) over (partition by p.run_id, p.lead_no) as last_step_no,
                     sum(p.timeout) filter (where p.in_stretch) over (partition by p.run_id, p.lead_no) as time_limit
                from placed p) h
       where h.is_head
    ), bits as (
      select run_id, bit_or(self) as scheduled, null::bit varying as skipped from placed where in_stretch group by run_id
      union all
      select run_id, bit_or(self), null from due where fate = 'map' group by run_id
      union all
      select run_id, null, bit_or(self | dooms) from due where fate = 'skip' group by run_id
    ), moved as (
      update htdag.runs r
         set scheduled = c.scheduled | coalesce(b.scheduled, c.scheduled),
             succeeded = c.succeeded,
             failed = c.failed,
             skipped = c.skipped | coalesce(b.skipped, c.skipped),
             state = case when not e.all_ended then 'running'
                          when bit_count(c.failed & v.fatal) > 0 or r.error is not null then 'failed' else 'succeeded' end,
             started_at = coalesce(r.started_at, v_now),
             finished_at = case when e.all_ended then v_now end
        from changed c
        join htdag.flow_versions v on v.flow_version_id = c.flow_version_id
        left join (select run_id, bit_or(scheduled) as scheduled, bit_or(skipped) as skipped from bits group by run_id) b
               on b.run_id = c.run_id
       cross join lateral (select bit_count(c.ended | coalesce(b.skipped, c.ended)) = v.step_count as all_ended) e
       where r.run_id = c.run_id
      returning r.run_id, r.finished_at
    ), made as (
      insert into htdag.tasks (run_id, flow_version_id, epoch, step_no, last_step_no, lane_id, priority, time_limit, ready_at,
             attempt, runner_id, token, claimed_at, timeout_at)
      select h.run_id, h.flow_version_id, h.epoch, h.step_no, h.last_step_no, h.use_lane,
             h.priority * 1000 - least(h.step_no, 999), h.time_limit, v_now,
             t.taken::integer, case when t.taken then p_runner end, case when t.taken then htdag.random_token() end,
             case when t.taken then v_now end, case when t.taken then v_now + h.time_limit + interval '30 s' end
        from heads h
       -- A map that fails as it opens may take back what else became due: then nothing is handed.
       cross join lateral (select h.place <= p_want and h.use_lane = any (p_lanes)
                                  and not exists (select from due where due.fate = 'map') as taken) t
       order by h.run_id, h.step_no
      returning task_id, runner_id, lane_id
    )
    select (select array_agg(task_id order by task_id) from made where runner_id is not null),
           (select array_agg(distinct lane_id) from made where runner_id is null),
           (select count(*) from moved where finished_at is not null),
           (select array_agg((d.run_id, d.self & ~d.self, d.self & ~d.self, d.self & ~d.self, d.self & ~d.self)::htdag.run_change)
              from due d join moved m on m.run_id = d.run_id where d.fate = 'skip' and m.finished_at is null),
           (select array_agg((run_id, self, self & ~self, self & ~self, self & ~self)::htdag.run_change order by run_id, step_no) from due where fate = 'map')
      into v_got, v_left, v_ended, v_more, v_maps;

    handed := handed || coalesce(v_got, '{}');
    waiting := waiting || coalesce(v_left, '{}');
    ended := ended or v_ended > 0;
    p_want := p_want - coalesce(cardinality(v_got), 0);
    v_changes := coalesce(v_more, '{}');

    -- Maps are opened one by one: each reads its own source. Those that have none come
    -- last, for the end of a run takes its other maps with it.
    v_broken := '{}';
    foreach v_map in array coalesce(v_maps, '{}') loop
      v_count := htdag.open_map(v_map.run_id, (position(B'1' in v_map.succeeded) - 1)::smallint);
      if v_count is null then
        v_broken := v_broken || v_map;
      elsif v_count = 0 then
        v_changes := v_changes || v_map;
      else
        waiting := waiting || array(select distinct lane_id from htdag.tasks
          where run_id = v_map.run_id and step_no = position(B'1' in v_map.succeeded) - 1);
      end if;
    end loop;
    foreach v_map in array v_broken loop
      v_changes := v_changes || htdag.lose_step(v_map.run_id, (position(B'1' in v_map.succeeded) - 1)::smallint,
        'the source of the map is not an array');
    end loop;
    -- One change per run, since a run's row is updated once a turn.
    if cardinality(v_changes) > 1 then
      v_changes := array(select (c.run_id, bit_or(c.succeeded), bit_or(c.failed), bit_or(c.skipped), bit_or(c.unscheduled))::htdag.run_change
                           from unnest(v_changes) c group by c.run_id order by c.run_id);
    end if;
  end loop;
end;
$$;

comment on function htdag.settle(htdag.run_change[], integer, integer[], integer) is
  'Apply what ended to locked runs and schedule what became due. Up to p_want new tasks in p_lanes are handed to p_runner at once; waiting names the lanes of the others; ended says whether a run ended.';

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
    insert into htdag.attempts (run_id, step_no, attempt, outcome, ready_at, finished_at, error)
    values (p_run_id, p_step_no, 1, 'failed_permanently', v_now, v_now, p_error);
  end if;

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
begin
  select * into v_settled from htdag.settle(array(
    select (r.run_id, r.succeeded, r.failed, r.skipped, r.succeeded)::htdag.run_change
      from htdag.runs r where r.run_id = any (p_run_ids) order by r.run_id));
  return htdag.wake_idle(v_settled.waiting);
end;
$$;

comment on function htdag.schedule(bigint[]) is
  'Schedule the first steps of runs that are new or were just admitted, and wake an idle runner; returns how many queues were notified.';

create or replace function htdag.step_output(p_run_id bigint, p_step_no integer)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
  v_is_map boolean;
begin
  select s.is_map into v_is_map
    from htdag.runs r
    join htdag.steps s using (flow_version_id)
   where r.run_id = p_run_id and s.step_no = p_step_no and get_bit(r.succeeded, s.step_no) = 1;
  return case when v_is_map
    then (select coalesce(jsonb_agg(a.output order by a.map_index), '[]') from htdag.attempts a
           where a.run_id = p_run_id and a.step_no = p_step_no and a.outcome = 'succeeded')
    when not v_is_map
    then (select a.output from htdag.attempts a
           where a.run_id = p_run_id and a.step_no = p_step_no and a.outcome = 'succeeded')
  end;
end;
$$;

comment on function htdag.step_output(bigint, integer) is
  'Output of a succeeded step; for a map step, the array of its elements'' outputs in order. Null when it has not succeeded.';

create or replace function htdag.needs_output(p_run_id bigint, p_flow_version_id integer, p_step_no integer)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
  return (select jsonb_object_agg(n.name, htdag.step_output(p_run_id, n.step_no))
            from htdag.steps s
            join htdag.steps n on n.flow_version_id = s.flow_version_id and n.name = any (s.needs)
           where s.flow_version_id = p_flow_version_id and s.step_no = p_step_no);
end;
$$;

comment on function htdag.needs_output(bigint, integer, integer) is 'Outputs of the steps that a step needs, as {"step": output}.';
