-- Admission: when queued runs may start.
--
-- Limits are looked at when work is looked for, never in the claim of a task: a
-- run that may not start has no task yet. The number of running runs is counted,
-- not kept, under the flow's advisory lock; so there is no counter to drift and
-- nothing to give back when a run ends.
--
-- Locks are only tried: whoever holds one of these is admitting, or about to.
-- Advisory locks: class 1213481298 ('HTDR'), object flow_id.

-- Admit what the limits of one flow allow, and tell the first of the others why
-- they wait: all of them would be too many rows to write each time the reason changes.
create or replace function htdag.admit_flow(p_flow_id integer)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now    constant timestamptz := htdag.clock();
  v_limits htdag.limits;
  v_room   record;
  v_done   integer := 0;
begin
  if not pg_try_advisory_xact_lock(1213481298, p_flow_id) then
    return 0;
  end if;
  select * into v_limits from htdag.limits where flow_id = p_flow_id for update skip locked;
  if not found and exists (select from htdag.limits where flow_id = p_flow_id) then
    return 0;
  end if;
  select * into v_room from htdag.flow_room(v_limits);
  if v_limits.gated is distinct from (htdag.load_reason(v_limits) is not null) then
    update htdag.limits set gated = not gated where flow_id = p_flow_id;
    perform htdag.emit_pressure(p_flow_id, htdag.load_reason(v_limits));
  end if;

  if v_room.room > 0 then
    if v_limits.key is not null then
      v_done := htdag.admit_in_turn(v_limits, v_room.room);
    else
      v_done := cardinality(htdag.admit_runs(array(select run_id from htdag.run_queue
                                                    where flow_id = p_flow_id and starts_at is null
                                                    order by priority, limit_key, run_id limit v_room.room for update skip locked)));
    end if;
    perform htdag.use_rate(format('flow:%s', p_flow_id), v_limits.rate_per_minute, v_limits.rate_mode, v_done);
  end if;
  if v_limits.key is not null and v_done < v_room.room then
    -- There was room for the flow: what holds the others is their keys.
    v_room.reason := null;
  end if;
  with head as (
    select run_id, limit_key, reason, due_at from htdag.run_queue where flow_id = p_flow_id and starts_at is null
     order by priority, limit_key, run_id limit 100 for update skip locked
  ), keyed as materialized (
    select k.limit_key, r.reason, r.due_at
      from (select distinct limit_key from head where v_room.reason is null) k
     cross join lateral htdag.key_room(v_limits, k.limit_key) r
  ), told as (
    select h.run_id, h.reason as old_reason, h.due_at as old_due, coalesce(v_room.reason, k.reason) as reason,
           case when v_room.reason is not null then v_room.due_at else k.due_at end as due_at
      from head h left join keyed k using (limit_key)
  ), held as (
    update htdag.run_queue q set reason = t.reason, due_at = t.due_at
      from told t
     where q.run_id = t.run_id and (t.reason is distinct from t.old_reason or t.due_at is distinct from t.old_due)
    returning q.run_id, q.reason, t.reason is distinct from t.old_reason as is_news
  )
  insert into htdag.admission_log (run_id, decided_at, decision, reason)
  select run_id, v_now, 'held', reason from held where is_news;
  return v_done;
end;
$$;

comment on function htdag.admit_flow(integer) is
  'Admit the oldest queued runs of one flow as far as its limits allow; the next hundred are told the reason. Returns how many runs started.';

-- An event belongs to a run: that is the first of those that wait. It is told under the
-- lock of the flow, so began and ended take turns.
create or replace function htdag.emit_pressure(p_flow_id integer, p_reason text)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
begin
  return (select htdag.emit(array[case when p_reason is null then 'flow.pressure_ended' else 'flow.pressure_began' end], array[q.run_id], null,
                            array[jsonb_strip_nulls(jsonb_build_object('reason', p_reason))])
            from htdag.run_queue q
           where q.flow_id = p_flow_id and q.starts_at is null
           order by q.priority, q.limit_key, q.run_id
           limit 1);
end;
$$;

comment on function htdag.emit_pressure(integer, text) is
  'Tell that load holds back new runs of a flow (flow.pressure_began, "reason") or, where the reason is null, does so no longer (flow.pressure_ended); returns how many events that were.';

-- Values of the key for which runs of one priority wait, in order from a given one.
-- Each is one probe of the index, however many runs wait for it.
create or replace function htdag.waiting_keys(p_flow_id integer, p_priority integer, p_after text, p_most integer)
returns setof text
language plpgsql
stable
set search_path = ''
as $$
declare
  v_key text;
begin
  for i in 1 .. p_most loop
    select q.limit_key into v_key
      from htdag.run_queue q
     where q.flow_id = p_flow_id and q.priority = p_priority and q.starts_at is null and q.limit_key > p_after
     order by q.limit_key
     limit 1;
    exit when not found;
    return next v_key;
    p_after := v_key;
  end loop;
end;
$$;

comment on function htdag.waiting_keys(integer, integer, text, integer) is
  'The next values after p_after, p_most at most, that runs of one flow and priority wait with.';

-- Admit runs of a flow that has a key: the more urgent ones first, and among them one
-- run per value and turn. The next call goes on after the value that came last.
create or replace function htdag.admit_in_turn(p_limits htdag.limits, p_room bigint)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_last     text := coalesce(p_limits.last_key, '');
  v_left     bigint := p_room;
  v_look     integer := least(p_room * 4 + 16, 1000)::integer;
  v_priority integer := -100000; -- before every priority
  v_keys     text[];
  v_runs     bigint[];
