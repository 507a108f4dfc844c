-- Metrics: how long, how old and how busy queues are.

create or replace function pgmq.metrics(queue_name text)
returns pgmq.metrics_result
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_queue  constant text := pgmq.format_table_name(queue_name, 'q');
  v_result pgmq.metrics_result;
begin
  execute format(
    $query$
    select $1,
           count(*),
           extract(epoch from $2 - max(q.enqueued_at))::integer,
           extract(epoch from $2 - min(q.enqueued_at))::integer,
           coalesce(pg_sequence_last_value(pg_get_serial_sequence(%2$L, 'msg_id')::regclass), 0),
           $2,
           count(*) filter (where q.vt <= $2)
      from pgmq.%1$I q
    $query$,
    v_queue, format('pgmq.%I', v_queue))
    into v_result
    using queue_name, clock_timestamp();
  return v_result;
end;
$$;
comment on function pgmq.metrics(text) is
  'Counts and ages of one queue; total_messages is how many ids were ever given out. Reads the whole queue.';

create or replace function pgmq.metrics_all()
returns setof pgmq.metrics_result
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select r.*
    from pgmq.meta m
   cross join lateral pgmq.metrics(m.queue_name) r
   order by m.queue_name;
end;
$$;
comment on function pgmq.metrics_all() is 'Counts and ages of every queue, by name. Reads every queue whole.';
