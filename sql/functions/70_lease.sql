-- Leases: runners, their heartbeats, and what happens when they fall silent.
--
-- A lease belongs to a runner, not to a task: one heartbeat renews them all. What
-- looks for expired ones runs inside the heartbeats of others and takes only tasks
-- and runs that nobody holds, so that it never waits; what it passes over, it finds
-- again at its next turn.
--
-- Advisory locks: class 1213481298 ('HTDR'), object 0 for upkeep.

create or replace function htdag.register_runner(
  p_name        text,
  p_queues      text[] default '{default}',
  p_kinds       text[] default '{}',
  p_concurrency integer default 1,
  p_lease       interval default '30 s'
)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_now    constant timestamptz := htdag.clock();
  v_runner integer;
begin
  insert into htdag.runners (name, queues, kinds, concurrency, registered_at, seen_at, lease_expires_at)
  values (p_name, p_queues, p_kinds, p_concurrency, v_now, v_now, v_now + p_lease)
  returning runner_id into v_runner;
  return v_runner;
end;
$$;

comment on function htdag.register_runner(text, text[], text[], integer, interval) is
  'Announce a runner and get its number. It may claim steps of the given kinds from the given queues while it sends heartbeats; after p_lease of silence its tasks go to others.';

create or replace function htdag.read_queues(p_runner integer, p_queues text[])
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  update htdag.runners set queues = p_queues where runner_id = p_runner and stopped_at is null and queues <> p_queues;
  if found then
    return true;
  end if;
  perform htdag.runner_lanes(p_runner);
  return false;
end;
$$;

comment on function htdag.read_queues(integer, text[]) is
  'Have a runner claim from other queues from now on; what it is at work on stays its own. False if they are the same. Raises HT001 for a runner that is not registered.';

create or replace function htdag.heartbeat(
  p_runner   integer,
  p_cpu      real,
  p_memory   real,
  p_task_ids bigint[] default '{}',
  p_tokens   bigint[] default '{}',
  p_lease    interval default '30 s'
)
returns setof htdag.stale_tasks
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
  v_now constant timestamptz := htdag.clock();
begin
  update htdag.runners
     set seen_at = v_now, lease_expires_at = v_now + p_lease, cpu = p_cpu, memory = p_memory
   where runner_id = p_runner and stopped_at is null;
  if not found then
    perform htdag.runner_lanes(p_runner);
  end if;
  begin
    perform htdag.upkeep();
  exception when others then
    -- Whatever is wrong with some run must not cost every runner its leases.
    raise warning using errcode = sqlstate, message = format('upkeep failed: %s', sqlerrm),
      hint = 'Leases go on, but lost tasks stay lost until "select htdag.upkeep()" works again.';
  end;
  return query
  select a.task_id, a.token
    from unnest(p_task_ids, p_tokens) a(task_id, token)
   where not exists (select from htdag.tasks t where t.task_id = a.task_id and t.token = a.token);
end;
$$;

comment on function htdag.heartbeat(integer, real, real, bigint[], bigint[], interval) is
  'Keep a runner''s leases alive and report its load (shares from 0 to 1). Returns those of its tasks that are no longer its own, for it to abort. Raises HT001 for a runner that is not registered.';

create or replace function htdag.rest(p_runner integer)
returns interval
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
  v_now constant timestamptz := htdag.clock();
begin
  update htdag.runners set idle = true where runner_id = p_runner and not idle;
  return (select min(due_at) - v_now
            from ((select due_at from htdag.tasks where parked is not null and due_at < 'infinity' order by due_at limit 1)
                  union all
                  -- The runs of a flow wait for the same moment.
                  select q.due_at
                    from htdag.flows f
                   cross join lateral (select due_at from htdag.run_queue q
                                        where q.flow_id = f.flow_id and q.starts_at is null
                                        order by q.priority, q.limit_key, q.run_id limit 1) q
                  union all
                  (select starts_at from htdag.run_queue where starts_at is not null order by starts_at limit 1)
                  union all
                  select htdag.limit_due_at()
                   where (select due_at from htdag.tasks where parked = 'limit' order by lane_id, coalesce(limit_key, ''), priority, task_id limit 1) is not null) d
           where due_at < 'infinity');
