-- Queues: naming, creating, listing, emptying and dropping them.
--
-- Every function that touches a queue gets the table's name from
-- format_table_name and puts it into its statement with %I; values travel as
-- parameters. So no text of a caller is ever read as SQL.

create or replace function pgmq.format_table_name(queue_name text, prefix text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  if queue_name is null then
    raise exception 'queue name cannot be NULL'
      using errcode = 'null_value_not_allowed';
  end if;
  if queue_name ~ '[$;'']|--' then
    raise exception 'queue name contains invalid characters: $, ;, --, or \''';
  end if;
  return lower(prefix || '_' || queue_name);
end;
$$;
comment on function pgmq.format_table_name(text, text) is
  'The table of a queue: prefix q for its messages, a for its archive. Raises on names that hold $, ;, -- or a quote.';

create or replace function pgmq.validate_queue_name(queue_name text)
returns void
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  -- Bytes, not characters: longer identifiers are cut, and two queues could
  -- then share a table.
  if octet_length(queue_name) > 47 then
    raise exception 'queue name is too long, maximum length is 47 characters';
  end if;
end;
$$;
comment on function pgmq.validate_queue_name(text) is
  'Raises on a name of more than 47 bytes, the longest for which every table and index name fits.';

create or replace function pgmq.in_order(p_count integer, p_order text, p_statement text)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  -- Ordering a single row would cost a fifth of the whole call, for its planning.
  if p_count = 1 then
    return p_statement;
  end if;
  return format('with changed as (%s) select * from changed order by %s', p_statement, p_order);
end;
$$;
comment on function pgmq.in_order(integer, text, text) is
  'A statement that changes up to p_count rows and returns them, made to return them in order. All text in it is ours, never a caller''s.';

create or replace function pgmq.acquire_queue_lock(queue_name text)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('pgmq queue ' || lower(queue_name), 0));
end;
$$;
comment on function pgmq.acquire_queue_lock(text) is
  'Waits until no other transaction is creating or dropping the queue; holds until this one ends.';

create or replace function pgmq.is_table(p_table_name text)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return exists (
    select
      from pg_class c
     where c.relnamespace = 'pgmq'::regnamespace
       and c.relname = p_table_name
       and c.relkind in ('r', 'p'));
end;
$$;
comment on function pgmq.is_table(text) is
  'Whether schema pgmq has a table of this name; an index of that name is none.';

-- fillfactor leaves room on the page for the one new version that a read makes of
-- each row: at 70, half the updates of a batch of 100 went to another page.
-- Nothing indexes vt, so that version is heap-only: no index is written again.
-- An index on vt would cost each read an entry and could not serve its order.
create or replace function pgmq.create_queue_tables(p_queue_name text, p_unlogged boolean)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_queue   constant text := pgmq.format_table_name(p_queue_name, 'q');
  v_archive constant text := pgmq.format_table_name(p_queue_name, 'a');
begin
  perform pgmq.validate_queue_name(p_queue_name);
  perform pgmq.acquire_queue_lock(p_queue_name);

  if not pgmq.is_table(v_queue) then
    execute format(
      $ddl$
      create %s table pgmq.%I (
        msg_id       bigint generated always as identity primary key,
        read_ct      integer not null default 0,
        enqueued_at  timestamptz not null default now(),
        last_read_at timestamptz,
        vt           timestamptz not null,
        message      jsonb,
        headers      jsonb
      ) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05)
      $ddl$,
      case when p_unlogged then 'unlogged' end, v_queue);
  end if;

  if not pgmq.is_table(v_archive) then
    execute format(
      $ddl$
      create table pgmq.%1$I (
        msg_id       bigint primary key,
        read_ct      integer not null default 0,
        enqueued_at  timestamptz not null default now(),
        last_read_at timestamptz,
        archived_at  timestamptz not null default now(),
        vt           timestamptz not null,
        message      jsonb,
        headers      jsonb
      );
      create index %2$I on pgmq.%1$I (archived_at)
      $ddl$,
      v_archive, lower('archived_at_idx_' || p_queue_name));
  end if;

  insert into pgmq.meta (queue_name, is_partitioned, is_unlogged)
  values (p_queue_name, false, p_unlogged)
      on conflict do nothing;
end;
$$;
comment on function pgmq.create_queue_tables(text, boolean) is
  'Makes the tables of a queue where they are missing and registers it; a queue that exists keeps what it holds.';

