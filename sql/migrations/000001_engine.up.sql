-- The engine: flows and their versions, runs, live tasks, finished attempts,
-- runners and limits.
--
-- One narrow row per run, one hot row per live task, one appended row per finished
-- attempt. runs and tasks are written on every transition, so they carry no
-- jsonb, no foreign keys and no index that a transition need not have;
-- htdag.invariant_violations checks what foreign keys would.

begin;

create schema htdag;
comment on schema htdag is 'The workflow engine: definitions, runs, tasks, runners, limits, and the verbs that move them.';

create schema report;
comment on schema report is 'Views for people and programs. Their columns are the stable interface.';

create table htdag.installations (
  singleton     boolean not null default true,
  code_hash     bytea not null,
  installed_at  timestamptz not null default now(),
  constraint installations_pkey primary key (singleton),
  constraint installations_one_row check (singleton)
);
comment on table htdag.installations is 'Which set of functions is installed: one row, written by the installer.';

-- Definitions -----------------------------------------------------------------

create table htdag.flows (
  flow_id     integer generated always as identity,
  name        text not null,
  description text,
  created_at  timestamptz not null default now(),
  constraint flows_pkey primary key (flow_id),
  constraint flows_name_unique unique (name),
  constraint flows_name_wellformed check (name ~ '^[a-z][a-z0-9_.-]{0,62}$')
);
comment on table htdag.flows is 'Named DAG definitions. What a flow does is in its versions.';

create table htdag.flow_versions (
  flow_version_id integer generated always as identity,
  flow_id         integer not null,
  version         integer not null,
  spec            jsonb not null,
  step_count      smallint not null,
  run_timeout     interval,
  regular         bit varying not null,
  fatal           bit varying not null,
  created_at      timestamptz not null default now(),
  published_at    timestamptz,
  constraint flow_versions_pkey primary key (flow_version_id),
  constraint flow_versions_flow_fkey foreign key (flow_id) references htdag.flows on delete cascade,
  constraint flow_versions_version_unique unique (flow_id, version),
  constraint flow_versions_version_positive check (version >= 1),
  constraint flow_versions_masks_fit check (length(regular) = step_count and length(fatal) = step_count),
  constraint flow_versions_run_timeout_positive check (run_timeout > interval '0')
);
comment on table htdag.flow_versions is 'Versions of a flow. A version is a draft until its first run and immutable from then on.';
comment on column htdag.flow_versions.spec is 'The definition as given to define_flow, with every default written out.';
comment on column htdag.flow_versions.regular is 'Mask of steps that run on success of their needs; these are skipped when a run is lost.';
comment on column htdag.flow_versions.fatal is 'Mask of steps whose failure fails the run.';

create table htdag.lanes (
  lane_id integer generated always as identity,
  queue   text not null,
  kind    text not null,
  constraint lanes_pkey primary key (lane_id),
  constraint lanes_queue_kind_unique unique (queue, kind)
);
comment on table htdag.lanes is 'One row per (queue, kind) ever scheduled: the unit in which tasks wait, so that a claim is an index range scan per lane.';

create table htdag.steps (
  flow_version_id integer not null,
  step_no         smallint not null,
  name            text not null,
  group_path      text not null default '',
  kind            text not null,
  queue           text not null,
  lane_id         integer,
  needs           text[] not null,
  bundle_no       smallint,
  bundle_mask     bit varying,
  self            bit varying not null,
  gate            bit varying not null,
  dooms           bit varying not null,
  run_on          text not null,
  on_failure      text not null,
  map_source_no   smallint,
  map_key         text,
  is_map          boolean not null default false,
  wants_needs     boolean not null,
  timeout         interval not null,
  max_retries     smallint not null,
  initial_delay   interval not null,
  backoff         double precision not null,
  max_delay       interval not null,
  constraint steps_pkey primary key (flow_version_id, step_no),
  constraint steps_flow_version_fkey foreign key (flow_version_id) references htdag.flow_versions on delete cascade,
  constraint steps_lane_fkey foreign key (lane_id) references htdag.lanes,
  constraint steps_name_unique unique (flow_version_id, name),
  constraint steps_name_wellformed check (name ~ '^[a-z][a-z0-9_]{0,62}$'),
  constraint steps_run_on_known check (run_on in ('success', 'failure', 'always')),
  constraint steps_on_failure_known check (on_failure in ('fail', 'skip', 'continue')),
  constraint steps_map_source_iff_map check (is_map or (map_source_no is null and map_key is null)),
  constraint steps_map_not_bundled check (not is_map or bundle_no is null),
  constraint steps_handlers_not_bundled check (run_on = 'success' or bundle_no is null),
  constraint steps_bundle_has_mask check ((bundle_no is null) = (bundle_mask is null)),
  constraint steps_lane_unless_templated check ((lane_id is null) = (queue like '%{%}%')),
  constraint steps_timeout_positive check (timeout > interval '0'),
  constraint steps_max_retries_range check (max_retries between 0 and 1000),
  constraint steps_delays_ordered check (initial_delay >= interval '0' and max_delay >= initial_delay),
  constraint steps_backoff_at_least_one check (backoff >= 1)
);
create index steps_lane_idx on htdag.steps (lane_id);
comment on table htdag.steps is 'Nodes of a flow version, numbered topologically from 0; members of a bundle have consecutive numbers. Masks have one bit per step.';
comment on column htdag.steps.queue is 'Pool of runners that may claim the step. {key} stands for a value of the run''s input.';
comment on column htdag.steps.lane_id is 'Lane of (queue, kind); null where the queue depends on the input.';
comment on column htdag.steps.bundle_no is 'Number of the first step of its bundle; null outside bundles.';
comment on column htdag.steps.self is 'Mask with the step''s own bit.';
comment on column htdag.steps.gate is 'Steps that must have ended before this one may start: its needs or, in a bundle, what any member needs from outside.';
comment on column htdag.steps.dooms is 'Steps that cannot run once this one is skipped or fails without being let through.';
comment on column htdag.steps.map_source_no is 'Step whose output holds the array that a map step runs over; null for the run''s input.';

