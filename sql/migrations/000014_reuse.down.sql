begin;

drop index htdag.tasks_leased_idx;
create index tasks_leased_idx on htdag.tasks (timeout_at) where runner_id is not null;
comment on column htdag.tasks.task_id is null;
comment on column htdag.tasks.lane_id is null;
comment on column htdag.tasks.priority is null;
update htdag.tasks t
   set lane_id = coalesce(s.lane_id, t.lane_id), priority = (r.priority + s.priority) * 1000 - least(s.step_no, 999)
  from htdag.steps s, htdag.runs r
 where t.runner_id is not null and s.flow_version_id = t.flow_version_id and s.step_no = t.step_no and r.run_id = t.run_id;

commit;
