-- Topics: one message to every queue that is bound to a matching pattern.
--
-- Keys are words between dots. In a pattern * stands for one word, # for any
-- text, dots included.

create table if not exists pgmq.topic_bindings (
  pattern        text not null,
  queue_name     text not null,
  bound_at       timestamptz not null default now(),
  -- Patterns hold nothing else that means something in a regular expression.
  compiled_regex text not null generated always as (
    '^' || replace(replace(replace(pattern, '.', '\.'), '*', '[^.]+'), '#', '.*') || '$') stored,
  constraint topic_bindings_unique unique (pattern, queue_name),
  constraint topic_bindings_queue_fkey foreign key (queue_name)
             references pgmq.meta (queue_name) on delete cascade,
  constraint topic_bindings_pattern_plain check (pattern ~ '^[A-Za-z0-9._*#-]+$')
);
create index if not exists topic_bindings_queue_idx on pgmq.topic_bindings (queue_name);
comment on table pgmq.topic_bindings is 'Which patterns send to which queues; bindings go with their queue.';

create or replace function pgmq.check_topic(p_what text, p_text text, p_allowed text)
returns void
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  if coalesce(p_text, '') = '' then
    raise exception '% cannot be NULL or empty', p_what;
  end if;
  if length(p_text) > 255 then
    raise exception '% length cannot exceed 255 characters, got % characters', p_what, length(p_text);
  end if;
  if p_text !~ ('^[' || p_allowed || ']+$') then
    raise exception '% contains invalid characters. Got: %', p_what, p_text
      using hint = 'Use letters, digits, dots, hyphens and underscores; patterns also take * and #.';
  end if;
  if p_text like '.%' or p_text like '%.' then
    raise exception '% cannot start or end with a dot. Got: %', p_what, p_text;
  end if;
  if p_text like '%..%' then
    raise exception '% cannot contain consecutive dots. Got: %', p_what, p_text;
  end if;
end;
$$;
comment on function pgmq.check_topic(text, text, text) is
  'Raises on a key or pattern, named p_what, that is empty, too long, or badly dotted, or has a character outside the class p_allowed.';

create or replace function pgmq.validate_routing_key(routing_key text)
returns boolean
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  perform pgmq.check_topic('routing_key', routing_key, 'A-Za-z0-9._-');
  return true;
end;
$$;
comment on function pgmq.validate_routing_key(text) is 'True for a routing key that can be sent to; raises otherwise.';

create or replace function pgmq.validate_topic_pattern(pattern text)
returns boolean
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  perform pgmq.check_topic('pattern', pattern, 'A-Za-z0-9._*#-');
  if pattern ~ '[*#][*#]' then
    raise exception 'pattern cannot contain consecutive wildcards. Got: %', pattern;
  end if;
  return true;
end;
$$;
comment on function pgmq.validate_topic_pattern(text) is 'True for a pattern that can be bound; raises otherwise.';

create or replace function pgmq.bind_topic(pattern text, queue_name text)
returns void
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform pgmq.validate_topic_pattern(pattern);
  if not exists (select from pgmq.meta m where m.queue_name = bind_topic.queue_name) then
    raise exception 'queue "%" does not exist', queue_name
      using hint = 'Create the queue first with pgmq.create().';
  end if;
  insert into pgmq.topic_bindings (pattern, queue_name)
  values (bind_topic.pattern, bind_topic.queue_name)
      on conflict on constraint topic_bindings_unique do nothing;
end;
$$;
comment on function pgmq.bind_topic(text, text) is
  'From now on messages whose routing key matches the pattern go to the queue. Binding twice is binding once.';

create or replace function pgmq.unbind_topic(pattern text, queue_name text)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
begin
  delete from pgmq.topic_bindings b
   where b.pattern = unbind_topic.pattern
     and b.queue_name = unbind_topic.queue_name;
  return found;
end;
$$;
comment on function pgmq.unbind_topic(text, text) is 'Takes a binding back. False if there was none.';

create or replace function pgmq.test_routing(routing_key text)
returns table (pattern text, queue_name text, compiled_regex text)
language plpgsql
stable
set search_path = ''
as $$
begin
  perform pgmq.validate_routing_key(routing_key);
  return query
  select b.pattern, b.queue_name, b.compiled_regex
    from pgmq.topic_bindings b
   where test_routing.routing_key ~ b.compiled_regex
   order by b.pattern, b.queue_name;
end;
$$;
comment on function pgmq.test_routing(text) is 'The bindings that a routing key matches; sends nothing.';

create or replace function pgmq.list_topic_bindings()
returns table (pattern text, queue_name text, bound_at timestamptz, compiled_regex text)
language sql
stable
set search_path = ''
as $$
  select b.pattern, b.queue_name, b.bound_at, b.compiled_regex
    from pgmq.topic_bindings b
   order by b.bound_at desc, b.pattern, b.queue_name
$$;
comment on function pgmq.list_topic_bindings() is 'Every binding, newest first.';