create table htdag.limits (
  flow_id             integer not null,
  max_concurrent_runs integer,
  rate_per_minute     integer,
  cpu_threshold       double precision,
  memory_threshold    double precision,
  next_start_at       timestamptz not null default '-infinity',
  gated               boolean not null default false,
  constraint limits_pkey primary key (flow_id),
  constraint limits_flow_fkey foreign key (flow_id) references htdag.flows on delete cascade,
  constraint limits_max_concurrent_runs_positive check (max_concurrent_runs > 0),
  constraint limits_rate_per_minute_positive check (rate_per_minute > 0),
  constraint limits_cpu_threshold_range check (cpu_threshold > 0 and cpu_threshold <= 1),
  constraint limits_memory_threshold_range check (memory_threshold > 0 and memory_threshold <= 1)
);
comment on table htdag.limits is 'Admission limits per flow; null means unlimited. A flow without a row is not limited. Changes count from the next admission on.';
comment on column htdag.limits.next_start_at is 'Theoretical arrival time of the generic cell rate algorithm: how far ahead the allowed starts are used up.';
comment on column htdag.limits.gated is 'Whether load holds back new runs; cleared once load is 0.05 under the threshold.';

-- Execution -------------------------------------------------------------------

create table htdag.runs (
  run_id          bigint generated always as identity,
  flow_id         integer not null,
  flow_version_id integer not null,
  state           text not null,
  epoch           smallint not null default 0,
  priority        smallint not null default 0,
  scheduled       bit varying not null,
  succeeded       bit varying not null,
  failed          bit varying not null,
  skipped         bit varying not null,
  queued_at       timestamptz not null,
  started_at      timestamptz,
  deadline_at     timestamptz,
  finished_at     timestamptz,
  error           text,
  constraint runs_pkey primary key (run_id),
  constraint runs_state_known check (state in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  constraint runs_finished_iff_terminal check ((state in ('succeeded', 'failed', 'cancelled')) = (finished_at is not null)),
  constraint runs_queued_not_started check (state <> 'queued' or started_at is null)
) with (fillfactor = 70);
create index runs_running_idx on htdag.runs (flow_id) where state = 'running';
create index runs_deadline_idx on htdag.runs (deadline_at) where finished_at is null and deadline_at is not null;
comment on table htdag.runs is 'Executions of flow versions. The masks are the state of every step; see report.steps.';
comment on column htdag.runs.epoch is 'Raised when finished steps are taken back; tasks of an older epoch are void.';
comment on column htdag.runs.priority is 'Lower is sooner.';
comment on column htdag.runs.error is 'Why the run was cancelled or lost as a whole; errors of steps are in htdag.attempts.';

create table htdag.run_io (
  run_id bigint not null,
  input  jsonb not null,
  constraint run_io_pkey primary key (run_id)
);
comment on table htdag.run_io is 'Input of each run, written once.';

create table htdag.run_queue (
  run_id   bigint not null,
  flow_id  integer not null,
  priority smallint not null,
  reason   text,
  due_at   timestamptz,
  constraint run_queue_pkey primary key (run_id)
);
create index run_queue_order_idx on htdag.run_queue (flow_id, priority, run_id);
comment on table htdag.run_queue is 'Runs that wait to be admitted, with the reason once it is known.';
comment on column htdag.run_queue.due_at is 'When the reason may be gone; null where that is not known in advance.';

create table htdag.admission_log (
  run_id     bigint not null,
  decided_at timestamptz not null,
  decision   text not null,
  reason     text,
  constraint admission_log_pkey primary key (run_id, decided_at, decision),
  constraint admission_log_decision_known check (decision in ('admitted', 'held'))
);
comment on table htdag.admission_log is 'What admission decided for runs of limited flows: held (with the reason, once per change of reason) and admitted.';

create table htdag.tasks (
  task_id         bigint generated always as identity,
  run_id          bigint not null,
  token           bigint,
  claimed_at      timestamptz,
  timeout_at      timestamptz,
  ready_at        timestamptz not null,
  due_at          timestamptz,
  time_limit      interval not null,
  flow_version_id integer not null,
  lane_id         integer not null,
  priority        integer not null,
  runner_id       integer,
  map_index       integer,
  epoch           smallint not null,
  step_no         smallint not null,
  last_step_no    smallint not null,
  attempt         smallint not null default 0,
  parked          text,
  constraint tasks_pkey primary key (task_id),
  constraint tasks_steps_ordered check (last_step_no >= step_no),
  constraint tasks_claimed_whole check ((runner_id is null) = (token is null) and (runner_id is null) = (claimed_at is null)
    and (runner_id is null) = (timeout_at is null)),
  constraint tasks_parked_not_claimed check (parked is null or runner_id is null),
  constraint tasks_due_iff_parked check ((parked is null) = (due_at is null))
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_analyze_scale_factor = 0.2, autovacuum_vacuum_cost_delay = 0, vacuum_truncate = off);
create index tasks_claim_idx on htdag.tasks (lane_id, priority, task_id) where runner_id is null and parked is null;
create index tasks_leased_idx on htdag.tasks (timeout_at) where runner_id is not null;
create index tasks_parked_idx on htdag.tasks (due_at) where parked is not null;
create index tasks_run_idx on htdag.tasks (run_id);
comment on table htdag.tasks is 'Live work only: a row is inserted when a step becomes ready and deleted when it ends.';
comment on column htdag.tasks.token is 'Random fence of the present claim: whoever answers with another has lost the task.';
comment on column htdag.tasks.timeout_at is 'When the claim is taken back even from a runner that is alive.';
comment on column htdag.tasks.last_step_no is 'Last step of the bundle that this task works through; step_no outside bundles.';
comment on column htdag.tasks.attempt is 'Tries begun of step_no.';
comment on column htdag.tasks.parked is 'Why the task is not yet claimable; it is promoted when due_at has passed.';

create table htdag.attempts (
  run_id      bigint not null,
  finished_at timestamptz not null,
  ready_at    timestamptz not null,
  claimed_at  timestamptz,
  ran         interval,
  runner_id   integer,
  map_index   integer not null default 0,
  step_no     smallint not null,
  attempt     smallint not null,
  outcome     text not null,
  output      jsonb,
  error       text,
  constraint attempts_pkey primary key (run_id, step_no, map_index, attempt),
  constraint attempts_outcome_known check (outcome in ('succeeded', 'failed', 'failed_permanently', 'timed_out', 'lost', 'cancelled')),
  constraint attempts_error_iff_unsuccessful check ((outcome = 'succeeded') = (error is null))
) with (autovacuum_vacuum_insert_scale_factor = 0.2);
comment on table htdag.attempts is 'One appended row per finished try of a step (of an element, for map steps).';
comment on column htdag.attempts.ran is 'How long the handler worked, by the runner''s monotonic clock.';

create table htdag.map_items (
  run_id    bigint not null,
  step_no   smallint not null,
  map_index integer not null,
  item      jsonb not null,
  constraint map_items_pkey primary key (run_id, step_no, map_index)
);
comment on table htdag.map_items is 'Elements of map steps, written once, read one at a time.';

create table htdag.map_shards (
  run_id    bigint not null,
  step_no   smallint not null,
  shard     smallint not null,
  total     integer not null,
  opened    integer not null,
  remaining integer not null,
  constraint map_shards_pkey primary key (run_id, step_no, shard),
  constraint map_shards_counts_ordered check (remaining between 0 and total and opened between 0 and total)
) with (fillfactor = 50);
comment on table htdag.map_shards is 'Countdown of each map step in up to 16 shards, so that completions rarely meet. Element i belongs to shard i mod 16.';

create table htdag.runners (
  runner_id        integer generated always as identity,
  name             text not null,
  queues           text[] not null,
  kinds            text[] not null,
  concurrency      integer not null,
  cpu              real,
  memory           real,
  idle             boolean not null default false,
  registered_at    timestamptz not null,
  seen_at          timestamptz not null,
  lease_expires_at timestamptz not null,
  stopped_at       timestamptz,
  constraint runners_pkey primary key (runner_id),
  constraint runners_concurrency_positive check (concurrency > 0)
) with (fillfactor = 50);
comment on table htdag.runners is 'Processes that claim tasks. One heartbeat per process keeps all its leases alive.';
comment on column htdag.runners.idle is 'Waiting for work: worth a wake-up.';

create type htdag.run_change as (
  run_id      bigint,
  succeeded   bit varying,
  failed      bit varying,
  skipped     bit varying,
  unscheduled bit varying
);
comment on type htdag.run_change is 'Bits to set (or, for unscheduled, to clear) in the masks of one run.';

commit;
