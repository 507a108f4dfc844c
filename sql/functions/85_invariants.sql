-- Invariants: what must hold of the engine's tables at every commit. Claimed tasks may
-- be void: a claim and the end of its step can miss each other, and upkeep comes later.

create or replace view htdag.invariant_violations as
select 'a step is in two final masks' as invariant, r.run_id, null::bigint as task_id,
       format('succeeded %s, failed %s, skipped %s', r.succeeded, r.failed, r.skipped) as detail
  from htdag.runs r
 where bit_count(r.succeeded & r.failed) + bit_count(r.succeeded & r.skipped) + bit_count(r.failed & r.skipped) > 0
union all
select 'a finished run has steps that did not end', r.run_id, null,
       format('state %s, ended %s of %s', r.state, bit_count(r.succeeded | r.failed | r.skipped), v.step_count)
  from htdag.runs r
  join htdag.flow_versions v using (flow_version_id)
 where r.finished_at is not null and bit_count(r.succeeded | r.failed | r.skipped) < v.step_count
union all
select 'a task belongs to no live run', t.run_id, t.task_id, format('step %s, run state %s', t.step_no, coalesce(r.state, 'missing'))
  from htdag.tasks t
  left join htdag.runs r using (run_id)
 where r.run_id is null or r.finished_at is not null and t.runner_id is null
union all
select 'a queued run has begun', r.run_id, null, format('scheduled %s', r.scheduled)
  from htdag.runs r
 where r.state = 'queued'
   and bit_count(case when r.epoch = 0 then r.scheduled | r.succeeded | r.failed | r.skipped
                      else r.scheduled & ~(r.succeeded | r.failed | r.skipped) end) > 0
union all
select 'a task''s step has ended or was not scheduled', t.run_id, t.task_id, format('step %s', t.step_no)
  from htdag.tasks t
  join htdag.runs r using (run_id)
 where t.runner_id is null
   and (get_bit(r.succeeded | r.failed | r.skipped, t.step_no) = 1 or get_bit(r.scheduled, t.step_no) = 0)
union all
select 'two tasks are for one step', t.run_id, t.task_id, format('steps %s to %s', t.step_no, t.last_step_no)
  from htdag.tasks t
 where t.map_index is null
   and exists (select from htdag.tasks o
                where o.run_id = t.run_id and o.task_id <> t.task_id and o.map_index is null
                  and o.step_no <= t.last_step_no and t.step_no <= o.last_step_no)
union all
select 'two tasks are for one element', t.run_id, min(t.task_id), format('step %s element %s', t.step_no, t.map_index)
  from htdag.tasks t
 where t.map_index is not null
 group by t.run_id, t.step_no, t.map_index
having count(*) > 1
union all
select 'a scheduled step has no task', r.run_id, null, format('step %s', s.name)
  from htdag.runs r
  join htdag.steps s using (flow_version_id)
 where r.finished_at is null and get_bit(r.scheduled & ~(r.succeeded | r.failed | r.skipped), s.step_no) = 1
   and not exists (select from htdag.tasks t where t.run_id = r.run_id and s.step_no between t.step_no and t.last_step_no)
union all
select 'a running run has nothing to do', r.run_id, null, 'no live task'
  from htdag.runs r
 where r.state in ('running', 'paused') and not exists (select from htdag.tasks t where t.run_id = r.run_id)
union all
select 'a step succeeded before what it needs had ended', r.run_id, null, format('step %s', s.name)
  from htdag.runs r
  join htdag.steps s using (flow_version_id)
 where get_bit(r.succeeded, s.step_no) = 1 and s.gate & (r.succeeded | r.failed | r.skipped) <> s.gate
union all
select 'a queued run is not in the queue, or the reverse', coalesce(r.run_id, q.run_id), null, format('state %s', r.state)
  from (select * from htdag.runs where state = 'queued') r
  full join htdag.run_queue q using (run_id)
 where r.run_id is null or q.run_id is null
union all
select 'a map shard counts wrongly', m.run_id, null, format('step %s shard %s: %s remain, %s succeeded of %s', m.step_no, m.shard, m.remaining, a.done, m.total)
  from htdag.map_shards m
  join htdag.runs r on r.run_id = m.run_id and r.finished_at is null
 cross join lateral (select count(*) as done from htdag.attempts a
                      where a.run_id = m.run_id and a.step_no = m.step_no and a.map_index % 16 = m.shard and a.outcome = 'succeeded' and not a.superseded) a
 where m.remaining <> m.total - a.done
union all
select 'a map step succeeded with elements left', m.run_id, null, format('step %s shard %s: %s remain', m.step_no, m.shard, m.remaining)
  from htdag.map_shards m
  join htdag.runs r using (run_id)
 where m.remaining > 0 and get_bit(r.succeeded, m.step_no) = 1
union all
select 'elements of a map step are left but have no task', m.run_id, null, format('step %s shard %s: %s remain', m.step_no, m.shard, m.remaining)
  from htdag.map_shards m
  join htdag.runs r on r.run_id = m.run_id and r.finished_at is null
 where m.remaining > 0 and get_bit(r.succeeded | r.failed | r.skipped, m.step_no) = 0
   and not exists (select from htdag.tasks t where t.run_id = m.run_id and t.step_no = m.step_no and t.map_index % 16 = m.shard)
union all
select 'a task waits for a run that it has not or that has ended unheard', t.run_id, t.task_id, format('run %s, state %s', c.run_id, c.state)
  from htdag.tasks t
  left join lateral (select c.run_id, c.state, c.finished_at from htdag.runs c
                      where c.parent_run_id = t.run_id and c.parent_task_id = t.task_id order by c.run_id desc limit 1) c on true
 where t.parked = 'sub-flow'
   and (c.run_id is null
        or c.finished_at is not null and not exists (select from htdag.inbox i where i.kind = 'child_ended' and i.task_id = t.task_id))
union all
select 'a run goes on for a task that has gone', c.run_id, c.parent_task_id, format('parent %s', c.parent_run_id)
  from htdag.runs c
 where c.parent_run_id is not null and c.finished_at is null
   and not exists (select from htdag.tasks t where t.task_id = c.parent_task_id and t.parked = 'sub-flow')
   and not exists (select from htdag.inbox i where i.kind = 'cancel' and i.run_id = c.run_id)
union all
select 'a signal is awaited but no step waits', g.run_id, null, format('signal %s', g.name)
  from htdag.signals g
  join htdag.runs r on r.run_id = g.run_id and r.finished_at is null
 where g.awaited and not exists (select from htdag.tasks t join htdag.steps s using (flow_version_id, step_no)
                                  where t.run_id = g.run_id and s.kind = 'signal' and s.target = g.name)
union all
select 'a task is parked for the pause of a run that is not paused', t.run_id, t.task_id, r.state
  from htdag.tasks t
  join htdag.runs r using (run_id)
 where t.parked = 'paused' and r.state <> 'paused';

comment on view htdag.invariant_violations is 'Empty in a healthy database; each row names a broken rule and where. Reads every run: for tests and for looking into trouble.';
