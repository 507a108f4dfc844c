-- Moving: live runs go on under another version of their flow.
--
-- A run keeps what it has: steps are the same where they have the same name, and
-- masks, tasks, tries and elements are renumbered. So it can move where the target could
-- have brought it to where it is: what has begun is there, of the same kind, and
-- needs nothing that has not ended.
--
-- Lock order: runs ascending, then tasks with SKIP LOCKED. A run with a task that is
-- skipped is being completed and stays where it is. Who holds a shard holds a task.

create or replace view htdag.moves as
select r.run_id,
       v.version as from_version,
       v.version as to_version,
       r.state   as verdict,
       r.error   as reason
  from htdag.runs r
  join htdag.flow_versions v using (flow_version_id);

comment on view htdag.moves is 'What becomes of a run that shall move to another version: can move, moved, or cannot move, with the reason.';

create or replace function htdag.remapped(p_mask bit varying, p_from integer, p_to integer)
returns bit varying
language plpgsql
stable
set search_path = ''
as $$
begin
  return (select bit_or(case when get_bit(p_mask, f.step_no) = 1 then t.self else t.self & ~t.self end)::bit varying
            from htdag.steps t
            left join htdag.steps f on f.flow_version_id = p_from and f.name = t.name
           where t.flow_version_id = p_to);
end;
$$;

comment on function htdag.remapped(bit varying, integer, integer) is 'A mask of the steps of one version as a mask of the steps of the same names in another.';

-- What keeps runs with these masks from moving, or null. One question for all runs
-- that have come equally far.
create or replace function htdag.move_obstacle(p_from integer, p_to integer, p_scheduled bit varying, p_succeeded bit varying, p_failed bit varying, p_skipped bit varying)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
  v_ended constant bit varying := (p_succeeded | p_failed | p_skipped)::bit varying;
  v_there bit varying;
begin
  if bit_count(p_failed & (select fatal from htdag.flow_versions where flow_version_id = p_from)) > 0 then
    return 'it has failed already, and only what runs on failure or always is left';
  end if;
  v_there := htdag.remapped(v_ended, p_from, p_to);
  return (select o.obstacle
            from htdag.steps f
            left join htdag.steps t on t.flow_version_id = p_to and t.name = f.name
           cross join lateral (select get_bit(v_ended, f.step_no) = 1 as ended) e
           cross join lateral (select n.name from htdag.steps n
                                where n.flow_version_id = p_to and get_bit(v_there, n.step_no) = 0
                                  and get_bit(case when e.ended then htdag.behind(t) else t.gate end, n.step_no) = 1
                                union all select null
                                limit 1) n
           cross join lateral (select case
                   when t.name is null then format('step %s has begun, but is not there any more', f.name)
                   when t.kind <> f.kind then format('step %s has begun as kind %s, but is of kind %s there', f.name, f.kind, t.kind)
                   when t.is_map <> f.is_map then format('step %s has begun, but is %s there', f.name, case when t.is_map then 'a map' else 'no map' end)
                   when n.name is not null then format('step %s has begun, but needs step %s there, which has not ended', f.name, n.name)
                   when f.is_map and not e.ended
                        and (f.map_key is distinct from t.map_key
                             or (select s.name from htdag.steps s where s.flow_version_id = p_from and s.step_no = f.map_source_no)
                                is distinct from (select s.name from htdag.steps s where s.flow_version_id = p_to and s.step_no = t.map_source_no))
                     then format('map step %s is under way, but has another source there', f.name)
                 end as obstacle) o
           where f.flow_version_id = p_from and get_bit(p_scheduled | v_ended, f.step_no) = 1 and o.obstacle is not null
           order by f.step_no
           limit 1);
end;
$$;

comment on function htdag.move_obstacle(integer, integer, bit varying, bit varying, bit varying, bit varying) is
  'Why runs with these masks cannot move from one version to the other, or null.';

