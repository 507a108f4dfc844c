-- Reports of schedules.

create or replace view report.schedules as
select s.name as schedule,
       s.cron,
       s.time_zone,
       f.name as flow,
       s.input,
       s.catch_up,
       case when s.next_due_at < 'infinity' and s.paused_at is null then s.next_due_at end as next_due_at,
       l.due_at as last_due_at,
       l.run_id as last_run_id,
       l.error as last_error,
       s.skipped_at,
       s.paused_at,
       case
         when s.paused_at is not null then format('paused since %s by %s%s', s.paused_at, s.paused_by, ': ' || s.pause_reason)
         when s.error is not null then s.error
         when f.retired_at is not null then 'its flow is retired'
         when s.next_due_at is null
           then 'no process with maintenance has seen it yet: htdag up and htdag run are such, htdag schedule tick is one turn of it'
         when s.next_due_at < htdag.clock() - interval '30 s'
           then 'it is due, but no process with maintenance runs: htdag up and htdag run are such, htdag schedule tick is one turn of it'
       end as trouble
  from htdag.schedules s
  join htdag.flows f using (flow_id)
  left join lateral (select t.due_at, t.run_id, t.error
                       from htdag.schedule_ticks t
                      where t.schedule_id = s.schedule_id
                      order by t.due_at desc
                      limit 1) l on true;

comment on view report.schedules is 'Flows that start by the clock.';
comment on column report.schedules.schedule is 'Its name.';
comment on column report.schedules.cron is 'When it is due.';
comment on column report.schedules.time_zone is 'Whose clock is meant.';
comment on column report.schedules.input is 'What its runs are given.';
comment on column report.schedules.catch_up is 'What becomes of times that were missed: skip, latest or all.';
comment on column report.schedules.next_due_at is 'Null while nobody has worked it out, and when it is due no more.';
comment on column report.schedules.last_due_at is 'The last time that it was fired for, by hand too.';
comment on column report.schedules.last_run_id is 'The run that was started then.';
comment on column report.schedules.last_error is 'Why none could be started then.';
comment on column report.schedules.skipped_at is 'The first of the times that were passed over last.';
comment on column report.schedules.paused_at is 'Since when it is paused.';
comment on column report.schedules.trouble is 'Why it starts nothing; null when all is well.';

create or replace view report.schedule_ticks as
select s.name as schedule,
       t.due_at,
       t.fired_at,
       t.by_hand,
       t.run_id,
       t.error
  from htdag.schedule_ticks t
  join htdag.schedules s using (schedule_id);

comment on view report.schedule_ticks is 'Times at which schedules were fired, in the last thirty days.';
comment on column report.schedule_ticks.schedule is 'Its name.';
comment on column report.schedule_ticks.due_at is 'The time that it was fired for.';
comment on column report.schedule_ticks.fired_at is 'When that was done.';
comment on column report.schedule_ticks.by_hand is 'Whether by fire_schedule.';
