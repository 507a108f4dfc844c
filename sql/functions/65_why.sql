-- Explanations: why is it not finished?

create or replace function htdag.readers(p_lane_id integer)
returns bigint
language plpgsql
stable
set search_path = ''
as $$
declare
  v_now constant timestamptz := htdag.clock();
begin
  return (select count(*)
            from htdag.lanes l
            join htdag.runners r on l.queue = any (r.queues) and l.kind = any (r.kinds)
           where l.lane_id = p_lane_id and r.stopped_at is null and r.lease_expires_at > v_now);
end;
$$;

comment on function htdag.readers(integer) is 'Number of live runners that claim from a lane.';

create or replace function htdag.why(p_run_id bigint)
returns setof text
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := htdag.clock();
  v_run htdag.runs;
begin
  select * into v_run from htdag.runs where run_id = p_run_id;
  if not found then
    raise exception using errcode = 'HT001', message = format('run %s does not exist', coalesce(p_run_id::text, 'null')),
      hint = 'select run_id from report.runs lists the runs there are.';
  elsif v_run.finished_at is not null then
    return next format('run %s %s at %s%s', p_run_id, v_run.state, v_run.finished_at, ': ' || v_run.error);
    return;
  elsif v_run.state = 'queued' then
    return next coalesce(
      (select format('queued for %s: %s', date_trunc('second', v_now - v_run.queued_at), reason)
              || coalesce('; next look at ' || due_at, '') from htdag.run_queue where run_id = p_run_id and reason is not null),
      (select format('queued behind %s others; the first of them: %s', count(*), (array_agg(q.reason order by q.priority, q.run_id))[1])
         from htdag.run_queue own
         join htdag.run_queue q on q.flow_id = own.flow_id and (q.priority, q.run_id) < (own.priority, own.run_id)
        where own.run_id = p_run_id
       having count(q.reason) > 0),
      'queued; nobody has looked at it yet: is a runner running?');
    return;
  end if;

  return query
  select e.line || case when count(*) > 1 then format(' (%s elements)', count(*)) else '' end
    from (select s.step_no,
                 case
                   when t.parked is not null then
                     format('step %s waits until %s (%s) after try %s%s', s.name, t.due_at, t.parked, t.attempt,
                       (select ': ' || a.error from htdag.attempts a
                         where a.run_id = t.run_id and a.step_no = t.step_no and a.map_index = coalesce(t.map_index, 0)
                         order by a.attempt desc limit 1))
                   when t.runner_id is not null then
                     format('step %s runs on runner %s (%s) since %s', s.name, r.runner_id, r.name, t.claimed_at)
                   when htdag.readers(t.lane_id) = 0 then
                     format('step %s is ready, but no runner reads kind %s of queue %s', s.name, l.kind, l.queue)
                   else
                     format('step %s is ready since %s; runners that read queue %s: %s', s.name, t.ready_at, l.queue, htdag.readers(t.lane_id))
                 end as line
            from htdag.tasks t
            join htdag.steps s on s.flow_version_id = t.flow_version_id and s.step_no = t.step_no
            join htdag.lanes l on l.lane_id = t.lane_id
            left join htdag.runners r on r.runner_id = t.runner_id
           where t.run_id = p_run_id) e
   group by e.step_no, e.line
   order by e.step_no, e.line
   limit 100;
end;
$$;

comment on function htdag.why(bigint) is
  'Why a run is not finished, one line per reason: what it is queued for, which step waits for what, who works on it. Raises HT001.';
