begin;

delete from htdag.runners where runner_id = 0;
drop type htdag.step_results;
drop table htdag.memos, htdag.signals, htdag.inbox;
alter table htdag.attempts drop constraint attempts_pkey;
delete from htdag.attempts where superseded or attempt = 0;
alter table htdag.attempts
  drop column epoch, drop column superseded, drop column code,
  add constraint attempts_pkey primary key (run_id, step_no, map_index, attempt);
comment on column htdag.attempts.attempt is null;
drop index htdag.tasks_limit_idx;
alter table htdag.tasks drop constraint tasks_parked_known, drop column limit_key, drop column memo_key;
comment on column htdag.tasks.due_at is null;
drop index htdag.runs_children_idx, htdag.runs_running_idx;
alter table htdag.runs
  drop constraint runs_state_known, drop constraint runs_children_are_younger, drop constraint runs_children_whole,
  drop column parent_run_id, drop column parent_task_id, drop column root_run_id, drop column depth,
  add constraint runs_state_known check (state in ('queued', 'running', 'succeeded', 'failed', 'cancelled'));
create index runs_running_idx on htdag.runs (flow_id) where state = 'running';
alter table htdag.steps
  drop column special, drop column target, drop column delay, drop column run_if, drop column skip_if, drop column on_skip,
  drop column memo, drop column memo_version, drop column argument, drop column priority, drop column limit_key,
  drop column no_retry, drop column jitter;
comment on column htdag.steps.kind is null;
alter table htdag.lanes drop column is_limited, drop column is_paused;
comment on column htdag.flows.name is null;
alter table htdag.flows
  drop constraint flows_name_wellformed,
  add constraint flows_name_wellformed check (name ~ '^[a-z][a-z0-9_.-]{0,62}$');

commit;
