begin;
drop table htdag.pauses, htdag.rate_uses, htdag.rates, htdag.run_keys, htdag.task_limits, htdag.turns;
drop index htdag.tasks_limit_idx, htdag.tasks_turn_idx;
create index tasks_limit_idx on htdag.tasks (limit_key, priority, task_id) where limit_key is not null;
alter table htdag.limits
  drop column burst,
  drop column rate_mode,
  drop column key,
  drop column max_concurrent_per_key,
  drop column rate_per_minute_per_key,
  drop column last_key,
  drop column is_paused,
  add column next_start_at timestamptz not null default '-infinity';
drop index htdag.runs_running_idx;
create index runs_running_idx on htdag.runs (flow_id) where state in ('running', 'paused') and parent_run_id is null;
alter table htdag.runs drop column limit_key;
drop index htdag.run_queue_order_idx, htdag.run_queue_starts_idx;
alter table htdag.run_queue drop column starts_at, drop column limit_key;
create index run_queue_order_idx on htdag.run_queue (flow_id, priority, run_id);
commit;