create or replace function pgmq.create_non_partitioned(queue_name text)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform pgmq.create_queue_tables(queue_name, false);
end;
$$;
comment on function pgmq.create_non_partitioned(text) is 'Creates a queue unless it exists.';

create or replace function pgmq.create(queue_name text)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform pgmq.create_queue_tables(queue_name, false);
end;
$$;
comment on function pgmq.create(text) is 'Creates a queue unless it exists.';

create or replace function pgmq.create_unlogged(queue_name text)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform pgmq.create_queue_tables(queue_name, true);
end;
$$;
comment on function pgmq.create_unlogged(text) is
  'Creates a queue whose messages, but not its archive, are lost when the server crashes.';

create or replace function pgmq.create_partitioned(
  queue_name         text,
  partition_interval text default '10000',
  retention_interval text default '100000'
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform pgmq.validate_queue_name(queue_name);
  perform pgmq.format_table_name(queue_name, 'q');
  raise exception 'pg_partman is required for partitioned queues'
    using hint = 'Use create or create_unlogged; partitioned queues need the extensions pgmq and pg_partman.';
end;
$$;
comment on function pgmq.create_partitioned(text, text, text) is
  'Always raises: partitioned queues need the extensions pgmq and pg_partman.';

create or replace function pgmq.convert_archive_partitioned(
  table_name         text,
  partition_interval text default '10000',
  retention_interval text default '100000',
  leading_partition  integer default 10
)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform pgmq.format_table_name(table_name, 'a');
  raise exception 'pg_partman is required for partitioned queues'
    using hint = 'The archive stays as it is; partitioned archives need the extensions pgmq and pg_partman.';
end;
$$;
comment on function pgmq.convert_archive_partitioned(text, text, text, integer) is
  'Always raises: partitioned archives need the extensions pgmq and pg_partman.';

create or replace function pgmq.detach_archive(queue_name text)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  raise warning 'detach_archive(queue_name) is deprecated and does nothing: archive tables belong to no extension';
end;
$$;
comment on function pgmq.detach_archive(text) is 'Does nothing but warn; kept for clients that call it.';

create or replace function pgmq.drop_queue(queue_name text)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_queue   constant text := pgmq.format_table_name(queue_name, 'q');
  v_archive constant text := pgmq.format_table_name(queue_name, 'a');
begin
  perform pgmq.acquire_queue_lock(queue_name);

  if not pgmq.is_table(v_queue) then
    raise notice 'pgmq queue `%` does not exist', queue_name;
    return false;
  end if;

  execute format('drop table pgmq.%I', v_queue);
  execute format('drop table if exists pgmq.%I', v_archive);
  -- Names that differ only in case share their tables, and so go together.
  delete from pgmq.meta m where lower(m.queue_name) = lower(drop_queue.queue_name);
  return true;
end;
$$;
comment on function pgmq.drop_queue(text) is
  'Drops a queue with its archive. False, with a notice, where there is none.';

create or replace function pgmq.drop_queue(queue_name text, partitioned boolean)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
begin
  raise warning 'drop_queue(queue_name, partitioned) is deprecated and will be removed in PGMQ v2.0. Use drop_queue(queue_name) instead';
  return pgmq.drop_queue(queue_name);
end;
$$;
comment on function pgmq.drop_queue(text, boolean) is 'Deprecated form of drop_queue(queue_name); the second argument is not read.';

create or replace function pgmq.list_queues()
returns setof pgmq.queue_record
language sql
stable
set search_path = ''
as $$
  select m.queue_name, m.is_partitioned, m.is_unlogged, m.created_at
    from pgmq.meta m
   order by m.queue_name
$$;
comment on function pgmq.list_queues() is 'Every queue, by name.';

-- The lock comes before the count, so that no message goes uncounted.
create or replace function pgmq.purge_queue(queue_name text)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_queue constant text := pgmq.format_table_name(queue_name, 'q');
  v_count bigint;
begin
  execute format('lock table pgmq.%I in access exclusive mode', v_queue);
  execute format('select count(*) from pgmq.%I', v_queue) into v_count;
  execute format('truncate table pgmq.%I', v_queue);
  return v_count;
end;
$$;
comment on function pgmq.purge_queue(text) is
  'Deletes every message of a queue and returns how many there were; ids go on from where they were.';
