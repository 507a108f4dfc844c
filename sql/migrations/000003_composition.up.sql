-- Composition: steps that run SQL, other flows, sleep or wait for signals; conditions,
-- memos, delays and limits of steps; runs that belong to a step of another run.

begin;

alter table htdag.flows
  drop constraint flows_name_wellformed,
  add constraint flows_name_wellformed check (name ~ '^[a-z][a-z0-9_.-]{0,62}(:[a-z][a-z0-9_]{0,62})*$');
comment on column htdag.flows.name is 'Name; with a colon, "flow:step" holds the flows that a step gave itself while running.';

alter table htdag.lanes
  add column is_limited boolean not null default false,
  add column is_paused  boolean not null default false;
comment on column htdag.lanes.is_limited is 'Whether tasks of the queue are parked until its limit has room.';
comment on column htdag.lanes.is_paused is 'Whether nothing of the queue is claimed for now.';

alter table htdag.steps
  add column target       text,
  add column delay        interval not null default '0',
  add column run_if       jsonpath,
  add column skip_if      jsonpath,
  add column on_skip      text not null default 'cascade',
  add column memo         interval,
  add column memo_version text not null default '',
  add column argument     jsonpath,
  add column priority     smallint not null default 0,
  add column limit_key    text,
  add column no_retry     text[] not null default '{}',
  add column jitter       double precision not null default 0,
  add column special      boolean not null generated always as
    (is_map or run_if is not null or skip_if is not null or memo is not null) stored,
  add constraint steps_target_iff_engine_kind check ((kind in ('sql', 'flow', 'signal')) = (target is not null)),
  add constraint steps_delay_range check (delay between interval '0' and interval '1 year'),
  add constraint steps_sleep_has_delay check (kind <> 'sleep' or delay > interval '0'),
  add constraint steps_on_skip_known check (on_skip in ('cascade', 'continue')),
  add constraint steps_memo_positive check (memo > interval '0'),
  add constraint steps_priority_range check (priority between -10000 and 10000),
  add constraint steps_jitter_range check (jitter between 0 and 1),
  add constraint steps_bundled_are_plain check (bundle_no is null or (delay = interval '0' and run_if is null and skip_if is null
    and memo is null and limit_key is null and kind not in ('sql', 'flow', 'sleep', 'signal')));
comment on column htdag.steps.kind is 'Name of the handler; sql, flow, sleep and signal are run by the engine itself.';
comment on column htdag.steps.target is 'Function that a sql step calls, flow that a flow step runs, signal that a signal step waits for.';
comment on column htdag.steps.delay is 'How long the step waits once everything it needs has ended.';
comment on column htdag.steps.run_if is 'Condition on {"input", "needs"}: where it does not hold, the step is skipped.';
comment on column htdag.steps.skip_if is 'Condition on {"input", "needs"}: where it holds, the step is skipped.';
comment on column htdag.steps.on_skip is 'Whether a condition that skips the step skips what needs it (cascade) or lets that run (continue).';
comment on column htdag.steps.memo is 'How long an output stands for the same work; null for steps that are always done.';
comment on column htdag.steps.memo_version is 'Part of the memo''s key: another one makes old outputs void.';
comment on column htdag.steps.argument is 'Path into {"input", "needs", "item"} for what the step gets as its input; null for the run''s input.';
comment on column htdag.steps.limit_key is 'Named limit under which the step''s tasks run; {key} stands for a value of the run''s input.';
comment on column htdag.steps.no_retry is 'Error codes after which there is no further try.';
comment on column htdag.steps.jitter is 'Share by which a retry''s delay is randomly longer or shorter, 0 to 1.';
comment on column htdag.steps.special is 'Whether more than the masks decides how the step opens.';

alter table htdag.runs
  add column parent_run_id  bigint,
  add column parent_task_id bigint,
  add column root_run_id    bigint,
  add column depth          smallint not null default 0,
  drop constraint runs_state_known,
  add constraint runs_state_known check (state in ('queued', 'running', 'paused', 'succeeded', 'failed', 'cancelled')),
  add constraint runs_children_whole check ((parent_run_id is null) = (parent_task_id is null)
    and (parent_run_id is null) = (root_run_id is null) and (parent_run_id is null) = (depth = 0)),
  add constraint runs_children_are_younger check (parent_run_id < run_id and root_run_id <= parent_run_id);
