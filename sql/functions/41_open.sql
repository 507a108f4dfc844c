-- Opening: from "this step is due" to its tasks, where more than the masks decides.
--
-- Callers hold the run's row.

-- {key} stands for the value of that key in the run's input; where the input has
-- none, it stays as written.
create or replace function htdag.templated(p_text text, p_run_id bigint)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
  v_key  text;
  v_text text := p_text;
begin
  for v_key in select distinct m[1] from regexp_matches(p_text, '\{([^}]*)\}', 'g') m loop
    select replace(v_text, '{' || v_key || '}', coalesce(input ->> v_key, '{' || v_key || '}')) into v_text
      from htdag.run_io where run_id = p_run_id;
  end loop;
  return v_text;
end;
$$;

comment on function htdag.templated(text, bigint) is 'A queue or limit with the values of a run''s input filled in.';

-- For a lane that was only just made, for a templated queue: lists of limited lanes are
-- made before it.
create or replace function htdag.is_limited(p_lane_id integer)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
begin
  return (select is_limited from htdag.lanes where lane_id = p_lane_id);
end;
$$;

comment on function htdag.is_limited(integer) is 'Whether tasks of a lane are parked until its queue''s limit has room.';

-- Where a task goes that nothing else holds back.
create or replace function htdag.held_for(p_run_state text, p_limit_key text, p_is_limited boolean)
returns text
language sql
immutable
parallel safe
return case when p_run_state = 'paused' then 'paused' when p_limit_key is not null or p_is_limited then 'limit' end;

comment on function htdag.held_for(text, text, boolean) is
  'What a task of a run is parked for once it is due: the pause of the run, a limit of its own or of its lane, or nothing.';

-- Whether the conditions of a step let it run. A path that gives true or false is
-- taken at its word; one that gives anything else holds if it finds something.
create or replace function htdag.path_holds(p_path jsonpath, p_document jsonb)
returns boolean
language sql
immutable
parallel safe
set search_path = ''
return (select case jsonb_typeof(v) when 'boolean' then v = 'true' else v is not null and v <> 'null' end
          from jsonb_path_query_first(p_document, p_path, silent => true) v);

comment on function htdag.path_holds(jsonpath, jsonb) is 'Whether a condition holds for a document.';

create or replace function htdag.is_declined(p_step htdag.steps, p_document jsonb)
returns boolean
language plpgsql
immutable
set search_path = ''
as $$
begin
  return coalesce(p_step.run_if is not null and not htdag.path_holds(p_step.run_if, p_document)
    or p_step.skip_if is not null and htdag.path_holds(p_step.skip_if, p_document), false);
end;
$$;

comment on function htdag.is_declined(htdag.steps, jsonb) is 'Whether the conditions of a step have it skipped.';

create or replace function htdag.memo_key(p_step htdag.steps, p_document jsonb)
returns bytea
language sql
immutable
parallel safe
set search_path = ''
return sha256(convert_to(jsonb_build_array((p_step).kind, (p_step).target, (p_step).memo_version, htdag.step_argument(p_step, p_document),
  p_document -> 'item', case when (p_step).wants_needs or (p_step).kind = 'sql' and (p_step).argument is null then p_document -> 'needs' end)::text, 'utf8'));

comment on function htdag.memo_key(htdag.steps, jsonb) is
  'Under which key the output of a step is remembered: a hash of its kind, its memo_version and everything that it is given.';

-- Who names a step wants it done, not remembered.
create or replace function htdag.is_named(p_run_id bigint, p_epoch smallint, p_step text)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return exists (select from htdag.retries where run_id = p_run_id and epoch = p_epoch and p_step = any (from_steps));
end;
$$;

comment on function htdag.is_named(bigint, smallint, text) is 'Whether the retry that began the epoch of a run named the step.';

-- Take from memory what is there; returns what of the elements (one without index, for
-- a step that is no map) was found. Their tries are in the log with number 0.
create or replace function htdag.recall(p_run_id bigint, p_step htdag.steps)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now      constant timestamptz := htdag.clock();
  v_document constant jsonb := htdag.step_document(p_run_id, (p_step).step_no, case when (p_step).is_map then -1 end);
  v_epoch    constant smallint := (select epoch from htdag.runs where run_id = p_run_id);
  v_found    integer;
begin
  insert into htdag.attempts (run_id, step_no, map_index, epoch, attempt, outcome, ready_at, finished_at, output)
  select p_run_id, (p_step).step_no, e.map_index, v_epoch, 0, 'succeeded', v_now, v_now, m.output
    from (select i.map_index, v_document || jsonb_build_object('item', i.item) as document from htdag.map_items i
           where (p_step).is_map and i.run_id = p_run_id and i.step_no = (p_step).step_no and i.map_index >= 0
          union all
          select 0, v_document where not (p_step).is_map) e
    join htdag.memos m on m.memo_key = htdag.memo_key(p_step, e.document) and m.expires_at > v_now
   where v_epoch = 0
      or not htdag.is_named(p_run_id, v_epoch, (p_step).name)
         and not exists (select from htdag.attempts a
                          where a.run_id = p_run_id and a.step_no = (p_step).step_no and a.map_index = e.map_index
                            and a.outcome = 'succeeded' and not a.superseded);
  get diagnostics v_found = row_count;
  return v_found;
