-- Limits of tasks: by queue, and by the limit_key of steps.
--
-- A task under a limit is parked when it is made, outside the claim index. Here it is
-- moved in while fewer tasks than allowed are in the open: ready, at work, or waiting
-- for a run of their own. They are counted, not kept count of.
--
-- Who promotes holds advisory lock (1213481298, -2), tried only; tasks and runs are
-- only tried as well, since callers may hold others.

create or replace function htdag.set_limit(
  p_key                  text,
  p_max_concurrent_tasks integer default null,
  p_rate_per_minute      integer default null,
  p_burst                integer default null,
  p_rate_mode            text default 'burst'
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  return htdag.set_task_limit('key', p_key, p_max_concurrent_tasks, p_rate_per_minute, p_burst, p_rate_mode);
end;
$$;

comment on function htdag.set_limit(text, integer, integer, integer, text) is
  'Limit the tasks of steps with a limit_key, of all flows together. A key that ends in * gives each key that begins so, and has no limit of its own, this limit for itself; the longest one counts. With a p_max_concurrent_tasks of 1 the tasks of a key go one after another, whatever run they are of. Without any figure the limit is lifted. False where nothing changed.';

create or replace function htdag.set_queue_limit(
  p_queue                text,
  p_max_concurrent_tasks integer default null,
  p_rate_per_minute      integer default null,
  p_burst                integer default null,
  p_rate_mode            text default 'burst'
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_limited constant boolean := num_nonnulls(p_max_concurrent_tasks, p_rate_per_minute) > 0;
  v_done    boolean;
begin
  -- A lane that is just being made is seen here, or sees this.
  perform pg_advisory_xact_lock(1213481298, -1);
  v_done := htdag.set_task_limit('queue', p_queue, p_max_concurrent_tasks, p_rate_per_minute, p_burst, p_rate_mode);
  update htdag.lanes set is_limited = v_limited where queue = p_queue and is_limited <> v_limited;
  return v_done;
end;
$$;

comment on function htdag.set_queue_limit(text, integer, integer, integer, text) is
  'Limit the tasks of a queue, of all kinds and flows together; tasks with different limit keys take turns. Tasks that are ready already are counted but not taken back. Without any figure the limit is lifted. False where nothing changed.';

create or replace function htdag.set_task_limit(
  p_kind            text,
  p_key             text,
  p_max_concurrent  integer,
  p_rate_per_minute integer,
  p_burst           integer,
  p_rate_mode       text
)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_done boolean;
begin
  perform htdag.check_rate(p_rate_mode, p_burst);
  if coalesce(p_key, '') = '' or p_max_concurrent < 1 or p_rate_per_minute < 1 or p_burst < 1 then
    raise exception using errcode = 'HT006',
      message = format('%s %s: limit of %s tasks, %s a minute, burst %s', p_kind, coalesce('"' || p_key || '"', 'null'),
                       coalesce(p_max_concurrent::text, 'any number of'), coalesce(p_rate_per_minute::text, 'any number'), coalesce(p_burst::text, 'as large')),
      hint = 'Name what is limited, and give numbers from 1 on, or null for no limit.';
  elsif num_nonnulls(p_max_concurrent, p_rate_per_minute) = 0 then
    delete from htdag.task_limits where kind = p_kind and key = p_key;
    v_done := found;
  else
    insert into htdag.task_limits as l (kind, key, max_concurrent_tasks, rate_per_minute, burst, rate_mode)
    values (p_kind, p_key, p_max_concurrent, p_rate_per_minute, p_burst, p_rate_mode)
        on conflict (kind, key) do update
           set max_concurrent_tasks = excluded.max_concurrent_tasks, rate_per_minute = excluded.rate_per_minute,
               burst = excluded.burst, rate_mode = excluded.rate_mode
         where (l.max_concurrent_tasks, l.rate_per_minute, l.burst, l.rate_mode)
               is distinct from (excluded.max_concurrent_tasks, excluded.rate_per_minute, excluded.burst, excluded.rate_mode);
    v_done := found;
  end if;
  if v_done then
    perform htdag.wake_idle(null);
  end if;
  return v_done;
end;
$$;

comment on function htdag.set_task_limit(text, text, integer, integer, integer, text) is
  'Store, change or lift a limit of tasks. Raises HT006 for figures that make no sense.';

create or replace function htdag.task_limit(p_kind text, p_key text)
returns htdag.task_limits
language plpgsql
stable
set search_path = ''
as $$
declare
  v_limit htdag.task_limits;
begin
  select * into v_limit from htdag.task_limits where kind = p_kind and key = p_key;
  if not found and p_kind = 'key' then
    select * into v_limit from htdag.task_limits
     where kind = 'key' and key like '%*' and starts_with(p_key, left(key, -1))
     order by length(key) desc limit 1;
  end if;
  return v_limit;
end;
$$;

comment on function htdag.task_limit(text, text) is 'The limit that counts for a queue or a key: its own or, for a key, the longest that ends in * and fits.';

create or replace function htdag.task_room(p_kind text, p_key text, out room bigint, out reason text, out due_at timestamptz)
language plpgsql
stable
set search_path = ''
as $$
declare
  v_limit constant htdag.task_limits := htdag.task_limit(p_kind, p_key);
  v_open  bigint;
  v_lanes integer[];
  v_rate  record;
begin
  room := 1000;
  if v_limit.max_concurrent_tasks is not null then
    if p_kind = 'key' then
      select count(*) into v_open from htdag.tasks where limit_key = p_key and (parked is null or parked = 'sub-flow');
    else
      v_lanes := array(select lane_id from htdag.lanes where queue = p_key);
      select (select count(*) from htdag.tasks where lane_id = any (v_lanes) and runner_id is null and parked is null)
             + (select count(*) from htdag.tasks t join htdag.steps s using (flow_version_id, step_no)
                 where t.runner_id is not null and coalesce(s.lane_id, t.lane_id) = any (v_lanes)) into v_open;
    end if;
    room := least(greatest(v_limit.max_concurrent_tasks - v_open, 0), 1000);
    reason := format('%s tasks of %s "%s" at once are the limit', v_limit.max_concurrent_tasks, p_kind, p_key);
  end if;
  if v_limit.rate_per_minute is not null then
    select * into v_rate from htdag.rate_room(p_kind || ':' || p_key, v_limit.rate_per_minute, v_limit.burst, v_limit.rate_mode);
    if v_rate.room < room then
      room := v_rate.room;
      due_at := v_rate.due_at;
      reason := format('%s "%s": %s', p_kind, p_key, htdag.rate_words(v_limit.rate_per_minute, v_limit.burst, v_limit.rate_mode));
    end if;
  end if;
end;
$$;

comment on function htdag.task_room(text, text) is
  'How many tasks of a queue or limit key may become ready now, a thousand at most, and what holds back the one after those until when.';

-- Lanes and keys for which tasks wait, in order from after a given pair, but none of
-- paused queues. Each is one probe of the index, however many tasks wait there.
create or replace function htdag.waiting_turns(p_lane integer, p_key text, p_with_full boolean, p_most integer)
returns setof htdag.turns
language plpgsql
stable
set search_path = ''
as $$
declare
  v_lane htdag.lanes;
  v_key  text := p_key;
  v_from integer := p_lane;
  v_left integer := p_most;
begin
  while v_left > 0 loop
    select l.* into v_lane
      from htdag.lanes l
     where l.lane_id = (select t.lane_id from htdag.tasks t where t.parked = 'limit' and t.lane_id >= v_from order by t.lane_id limit 1);
    exit when not found;
    if v_lane.lane_id > v_from then
      v_key := null;
    end if;
    v_from := v_lane.lane_id + 1;
    v_left := v_left - 1;
    continue when v_lane.is_paused
      or not p_with_full and v_lane.is_limited and (select room from htdag.task_room('queue', v_lane.queue)) = 0;
    loop
      if v_key is null then
        select coalesce(t.limit_key, '') into v_key from htdag.tasks t
         where t.parked = 'limit' and t.lane_id = v_lane.lane_id
         order by coalesce(t.limit_key, '') limit 1;
      else
        select coalesce(t.limit_key, '') into v_key from htdag.tasks t
         where t.parked = 'limit' and t.lane_id = v_lane.lane_id and coalesce(t.limit_key, '') > v_key
         order by coalesce(t.limit_key, '') limit 1;
      end if;
      exit when not found or v_left <= 0;
      return next ('tasks', v_lane.lane_id, v_key)::htdag.turns;
      v_left := v_left - 1;
    end loop;
  end loop;
end;
$$;

comment on function htdag.waiting_turns(integer, text, boolean, integer) is
  'The next pairs of lane and limit key with parked tasks, looking at p_most lanes and keys at most; of queues without room only with p_with_full.';

-- Choose whose turn it is: by priority, and among equals one task per lane and key
-- and turn, beginning after the one that came last.
create or replace function htdag.next_in_turn()
returns bigint[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_most  constant integer := 250;
  v_last  htdag.turns;
  v_turns htdag.turns[];
  v_next  bigint[];
begin
  select * into v_last from htdag.turns where kind = 'tasks';
  v_turns := array(select w from htdag.waiting_turns(coalesce(v_last.lane_id, 0), coalesce(v_last.key, ''), false, v_most) w);
  if v_last.lane_id is not null and cardinality(v_turns) < v_most then
    v_turns := v_turns || array(select w from htdag.waiting_turns(0, '', false, v_most) w
                                 where (w.lane_id, w.key) <= (v_last.lane_id, v_last.key) limit v_most - cardinality(v_turns));
  end if;
  if cardinality(v_turns) > 0 then
    v_next := htdag.choose_tasks(v_turns);
    -- The next call goes on after what came last now: after all that was looked at
    -- where none of it has room, for there may be more.
    insert into htdag.turns as o (kind, lane_id, key)
    select l.kind, l.lane_id, l.key
      from (select 'tasks' as kind, t.lane_id, coalesce(t.limit_key, '') as key
              from htdag.tasks t where t.task_id = v_next[cardinality(v_next)]
            union all
            select (v_turns[v_most]).kind, (v_turns[v_most]).lane_id, (v_turns[v_most]).key where v_next is null) l
     where l.lane_id is not null
        on conflict (kind) do update set lane_id = excluded.lane_id, key = excluded.key;
  end if;
  return v_next;
end;
$$;

comment on function htdag.next_in_turn() is
  'Tasks parked for a limit that has room for them, in the order of their turns. Looks at some hundred lanes and keys, and goes on from there at the next call.';

create or replace function htdag.choose_tasks(p_turns htdag.turns[])
returns bigint[]
language plpgsql
stable
set search_path = ''
as $$
begin
  return (
    with pairs as materialized (
      select p.lane_id, p.key, p.place, l.queue, l.is_limited
        from unnest(p_turns) with ordinality p(kind, lane_id, key, place)
        join htdag.lanes l using (lane_id)
    ), rooms as materialized (
      select k.kind, k.key, r.room
        from (select distinct 'key' as kind, key from pairs where key <> ''
              union all
              select distinct 'queue', queue from pairs where is_limited) k
       cross join lateral htdag.task_room(k.kind, k.key) r
    ), candidates as (
      select p.key, p.queue, p.place, t.task_id, t.priority, k.room as key_room, q.room as queue_room,
             row_number() over (partition by p.place order by t.priority, t.task_id) as turn
        from pairs p
        left join rooms k on k.kind = 'key' and k.key = p.key
        left join rooms q on q.kind = 'queue' and q.key = p.queue
       cross join lateral (select t.task_id, t.priority from htdag.tasks t
                            where t.parked = 'limit' and t.lane_id = p.lane_id and coalesce(t.limit_key, '') = p.key
                            order by t.priority, t.task_id
                            limit least(k.room, q.room, 2000 / cardinality(p_turns) + 1)) t
    ), keyed as (
      select c.*, row_number() over (partition by c.key order by c.priority, c.turn, c.place) as key_rank from candidates c
    ), queued as (
      select k.*, row_number() over (partition by k.queue order by k.priority, k.turn, k.place) as queue_rank
        from keyed k
       where k.key_room is null or k.key_rank <= k.key_room
    )
    select array_agg(f.task_id order by f.priority, f.turn, f.place)
      from (select q.* from queued q where q.queue_room is null or q.queue_rank <= q.queue_room
             order by q.priority, q.turn, q.place limit 1000) f);
end;
$$;

comment on function htdag.choose_tasks(htdag.turns[]) is 'Tasks of some lanes and keys, as many as their limits have room for, in the order of their turns.';

create or replace function htdag.promote_limited()
returns integer
language plpgsql
volatile
set search_path = ''
set lock_timeout = '10 ms'
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_next bigint[];
  v_due  htdag.tasks[];
begin
  if not pg_try_advisory_xact_lock(1213481298, -2) then
    return 0;
  end if;
  v_next := htdag.next_in_turn();
  if v_next is null then
    return 0;
  end if;
  v_due := htdag.try_runs(array(select t from htdag.tasks t where t.task_id = any (v_next) and t.parked = 'limit'
                                 order by t.task_id for update skip locked));
  update htdag.tasks t
     set parked = w.parked, due_at = case w.parked when 'paused' then timestamptz 'infinity' when 'memo' then v_now end
    from unnest(v_due) d
    join htdag.runs r on r.run_id = d.run_id
   cross join lateral (select case when r.state = 'paused' then 'paused'
                                   when exists (select from htdag.memos m where m.memo_key = d.memo_key and m.expires_at > v_now) then 'memo' end as parked) w
   where t.task_id = d.task_id;
  perform htdag.use_rate(u.kind || ':' || u.key, (u.l).rate_per_minute, (u.l).rate_mode, u.n)
     from (select c.kind, c.key, c.n, htdag.task_limit(c.kind, c.key) as l
             from (select k.kind, k.key, count(*)::integer as n
                     from htdag.tasks t
                     join htdag.lanes a using (lane_id)
                    cross join lateral (values ('key', t.limit_key), ('queue', case when a.is_limited then a.queue end)) k(kind, key)
                    where t.task_id = any (v_next) and t.task_id in (select d.task_id from unnest(v_due) d) and t.parked is null
                      and k.key is not null
                    group by k.kind, k.key) c
            order by c.kind, c.key) u;
  perform htdag.wake_idle(array(select distinct t.lane_id from unnest(v_due) t));
  return cardinality(v_due);
exception when lock_not_available then
  -- SKIP LOCKED met a row that was just changed twice (see lease_tasks): the next call comes.
  return 0;
end;
$$;

comment on function htdag.promote_limited() is 'Make ready what is parked for limits that have room; returns how many tasks moved.';

create or replace function htdag.limit_due_at()
returns timestamptz
language plpgsql
stable
set search_path = ''
as $$
begin
  return (select min(r.due_at)
            from (select w.key, l.queue, l.is_limited from htdag.waiting_turns(0, '', true, 100) w join htdag.lanes l using (lane_id)) t
           cross join lateral (values ('key', nullif(t.key, '')), ('queue', case when t.is_limited then t.queue end)) k(kind, key)
           cross join lateral htdag.task_room(k.kind, k.key) r
           where k.key is not null);
end;
$$;

comment on function htdag.limit_due_at() is 'When a rate has room again for the next parked task; null where nothing waits for a rate.';
