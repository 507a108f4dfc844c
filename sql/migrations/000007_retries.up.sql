-- Retries of ended runs, and what failed for good.

begin;

create table htdag.retries (
  run_id      bigint not null,
  epoch       smallint not null,
  retried_at  timestamptz not null,
  retried_by  text not null,
  from_steps  text[],
  was_state   text not null,
  was_error   text,
  ended_at    timestamptz not null,
  constraint retries_pkey primary key (run_id, epoch)
);
comment on table htdag.retries is 'Each time an ended run was taken up again.';
comment on column htdag.retries.epoch is 'Epoch that the retry began.';
comment on column htdag.retries.from_steps is 'Steps that were named, which no memo may answer for; null where it was what had failed.';
comment on column htdag.retries.was_state is 'How the run had ended.';

create table htdag.dead_tasks (
  run_id     bigint not null,
  flow_id    integer not null,
  step_no    smallint not null,
  map_index  integer not null,
  epoch      smallint not null,
  attempts   integer not null,
  died_at    timestamptz not null,
  retried_at timestamptz,
  code       text,
  error      text not null,
  item       jsonb,
  constraint dead_tasks_pkey primary key (run_id, step_no, map_index)
);
create index dead_tasks_flow_idx on htdag.dead_tasks (flow_id, died_at);
comment on table htdag.dead_tasks is 'Steps, and elements of map steps, that failed for good: kept until a retry of them succeeds, their run goes or somebody discards them.';
comment on column htdag.dead_tasks.map_index is 'Element of a map step, -1 where it could not be opened at all; 0 for other steps.';
comment on column htdag.dead_tasks.attempts is 'Tries in that epoch.';
comment on column htdag.dead_tasks.retried_at is 'When its run was taken up again to do it once more; null while nobody has.';
comment on column htdag.dead_tasks.item is 'The element, since map_items are cleared away; the input is in run_io.';

create index runs_failed_idx on htdag.runs (flow_id, finished_at) where state = 'failed' and parent_run_id is null;
do $$
declare
  v_index record;
begin
  for v_index in
    select c.relname as is_now, t.relname || '_failed_idx' as to_be
      from pg_catalog.pg_inherits h
      join pg_catalog.pg_class c on c.oid = h.inhrelid
      join pg_catalog.pg_index i on i.indexrelid = c.oid
      join pg_catalog.pg_class t on t.oid = i.indrelid
     where h.inhparent = 'htdag.runs_failed_idx'::regclass
  loop
    execute format('alter index htdag.%I rename to %I', v_index.is_now, v_index.to_be);
  end loop;
end;
$$;

commit;
