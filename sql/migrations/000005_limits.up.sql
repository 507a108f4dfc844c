-- Keys and start times of runs, more kinds of limits, pauses.

begin;

create table htdag.run_keys (
  flow_id integer not null,
  key     text not null,
  run_id  bigint not null,
  constraint run_keys_pkey primary key (flow_id, key),
  constraint run_keys_flow_fkey foreign key (flow_id) references htdag.flows on delete cascade,
  constraint run_keys_key_length check (length(key) between 1 and 500)
);
create index run_keys_run_idx on htdag.run_keys (run_id);
comment on table htdag.run_keys is 'The newest run of each key of a flow, so that the same start said twice is one run.';

alter table htdag.run_queue
  add column starts_at timestamptz,
  add column limit_key text not null default '';
drop index htdag.run_queue_order_idx;
create index run_queue_order_idx on htdag.run_queue (flow_id, priority, limit_key, run_id) where starts_at is null;
create index run_queue_starts_idx on htdag.run_queue (starts_at) where starts_at is not null;
comment on column htdag.run_queue.starts_at is 'Not to be looked at before; infinity while it is paused; null once it stands in line.';
comment on column htdag.run_queue.limit_key is 'Value of the input by which the flow''s runs take turns; empty where they do not.';

alter table htdag.runs
  add column limit_key text;
drop index htdag.runs_running_idx;
create index runs_running_idx on htdag.runs (flow_id, limit_key) where state in ('running', 'paused') and parent_run_id is null;
comment on column htdag.runs.limit_key is 'Value of the input by which the flow''s runs take turns; null where they do not.';

alter table htdag.limits
  drop column next_start_at,
  add column burst                   integer,
  add column rate_mode               text not null default 'burst',
  add column key                     text,
  add column max_concurrent_per_key  integer,
  add column rate_per_minute_per_key integer,
  add column last_key                text,
  add column is_paused               boolean not null default false,
  add constraint limits_burst_positive check (burst > 0),
  add constraint limits_rate_mode_known check (rate_mode in ('burst', 'strict', 'smooth')),
  add constraint limits_burst_is_of_mode_burst check (burst is null or rate_mode = 'burst'),
  add constraint limits_max_concurrent_per_key_positive check (max_concurrent_per_key > 0),
  add constraint limits_rate_per_minute_per_key_positive check (rate_per_minute_per_key > 0),
  add constraint limits_per_key_needs_key check (key is not null or (max_concurrent_per_key is null and rate_per_minute_per_key is null));
comment on column htdag.limits.burst is 'Starts that may be made at once in mode burst; null for as many as a minute allows.';
comment on column htdag.limits.rate_mode is 'burst: a bucket of tokens that fills evenly. strict: never more than the rate in any 60 s. smooth: evenly spaced.';
comment on column htdag.limits.key is 'Key of the input (dotted for nested ones) by whose values runs take turns.';
comment on column htdag.limits.last_key is 'Value whose turn came last.';

create table htdag.rates (
  bucket        text not null,
  next_start_at timestamptz not null,
  constraint rates_pkey primary key (bucket)
) with (fillfactor = 50);
create index rates_expiry_idx on htdag.rates (next_start_at);
comment on table htdag.rates is 'What is used up of rates of the modes burst and smooth: flow:ID, flow:ID:VALUE, queue:NAME, key:KEY.';
comment on column htdag.rates.next_start_at is 'Theoretical arrival time of the generic cell rate algorithm: how far ahead the allowed starts are used up.';

create table htdag.rate_uses (
  bucket  text not null,
  used_at timestamptz not null,
  uses    integer not null,
  constraint rate_uses_pkey primary key (bucket, used_at)
);
create index rate_uses_expiry_idx on htdag.rate_uses (used_at);
comment on table htdag.rate_uses is 'Starts of the last minute under rates of mode strict.';

create table htdag.task_limits (
  kind                 text not null,
  key                  text not null,
  max_concurrent_tasks integer,
  rate_per_minute      integer,
  burst                integer,
  rate_mode            text not null default 'burst',
  constraint task_limits_pkey primary key (kind, key),
  constraint task_limits_kind_known check (kind in ('queue', 'key')),
  constraint task_limits_max_concurrent_tasks_positive check (max_concurrent_tasks > 0),
  constraint task_limits_rate_per_minute_positive check (rate_per_minute > 0),
  constraint task_limits_burst_positive check (burst > 0),
  constraint task_limits_rate_mode_known check (rate_mode in ('burst', 'strict', 'smooth')),
  constraint task_limits_burst_is_of_mode_burst check (burst is null or rate_mode = 'burst')
);
comment on table htdag.task_limits is 'Limits of tasks: of those of a queue, and of those of steps that name a limit_key. Null means unlimited.';
comment on column htdag.task_limits.key is 'Name of the queue; or the key, where one that ends in * stands for each key that begins so and has no row of its own.';

create index task_limits_pattern_idx on htdag.task_limits (key) where key like '%*';

drop index htdag.tasks_limit_idx;
create index tasks_limit_idx on htdag.tasks (limit_key) where limit_key is not null and (parked is null or parked = 'sub-flow');
create index tasks_turn_idx on htdag.tasks (lane_id, coalesce(limit_key, ''), priority, task_id) where parked = 'limit';

create table htdag.turns (
  kind    text not null,
  lane_id integer not null,
  key     text not null,
  constraint turns_pkey primary key (kind)
);
comment on table htdag.turns is 'Whose turn came last where tasks under limits take turns.';

create table htdag.pauses (
  kind      text not null,
  name      text not null,
  paused_at timestamptz not null,
  paused_by text not null,
  reason    text,
  time_left interval,
  starts_at timestamptz,
  with_flow boolean not null default false,
  constraint pauses_pkey primary key (kind, name),
  constraint pauses_kind_known check (kind in ('run', 'flow', 'queue'))
);
comment on table htdag.pauses is 'What is paused, since when, by whom and why.';
comment on column htdag.pauses.name is 'Name of the flow or queue, or number of the run.';
comment on column htdag.pauses.with_flow is 'Whether a run was paused, and will be resumed, together with its flow.';
comment on column htdag.pauses.time_left is 'What was left to a run until its deadline.';
comment on column htdag.pauses.starts_at is 'When a run that was paused in the queue would have started.';

commit;
