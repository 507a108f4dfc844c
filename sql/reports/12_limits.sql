-- Reports of what waits, what is held and by which limits.

create or replace view report.queue as
select q.run_id,
       f.name as flow,
       q.priority::integer as priority,
       q.limit_key as key,
       r.queued_at,
       case when q.starts_at < 'infinity' then q.starts_at end as starts_at,
       case when p.name is not null then htdag.pause_words(p) else q.reason end as reason,
       q.due_at
  from htdag.run_queue q
  join htdag.runs r on r.run_id = q.run_id
  join htdag.flows f on f.flow_id = q.flow_id
  left join htdag.pauses p on p.kind = 'run' and p.name = q.run_id::text;

comment on view report.queue is 'Runs that wait to be admitted. The first in line know why; htdag.why tells for each.';
comment on column report.queue.priority is 'Lower is sooner.';
comment on column report.queue.key is 'Value of the input by which the flow''s runs take turns.';
comment on column report.queue.queued_at is 'When the run was started.';
comment on column report.queue.starts_at is 'Not to be admitted before; null once it stands in line.';
comment on column report.queue.reason is 'What holds it: a pause or a limit.';
comment on column report.queue.due_at is 'When the reason may be gone, where that is known.';

create or replace view report.pauses as
select p.kind, p.name, p.paused_at, p.paused_by, p.reason
  from htdag.pauses p
  left join htdag.runs r on p.kind = 'run' and r.run_id::text = p.name
 where p.kind <> 'run' or r.state in ('paused', 'queued');

comment on view report.pauses is 'Runs, flows and queues that are paused.';
comment on column report.pauses.kind is 'run, flow or queue.';
comment on column report.pauses.name is 'Number of the run, name of the flow or queue.';
comment on column report.pauses.paused_at is 'Since when.';
comment on column report.pauses.paused_by is 'Role that paused it.';
comment on column report.pauses.reason is 'As it was given.';

create or replace view report.limits as
select 'flow' as kind, f.name, l.key, l.max_concurrent_runs as max_concurrent, l.rate_per_minute, l.burst, l.rate_mode,
       l.max_concurrent_per_key, l.rate_per_minute_per_key, l.cpu_threshold, l.memory_threshold
  from htdag.limits l
  join htdag.flows f using (flow_id)
union all
select t.kind, t.key, null, t.max_concurrent_tasks, t.rate_per_minute, t.burst, t.rate_mode, null, null, null, null
  from htdag.task_limits t;

comment on view report.limits is 'Limits as they are set: of runs by flow, of tasks by queue and by limit_key. Null is unlimited.';
comment on column report.limits.kind is 'flow, queue or key.';
comment on column report.limits.name is 'Of the flow or queue, or the limit_key; one that ends in * stands for each that begins so.';
comment on column report.limits.key is 'Key of the input by whose values runs take turns.';
comment on column report.limits.max_concurrent is 'Runs, or tasks, at once.';
comment on column report.limits.rate_per_minute is 'Starts a minute.';
comment on column report.limits.burst is 'Starts at once in mode burst; null for a minute''s allowance.';
comment on column report.limits.rate_mode is 'burst, strict or smooth.';
comment on column report.limits.max_concurrent_per_key is 'Runs at once with one value of the key.';
comment on column report.limits.rate_per_minute_per_key is 'Starts a minute with one value of the key.';
comment on column report.limits.cpu_threshold is 'Share of processors in use above which new runs wait.';
comment on column report.limits.memory_threshold is 'Share of memory in use above which new runs wait.';
