-- Dead tasks: what failed for good, kept to be looked at and done again.

create or replace function htdag.bury(p_run_id bigint, p_step_no smallint, p_map_index integer)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_done integer;
begin
  insert into htdag.dead_tasks as d (run_id, flow_id, step_no, map_index, epoch, attempts, died_at, code, error, item)
  select r.run_id, r.flow_id, p_step_no, p_map_index, r.epoch, a.tries, a.died_at, a.code, a.error, i.item
    from htdag.runs r
    left join htdag.map_items i on i.run_id = r.run_id and i.step_no = p_step_no and i.map_index = p_map_index
   cross join lateral (select count(*)::integer as tries, max(a.finished_at) as died_at,
                              (array_agg(a.code order by a.attempt desc))[1] as code, (array_agg(a.error order by a.attempt desc))[1] as error
                         from htdag.attempts a
                        where a.run_id = r.run_id and a.step_no = p_step_no and a.map_index = greatest(p_map_index, 0) and a.epoch = r.epoch
                          and a.outcome <> 'succeeded') a
   where r.run_id = p_run_id and a.tries > 0
      on conflict (run_id, step_no, map_index) do update
         set epoch = excluded.epoch, attempts = excluded.attempts, died_at = excluded.died_at, retried_at = null,
             code = excluded.code, error = excluded.error, item = excluded.item;
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.bury(bigint, smallint, integer) is 'Keep what failed for good just now, of a run that the caller has locked; returns how many.';

create or replace function htdag.discard_dead(p_run_ids bigint[] default null, p_flow text default null, p_before timestamptz default null)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_done integer;
begin
  if p_run_ids is null and p_flow is null and p_before is null then
    raise exception using errcode = 'HT006', message = 'nothing says which dead tasks to discard',
      hint = 'Give runs, a flow or a time; for all of them, p_before => ''infinity''.';
  elsif p_flow is not null and not exists (select from htdag.flows where name = p_flow) then
    raise exception using errcode = 'HT001', message = format('flow "%s" does not exist', p_flow),
      hint = 'select flow from report.flows lists the flows there are.';
  end if;
  delete from htdag.dead_tasks
   where (run_id, step_no, map_index) in (
           select d.run_id, d.step_no, d.map_index from htdag.dead_tasks d
            where (p_run_ids is null or d.run_id = any (p_run_ids))
              and (p_flow is null or d.flow_id = (select f.flow_id from htdag.flows f where f.name = p_flow))
              and (p_before is null or d.died_at < p_before)
            order by d.run_id, d.step_no, d.map_index
              for update skip locked);
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.discard_dead(bigint[], text, timestamptz) is
  'Forget dead tasks of the runs, of the flow, that died before a time; what is given has to hold together. The runs stay as they are. Returns how many. Raises HT001, HT006.';

create or replace function htdag.is_done(p_dead htdag.dead_tasks, p_run htdag.runs)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return p_run.run_id is null
      or p_dead.retried_at is not null
         and (get_bit(p_run.succeeded, p_dead.step_no) = 1
              or exists (select from htdag.attempts a
                          where a.run_id = p_dead.run_id and a.step_no = p_dead.step_no and a.map_index = p_dead.map_index
                            and a.outcome = 'succeeded' and not a.superseded));
end;
$$;

comment on function htdag.is_done(htdag.dead_tasks, htdag.runs) is 'Whether a retry of a dead task has succeeded since, or its run is gone.';

-- A bounded number at a time, as for maps: the oldest, or some others by chance.
create or replace function htdag.clear_dead()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_from bigint;
  v_done integer;
  v_more integer;
begin
  select min(run_id) + floor(greatest(2 * random() - 1, 0) * (max(run_id) - min(run_id)))::bigint into v_from from htdag.dead_tasks;
  if v_from is null and not exists (select from htdag.retries) then
    return 0;
  end if;
  delete from htdag.dead_tasks
   where (run_id, step_no, map_index) in (
           select d.run_id, d.step_no, d.map_index
             from (select * from htdag.dead_tasks where run_id >= v_from order by run_id, step_no, map_index limit 1000 for update skip locked) d
             left join htdag.runs r on r.run_id = d.run_id
            where htdag.is_done(d, r));
  get diagnostics v_done = row_count;
  select min(run_id) + floor(greatest(2 * random() - 1, 0) * (max(run_id) - min(run_id)))::bigint into v_from from htdag.retries;
  delete from htdag.retries
   where (run_id, epoch) in (
           select t.run_id, t.epoch
             from (select * from htdag.retries where run_id >= v_from order by run_id, epoch limit 1000) t
            where not exists (select from htdag.runs r where r.run_id = t.run_id));
  get diagnostics v_more = row_count;
  return v_done + v_more;
end;
$$;

comment on function htdag.clear_dead() is 'Delete some dead tasks that were retried with success, and what is left of runs that are gone; returns how many.';