end;
$$;

comment on function htdag.recall(bigint, htdag.steps) is 'Complete what of a step is remembered, without a task; returns how many elements that was.';

create or replace function htdag.remember(p_tasks htdag.tasks[], p_task_ids bigint[], p_tokens bigint[], p_outputs jsonb[])
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_done integer;
begin
  -- Whoever finds that another is just keeping an output for the same work leaves it at
  -- that: pump keeps some in each of its passes, so that waiting has no order.
  with made as materialized (
    select distinct on (t.memo_key) t.memo_key, s.kind, a.output, t.run_id, s.memo
      from unnest(p_tasks) t
      join htdag.steps s on s.flow_version_id = t.flow_version_id and s.step_no = t.step_no
      join unnest(p_task_ids, p_tokens, p_outputs) a(task_id, token, output) on a.task_id = t.task_id and a.token = t.token
     where t.memo_key is not null
     order by t.memo_key, t.task_id
  ), tried as materialized (
    select m.*, pg_try_advisory_xact_lock(1213481299, hashtext(encode(m.memo_key, 'hex'))) as is_mine from made m
  )
  insert into htdag.memos as m (memo_key, kind, output, run_id, made_at, expires_at)
  select memo_key, kind, output, run_id, v_now, v_now + memo from tried where is_mine order by memo_key
      on conflict (memo_key) do update
         set output = excluded.output, run_id = excluded.run_id, made_at = excluded.made_at, expires_at = excluded.expires_at;
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.remember(htdag.tasks[], bigint[], bigint[], jsonb[]) is 'Keep the outputs of tasks whose steps declare memo; returns how many.';

-- Open one special step. Either its tasks are made, or it has ended
-- without any (changes says how), or it cannot be opened at all (problem says why).
create or replace function htdag.open_step(
  p_run_id    bigint,
  p_step_no   smallint,
  out changes htdag.run_change[],
  out problem text
)
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_step  htdag.steps;
  v_blank bit varying;
  v_left  integer;
begin
  changes := '{}';
  select s.* into v_step
    from htdag.runs r join htdag.steps s using (flow_version_id)
   where r.run_id = p_run_id and s.step_no = p_step_no;
  v_blank := v_step.self & ~v_step.self;
  if (v_step.run_if is not null or v_step.skip_if is not null) and htdag.is_declined(v_step, htdag.step_document(p_run_id, p_step_no)) then
    changes := array[(p_run_id, v_blank, v_blank, v_step.self | case v_step.on_skip when 'cascade' then v_step.dooms else v_blank end, v_blank)::htdag.run_change];
    return;
  end if;

  if v_step.is_map then
    v_left := htdag.open_map(p_run_id, v_step);
    if v_left is null then
      problem := 'the source of the map is not an array';
    end if;
  elsif v_step.memo is not null and htdag.recall(p_run_id, v_step) > 0 then
    v_left := 0;
  else
    v_left := htdag.open_tasks(array[p_run_id], array[p_step_no], array[null::integer]);
  end if;
  if v_left = 0 then
    changes := array[(p_run_id, v_step.self, v_blank, v_blank, v_blank)::htdag.run_change];
  end if;
end;
$$;

comment on function htdag.open_step(bigint, smallint) is
  'Open a due step that has a condition, a memo or elements: make its tasks, or say with which changes or problem it ended without any.';

-- Lay out the elements of a map step and open its first window of tasks.
create or replace function htdag.open_map(p_run_id bigint, p_step htdag.steps)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_source jsonb;
  v_path   constant text[] := string_to_array(p_step.map_key, '.');
  v_input  jsonb;
  v_total  integer;
  v_known  integer := 0;