begin
  for i in 1 .. 100 loop
    select priority::integer into v_priority from htdag.run_queue
     where flow_id = p_limits.flow_id and starts_at is null and priority > v_priority order by priority limit 1;
    exit when not found or v_left <= 0;
    for j in 1 .. 4 loop
      -- A run without the key has the empty value, which nothing comes before.
      v_keys := array(select htdag.waiting_keys(p_limits.flow_id, v_priority, v_last, v_look));
      if cardinality(v_keys) < v_look then
        v_keys := v_keys || array(select '' from htdag.run_queue where flow_id = p_limits.flow_id and priority = v_priority
                                     and starts_at is null and limit_key = '' limit 1)
                         || array(select k from htdag.waiting_keys(p_limits.flow_id, v_priority, '', v_look) k where k <= v_last);
      end if;
      v_runs := htdag.admit_runs(array(
        select q.run_id
          from unnest(v_keys) with ordinality k(key, place)
         cross join lateral htdag.key_room(p_limits, k.key) r
         cross join lateral (select w.run_id, row_number() over (order by w.run_id) as turn
                               from (select run_id from htdag.run_queue
                                      where flow_id = p_limits.flow_id and priority = v_priority and starts_at is null and limit_key = k.key
                                      order by run_id
                                      limit least(r.room, v_left / cardinality(v_keys) + 1)) w) q
         order by q.turn, k.place
         limit v_left));
      if cardinality(v_runs) = 0 then
        exit when cardinality(v_keys) < v_look;
        v_last := v_keys[v_look];
        v_look := least(v_look * 4, 1000);
        continue;
      end if;
      v_left := v_left - cardinality(v_runs);
      select limit_key into v_last from htdag.runs where run_id = v_runs[cardinality(v_runs)];
      perform htdag.use_rate(format('flow:%s:%s', p_limits.flow_id, a.limit_key), p_limits.rate_per_minute_per_key, p_limits.rate_mode, a.n)
         from (select limit_key, count(*)::integer as n from htdag.runs where run_id = any (v_runs) group by limit_key) a
        where p_limits.rate_per_minute_per_key is not null;
      exit when v_left <= 0;
    end loop;
  end loop;
  update htdag.limits set last_key = v_last where flow_id = p_limits.flow_id and last_key is distinct from v_last;
  return (p_room - v_left)::integer;
end;
$$;

comment on function htdag.admit_in_turn(htdag.limits, bigint) is
  'Admit up to p_room runs of a flow with a key, the values taking turns; returns how many. Looks at some thousand values per call at most and goes on from there at the next.';

create or replace function htdag.admit_runs(p_run_ids bigint[])
returns bigint[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now   constant timestamptz := htdag.clock();
  v_runs  bigint[];
  v_heard bigint[];
begin
  -- A run that someone holds is being cancelled; it is left where it is.
  v_runs := array(select run_id from htdag.runs where run_id = any (p_run_ids) and state = 'queued' order by run_id for update skip locked);
  if cardinality(v_runs) = 0 then
    return v_runs;
  end if;
  delete from htdag.run_queue where run_id = any (v_runs);
  with begun as (
    update htdag.runs r
       set state = 'running', started_at = v_now, deadline_at = v_now + v.run_timeout
      from htdag.flow_versions v
     where r.run_id = any (v_runs) and v.flow_version_id = r.flow_version_id
    returning case when v.heard is not null then r.run_id end as heard
  )
  select array_agg(heard order by heard) into v_heard from begun where heard is not null;
  insert into htdag.admission_log (run_id, decided_at, decision)
  select run_id, v_now, 'admitted' from unnest(v_runs) run_id;
  if v_heard is not null then
    perform htdag.emit('{run.admitted}', v_heard);
    perform htdag.emit('{run.started}', v_heard);
  end if;
  perform htdag.schedule(v_runs);
  return array(select run_id from unnest(p_run_ids) with ordinality p(run_id, i) where run_id = any (v_runs) order by i);
end;
$$;

comment on function htdag.admit_runs(bigint[]) is 'Start queued runs without asking the limits; returns those that were still queued, in the order given.';

create or replace function htdag.admit()
returns integer
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
  perform htdag.line_up();
  -- One probe per flow: the queue itself may be long.
  return (select coalesce(sum(htdag.admit_flow(flow_id)), 0)::integer
            from (select f.flow_id
                    from htdag.flows f
                   cross join lateral (select from htdag.run_queue q where q.flow_id = f.flow_id and q.starts_at is null
                                        order by q.priority, q.limit_key, q.run_id limit 1) q
                   order by f.flow_id) q);
end;
$$;

comment on function htdag.admit() is
  'Admit queued runs of every flow as far as limits allow; returns how many started. Called whenever work is looked for or a run has ended; calling it by hand does no harm.';

create or replace function htdag.line_up()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_done integer;
begin
  update htdag.run_queue set starts_at = null, reason = null, due_at = null
   where run_id = any (array(select run_id from htdag.run_queue where starts_at <= v_now
                              order by starts_at limit 1000 for update skip locked));
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.line_up() is 'Let runs whose time has come stand in line for admission; returns how many, a thousand at most.';

create or replace function htdag.fill_slots()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now constant timestamptz := htdag.clock();
begin
  return case
    when (select run_id from htdag.run_queue where starts_at is null order by flow_id, priority, limit_key, run_id limit 1) is not null
      or (select starts_at from htdag.run_queue where starts_at is not null order by starts_at limit 1) <= v_now
    then htdag.admit() else 0 end
    + case when (select task_id from htdag.tasks where parked = 'limit' order by lane_id, coalesce(limit_key, ''), priority, task_id limit 1) is not null
    then htdag.promote_limited() else 0 end;
end;
$$;

comment on function htdag.fill_slots() is 'Admit runs and make limited tasks ready, where any wait at all. Returns how many moved.';
