-- Sending: one message or many, with or without headers and delay.
--
-- The forms that take a time do the work; the others name their defaults. A
-- message is part of the caller's transaction: it is seen when that commits.

create or replace function pgmq.send(
  queue_name text,
  msg        jsonb,
  headers    jsonb,
  delay      timestamptz
)
returns setof bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query execute format(
    'insert into pgmq.%I (vt, message, headers) values ($1, $2, $3) returning msg_id',
    pgmq.format_table_name(queue_name, 'q'))
    using delay, msg, headers;
end;
$$;
comment on function pgmq.send(text, jsonb, jsonb, timestamptz) is
  'Puts a message with headers into a queue, visible from the given time. Returns its id.';

create or replace function pgmq.send(queue_name text, msg jsonb)
returns setof bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query select pgmq.send(queue_name, msg, null::jsonb, clock_timestamp());
end;
$$;
comment on function pgmq.send(text, jsonb) is 'Puts a message into a queue. Returns its id.';

create or replace function pgmq.send(queue_name text, msg jsonb, headers jsonb)
returns setof bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query select pgmq.send(queue_name, msg, headers, clock_timestamp());
end;
$$;
comment on function pgmq.send(text, jsonb, jsonb) is 'Puts a message with headers into a queue. Returns its id.';

create or replace function pgmq.send(queue_name text, msg jsonb, delay integer)
returns setof bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select pgmq.send(queue_name, msg, null::jsonb, clock_timestamp() + make_interval(secs => delay));
end;
$$;
comment on function pgmq.send(text, jsonb, integer) is
  'Puts a message into a queue, visible after delay seconds. Returns its id.';

create or replace function pgmq.send(queue_name text, msg jsonb, delay timestamptz)
returns setof bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query select pgmq.send(queue_name, msg, null::jsonb, delay);
end;
$$;
comment on function pgmq.send(text, jsonb, timestamptz) is
  'Puts a message into a queue, visible from the given time. Returns its id.';

create or replace function pgmq.send(queue_name text, msg jsonb, headers jsonb, delay integer)
returns setof bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select pgmq.send(queue_name, msg, headers, clock_timestamp() + make_interval(secs => delay));
end;
$$;
comment on function pgmq.send(text, jsonb, jsonb, integer) is
  'Puts a message with headers into a queue, visible after delay seconds. Returns its id.';

create or replace function pgmq.check_batch(p_msgs jsonb[], p_headers jsonb[])
returns void
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  if coalesce(cardinality(p_msgs), 0) = 0 then
    raise exception 'msgs cannot be NULL or empty';
  end if;
  if cardinality(p_headers) <> cardinality(p_msgs) then
    raise exception 'headers array length (%) must match msgs array length (%)',
      cardinality(p_headers), cardinality(p_msgs);
  end if;
end;
$$;
comment on function pgmq.check_batch(jsonb[], jsonb[]) is
  'Raises on an empty batch, and on headers that are not one for each message; NULL stands for no headers.';

create or replace function pgmq.send_batch(
  queue_name text,
  msgs       jsonb[],
  headers    jsonb[],
  delay      timestamptz
)
returns setof bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform pgmq.check_batch(msgs, headers);
  return query execute format(
    $dml$
    insert into pgmq.%I (vt, message, headers)
    select $1, b.message, b.headers
      from unnest($2, $3) as b (message, headers)
    returning msg_id
    $dml$,
    pgmq.format_table_name(queue_name, 'q'))
    using delay, msgs, headers;
end;
$$;
comment on function pgmq.send_batch(text, jsonb[], jsonb[], timestamptz) is
  'Puts messages with their headers into a queue, visible from the given time. Returns their ids, ascending, in array order.';

create or replace function pgmq.send_batch(queue_name text, msgs jsonb[])
returns setof bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query select pgmq.send_batch(queue_name, msgs, null::jsonb[], clock_timestamp());
end;
$$;
comment on function pgmq.send_batch(text, jsonb[]) is 'Puts messages into a queue. Returns their ids in array order.';

create or replace function pgmq.send_batch(queue_name text, msgs jsonb[], headers jsonb[])
returns setof bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query select pgmq.send_batch(queue_name, msgs, headers, clock_timestamp());
end;
$$;
comment on function pgmq.send_batch(text, jsonb[], jsonb[]) is
  'Puts messages with their headers into a queue. Returns their ids in array order.';

create or replace function pgmq.send_batch(queue_name text, msgs jsonb[], delay integer)
returns setof bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select pgmq.send_batch(queue_name, msgs, null::jsonb[], clock_timestamp() + make_interval(secs => delay));
end;
$$;
comment on function pgmq.send_batch(text, jsonb[], integer) is
  'Puts messages into a queue, visible after delay seconds. Returns their ids in array order.';

create or replace function pgmq.send_batch(queue_name text, msgs jsonb[], delay timestamptz)
returns setof bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query select pgmq.send_batch(queue_name, msgs, null::jsonb[], delay);
end;
$$;
comment on function pgmq.send_batch(text, jsonb[], timestamptz) is
  'Puts messages into a queue, visible from the given time. Returns their ids in array order.';

create or replace function pgmq.send_batch(queue_name text, msgs jsonb[], headers jsonb[], delay integer)
returns setof bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select pgmq.send_batch(queue_name, msgs, headers, clock_timestamp() + make_interval(secs => delay));
end;
$$;
comment on function pgmq.send_batch(text, jsonb[], jsonb[], integer) is
  'Puts messages with their headers into a queue, visible after delay seconds. Returns their ids in array order.';
