-- Reading: the oldest visible messages, hidden from others for a while.
--
-- A reader walks the primary key from the oldest message and locks what is
-- visible and not being taken by another; a second statement then marks what it
-- has locked. Two statements, not one: an empty queue costs half as much to
-- look into, and the second, with a snapshot of its own, cannot miss a message
-- that was changed just before it was locked. The clock is read once: calling
-- it for each row would only make the walk slower.

create or replace function pgmq.lock_visible(
  p_queue_table text,
  p_now         timestamptz,
  p_qty         integer,
  p_conditional jsonb
)
returns bigint[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_msg_ids bigint[];
begin
  execute format(
    $query$
    select array(
             select q.msg_id
               from pgmq.%I q
              where q.vt <= $1
                and ($3 is null or $3 = '{}' or q.message @> $3)
              order by q.msg_id
              limit $2
                for update skip locked)
    $query$,
    p_queue_table)
    into v_msg_ids
    using p_now, p_qty, p_conditional;
  return v_msg_ids;
end;
$$;
comment on function pgmq.lock_visible(text, timestamptz, integer, jsonb) is
  'Locks up to p_qty messages of a queue''s table that are visible at p_now and not locked, oldest first, and returns their ids. Null takes all.';

create or replace function pgmq.mark_read_statement(
  p_queue_table text,
  p_count       integer,
  p_order       text default 'msg_id'
)
returns text
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return pgmq.in_order(p_count, p_order, format(
    $dml$
    update pgmq.%I m
       set vt           = $2,
           read_ct      = m.read_ct + 1,
           last_read_at = $1
     where m.msg_id = any ($3)
    returning m.msg_id, m.read_ct, m.enqueued_at, m.last_read_at, m.vt, m.message, m.headers
    $dml$,
    p_queue_table));
end;
$$;
comment on function pgmq.mark_read_statement(text, integer, text) is
  'The statement that counts a read at $1 of the p_count messages $3, hides them until $2 and returns them, oldest first.';

create or replace function pgmq.read(
  queue_name  text,
  vt          integer,
  qty         integer,
  conditional jsonb default '{}'
)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_queue   constant text := pgmq.format_table_name(queue_name, 'q');
  v_now     constant timestamptz := clock_timestamp();
  v_msg_ids constant bigint[] := pgmq.lock_visible(v_queue, v_now, qty, conditional);
begin
  if v_msg_ids <> '{}' then
    return query execute pgmq.mark_read_statement(v_queue, cardinality(v_msg_ids))
      using v_now, v_now + make_interval(secs => vt), v_msg_ids;
  end if;
end;
$$;
comment on function pgmq.read(text, integer, integer, jsonb) is
  'Takes up to qty visible messages, oldest first, and hides them for vt seconds; conditional takes only messages that contain it.';

create or replace function pgmq.read(
  queue_name  text,
  vt          timestamptz,
  qty         integer,
  conditional jsonb default '{}'
)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_queue   constant text := pgmq.format_table_name(queue_name, 'q');
  v_now     constant timestamptz := clock_timestamp();
  v_msg_ids constant bigint[] := pgmq.lock_visible(v_queue, v_now, qty, conditional);
begin
  if v_msg_ids <> '{}' then
    return query execute pgmq.mark_read_statement(v_queue, cardinality(v_msg_ids)) using v_now, vt, v_msg_ids;
  end if;
end;
$$;
comment on function pgmq.read(text, timestamptz, integer, jsonb) is
  'Takes up to qty visible messages, oldest first, and hides them until vt; conditional takes only messages that contain it.';

-- Clients that leave the types of their arguments to the server cannot choose
-- between the two forms above; unknown types prefer text.
create or replace function pgmq.read(
  queue_name  text,
  vt          text,
  qty         integer,
  conditional jsonb default '{}'
)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query select * from pgmq.read(queue_name, pgmq.visible_at(vt), qty, conditional);
end;
$$;
comment on function pgmq.read(text, text, integer, jsonb) is
  'Read for callers that give vt without a type: whole seconds, or a time.';

create or replace function pgmq.visible_at(p_vt text)
returns timestamptz
language plpgsql
volatile
set search_path = ''
as $$
begin
  return case when p_vt ~ '^\s*[-+]?\d+\s*$'
              then clock_timestamp() + make_interval(secs => p_vt::integer)
              else p_vt::timestamptz
         end;
end;
$$;
comment on function pgmq.visible_at(text) is 'The time that a vt without a type stands for: whole seconds from now, or a time.';

create or replace function pgmq.read_with_poll(
  queue_name       text,
  vt               integer,
  qty              integer,
  max_poll_seconds integer default 5,
  poll_interval_ms integer default 100,
  conditional      jsonb default '{}'
)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_queue   constant text := pgmq.format_table_name(queue_name, 'q');
  v_until   constant timestamptz := clock_timestamp() + make_interval(secs => coalesce(max_poll_seconds, 5));
  v_pause   constant interval := make_interval(secs => greatest(coalesce(poll_interval_ms, 100), 1) / 1000.0);
  v_now     timestamptz;
  v_msg_ids bigint[];
begin
  loop
    v_now := clock_timestamp();
    v_msg_ids := pgmq.lock_visible(v_queue, v_now, qty, conditional);
    exit when v_msg_ids <> '{}' or v_now >= v_until;
    perform pg_sleep_for(least(v_pause, v_until - v_now));
  end loop;

  if v_msg_ids <> '{}' then
    return query execute pgmq.mark_read_statement(v_queue, cardinality(v_msg_ids))
      using v_now, v_now + make_interval(secs => vt), v_msg_ids;
  end if;
end;
$$;
comment on function pgmq.read_with_poll(text, integer, integer, integer, integer, jsonb) is
  'As read; while there is nothing to read it looks again every poll_interval_ms, for up to max_poll_seconds.';

create or replace function pgmq.pop(queue_name text, qty integer default 1)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_queue   constant text := pgmq.format_table_name(queue_name, 'q');
  v_msg_ids constant bigint[] := pgmq.lock_visible(v_queue, clock_timestamp(), qty, null);
begin
  if v_msg_ids <> '{}' then
    return query execute pgmq.in_order(cardinality(v_msg_ids), 'msg_id', format(
      $dml$
      delete from pgmq.%I m
       where m.msg_id = any ($1)
      returning m.msg_id, m.read_ct, m.enqueued_at, m.last_read_at, m.vt, m.message, m.headers
      $dml$,
      v_queue))
      using v_msg_ids;
  end if;
end;
$$;
comment on function pgmq.pop(text, integer) is
  'Takes up to qty visible messages, oldest first, and deletes them: what the caller then fails to do is not offered again.';

create or replace function pgmq.set_vt(queue_name text, msg_ids bigint[], vt timestamptz)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query execute pgmq.in_order(cardinality(msg_ids), 'msg_id', format(
    $dml$
    update pgmq.%I m
       set vt = $2
     where m.msg_id = any ($1)
    returning m.msg_id, m.read_ct, m.enqueued_at, m.last_read_at, m.vt, m.message, m.headers
    $dml$,
    pgmq.format_table_name(queue_name, 'q')))
    using msg_ids, vt;
end;
$$;
comment on function pgmq.set_vt(text, bigint[], timestamptz) is
  'Makes messages visible from vt, whoever holds them. Returns those that exist.';

create or replace function pgmq.set_vt(queue_name text, msg_ids bigint[], vt integer)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select * from pgmq.set_vt(queue_name, msg_ids, clock_timestamp() + make_interval(secs => vt));
end;
$$;
comment on function pgmq.set_vt(text, bigint[], integer) is
  'Makes messages visible vt seconds from now, whoever holds them. Returns those that exist.';

create or replace function pgmq.set_vt(queue_name text, msg_id bigint, vt timestamptz)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query select * from pgmq.set_vt(queue_name, array[msg_id], vt);
end;
$$;
comment on function pgmq.set_vt(text, bigint, timestamptz) is
  'Makes a message visible from vt, whoever holds it. Returns it, or nothing where it does not exist.';

create or replace function pgmq.set_vt(queue_name text, msg_id bigint, vt integer)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select * from pgmq.set_vt(queue_name, array[msg_id], clock_timestamp() + make_interval(secs => vt));
end;
$$;
comment on function pgmq.set_vt(text, bigint, integer) is
  'Makes a message visible vt seconds from now, whoever holds it. Returns it, or nothing where it does not exist.';

create or replace function pgmq.set_vt(queue_name text, msg_id text, vt text)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select * from pgmq.set_vt(queue_name, array[msg_id::bigint], pgmq.visible_at(vt));
end;
$$;
comment on function pgmq.set_vt(text, text, text) is
  'Set_vt for callers that give a message id and a time without types: whole seconds, or a time.';
