-- Moving, continued: the verb, and the renumbering.

-- In two passes, through numbers that no step has, since steps may change places.
create or replace function htdag.renumber(p_run_ids bigint[], p_from integer, p_to integer)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_old  smallint[];
  v_new  smallint[];
begin
  select array_agg(f.step_no), array_agg((-1 - t.step_no)::smallint) into v_old, v_new
    from htdag.steps f join htdag.steps t on t.flow_version_id = p_to and t.name = f.name
   where f.flow_version_id = p_from and f.step_no <> t.step_no;
  if v_old is null then
    return 0;
  end if;
  update htdag.attempts a set step_no = m.new from unnest(v_old, v_new) m(old, new) where a.run_id = any (p_run_ids) and a.step_no = m.old;
  update htdag.attempts set step_no = -1 - step_no where run_id = any (p_run_ids) and step_no < 0;
  update htdag.map_items i set step_no = m.new from unnest(v_old, v_new) m(old, new) where i.run_id = any (p_run_ids) and i.step_no = m.old;
  update htdag.map_items set step_no = -1 - step_no where run_id = any (p_run_ids) and step_no < 0;
  update htdag.map_shards s set step_no = m.new from unnest(v_old, v_new) m(old, new) where s.run_id = any (p_run_ids) and s.step_no = m.old;
  update htdag.map_shards set step_no = -1 - step_no where run_id = any (p_run_ids) and step_no < 0;
  update htdag.dead_tasks d set step_no = m.new from unnest(v_old, v_new) m(old, new) where d.run_id = any (p_run_ids) and d.step_no = m.old;
  update htdag.dead_tasks set step_no = -1 - step_no where run_id = any (p_run_ids) and step_no < 0;
  return cardinality(v_old);
end;
$$;

comment on function htdag.renumber(bigint[], integer, integer) is 'Give what is kept of runs the step numbers of another version; returns how many steps changed theirs.';

-- New steps behind one that was skipped, or failed and takes its dependents along,
-- are skipped with it, as they would have been.
create or replace function htdag.moved_skips(p_to integer, p_failed bit varying, p_skipped bit varying)
returns bit varying
language plpgsql
stable
set search_path = ''
as $$
begin
  return (select (p_skipped | coalesce(bit_or(t.dooms), p_skipped))::bit varying
            from htdag.steps t
           where t.flow_version_id = p_to
             and (get_bit(p_skipped, t.step_no) = 1 and (t.on_skip = 'cascade' or t.run_if is null and t.skip_if is null)
                  or get_bit(p_failed, t.step_no) = 1 and t.on_failure = 'skip'));
end;
$$;

comment on function htdag.moved_skips(integer, bit varying, bit varying) is 'The steps that are skipped in a run that has moved to a version.';

-- What waits to be claimed queues anew for its limit; what runners have keeps its own.
create or replace function htdag.move_tasks(p_run_ids bigint[], p_to integer)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_done integer;
begin
  update htdag.tasks t
     set flow_version_id = p_to, step_no = n.step_no, last_step_no = n.last_step_no, lane_id = n.lane_id, priority = n.priority,
         time_limit = n.time_limit, limit_key = n.limit_key, parked = n.parked,
         due_at = case when n.parked is null then null when n.parked is distinct from t.parked then 'infinity' else t.due_at end
    from (select k.task_id, s.step_no, e.step_no as last_step_no, w.lane_id, w.limit_key,
                 (r.priority + s.priority) * 1000 - least(s.step_no, 999) as priority,
                 (select sum(b.timeout) from htdag.steps b where b.flow_version_id = p_to and b.step_no between s.step_no and e.step_no) as time_limit,
                 case when k.runner_id is null and (k.parked is null or k.parked = 'limit')
                        then case when w.limit_key is not null or (select l.is_limited from htdag.lanes l where l.lane_id = w.lane_id) then 'limit' end
                      else k.parked end as parked
            from htdag.tasks k
            join htdag.runs r on r.run_id = k.run_id
            join htdag.steps f on f.flow_version_id = k.flow_version_id and f.step_no = k.step_no
            join htdag.steps g on g.flow_version_id = k.flow_version_id and g.step_no = k.last_step_no
            join htdag.steps s on s.flow_version_id = p_to and s.name = f.name
            join htdag.steps e on e.flow_version_id = p_to and e.name = g.name
           cross join lateral (select case when k.runner_id is not null then k.lane_id
                                           else coalesce(s.lane_id, htdag.lane(htdag.templated(s.queue, k.run_id), s.kind)) end as lane_id,
                                      case when k.runner_id is not null or k.parked = 'sub-flow' then k.limit_key
                                           when s.limit_key like '%{%}%' then htdag.templated(s.limit_key, k.run_id) else s.limit_key end as limit_key) w
           where k.run_id = any (p_run_ids)
          offset 0) n
   where t.task_id = n.task_id;
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.move_tasks(bigint[], integer) is 'Make the tasks of runs those of another version; returns how many.';

