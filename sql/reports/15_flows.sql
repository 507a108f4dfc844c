-- Report of flows: what there is to be started.

create or replace view report.flows as
select f.name as flow,
       f.description,
       v.version,
       (v.published_at is null)::boolean as draft,
       v.step_count::integer as steps_total,
       f.retired_at,
       (select count(*) from htdag.run_queue q where q.flow_id = f.flow_id) as queued,
       (select count(*) from htdag.runs r where r.flow_id = f.flow_id and r.state = 'running') as running,
       p.paused_at
  from htdag.flows f
  join lateral (select * from htdag.flow_versions v where v.flow_id = f.flow_id order by v.version desc limit 1) v on true
  left join htdag.pauses p on p.kind = 'flow' and p.name = f.name;

comment on view report.flows is 'Flows with their newest versions and the runs they have under way.';
comment on column report.flows.description is 'What it is for, as its definition says.';
comment on column report.flows.draft is 'Whether the version has not been run and may still change in place.';
comment on column report.flows.retired_at is 'Since when it starts no new runs; null while it is in use.';
comment on column report.flows.queued is 'Runs that wait to be admitted.';
comment on column report.flows.running is 'Runs under way.';
comment on column report.flows.paused_at is 'Since when new runs of it wait; null while they do not.';
