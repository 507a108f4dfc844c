-- Reports of the engine: runs and their steps, as people want to read them.

create or replace view report.runs as
select r.run_id,
       f.name as flow,
       v.version,
       r.state,
       r.started_at,
       r.finished_at,
       v.step_count::integer as steps_total,
       bit_count(r.succeeded | r.failed | r.skipped)::integer as steps_done,
       (case when r.state <> 'succeeded' then coalesce(r.error,
         (select format('step %s: %s', s.name, a.error)
            from htdag.attempts a
            join htdag.steps s on s.flow_version_id = r.flow_version_id and s.step_no = a.step_no
           where a.run_id = r.run_id and get_bit(r.failed, a.step_no) = 1 and not a.superseded and a.outcome not in ('succeeded', 'cancelled')
           order by get_bit(v.fatal, a.step_no) desc, a.step_no, a.finished_at desc limit 1)) end)::text as error
  from htdag.runs r
  join htdag.flow_versions v using (flow_version_id)
  join htdag.flows f on f.flow_id = r.flow_id;

comment on view report.runs is 'Executions of flows.';
comment on column report.runs.state is 'queued, running, paused, succeeded, failed or cancelled.';
comment on column report.runs.steps_done is 'Steps that have ended in whatever way.';
comment on column report.runs.error is 'Why the run was cancelled or lost, or the last error of the first step that failed for good, those that fail the run before others; null once succeeded.';

create or replace view report.steps as
select r.run_id,
       s.group_path,
       s.name as step,
       case
         when get_bit(r.succeeded, s.step_no) = 1 then 'succeeded'
         when get_bit(r.failed, s.step_no) = 1 then 'failed'
         when get_bit(r.skipped, s.step_no) = 1 then case when r.state = 'cancelled' then 'cancelled' else 'skipped' end
         when r.state = 'queued' then 'queued'
         when t.claimed > 0 then 'running'
         when t.parked > 0 and t.ready = 0 then 'waiting'
         when t.ready > 0 or get_bit(r.scheduled, s.step_no) = 1 then 'ready'
         else 'waiting'
       end as state,
       coalesce(a.attempts, 0)::integer + coalesce(t.claimed, 0)::integer as attempts,
       a.waited,
       a.ran,
       coalesce(n.name, t.runner) as runner,
       case when get_bit(r.succeeded, s.step_no) = 0 then a.error end as error,
       t.next_try_at,
       t.done as progress_done,
       t.total as progress_total,
       t.note as progress_note
  from htdag.runs r
  join htdag.steps s using (flow_version_id)
  left join lateral (select count(*) as attempts, max(claimed_at - ready_at) as waited, sum(ran) as ran,
                            (array_agg(runner_id order by finished_at desc))[1] as runner_id,
                            (array_agg(error order by outcome = 'cancelled', finished_at desc) filter (where error is not null and not superseded))[1] as error
                       from htdag.attempts a
                      where a.run_id = r.run_id and a.step_no = s.step_no) a on true
  left join lateral (select count(*) filter (where t.runner_id is not null or t.parked = 'sub-flow') as claimed,
                            count(*) filter (where t.parked <> 'sub-flow') as parked,
                            count(*) filter (where t.runner_id is null and t.parked is null) as ready,
                            min(u.name) as runner,
                            min(t.due_at) filter (where t.parked in ('retry', 'snooze', 'delay')) as next_try_at,
                            sum(p.done) as done,
                            sum(p.total) as total,
                            (array_agg(p.note order by p.reported_at desc) filter (where p.note is not null))[1] as note
                       from htdag.tasks t left join htdag.runners u using (runner_id)
                       left join htdag.progress p on p.task_id = t.task_id and p.reported_at >= t.claimed_at
                      where t.run_id = r.run_id and t.step_no = s.step_no) t on true
  left join htdag.runners n on n.runner_id = a.runner_id
 order by r.run_id, s.step_no;

comment on view report.steps is 'Steps of runs: their state, tries and times. Read it with a run_id.';
comment on column report.steps.group_path is 'Layer of the flow that the step belongs to, dotted.';
comment on column report.steps.state is 'queued, waiting, ready, running (by a runner, or as a run of its own), succeeded, failed, skipped or cancelled.';
comment on column report.steps.attempts is 'Tries, the present one included; of all elements for a map step.';
comment on column report.steps.waited is 'Longest time from ready to claimed.';
comment on column report.steps.ran is 'Time that handlers worked, all tries and elements together.';
comment on column report.steps.error is 'Last error; null once succeeded.';
comment on column report.steps.next_try_at is 'When it, or the next of its elements, is tried again or for the first time, where it waits for a time.';
comment on column report.steps.progress_done is 'How much is done, as the handlers at work say; of all elements for a map step.';
comment on column report.steps.progress_total is 'Of how much.';
comment on column report.steps.progress_note is 'What they said last.';
