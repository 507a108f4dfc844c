-- Groups: messages that share header x-pgmq-group are read in the order in
-- which they were sent; messages without the header share one group.
--
-- A group is open while its oldest message is visible, and gives its messages up
-- to the first that is invisible or that another transaction holds. So whoever
-- has locked the oldest has the group: a reader that finds it locked, or changed
-- since its statement began, goes on to the next group.
--
-- Lock order: messages, group after group and by age within a group, always with
-- skip locked.

create or replace function pgmq.open_groups_statement(p_queue_table text)
returns text
language plpgsql
stable
set search_path = ''
as $$
begin
  -- With the index, the first message of each group is one probe; without it,
  -- one pass over the queue finds them all.
  if to_regclass(format('pgmq.%I', p_queue_table || '_fifo_idx')) is not null then
    return format(
      $query$
      with recursive heads as (
        (select coalesce(q.headers ->> 'x-pgmq-group', '_default_fifo_group') as name, q.msg_id, q.vt
           from pgmq.%1$I q
          order by 1, 2
          limit 1)
        union all
        select n.*
          from heads h
         cross join lateral (
               select coalesce(q.headers ->> 'x-pgmq-group', '_default_fifo_group'), q.msg_id, q.vt
                 from pgmq.%1$I q
                where coalesce(q.headers ->> 'x-pgmq-group', '_default_fifo_group') > h.name
                order by 1, 2
                limit 1) n
      )
      select h.name from heads h where h.vt <= $1 order by h.msg_id
      $query$,
      p_queue_table);
  end if;

  return format(
    $query$
    select h.name
      from (select distinct on (1)
                   coalesce(q.headers ->> 'x-pgmq-group', '_default_fifo_group') as name, q.msg_id, q.vt
              from pgmq.%I q
             order by 1, 2) h
     where h.vt <= $1
     order by h.msg_id
    $query$,
    p_queue_table);
end;
$$;
comment on function pgmq.open_groups_statement(text) is
  'The statement that lists the groups of a queue whose oldest message is visible at $1, by age of that message.';

create or replace function pgmq.lock_front(
  p_queue_table text,
  p_group       text,
  p_now         timestamptz,
  p_qty         integer
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
    with front as materialized (
      select m.msg_id, bool_and(m.vt <= $2) over (order by m.msg_id) as visible
        from (select q.msg_id, q.vt
                from pgmq.%1$I q
               where coalesce(q.headers ->> 'x-pgmq-group', '_default_fifo_group') = $1
               order by q.msg_id
               limit $3) m
    ), locked as materialized (
      select q.msg_id
        from pgmq.%1$I q
       where q.msg_id = any (array(select f.msg_id from front f where f.visible))
         and q.vt <= $2
       order by q.msg_id
         for update skip locked
    ), held as (
      select f.msg_id, bool_and(l.msg_id is not null) over (order by f.msg_id) as unbroken
        from front f
        left join locked l on l.msg_id = f.msg_id
    )
    select array(select h.msg_id from held h where h.unbroken order by h.msg_id)
    $query$,
    p_queue_table)
    into v_msg_ids
    using p_group, p_now, p_qty;
  return v_msg_ids;
end;
$$;
comment on function pgmq.lock_front(text, text, timestamptz, integer) is
  'Locks up to p_qty messages at the front of a group, as far as they are visible and free, and returns their ids in order.';

