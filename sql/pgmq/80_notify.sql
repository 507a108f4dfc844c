-- Notification: waking listeners when messages arrive.
--
-- LISTEN "pgmq.q_<queue>.INSERT". A notification is a hint without a payload;
-- polling is what finds the messages. The trigger waits for the end of the
-- sender's transaction, so that the throttle's row is locked for no longer than
-- the commit takes, and a sender that finds it locked leaves it: the other one
-- is notifying.

create unlogged table if not exists pgmq.notify_insert_throttle (
  queue_name           varchar not null,
  throttle_interval_ms integer not null default 0,
  last_notified_at     timestamptz not null default to_timestamp(0),
  constraint notify_insert_throttle_pkey primary key (queue_name),
  constraint notify_insert_throttle_queue_fkey foreign key (queue_name)
             references pgmq.meta (queue_name) on delete cascade,
  constraint notify_insert_throttle_interval_not_negative check (throttle_interval_ms >= 0)
);
comment on table pgmq.notify_insert_throttle is
  'The queues that notify. A crash empties it; a queue that has its trigger but no row notifies without throttle.';

create or replace function pgmq.notify_queue_listeners()
returns trigger
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now      constant timestamptz := clock_timestamp();
  v_throttle pgmq.notify_insert_throttle;
begin
  -- The first message of a transaction decides for all that it sends to the queue.
  if current_setting('pgmq.notified', true) = tg_relid::text then
    return null;
  end if;
  perform set_config('pgmq.notified', tg_relid::text, true);

  select * into v_throttle
    from pgmq.notify_insert_throttle t
   where t.queue_name = tg_argv[0];

  if v_throttle.throttle_interval_ms > 0 then
    update pgmq.notify_insert_throttle t
       set last_notified_at = v_now
     where t.queue_name = (
             select d.queue_name
               from pgmq.notify_insert_throttle d
              where d.queue_name = tg_argv[0]
                and d.last_notified_at <= v_now - make_interval(secs => d.throttle_interval_ms / 1000.0)
              order by d.queue_name
                for no key update skip locked);
    if not found then
      return null;
    end if;
  end if;

  perform pg_notify('pgmq.' || tg_table_name || '.' || tg_op, null);
  return null;
end;
$$;
comment on function pgmq.notify_queue_listeners() is
  'Trigger of queues that notify: one notification for a transaction, and for the throttle''s interval.';

create or replace function pgmq.enable_notify_insert(queue_name text, throttle_interval_ms integer default 250)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_queue constant text := pgmq.format_table_name(queue_name, 'q');
begin
  perform pgmq.acquire_queue_lock(queue_name);
  perform pgmq.check_notify_insert(queue_name, throttle_interval_ms);

  insert into pgmq.notify_insert_throttle as t (queue_name, throttle_interval_ms)
  values (enable_notify_insert.queue_name, enable_notify_insert.throttle_interval_ms)
      on conflict on constraint notify_insert_throttle_pkey do update
     set throttle_interval_ms = excluded.throttle_interval_ms,
         last_notified_at     = to_timestamp(0);

  execute format('drop trigger if exists trigger_notify_queue_insert_listeners on pgmq.%I', v_queue);
  execute format(
    $ddl$
    create constraint trigger trigger_notify_queue_insert_listeners
     after insert on pgmq.%I
           deferrable initially deferred
       for each row execute function pgmq.notify_queue_listeners(%L)
    $ddl$,
    v_queue, queue_name);
end;
$$;
comment on function pgmq.enable_notify_insert(text, integer) is
  'Notifies channel pgmq.q_<queue>.INSERT when messages are sent, at most once in throttle_interval_ms; 0 for no throttle.';

create or replace function pgmq.check_notify_insert(p_queue_name text, p_throttle_interval_ms integer)
returns void
language plpgsql
stable
set search_path = ''
as $$
begin
  if p_throttle_interval_ms is null or p_throttle_interval_ms < 0 then
    raise exception 'throttle_interval_ms must be non-negative, got: %', coalesce(p_throttle_interval_ms::text, 'NULL');
  end if;
  if not exists (select from pgmq.meta m where m.queue_name = p_queue_name) then
    raise exception 'queue "%" does not exist', p_queue_name
      using hint = 'Create the queue first with pgmq.create().';
  end if;
end;
$$;
comment on function pgmq.check_notify_insert(text, integer) is 'Raises on an unknown queue and on a throttle that is negative or null.';

create or replace function pgmq.update_notify_insert(queue_name text, throttle_interval_ms integer)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform pgmq.check_notify_insert(queue_name, throttle_interval_ms);
  update pgmq.notify_insert_throttle t
     set throttle_interval_ms = update_notify_insert.throttle_interval_ms,
         last_notified_at     = to_timestamp(0)
   where t.queue_name = update_notify_insert.queue_name;
  if not found then
    raise exception 'queue "%" does not notify of inserts', queue_name
      using hint = 'Enable it first with pgmq.enable_notify_insert().';
  end if;
end;
$$;
comment on function pgmq.update_notify_insert(text, integer) is 'Changes how often a queue that notifies may notify.';

create or replace function pgmq.disable_notify_insert(queue_name text)
returns void
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_queue constant text := pgmq.format_table_name(queue_name, 'q');
begin
  perform pgmq.acquire_queue_lock(queue_name);
  execute format('drop trigger if exists trigger_notify_queue_insert_listeners on pgmq.%I', v_queue);
  delete from pgmq.notify_insert_throttle t where t.queue_name = disable_notify_insert.queue_name;
end;
$$;
comment on function pgmq.disable_notify_insert(text) is 'Sends no more notifications for a queue.';

create or replace function pgmq.list_notify_insert_throttles()
returns table (queue_name text, throttle_interval_ms integer, last_notified_at timestamptz)
language sql
stable
set search_path = ''
as $$
  select t.queue_name::text, t.throttle_interval_ms, t.last_notified_at
    from pgmq.notify_insert_throttle t
   order by t.queue_name
$$;
comment on function pgmq.list_notify_insert_throttles() is 'The queues that notify, with their throttles.';