end;
$$;

comment on function htdag.rest(integer) is
  'Mark a runner idle, so that new work wakes it. Returns how long until something that waits for a time may move; null when nothing does. Claim once more after this call, before sleeping.';

create or replace function htdag.stop_runner(p_runner integer)
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
declare
  v_now constant timestamptz := htdag.clock();
begin
  update htdag.runners set stopped_at = v_now, idle = false where runner_id = p_runner and stopped_at is null and runner_id <> 0;
  return htdag.reap();
end;
$$;

comment on function htdag.stop_runner(integer) is
  'Say goodbye: what the runner still holds goes to others at once. Returns how many tasks that were.';

-- Queues of the lanes for which some live runner is idle.
create or replace function htdag.idle_queues(p_lanes integer[])
returns setof text
language plpgsql
stable
set search_path = ''
as $$
declare
  v_now constant timestamptz := htdag.clock();
begin
  return query
  select distinct case when e.by_engine then '*' else l.queue end
    from htdag.lanes l
   cross join lateral (select htdag.by_engine(l.kind) as by_engine) e
   where l.lane_id = any (p_lanes)
     and exists (select from htdag.runners r
                  where r.idle and r.stopped_at is null and r.lease_expires_at > v_now
                    and (e.by_engine or l.queue = any (r.queues) and l.kind = any (r.kinds)));
end;
$$;

comment on function htdag.idle_queues(integer[]) is 'Queues of the lanes that an idle runner reads; * where any runner will do, since the engine runs the step itself.';

create or replace function htdag.wake(p_queues text[])
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  perform pg_notify('htdag_wake', q) from unnest(p_queues) q;
  return cardinality(p_queues);
end;
$$;

comment on function htdag.wake(text[]) is
  'Notify idle runners of the queues ("*" means all) on channel htdag_wake. A hint only: runners also poll. Call it in a transaction of its own, since a notification holds up every other commit.';

create or replace function htdag.wake_idle(p_lanes integer[])
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now constant timestamptz := htdag.clock();
begin
  if p_lanes is not null then
    return htdag.wake(array(select htdag.idle_queues(p_lanes)));
  elsif exists (select from htdag.runners where idle and stopped_at is null and lease_expires_at > v_now) then
    return htdag.wake('{*}');
  end if;
  return 0;
end;
$$;

comment on function htdag.wake_idle(integer[]) is
  'Wake idle runners of the lanes, or of all when null; silent when none is idle. Returns how many queues were notified.';