create or replace function pgmq.list_topic_bindings(queue_name text)
returns table (pattern text, queue_name text, bound_at timestamptz, compiled_regex text)
language sql
stable
set search_path = ''
as $$
  select b.pattern, b.queue_name, b.bound_at, b.compiled_regex
    from pgmq.topic_bindings b
   where b.queue_name = $1
   order by b.bound_at desc, b.pattern
$$;
comment on function pgmq.list_topic_bindings(text) is 'The bindings of one queue, newest first.';

create or replace function pgmq.send_batch_topic(
  routing_key text,
  msgs        jsonb[],
  headers     jsonb[],
  delay       timestamptz
)
returns table (queue_name text, msg_id bigint)
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform pgmq.validate_routing_key(routing_key);
  perform pgmq.check_batch(msgs, headers);
  -- The queues come from a subquery that is read whole before anything is sent,
  -- each once however many of its patterns match.
  return query
  select d.queue_name, s.msg_id
    from (select distinct r.queue_name from pgmq.test_routing(routing_key) r order by 1) d
   cross join lateral pgmq.send_batch(d.queue_name, msgs, headers, delay) with ordinality as s (msg_id, position)
   order by d.queue_name, s.position;
end;
$$;
comment on function pgmq.send_batch_topic(text, jsonb[], jsonb[], timestamptz) is
  'Puts messages with their headers into every queue bound to the routing key, visible from the given time. Returns where each went.';

create or replace function pgmq.send_batch_topic(routing_key text, msgs jsonb[])
returns table (queue_name text, msg_id bigint)
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query select * from pgmq.send_batch_topic(routing_key, msgs, null::jsonb[], clock_timestamp());
end;
$$;
comment on function pgmq.send_batch_topic(text, jsonb[]) is
  'Puts messages into every queue bound to the routing key. Returns where each went.';

create or replace function pgmq.send_batch_topic(routing_key text, msgs jsonb[], headers jsonb[])
returns table (queue_name text, msg_id bigint)
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query select * from pgmq.send_batch_topic(routing_key, msgs, headers, clock_timestamp());
end;
$$;
comment on function pgmq.send_batch_topic(text, jsonb[], jsonb[]) is
  'Puts messages with their headers into every queue bound to the routing key. Returns where each went.';

create or replace function pgmq.send_batch_topic(routing_key text, msgs jsonb[], delay integer)
returns table (queue_name text, msg_id bigint)
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query select * from pgmq.send_batch_topic(routing_key, msgs, null::jsonb[], delay);
end;
$$;
comment on function pgmq.send_batch_topic(text, jsonb[], integer) is
  'Puts messages into every queue bound to the routing key, visible after delay seconds. Returns where each went.';

create or replace function pgmq.send_batch_topic(routing_key text, msgs jsonb[], delay timestamptz)
returns table (queue_name text, msg_id bigint)
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query select * from pgmq.send_batch_topic(routing_key, msgs, null::jsonb[], delay);
end;
$$;
comment on function pgmq.send_batch_topic(text, jsonb[], timestamptz) is
  'Puts messages into every queue bound to the routing key, visible from the given time. Returns where each went.';

create or replace function pgmq.send_batch_topic(routing_key text, msgs jsonb[], headers jsonb[], delay integer)
returns table (queue_name text, msg_id bigint)
language plpgsql
volatile
set search_path = ''
as $$
begin
  return query
  select * from pgmq.send_batch_topic(routing_key, msgs, headers, clock_timestamp() + pgmq.topic_delay(delay));
end;
$$;
comment on function pgmq.send_batch_topic(text, jsonb[], jsonb[], integer) is
  'Puts messages with their headers into every queue bound to the routing key, visible after delay seconds. Returns where each went.';

create or replace function pgmq.topic_delay(p_delay integer)
returns interval
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  if p_delay is null or p_delay < 0 then
    raise exception 'delay cannot be negative, got: %', coalesce(p_delay::text, 'NULL');
  end if;
  return make_interval(secs => p_delay);
end;
$$;
comment on function pgmq.topic_delay(integer) is 'A delay in seconds as an interval; raises where it is negative or null.';

create or replace function pgmq.send_topic(routing_key text, msg jsonb, headers jsonb, delay integer)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
begin
  if msg is null then
    raise exception 'msg cannot be NULL';
  end if;
  return (
    select count(*)
      from pgmq.send_batch_topic(
             routing_key, array[msg], array[headers], clock_timestamp() + pgmq.topic_delay(delay)));
end;
$$;
comment on function pgmq.send_topic(text, jsonb, jsonb, integer) is
  'Puts a message with headers into every queue bound to the routing key, visible after delay seconds. Returns the number of queues.';

create or replace function pgmq.send_topic(routing_key text, msg jsonb)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
begin
  return pgmq.send_topic(routing_key, msg, null::jsonb, 0);
end;
$$;
comment on function pgmq.send_topic(text, jsonb) is
  'Puts a message into every queue bound to the routing key. Returns the number of queues.';

create or replace function pgmq.send_topic(routing_key text, msg jsonb, delay integer)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
begin
  return pgmq.send_topic(routing_key, msg, null::jsonb, delay);
end;
$$;
comment on function pgmq.send_topic(text, jsonb, integer) is
  'Puts a message into every queue bound to the routing key, visible after delay seconds. Returns the number of queues.';