create or replace function pgmq.lock_grouped(
  p_queue_table text,
  p_now         timestamptz,
  p_qty         integer,
  p_per_group   integer,
  p_layered     boolean
)
returns bigint[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_group   text;
  v_front   bigint[];
  v_msg_ids bigint[]  := '{}';
  v_layers  integer[] := '{}';
  v_taken   integer   := 0;
begin
  -- A loop, since only a try shows which groups are free, and so how many it takes.
  -- In layers each group that is held gives one message at least.
  for v_group in execute pgmq.open_groups_statement(p_queue_table) using p_now loop
    exit when v_taken >= p_qty;
    v_front   := pgmq.lock_front(p_queue_table, v_group, p_now, least(p_per_group, p_qty - v_taken));
    v_msg_ids := v_msg_ids || v_front;
    v_layers  := v_layers || array(select generate_subscripts(v_front, 1));
    v_taken   := case when p_layered then v_taken + least(cardinality(v_front), 1) else cardinality(v_msg_ids) end;
  end loop;

  return array(
    select m.msg_id
      from unnest(v_msg_ids, v_layers) with ordinality as m (msg_id, layer, position)
     order by case when p_layered then m.layer end, m.position
     limit p_qty);
end;
$$;
comment on function pgmq.lock_grouped(text, timestamptz, integer, integer, boolean) is
  'Locks up to p_qty messages at the front of groups, group after group or one of each in turn, and returns their ids in that order.';

create or replace function pgmq.read_groups(
  p_queue_name text,
  p_vt         integer,
  p_qty        integer,
  p_per_group  integer,
  p_layered    boolean
)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_queue   constant text := pgmq.format_table_name(p_queue_name, 'q');
  v_now     constant timestamptz := clock_timestamp();
  v_msg_ids constant bigint[] := pgmq.lock_grouped(v_queue, v_now, p_qty, p_per_group, p_layered);
begin
  if v_msg_ids <> '{}' then
    return query execute pgmq.mark_read_statement(v_queue, cardinality(v_msg_ids), 'array_position($3, msg_id)')
      using v_now, v_now + make_interval(secs => p_vt), v_msg_ids;
  end if;
end;
$$;
comment on function pgmq.read_groups(text, integer, integer, integer, boolean) is
  'Takes up to p_qty messages, at most p_per_group of a group (null for all), group after group or layer by layer.';

create or replace function pgmq.poll_groups(
  p_queue_name       text,
  p_vt               integer,
  p_qty              integer,
  p_per_group        integer,
  p_layered          boolean,
  p_max_poll_seconds integer,
  p_poll_interval_ms integer
)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_until constant timestamptz := clock_timestamp() + make_interval(secs => coalesce(p_max_poll_seconds, 5));
  v_pause constant interval := make_interval(secs => greatest(coalesce(p_poll_interval_ms, 100), 1) / 1000.0);
begin
  loop
    return query select * from pgmq.read_groups(p_queue_name, p_vt, p_qty, p_per_group, p_layered);
    exit when found or clock_timestamp() >= v_until;
    perform pg_sleep_for(least(v_pause, v_until - clock_timestamp()));
  end loop;
end;
$$;
comment on function pgmq.poll_groups(text, integer, integer, integer, boolean, integer, integer) is
  'As read_groups; while there is nothing to read it looks again, for up to p_max_poll_seconds.';

create or replace function pgmq.read_grouped(queue_name text, vt integer, qty integer)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query select * from pgmq.read_groups(queue_name, vt, qty, null, false);
end;
$$;
comment on function pgmq.read_grouped(text, integer, integer) is
  'Takes up to qty messages in the order of their groups, all it can from the group with the oldest message, then the next.';

create or replace function pgmq.read_grouped_with_poll(
  queue_name       text,
  vt               integer,
  qty              integer,
  max_poll_seconds integer default 5,
  poll_interval_ms integer default 100
)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select * from pgmq.poll_groups(queue_name, vt, qty, null, false, max_poll_seconds, poll_interval_ms);
end;
$$;
comment on function pgmq.read_grouped_with_poll(text, integer, integer, integer, integer) is
  'As read_grouped; while there is nothing to read it looks again every poll_interval_ms, for up to max_poll_seconds.';

create or replace function pgmq.read_grouped_rr(queue_name text, vt integer, qty integer)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query select * from pgmq.read_groups(queue_name, vt, qty, null, true);
end;
$$;
comment on function pgmq.read_grouped_rr(text, integer, integer) is
  'Takes up to qty messages in the order of their groups, the first of each group, then the second of each, and so on.';

create or replace function pgmq.read_grouped_rr_with_poll(
  queue_name       text,
  vt               integer,
  qty              integer,
  max_poll_seconds integer default 5,
  poll_interval_ms integer default 100
)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select * from pgmq.poll_groups(queue_name, vt, qty, null, true, max_poll_seconds, poll_interval_ms);
end;
$$;
comment on function pgmq.read_grouped_rr_with_poll(text, integer, integer, integer, integer) is
  'As read_grouped_rr; while there is nothing to read it looks again every poll_interval_ms, for up to max_poll_seconds.';

create or replace function pgmq.read_grouped_head(queue_name text, vt integer, qty integer)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query select * from pgmq.read_groups(queue_name, vt, qty, 1, false);
end;
$$;
comment on function pgmq.read_grouped_head(text, integer, integer) is
  'Takes the oldest message of each of up to qty groups.';

create or replace function pgmq.read_grouped_head_with_poll(
  queue_name       text,
  vt               integer,
  qty              integer,
  max_poll_seconds integer default 5,
  poll_interval_ms integer default 100
)
returns setof pgmq.message_record
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select * from pgmq.poll_groups(queue_name, vt, qty, 1, false, max_poll_seconds, poll_interval_ms);
end;
$$;
comment on function pgmq.read_grouped_head_with_poll(text, integer, integer, integer, integer) is
  'As read_grouped_head; while there is nothing to read it looks again every poll_interval_ms, for up to max_poll_seconds.';

-- Headers never change, so this index costs a send but no read.
create or replace function pgmq.create_fifo_index(queue_name text)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_queue constant text := pgmq.format_table_name(queue_name, 'q');
begin
  execute format(
    $ddl$
    create index if not exists %I
        on pgmq.%I ((coalesce(headers ->> 'x-pgmq-group', '_default_fifo_group')), msg_id)
    $ddl$,
    v_queue || '_fifo_idx', v_queue);
end;
$$;
comment on function pgmq.create_fifo_index(text) is
  'Indexes the groups of a queue, which the grouped reads then use. Blocks sends to the queue while it builds.';

create or replace function pgmq.create_fifo_indexes_all()
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform pgmq.create_fifo_index(m.queue_name)
     from pgmq.meta m
    order by m.queue_name;
end;
$$;
comment on function pgmq.create_fifo_indexes_all() is 'Indexes the groups of every queue.';
