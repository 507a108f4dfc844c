-- The schema, its record types and the register of queues.
--
-- Each queue is two tables of its own, as in PGMQ: q_<name> holds what is to be
-- done, a_<name> what was archived. Their layout is PGMQ's, so that tools that
-- read the tables find what they expect; see pgmq.create_queue_tables.

create schema if not exists pgmq;
comment on schema pgmq is 'htdag: message queues with the SQL interface of PGMQ, for servers without the extension.';

-- Attribute order is part of the interface: clients read records by position.
do $$
begin
  if pg_catalog.to_regtype('pgmq.message_record') is null then
    create type pgmq.message_record as (
      msg_id       bigint,
      read_ct      integer,
      enqueued_at  timestamptz,
      last_read_at timestamptz,
      vt           timestamptz,
      message      jsonb,
      headers      jsonb
    );
  end if;

  if pg_catalog.to_regtype('pgmq.queue_record') is null then
    create type pgmq.queue_record as (
      queue_name     varchar,
      is_partitioned boolean,
      is_unlogged    boolean,
      created_at     timestamptz
    );
  end if;

  if pg_catalog.to_regtype('pgmq.metrics_result') is null then
    create type pgmq.metrics_result as (
      queue_name           text,
      queue_length         bigint,
      newest_msg_age_sec   integer,
      oldest_msg_age_sec   integer,
      total_messages       bigint,
      scrape_time          timestamptz,
      queue_visible_length bigint
    );
  end if;
end;
$$;

comment on type pgmq.message_record is 'A message as the reading functions return it.';
comment on type pgmq.queue_record is 'A queue as list_queues returns it.';
comment on type pgmq.metrics_result is 'Counts and ages of one queue; ages are whole seconds, null for an empty queue.';

create table if not exists pgmq.meta (
  queue_name     varchar not null,
  is_partitioned boolean not null,
  is_unlogged    boolean not null,
  created_at     timestamptz not null default now(),
  constraint meta_queue_name_unique unique (queue_name)
);
comment on table pgmq.meta is 'One row per queue, under the name it was created with; its tables have the name in lower case.';

create or replace function pgmq.htdag_version()
returns text
language sql
immutable
parallel safe
set search_path = ''
as $$
  select '1.11+htdag.1'
$$;
comment on function pgmq.htdag_version() is
  'Marks this schema as htdag''s: the version of PGMQ whose interface it answers, then our own edition.';