-- What keeps one run from moving that its masks do not tell.
create or replace function htdag.task_obstacle(p_run htdag.runs, p_to integer)
returns text
language plpgsql
stable
set search_path = ''
as $$
begin
  return coalesce(
    case when p_run.error is not null then 'it has been lost already: ' || p_run.error end,
    (select case when k.runner_id is not null and (t.step_no <> k.step_no or l.step_no <> k.last_step_no)
                   then format('step %s is being worked on and has another number there', f.name)
                 when k.last_step_no > k.step_no
                   then format('the bundle of step %s is under way and is another there', f.name) end
       from htdag.tasks k
       join htdag.steps f on f.flow_version_id = k.flow_version_id and f.step_no = k.step_no
       join htdag.steps e on e.flow_version_id = k.flow_version_id and e.step_no = k.last_step_no
       left join htdag.steps t on t.flow_version_id = p_to and t.name = f.name
       left join htdag.steps l on l.flow_version_id = p_to and l.name = e.name
      where k.run_id = p_run.run_id
        and (k.runner_id is not null and (t.step_no <> k.step_no or l.step_no <> k.last_step_no)
             or k.last_step_no > k.step_no
                and (t.bundle_no is null or t.bundle_no is distinct from l.bundle_no
                     or array(select s.name from htdag.steps s where s.flow_version_id = p_to and s.step_no between t.step_no and l.step_no order by s.step_no)
                        <> array(select s.name from htdag.steps s where s.flow_version_id = k.flow_version_id
                                    and s.step_no between k.step_no and k.last_step_no order by s.step_no)))
      order by k.step_no, k.task_id
      limit 1),
    -- Of a run that was retried, steps that wait to begin anew have tries in the log.
    (select format('step %s has tries in the log, but is not there any more', f.name)
       from htdag.steps f
      where p_run.epoch > 0 and f.flow_version_id = p_run.flow_version_id
        and not exists (select from htdag.steps t where t.flow_version_id = p_to and t.name = f.name)
        and exists (select from htdag.attempts a where a.run_id = p_run.run_id and a.step_no = f.step_no)
      order by f.step_no
      limit 1));
end;
$$;

comment on function htdag.task_obstacle(htdag.runs, integer) is 'Why a run cannot move for the sake of its tasks, or null.';

create or replace function htdag.judged_moves(p_run_ids bigint[], p_to htdag.flow_versions, p_busy bigint[])
returns setof htdag.moves
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  with asked as materialized (
    select r.*, v.version
      from htdag.runs r
      join htdag.flow_versions v on v.flow_version_id = r.flow_version_id
     where r.run_id = any (p_run_ids)
  ), kinds as materialized (
    select k.*, htdag.move_obstacle(k.flow_version_id, p_to.flow_version_id, k.scheduled, k.succeeded, k.failed, k.skipped) as obstacle
      from (select distinct a.flow_version_id, a.scheduled, a.succeeded, a.failed, a.skipped
              from asked a
             where a.finished_at is null and a.flow_id = p_to.flow_id and a.flow_version_id <> p_to.flow_version_id) k
  )
  select i.run_id, a.version, p_to.version, case when o.obstacle is null then 'can move' else 'cannot move' end, o.obstacle
    from (select distinct unnest(p_run_ids) as run_id) i
    left join asked a on a.run_id = i.run_id
    left join kinds k on (k.flow_version_id, k.scheduled, k.succeeded, k.failed, k.skipped)
                       = (a.flow_version_id, a.scheduled, a.succeeded, a.failed, a.skipped)
    left join htdag.runs r on r.run_id = i.run_id
   cross join lateral (select case
           when a.run_id is null then 'there is no such run'
           when a.finished_at is not null then format('it has ended: it is %s', a.state)
           when a.flow_id <> p_to.flow_id then 'it is a run of another flow'
           when a.flow_version_id = p_to.flow_version_id then 'it is of that version already'
           when i.run_id = any (p_busy) then 'a step of it is just being completed'
           when k.obstacle is not null then k.obstacle
           else htdag.task_obstacle(r, p_to.flow_version_id) end as obstacle) o
   order by i.run_id;
end;
$$;

comment on function htdag.judged_moves(bigint[], htdag.flow_versions, bigint[]) is 'Whether each of the runs can move to a version.';

create or replace function htdag.hold_tasks(p_run_ids bigint[])
returns bigint[]
language plpgsql
volatile
set search_path = ''
set lock_timeout = '10 ms'
as $$
declare
  v_held bigint[];
begin
  loop
    begin
      v_held := array(select t.task_id from htdag.tasks t where t.run_id = any (p_run_ids) order by t.task_id for update skip locked);
      exit;
    exception when lock_not_available then
      null; -- see withdraw_tasks
    end;
  end loop;
  return array(select distinct t.run_id from htdag.tasks t where t.run_id = any (p_run_ids) and t.task_id <> all (v_held));
end;
$$;

comment on function htdag.hold_tasks(bigint[]) is 'Lock the tasks of runs that the caller has locked; returns the runs of which somebody else holds one.';
