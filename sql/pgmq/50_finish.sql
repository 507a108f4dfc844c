-- Finishing: deleting messages, or moving them to the archive.
--
-- A message id is all it takes: as in PGMQ there is no receipt, so a consumer
-- whose time has run out still deletes a message that another is working on.

create or replace function pgmq.delete(queue_name text, msg_ids bigint[])
returns setof bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query execute pgmq.in_order(cardinality(msg_ids), 'msg_id', format(
    'delete from pgmq.%I m where m.msg_id = any ($1) returning m.msg_id',
    pgmq.format_table_name(queue_name, 'q')))
    using msg_ids;
end;
$$;
comment on function pgmq.delete(text, bigint[]) is 'Deletes messages. Returns the ids of those that existed.';

create or replace function pgmq.delete(queue_name text, msg_id bigint)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_count bigint;
begin
  execute format('delete from pgmq.%I m where m.msg_id = $1', pgmq.format_table_name(queue_name, 'q'))
    using msg_id;
  get diagnostics v_count = row_count;
  return v_count > 0;
end;
$$;
comment on function pgmq.delete(text, bigint) is 'Deletes a message. True if it existed.';

create or replace function pgmq.archive(queue_name text, msg_ids bigint[])
returns setof bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query execute format(
    $dml$
    with gone as (
      delete from pgmq.%1$I m
       where m.msg_id = any ($1)
      returning m.msg_id, m.read_ct, m.enqueued_at, m.last_read_at, m.vt, m.message, m.headers
    )
    insert into pgmq.%2$I (msg_id, read_ct, enqueued_at, last_read_at, vt, message, headers)
    select * from gone order by msg_id
    returning msg_id
    $dml$,
    pgmq.format_table_name(queue_name, 'q'), pgmq.format_table_name(queue_name, 'a'))
    using msg_ids;
end;
$$;
comment on function pgmq.archive(text, bigint[]) is
  'Moves messages to the archive as they are. Returns the ids of those that existed.';

create or replace function pgmq.archive(queue_name text, msg_id bigint)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
begin
  return exists (select from pgmq.archive(queue_name, array[msg_id]));
end;
$$;
comment on function pgmq.archive(text, bigint) is 'Moves a message to the archive as it is. True if it existed.';