create or replace function htdag.apply_moves(p_run_ids bigint[], p_from integer, p_to integer)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform htdag.move_tasks(p_run_ids, p_to), htdag.renumber(p_run_ids, p_from, p_to);
  update htdag.runs r
     set flow_version_id = p_to, scheduled = m.scheduled, succeeded = m.succeeded, failed = m.failed,
         skipped = (htdag.moved_skips(p_to, m.failed, m.skipped) & ~(m.scheduled & ~m.skipped) & ~(m.succeeded | m.failed))::bit varying
    from (select k.*, htdag.remapped(k.was_scheduled, p_from, p_to) as scheduled, htdag.remapped(k.was_succeeded, p_from, p_to) as succeeded,
                 htdag.remapped(k.was_failed, p_from, p_to) as failed, htdag.remapped(k.was_skipped, p_from, p_to) as skipped
            from (select distinct o.scheduled as was_scheduled, o.succeeded as was_succeeded, o.failed as was_failed, o.skipped as was_skipped
                    from htdag.runs o where o.run_id = any (p_run_ids)) k
          offset 0) m
   where r.run_id = any (p_run_ids)
     and (r.scheduled, r.succeeded, r.failed, r.skipped) = (m.was_scheduled, m.was_succeeded, m.was_failed, m.was_skipped);
  -- What is due now may start; queued runs wait for their admission.
  perform htdag.schedule(array(select run_id from htdag.runs where run_id = any (p_run_ids) and state <> 'queued' order by run_id));
  return cardinality(p_run_ids);
end;
$$;

comment on function htdag.apply_moves(bigint[], integer, integer) is
  'Move runs, whose rows and tasks the caller has locked, from one version to another; returns how many.';

create or replace function htdag.move_runs(p_flow text, p_to_version integer default null, p_run_ids bigint[] default null, p_dry_run boolean default true)
returns setof htdag.moves
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_to    htdag.flow_versions;
  v_runs  bigint[] := p_run_ids;
  v_busy  bigint[] := array[]::bigint[];
  v_moves htdag.moves[];
begin
  select v.* into v_to from htdag.flows f join htdag.flow_versions v using (flow_id)
   where f.name = p_flow and (p_to_version is null or v.version = p_to_version) order by v.version desc limit 1;
  if not found then
    raise exception using errcode = 'HT001', message = format('flow "%s"%s does not exist', coalesce(p_flow, 'null'), ' version ' || p_to_version),
      hint = 'select flow, version from report.versions lists those there are.';
  end if;
  if v_runs is null then
    v_runs := array(select t.run_id from htdag.tasks t join htdag.flow_versions v using (flow_version_id)
                     where v.flow_id = v_to.flow_id and t.flow_version_id <> v_to.flow_version_id
                    union
                    select q.run_id from htdag.run_queue q join htdag.runs r using (run_id)
                     where q.flow_id = v_to.flow_id and r.flow_version_id <> v_to.flow_version_id);
  end if;
  if not coalesce(p_dry_run, true) then
    perform from htdag.runs where run_id = any (v_runs) and finished_at is null order by run_id for no key update;
    v_busy := htdag.hold_tasks(v_runs);
  end if;
  v_moves := array(select m from htdag.judged_moves(v_runs, v_to, v_busy) m);
  if p_dry_run is distinct from false then
    return query select * from unnest(v_moves);
    return;
  end if;

  update htdag.flow_versions set published_at = htdag.clock() where flow_version_id = v_to.flow_version_id and published_at is null;
  perform htdag.apply_moves(array_agg(m.run_id order by m.run_id), v.flow_version_id, v_to.flow_version_id)
     from unnest(v_moves) m
     join htdag.flow_versions v on v.flow_id = v_to.flow_id and v.version = m.from_version
    where m.verdict = 'can move'
    group by v.flow_version_id;
  return query select m.run_id, m.from_version, m.to_version, replace(m.verdict, 'can move', 'moved'), m.reason from unnest(v_moves) m;
end;
$$;

comment on function htdag.move_runs(text, integer, bigint[], boolean) is
  'Have live runs of a flow go on under another version, by default all of them under the newest; by default only says which could. A run moves where every step that has begun is there too, of the same kind, and needs nothing that has not ended; steps are known by their names. Raises HT001.';