-- Tasks of runs that somebody else holds are left for the next time.
create or replace function htdag.try_runs(p_tasks htdag.tasks[])
returns htdag.tasks[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_runs constant bigint[] := array(select run_id from htdag.runs
                                     where run_id = any (array(select t.run_id from unnest(p_tasks) t))
                                     order by run_id for no key update skip locked);
begin
  return htdag.live_tasks(array(select t from unnest(p_tasks) t where t.run_id = any (v_runs)));
end;
$$;

comment on function htdag.try_runs(htdag.tasks[]) is
  'Those of the tasks whose runs could be locked at once and still want them; those that are not wanted are deleted.';

create or replace function htdag.promote()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_due  htdag.tasks[];
  v_done integer := 0;
begin
  v_due := array(select t from htdag.tasks t where t.parked not in ('signal', 'sub-flow', 'memo') and t.due_at <= v_now
                  order by t.due_at limit 1000 for update skip locked);
  if cardinality(v_due) > 0 then
    v_due := htdag.try_runs(v_due);
    update htdag.tasks t
       set parked = w.parked, due_at = case when w.parked is not null then 'infinity'::timestamptz end
      from htdag.tasks o
      join htdag.runs r on r.run_id = o.run_id
      join htdag.lanes l on l.lane_id = o.lane_id
     cross join lateral (select htdag.held_for(r.state, o.limit_key, l.is_limited) as parked) w
     where t.task_id = any (array(select d.task_id from unnest(v_due) d)) and o.task_id = t.task_id;
    v_done := cardinality(v_due);
  end if;
  return v_done + htdag.fill_slots();
end;
$$;

comment on function htdag.promote() is
  'Make claimable what waited for a time that has come, and admit queued runs; returns how many moved.';

-- Take back the tasks of silent runners, those over their time, and those that a
-- runner claimed in the moment in which their step was ended by something else.
create or replace function htdag.reap()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now     constant timestamptz := htdag.clock();
  v_lost    htdag.tasks[];
  v_settled record;
begin
  update htdag.runners set stopped_at = v_now, idle = false
   where runner_id = any (array(select runner_id from htdag.runners
                                 where stopped_at is null and lease_expires_at < v_now and runner_id <> 0
                                 order by runner_id for update skip locked));
  v_lost := array(select t
                    from htdag.tasks t
                    join htdag.runners r on r.runner_id = t.runner_id
                   where t.runner_id is not null
                     and (r.stopped_at is not null or t.timeout_at < v_now
                          or not exists (select from htdag.runs u where u.run_id = t.run_id and htdag.is_live(u, t.epoch, t.step_no)))
                   order by t.task_id
                     for update of t skip locked);
  if cardinality(v_lost) = 0 then
    return 0;
  end if;

  v_lost := htdag.try_runs(v_lost);
  insert into htdag.attempts (run_id, step_no, map_index, epoch, attempt, outcome, ready_at, claimed_at, finished_at, runner_id, error)
  select t.run_id, t.step_no, coalesce(t.map_index, 0), t.epoch, t.attempt,
         case when r.stopped_at is null then 'timed_out' else 'lost' end, t.ready_at, t.claimed_at, v_now, t.runner_id,
         case when r.stopped_at is null then format('runner %s (%s) held it longer than its time limit of %s', r.runner_id, r.name, t.time_limit)
              else format('runner %s (%s) fell silent', r.runner_id, r.name) end
    from unnest(v_lost) t
    join htdag.runners r on r.runner_id = t.runner_id;
  select * into v_settled from htdag.settle(htdag.merge_changes(htdag.retry_or_lose(v_lost,
    array(select t.step_no from unnest(v_lost) t order by t.task_id),
    array(select 'lost' from unnest(v_lost) t))));
  perform htdag.wake_idle(v_settled.waiting);
  return cardinality(v_lost);
end;
$$;

comment on function htdag.reap() is
  'Give the tasks of silent runners, and those held beyond their time limit, another try elsewhere, or lose them when no try is left. Returns how many.';

-- Fail runs that outlived their flow's timeout. Their handlers of failure still run.
create or replace function htdag.expire_runs()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now     constant timestamptz := htdag.clock();
  v_runs    bigint[];
  v_settled record;
begin
  v_runs := array(select run_id from htdag.runs where finished_at is null and deadline_at < v_now
                   order by deadline_at limit 100 for update skip locked);
  if cardinality(v_runs) = 0 then
    return 0;
  end if;
  perform htdag.withdraw_tasks(v_runs, 'timed_out', 'the run is over its deadline', p_handlers => false);
  update htdag.runs set deadline_at = null, error = format('over its deadline of %s', deadline_at) where run_id = any (v_runs);
  -- What was under way has failed; what had not begun is skipped.
  select * into v_settled from htdag.settle(array(
    select (r.run_id, r.failed & ~r.failed, v.regular & r.scheduled & ~(r.succeeded | r.failed | r.skipped),
            v.regular & ~(r.scheduled | r.succeeded | r.failed), r.failed & ~r.failed)::htdag.run_change
      from htdag.runs r join htdag.flow_versions v using (flow_version_id)
     where r.run_id = any (v_runs) order by r.run_id));
  perform htdag.wake_idle(v_settled.waiting);
  return cardinality(v_runs);
end;
$$;

comment on function htdag.expire_runs() is 'Fail runs that are over their deadline; returns how many.';

-- Elements of maps are of no use once their run has ended. A bounded number at a
-- time, for a heartbeat must not take long: the oldest, or some others by chance.
create or replace function htdag.clear_maps()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_from bigint;
  v_runs bigint[];
  v_done integer;
begin
  select min(run_id) + floor(greatest(2 * random() - 1, 0) * (max(run_id) - min(run_id)))::bigint into v_from from htdag.map_shards;
  v_runs := array(select distinct m.run_id
                    from (select run_id from htdag.map_shards where run_id >= v_from order by run_id limit 1000) m
                   cross join lateral (select finished_at from htdag.runs r where r.run_id = m.run_id limit 1) r
                   where r.finished_at is not null);
  -- Held, lest one of them be retried, and lay out its elements anew, meanwhile.
  v_runs := array(select run_id from htdag.runs where run_id = any (v_runs) and finished_at is not null
                   order by run_id for no key update skip locked);
  if cardinality(v_runs) = 0 then
    return 0;
  end if;
  delete from htdag.map_items
   where ctid = any (array(select ctid from htdag.map_items where run_id = any (v_runs) limit 10000));
  get diagnostics v_done = row_count;
  if v_done < 10000 then
    delete from htdag.map_shards
     where ctid = any (array(select ctid from htdag.map_shards where run_id = any (v_runs)
                              order by run_id, step_no, shard for update skip locked));
  end if;
  return v_done;
end;
$$;

comment on function htdag.clear_maps() is 'Delete some elements of maps whose runs have ended; returns how many.';

-- Sessions keep their plans for as long as the statistics stay. What was planned
-- for a queue of a few rows would be used for one of a million, until autovacuum comes.
create or replace function htdag.refresh_statistics()
returns integer
language plpgsql
volatile
set search_path = ''
set lock_timeout = '10 ms'
as $$
declare
  v_table regclass;
  v_done  integer := 0;
begin
  for v_table in
    select c.oid::regclass
      from pg_catalog.pg_class c
     where c.relnamespace = 'htdag'::regnamespace
       and case c.relkind
             when 'r' then pg_relation_size(c.oid) / current_setting('block_size')::integer > 2 * c.relpages + 64
             -- Autovacuum never analyzes a partitioned table as a whole.
             when 'p' then (select sum(p.reltuples) from pg_catalog.pg_inherits i join pg_catalog.pg_class p on p.oid = i.inhrelid
                             where i.inhparent = c.oid and p.reltuples > 0) > 2 * greatest(c.reltuples, 0) + 1000
           end
     order by c.oid
  loop
    execute format('analyze %s', v_table);
    v_done := v_done + 1;
  end loop;
  return v_done;
exception when lock_not_available then
  return v_done; -- autovacuum is at it
end;
$$;

comment on function htdag.refresh_statistics() is
  'Analyze tables that have more than doubled since they last were, so that plans fit them; returns how many.';

create or replace function htdag.upkeep()
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
declare
  v_now  constant timestamptz := htdag.clock();
  v_done integer := 0;
begin
  if not pg_try_advisory_xact_lock(1213481298, 0) then
    return 0;
  end if;
  v_done := htdag.reap() + htdag.expire_runs() + htdag.promote();
  v_done := v_done + htdag.deliver_cancels(100) + htdag.tidy_pauses();
  perform htdag.clear_maps();
  perform htdag.clear_signals();
  perform htdag.clear_rates();
  perform htdag.clear_memos();
  perform htdag.clear_dead();
  perform htdag.clear_events();
  if exists (select from htdag.runners where stopped_at < v_now - interval '1 day') then
    delete from htdag.runners
     where runner_id = any (array(select runner_id from htdag.runners r where stopped_at < v_now - interval '1 day'
                                     and not exists (select from htdag.tasks t where t.runner_id = r.runner_id)
                                   order by runner_id for update skip locked));
  end if;
  perform htdag.clear_progress();
  perform htdag.collect_blobs();
  perform htdag.make_partitions();
  perform htdag.refresh_statistics();
  -- Last, since it may hold up everybody until this transaction ends.
  perform htdag.drop_expired(p_archive => false);
  return v_done;
end;
$$;

comment on function htdag.upkeep() is
  'Everything that is due by time: reap, expire, promote, admit, clean up. Runners call it with their heartbeats; calling it by hand does no harm. Returns how many tasks and runs moved.';
