-- Limits: how much room a flow, a value of its key, or a bucket has.
--
-- Rates come in three modes. In mode burst a bucket of tokens, as large as the burst,
-- fills evenly: after a quiet time the burst may start at once, and in the long run
-- the rate holds. Mode smooth is a burst of one: starts are evenly spaced. Mode strict
-- remembers each start: no 60 seconds, wherever they begin, see more than the rate.

create or replace function htdag.set_limits(
  p_flow                    text,
  p_max_concurrent_runs     integer default null,
  p_rate_per_minute         integer default null,
  p_cpu_threshold           double precision default null,
  p_memory_threshold        double precision default null,
  p_only_if_unset           boolean default false,
  p_burst                   integer default null,
  p_rate_mode               text default 'burst',
  p_key                     text default null,
  p_max_concurrent_per_key  integer default null,
  p_rate_per_minute_per_key integer default null
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_flow_id constant integer := htdag.flow_number(p_flow);
  v_key     text;
  v_done    boolean;
begin
  perform htdag.check_rate(p_rate_mode, p_burst);
  if p_key is null and (p_max_concurrent_per_key is not null or p_rate_per_minute_per_key is not null) then
    raise exception using errcode = 'HT006', message = format('limits per key of flow "%s", but no key', p_flow),
      hint = 'Say by which key of the input, such as p_key => ''tenant''.';
  end if;
  select key into v_key from htdag.limits where flow_id = v_flow_id;
  insert into htdag.limits as l (flow_id, max_concurrent_runs, rate_per_minute, cpu_threshold, memory_threshold,
         burst, rate_mode, key, max_concurrent_per_key, rate_per_minute_per_key)
  values (v_flow_id, p_max_concurrent_runs, p_rate_per_minute, p_cpu_threshold, p_memory_threshold,
         p_burst, p_rate_mode, p_key, p_max_concurrent_per_key, p_rate_per_minute_per_key)
      on conflict (flow_id) do update
         set max_concurrent_runs = excluded.max_concurrent_runs, rate_per_minute = excluded.rate_per_minute,
             cpu_threshold = excluded.cpu_threshold, memory_threshold = excluded.memory_threshold,
             burst = excluded.burst, rate_mode = excluded.rate_mode, key = excluded.key,
             max_concurrent_per_key = excluded.max_concurrent_per_key, rate_per_minute_per_key = excluded.rate_per_minute_per_key
       where not p_only_if_unset;
  v_done := found;
  if v_done and v_key is distinct from p_key then
    perform htdag.key_runs(v_flow_id, p_key);
  end if;
  return v_done;
end;
$$;

comment on function htdag.set_limits(text, integer, integer, double precision, double precision, boolean, integer, text, text, integer, integer) is
  'Set the admission limits of a flow, at once and for runs already waiting; null lifts a limit. Runs that are steps of other runs are not counted. p_rate_mode is burst (p_burst starts at once, a minute''s allowance when null, then evenly), strict (never more than the rate in any 60 s) or smooth (evenly spaced). Runs take turns by the values of p_key in their inputs, each within the limits per key. Thresholds are shares (0 to 1) of a runner''s processors and memory in use. With p_only_if_unset, keeps limits that exist and returns false.';

create or replace function htdag.check_rate(p_mode text, p_burst integer)
returns boolean
language plpgsql
immutable
set search_path = ''
as $$
begin
  if p_mode is null or p_mode <> all (array['burst', 'strict', 'smooth']) or p_burst is not null and p_mode <> 'burst' then
    raise exception using errcode = 'HT006',
      message = format('rate mode %s%s', coalesce('"' || p_mode || '"', 'null'), ' with a burst of ' || p_burst),
      hint = 'Choose burst, strict or smooth; only burst takes a burst.';
  end if;
  return true;
end;
$$;

comment on function htdag.check_rate(text, integer) is 'True; raises HT006 for a rate that makes no sense.';

create or replace function htdag.limit_key(p_input jsonb, p_key text)
returns text
language sql
immutable
parallel safe
return left(coalesce(p_input #>> string_to_array(p_key, '.'), ''), 500);

comment on function htdag.limit_key(jsonb, text) is 'Value by which a run takes its turn: empty where the input has none.';

create or replace function htdag.key_runs(p_flow_id integer, p_key text)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_done integer;
begin
  with held as (
    select run_id from htdag.runs
     where run_id = any (array(select run_id from htdag.run_queue where flow_id = p_flow_id)) order by run_id for no key update
  ), keyed as materialized (
    select run_id, case when p_key is not null then htdag.limit_key(io.input, p_key) end as limit_key
      from held join htdag.run_io io using (run_id)
  ), queued as (
    update htdag.run_queue q set limit_key = coalesce(k.limit_key, '') from keyed k where q.run_id = k.run_id
  )
  update htdag.runs r set limit_key = k.limit_key from keyed k where r.run_id = k.run_id;
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.key_runs(integer, text) is 'Give the queued runs of a flow the value of a new key; returns how many.';

-- How many may start now under a rate, and when the one after those may.
create or replace function htdag.rate_room(
  p_bucket     text,
  p_per_minute integer,
  p_burst      integer,
  p_mode       text,
  out room     bigint,
  out due_at   timestamptz
)
language plpgsql
stable
set search_path = ''
as $$
declare
  v_now     constant timestamptz := htdag.clock();
  v_burst   constant integer := case when p_mode = 'smooth' then 1 else coalesce(p_burst, p_per_minute) end;
  -- Rounded down, so that a minute holds the full allowance.
  v_spacing constant interval := interval '1 us' * greatest(60000000 / p_per_minute, 1);
  v_ahead   timestamptz;
begin
  if p_mode = 'strict' then
    select p_per_minute - coalesce(sum(uses), 0), coalesce(min(used_at), v_now) + interval '1 minute' into room, due_at
      from htdag.rate_uses
     where bucket = p_bucket and used_at > v_now - interval '1 minute';
  else
    -- Generic cell rate algorithm (ITU-T I.371).
    v_ahead := greatest((select next_start_at from htdag.rates where bucket = p_bucket), v_now);
    room := floor(extract(epoch from v_now + v_spacing * v_burst - v_ahead) / extract(epoch from v_spacing))::bigint;
    due_at := v_ahead + v_spacing * (greatest(room, 0) + 1 - v_burst);
  end if;
  room := least(greatest(room, 0), 1000);
end;
$$;

comment on function htdag.rate_room(text, integer, integer, text) is
  'How many may start now under a rate, a thousand at most, and when there will be room for the one after those.';

create or replace function htdag.use_rate(p_bucket text, p_per_minute integer, p_mode text, p_uses integer)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now constant timestamptz := htdag.clock();
begin
  if p_per_minute is null or p_uses = 0 then
    return 0;
  elsif p_mode = 'strict' then
    insert into htdag.rate_uses as u (bucket, used_at, uses) values (p_bucket, v_now, p_uses)
        on conflict (bucket, used_at) do update set uses = u.uses + excluded.uses;
  else
    insert into htdag.rates as r (bucket, next_start_at)
    values (p_bucket, v_now + interval '1 us' * greatest(60000000 / p_per_minute, 1) * p_uses)
        on conflict (bucket) do update
           set next_start_at = greatest(r.next_start_at, v_now) + (excluded.next_start_at - v_now);
  end if;
  return p_uses;
end;
$$;

comment on function htdag.use_rate(text, integer, text, integer) is 'Write down starts under a rate; returns how many. The caller holds the lock under which the bucket is read.';

create or replace function htdag.rate_words(p_per_minute integer, p_burst integer, p_mode text)
returns text
language sql
immutable
parallel safe
return case
  when p_mode = 'smooth' then format('starts are evenly spaced, %s a minute', p_per_minute)
  when p_burst is not null then format('%s starts at once and %s a minute are the limit', p_burst, p_per_minute)
  else format('%s starts in the last minute, which is the limit', p_per_minute)
end;

comment on function htdag.rate_words(integer, integer, text) is 'What is said to those who wait for a rate.';

-- Forget what rates no longer need, a bounded number at a time.
create or replace function htdag.clear_rates()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_done integer;
  v_more integer;
begin
  delete from htdag.rates
   where bucket = any (array(select bucket from htdag.rates where next_start_at < v_now order by next_start_at limit 1000 for update skip locked));
  get diagnostics v_done = row_count;
  delete from htdag.rate_uses
   where ctid = any (array(select ctid from htdag.rate_uses where used_at < v_now - interval '1 minute'
                            order by used_at limit 1000 for update skip locked));
  get diagnostics v_more = row_count;
  return v_done + v_more;
end;
$$;

comment on function htdag.clear_rates() is 'Delete some of what rates no longer depend on; returns how many rows.';

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

create or replace function htdag.flow_room(p_limits htdag.limits, out room bigint, out reason text, out due_at timestamptz)
language plpgsql
stable
set search_path = ''
as $$
declare
  v_rate record;
begin
  room := 1000;
  if p_limits.is_paused then
    room := 0;
    reason := (select htdag.pause_words(p) from htdag.flows f join htdag.pauses p on p.kind = 'flow' and p.name = f.name
                where f.flow_id = p_limits.flow_id);
    return;
  end if;
  if p_limits.max_concurrent_runs is not null then
    select p_limits.max_concurrent_runs - count(*) into room
      from htdag.runs where flow_id = p_limits.flow_id and state in ('running', 'paused') and parent_run_id is null;
    room := least(greatest(room, 0), 1000);
    reason := format('%s runs are running, which is the limit', p_limits.max_concurrent_runs);
  end if;
  if p_limits.rate_per_minute is not null then
    select * into v_rate from htdag.rate_room(format('flow:%s', p_limits.flow_id), p_limits.rate_per_minute, p_limits.burst, p_limits.rate_mode);
    if v_rate.room < room then
      room := v_rate.room;
      due_at := v_rate.due_at;
      reason := htdag.rate_words(p_limits.rate_per_minute, p_limits.burst, p_limits.rate_mode);
    end if;
  end if;
  if room > 0 and htdag.load_reason(p_limits) is not null then
    room := 0;
    due_at := null;
    reason := htdag.load_reason(p_limits);
  end if;
end;
$$;

comment on function htdag.flow_room(htdag.limits) is
  'How many runs of a flow may start now, a thousand at most, and what holds back the one after those until when.';

create or replace function htdag.key_room(p_limits htdag.limits, p_value text, out room bigint, out reason text, out due_at timestamptz)
language plpgsql
stable
set search_path = ''
as $$
declare
  v_rate record;
begin
  room := 1000;
  if p_limits.max_concurrent_per_key is not null then
    select p_limits.max_concurrent_per_key - count(*) into room
      from htdag.runs where flow_id = p_limits.flow_id and limit_key = p_value and state in ('running', 'paused') and parent_run_id is null;
    room := least(greatest(room, 0), 1000);
    reason := format('%s "%s": %s runs are running, which is the limit', p_limits.key, p_value, p_limits.max_concurrent_per_key);
  end if;
  if p_limits.rate_per_minute_per_key is not null then
    select * into v_rate
      from htdag.rate_room(format('flow:%s:%s', p_limits.flow_id, p_value), p_limits.rate_per_minute_per_key, p_limits.burst, p_limits.rate_mode);
    if v_rate.room < room then
      room := v_rate.room;
      due_at := v_rate.due_at;
      reason := format('%s "%s": %s', p_limits.key, p_value,
                       htdag.rate_words(p_limits.rate_per_minute_per_key, p_limits.burst, p_limits.rate_mode));
    end if;
  end if;
end;
$$;

comment on function htdag.key_room(htdag.limits, text) is
  'How many runs with one value of the flow''s key may start now, a thousand at most, and what holds back the one after those until when.';
