-- Reports of hierarchy: groups of steps, and runs below runs.

create or replace view report.groups as
select r.run_id,
       g.path as group_path,
       case
         when g.running > 0 then 'running'
         when g.failed > 0 then 'failed'
         when g.ended = g.total then case when g.succeeded > 0 then 'succeeded' when r.state = 'cancelled' then 'cancelled' else 'skipped' end
         when r.state = 'queued' then 'queued'
         when g.ready > 0 then 'ready'
         else 'waiting'
       end as state,
       g.total as steps_total,
       g.ended as steps_done,
       g.failed as steps_failed,
       g.skipped as steps_skipped,
       g.started_at,
       case when g.ended = g.total then g.finished_at end as finished_at,
       g.ran
  from htdag.runs r
 cross join lateral (
    select array_to_string(b.path[:n], '.') as path,
           count(*)::integer as total,
           sum(b.succeeded)::integer as succeeded,
           sum(b.failed)::integer as failed,
           sum(b.skipped)::integer as skipped,
           sum(b.succeeded + b.failed + b.skipped)::integer as ended,
           count(*) filter (where t.running)::integer as running,
           count(*) filter (where t.ready)::integer as ready,
           least(min(a.claimed_at), min(t.claimed_at)) as started_at,
           max(a.finished_at) as finished_at,
           sum(a.ran) as ran
      from (select u.run_id, s.step_no, string_to_array(coalesce(m.group_path, s.group_path), '.') as path,
                   get_bit(u.succeeded, s.step_no) as succeeded, get_bit(u.failed, s.step_no) as failed, get_bit(u.skipped, s.step_no) as skipped
              from htdag.run_members(r.run_id) m
              join htdag.runs u on u.run_id = m.run_id
              join htdag.steps s on s.flow_version_id = u.flow_version_id) b
     cross join lateral generate_series(0, cardinality(b.path)) n
      left join lateral (select min(a.claimed_at) as claimed_at, max(a.finished_at) as finished_at, sum(a.ran) as ran
                           from htdag.attempts a where a.run_id = b.run_id and a.step_no = b.step_no) a on true
      left join lateral (select bool_or(t.runner_id is not null or t.parked = 'sub-flow') as running, bool_or(t.parked is null) as ready,
                                min(t.claimed_at) as claimed_at
                           from htdag.tasks t
                          where t.run_id = b.run_id and b.step_no between t.step_no and t.last_step_no
                            and b.succeeded + b.failed + b.skipped = 0) t on true
     group by 1) g
 order by r.run_id, g.path;

comment on view report.groups is 'Groups of steps of runs, rolled up: a row for each group path, each path above it, and '''' for the whole run. Steps of runs that are the body of a step count under that step''s group. Read it with a run_id.';
comment on column report.groups.group_path is 'Dotted; '''' is the whole run.';
comment on column report.groups.state is 'running if any step is; else failed if any has; succeeded, skipped or cancelled once all have ended; else queued, ready or waiting.';
comment on column report.groups.steps_done is 'Steps that have ended in whatever way.';
comment on column report.groups.steps_failed is 'Those of them that failed for good.';
comment on column report.groups.steps_skipped is 'Those of them that were skipped or cancelled.';
comment on column report.groups.ran is 'Time that handlers worked, all tries together.';

create or replace view report.run_tree as
select coalesce(r.root_run_id, r.run_id) as root_run_id,
       r.run_id,
       r.parent_run_id,
       s.name as parent_step,
       r.depth::integer as depth,
       f.name as flow,
       r.state,
       r.started_at,
       r.finished_at
  from htdag.runs r
  join htdag.flows f on f.flow_id = r.flow_id
  left join htdag.runs p on p.run_id = r.parent_run_id
  left join htdag.steps s on s.flow_version_id = p.flow_version_id and s.step_no = r.parent_step_no
 order by 1, 2;

comment on view report.run_tree is 'Runs and the runs that are bodies of their steps. Read it with a root_run_id.';
comment on column report.run_tree.root_run_id is 'The run above all; its own number for a run that nothing is above.';
comment on column report.run_tree.parent_run_id is 'The run of whose step it is the body.';
comment on column report.run_tree.parent_step is 'That step.';
comment on column report.run_tree.depth is 'Number of runs above.';
comment on column report.run_tree.state is 'As in report.runs.';
