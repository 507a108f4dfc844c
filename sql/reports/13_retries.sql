-- Reports of what failed for good and of versions that are still in use.

create or replace view report.dead_tasks as
select d.run_id,
       f.name as flow,
       s.name as step,
       case when s.is_map and d.map_index >= 0 then d.map_index end as element,
       d.item,
       io.input,
       d.attempts,
       d.code,
       d.error,
       d.died_at,
       d.retried_at
  from htdag.dead_tasks d
  join htdag.runs r on r.run_id = d.run_id and not htdag.is_done(d, r)
  join htdag.flows f on f.flow_id = d.flow_id
  join htdag.run_io io on io.run_id = d.run_id
  join htdag.steps s on s.flow_version_id = r.flow_version_id and s.step_no = d.step_no;

comment on view report.dead_tasks is 'Steps, and elements of map steps, that failed for good. htdag.retry_run does them again, htdag.discard_dead forgets them.';
comment on column report.dead_tasks.element is 'Which element of a map step; null also for a map that could not be opened at all.';
comment on column report.dead_tasks.item is 'The element itself.';
comment on column report.dead_tasks.input is 'Of the run.';
comment on column report.dead_tasks.attempts is 'Tries that were made.';
comment on column report.dead_tasks.code is 'Error code that the handler gave; the SQLSTATE for SQL.';
comment on column report.dead_tasks.died_at is 'When the last try failed.';
comment on column report.dead_tasks.retried_at is 'When it was taken up again, if it was; it goes once that has succeeded.';

create or replace view report.retries as
select t.run_id,
       f.name as flow,
       t.epoch::integer as retry,
       t.retried_at,
       t.retried_by,
       t.from_steps,
       t.was_state,
       t.was_error,
       t.ended_at
  from htdag.retries t
  join htdag.runs r on r.run_id = t.run_id
  join htdag.flows f on f.flow_id = r.flow_id;

comment on view report.retries is 'Each time an ended run was taken up again.';
comment on column report.retries.retry is 'The first of the run, the second, and so on.';
comment on column report.retries.retried_at is 'When.';
comment on column report.retries.retried_by is 'By which user.';
comment on column report.retries.from_steps is 'Steps that were named; null where it was what had failed.';
comment on column report.retries.was_state is 'How the run had ended.';
comment on column report.retries.was_error is 'Why it had been cancelled or lost as a whole.';
comment on column report.retries.ended_at is 'When it had ended.';

create or replace view report.versions as
select f.name as flow,
       v.version,
       (v.published_at is null)::boolean as draft,
       (not exists (select from htdag.flow_versions n where n.flow_id = v.flow_id and n.version > v.version))::boolean as newest,
       v.published_at,
       coalesce(q.runs, 0) as queued,
       coalesce(t.runs, 0) as running,
       least(q.oldest, t.oldest) as oldest_run_id
  from htdag.flow_versions v
  join htdag.flows f using (flow_id)
  left join (select r.flow_version_id, count(*) as runs, min(r.run_id) as oldest
               from htdag.run_queue u join htdag.runs r using (run_id) group by 1) q on q.flow_version_id = v.flow_version_id
  left join (select k.flow_version_id, count(distinct k.run_id) as runs, min(k.run_id) as oldest
               from htdag.tasks k join htdag.runs r on r.run_id = k.run_id and r.finished_at is null group by 1) t
         on t.flow_version_id = v.flow_version_id;

comment on view report.versions is 'Versions of flows and the runs that keep them in use; htdag.move_runs takes runs to another.';
comment on column report.versions.draft is 'Whether it has not been run and may still change in place.';
comment on column report.versions.newest is 'Whether new runs begin on it.';
comment on column report.versions.published_at is 'When its first run began, or moved to it.';
comment on column report.versions.queued is 'Runs that wait to be admitted.';
comment on column report.versions.running is 'Runs under way, paused ones included.';
comment on column report.versions.oldest_run_id is 'The oldest of those.';
