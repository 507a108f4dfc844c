-- Schedules: flows that start by the clock.

begin;

create table htdag.schedules (
  schedule_id  integer generated always as identity,
  name         text not null,
  cron         text not null,
  time_zone    text not null,
  flow_id      integer not null,
  input        jsonb not null,
  catch_up     text not null,
  revision     integer not null default 1,
  since        timestamptz not null,
  next_due_at  timestamptz,
  skipped_at   timestamptz,
  error        text,
  paused_at    timestamptz,
  paused_by    text,
  pause_reason text,
  constraint schedules_pkey primary key (schedule_id),
  constraint schedules_name_key unique (name),
  constraint schedules_flow_fkey foreign key (flow_id) references htdag.flows on delete cascade,
  constraint schedules_name_length check (length(name) between 1 and 200),
  constraint schedules_catch_up_known check (catch_up in ('skip', 'latest', 'all')),
  constraint schedules_paused_by_somebody check ((paused_at is null) = (paused_by is null))
);
create index schedules_flow_idx on htdag.schedules (flow_id);
comment on table htdag.schedules is 'Flows that start by the clock.';
comment on column htdag.schedules.cron is 'Five fields, or six with seconds first, or @daily and the like.';
comment on column htdag.schedules.revision is 'Counts changes, those of next_due_at too: who fires says which one it has read.';
comment on column htdag.schedules.since is 'Where next_due_at is null, the time after which the schedule is due.';
comment on column htdag.schedules.next_due_at is 'Null until somebody who can read cron has worked it out; infinity when it is due no more.';
comment on column htdag.schedules.skipped_at is 'The first of the times that were passed over last, in keeping with catch_up.';
comment on column htdag.schedules.error is 'Why it cannot be worked out when it is due.';

create table htdag.schedule_ticks (
  schedule_id integer not null,
  due_at      timestamptz not null,
  fired_at    timestamptz not null,
  by_hand     boolean not null,
  run_id      bigint,
  error       text,
  constraint schedule_ticks_pkey primary key (schedule_id, due_at),
  constraint schedule_ticks_schedule_fkey foreign key (schedule_id) references htdag.schedules on delete cascade,
  constraint schedule_ticks_started_or_failed check ((run_id is null) <> (error is null))
);
comment on table htdag.schedule_ticks is 'Times at which schedules were fired, in the last thirty days: each at most once.';
comment on column htdag.schedule_ticks.run_id is 'The run that was started; null where that failed.';
comment on column htdag.schedule_ticks.error is 'Why no run could be started.';

commit;