begin
  if p_step.map_source_no is null then
    select input into v_source from htdag.run_io where run_id = p_run_id;
    v_input := v_source;
  else
    v_source := htdag.step_output(p_run_id, p_step.map_source_no);
  end if;
  if v_path is not null then
    v_source := v_source #> v_path;
  end if;
  if jsonb_typeof(v_source) is distinct from 'array' then
    return null;
  end if;

  insert into htdag.map_items (run_id, step_no, map_index, item)
  select p_run_id, p_step.step_no, i - 1, item
    from jsonb_array_elements(v_source) with ordinality t(item, i);
  get diagnostics v_total = row_count;
  -- The array is taken apart once, not with each of its elements.
  if v_input is not null and v_total > 0 then
    insert into htdag.map_items (run_id, step_no, map_index, item)
    values (p_run_id, p_step.step_no, -1, case when v_path is null then 'null' else v_input #- v_path end);
  end if;
  -- What a retry keeps, before what is remembered.
  if (select epoch from htdag.runs where run_id = p_run_id) > 0 then
    select count(*)::integer into v_known from htdag.attempts a
     where a.run_id = p_run_id and a.step_no = p_step.step_no and a.outcome = 'succeeded' and not a.superseded;
  end if;
  if p_step.memo is not null then
    v_known := v_known + htdag.recall(p_run_id, p_step);
  end if;

  -- Where some elements are known already the others are opened at once, since a
  -- window that holds known ones alone would never move on.
  insert into htdag.map_shards (run_id, step_no, shard, total, opened, remaining)
  select p_run_id, p_step.step_no, shard, n, case when v_known > 0 then n else least(n, 63) end,
         n - case when v_known > 0 then (select count(*)::integer from htdag.attempts a
               where a.run_id = p_run_id and a.step_no = p_step.step_no and a.map_index % 16 = shard and a.outcome = 'succeeded' and not a.superseded) else 0 end
    from generate_series(0, least(v_total, 16) - 1) shard,
         lateral (select (v_total - shard + 15) / 16 as n) c;
  perform htdag.open_tasks(array[p_run_id], array[p_step.step_no],
    array(select (j * 16 + shard)::integer from htdag.map_shards s, generate_series(0, s.opened - 1) j
           where s.run_id = p_run_id and s.step_no = p_step.step_no
             and (v_known = 0 or not exists (select from htdag.attempts a
                   where a.run_id = p_run_id and a.step_no = p_step.step_no and a.map_index = j * 16 + shard and a.outcome = 'succeeded' and not a.superseded))
           order by 1));
  return v_total - v_known;
end;
$$;

comment on function htdag.open_map(bigint, htdag.steps) is
  'Store the elements of a map step and insert the first thousand or so of its tasks; returns the number of elements to work on, null when the source is not an array.';

-- Insert tasks for steps or elements of map steps: one (run, step) pair for all elements,
-- or one per element; the element of a step that is no map is null.
create or replace function htdag.open_tasks(p_run_ids bigint[], p_step_nos smallint[], p_elements integer[])
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now     constant timestamptz := htdag.clock();
  v_limited constant integer[] := array(select lane_id from htdag.lanes where is_limited);
  v_done    integer;
begin
  insert into htdag.tasks (run_id, flow_version_id, epoch, step_no, last_step_no, map_index, lane_id, priority, time_limit, ready_at,
         limit_key, parked, due_at)
  select o.run_id, o.flow_version_id, o.epoch, o.step_no, o.step_no, o.map_index, o.lane_id, o.priority, o.timeout, v_now,
         o.limit_key, p.parked, case when o.delay > interval '0' then v_now + o.delay when p.parked is not null then 'infinity' end
    from (select r.run_id, r.flow_version_id, r.epoch, r.state, s.step_no, s.timeout, s.delay, e.map_index,
                 coalesce(s.lane_id, htdag.lane(htdag.templated(s.queue, r.run_id), s.kind)) as lane_id, s.lane_id is null as is_templated,
                 (r.priority + s.priority) * 1000 - least(s.step_no, 999) as priority,
                 case when s.limit_key like '%{%}%' then htdag.templated(s.limit_key, r.run_id) else s.limit_key end as limit_key
            from (select p_run_ids[case when cardinality(p_run_ids) = 1 then 1 else i end] as run_id,
                         p_step_nos[case when cardinality(p_step_nos) = 1 then 1 else i end] as step_no,
                         map_index
                    from unnest(p_elements) with ordinality t(map_index, i)) e
            join htdag.runs r on r.run_id = e.run_id
            join htdag.steps s on s.flow_version_id = r.flow_version_id and s.step_no = e.step_no
           offset 0) o
   cross join lateral (select case when o.state = 'paused' then 'paused' when o.delay > interval '0' then 'delay'
                                   when o.limit_key is not null or o.lane_id = any (v_limited)
                                        or o.is_templated and htdag.is_limited(o.lane_id) then 'limit' end as parked) p
   order by o.run_id, o.step_no, o.map_index;
  get diagnostics v_done = row_count;

  -- An update of its own, for the few who declare a memo.
  if exists (select from htdag.runs r join htdag.steps s using (flow_version_id)
              where r.run_id = any (p_run_ids) and s.step_no = any (p_step_nos) and s.memo is not null) then
    update htdag.tasks t
       set memo_key = htdag.memo_key(s, htdag.step_document(t.run_id, t.step_no, t.map_index))
      from htdag.steps s
     where t.run_id = any (p_run_ids) and t.step_no = any (p_step_nos) and t.memo_key is null and t.runner_id is null
       and s.flow_version_id = t.flow_version_id and s.step_no = t.step_no and s.memo is not null;
  end if;
  return v_done;
end;
$$;

comment on function htdag.open_tasks(bigint[], smallint[], integer[]) is
  'Insert tasks for steps, or for elements of map steps, parked where they may not start yet; returns how many.';