drop index htdag.runs_running_idx;
create index runs_running_idx on htdag.runs (flow_id) where state in ('running', 'paused') and parent_run_id is null;
create index runs_children_idx on htdag.runs (parent_run_id) where parent_run_id is not null;
comment on column htdag.runs.parent_run_id is 'Run whose step this run is the body of; null for runs that were started by themselves.';
comment on column htdag.runs.parent_task_id is 'Task of the parent that waits for this run.';
comment on column htdag.runs.root_run_id is 'First of the chain of parents; null where there is none.';
comment on column htdag.runs.depth is 'Number of parents above.';

alter table htdag.tasks
  add column limit_key text,
  add column memo_key  bytea,
  add constraint tasks_parked_known check (parked in ('retry', 'delay', 'snooze', 'limit', 'paused', 'signal', 'sub-flow'));
create index tasks_limit_idx on htdag.tasks (limit_key, priority, task_id) where limit_key is not null;
comment on column htdag.tasks.limit_key is 'Named limit that the task counts for.';
comment on column htdag.tasks.memo_key is 'Under which key its output will be remembered.';
comment on column htdag.tasks.due_at is 'When the task moves on by itself; infinity where something else has to happen first.';

alter table htdag.attempts
  add column epoch      smallint not null default 0,
  add column superseded boolean not null default false,
  add column code       text,
  drop constraint attempts_pkey,
  add constraint attempts_pkey primary key (run_id, step_no, map_index, epoch, attempt),
  add constraint attempts_code_only_unsuccessful check (code is null or outcome <> 'succeeded');
comment on column htdag.attempts.epoch is 'Epoch of the run in which the try was made.';
comment on column htdag.attempts.superseded is 'Whether its step was taken back later, so that the output counts no more.';
comment on column htdag.attempts.code is 'Error code that the handler gave; the SQLSTATE for SQL.';
comment on column htdag.attempts.attempt is 'Number of the try; 0 for an output that was remembered.';

create table htdag.inbox (
  inbox_id bigint generated always as identity,
  kind     text not null,
  run_id   bigint not null,
  task_id  bigint,
  reason   text,
  constraint inbox_pkey primary key (inbox_id),
  constraint inbox_kind_known check (kind in ('child_ended', 'cancel')),
  constraint inbox_child_ended_has_task check ((kind = 'child_ended') = (task_id is not null))
);
comment on table htdag.inbox is 'Messages from one run to another, so that no transaction locks two levels of the hierarchy: a child run that ended tells the task of its parent, a parent that gave up tells its children.';
comment on column htdag.inbox.run_id is 'The run that ended, or that shall end.';

create table htdag.signals (
  signal_id bigint generated always as identity,
  run_id    bigint not null,
  name      text not null,
  payload   jsonb not null,
  sent_at   timestamptz not null,
  awaited   boolean not null,
  constraint signals_pkey primary key (signal_id)
);
create index signals_awaited_idx on htdag.signals (run_id) where awaited;
create index signals_run_idx on htdag.signals (run_id, name, signal_id);
comment on table htdag.signals is 'Signals that were sent to a run and that no step has taken yet.';
comment on column htdag.signals.awaited is 'Whether a step was waiting as it came, so that pump can give it at once.';

create table htdag.memos (
  memo_key   bytea not null,
  kind       text not null,
  output     jsonb,
  run_id     bigint not null,
  made_at    timestamptz not null,
  expires_at timestamptz not null,
  constraint memos_pkey primary key (memo_key)
);
create index memos_expiry_idx on htdag.memos (expires_at);
comment on table htdag.memos is 'Outputs of steps that declare memo, by the hash of what they were made of.';
comment on column htdag.memos.run_id is 'Run that made it.';

create type htdag.step_results as (
  task_id bigint,
  outcome text,
  output  jsonb,
  error   text,
  code    text,
  ran     interval
);
comment on type htdag.step_results is 'What came of a step that the engine ran itself.';

-- The engine itself, as whom pump claims and answers. It holds tasks only within
-- one transaction and never falls silent.
insert into htdag.runners (runner_id, name, queues, kinds, concurrency, registered_at, seen_at, lease_expires_at)
overriding system value
values (0, 'htdag', '{}', '{}', 1, now(), '-infinity', 'infinity');

commit;
