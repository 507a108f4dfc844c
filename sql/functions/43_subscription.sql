-- Subscriptions: who hears of which events, and where.

create or replace function htdag.filter_list(p_filter jsonb, p_key text)
returns text[]
language plpgsql
immutable
set search_path = ''
as $$
declare
  v_value constant jsonb := p_filter -> p_key;
  v_list  text[];
begin
  if v_value is null then
    return null;
  end if;
  v_list := case jsonb_typeof(v_value) when 'string' then array[v_value #>> '{}'] when 'array' then array(select jsonb_array_elements_text(v_value)) end;
  if coalesce(cardinality(v_list), 0) = 0 or array_position(v_list, null) is not null then
    raise exception using errcode = 'HT006', message = format('"%s" of the filter is %s', p_key, v_value),
      hint = 'Give a name or an array of names, or leave it out for all.';
  end if;
  return v_list;
end;
$$;

comment on function htdag.filter_list(jsonb, text) is 'What a filter says under a key: a list of names, or null for all. Raises HT006.';

create or replace function htdag.filter_kinds(p_kinds text[])
returns text[]
language plpgsql
immutable
set search_path = ''
as $$
declare
  v_wrong constant text := (select w from unnest(p_kinds) w
                             where not exists (select from unnest(htdag.event_kinds()) k where k = w or w like '%.*' and starts_with(k, rtrim(w, '*'))) limit 1);
begin
  if v_wrong is not null then
    raise exception using errcode = 'HT006', message = format('there are no events of kind "%s"', v_wrong),
      hint = format('Kinds are %s; run.*, step.* and flow.* stand for all that begin so.', array_to_string(htdag.event_kinds(), ', '));
  end if;
  return array(select k from unnest(htdag.event_kinds()) k
                where p_kinds is null or exists (select from unnest(p_kinds) w where k = w or w like '%.*' and starts_with(k, rtrim(w, '*'))));
end;
$$;

comment on function htdag.filter_kinds(text[]) is 'Kinds written out; null is all of them. Raises HT006 for those that there are not.';

-- What a target stands for: events, pgmq:queue, notify:channel, or an address.
create or replace function htdag.check_target(p_target text, out kind text, out target text)
language plpgsql
immutable
set search_path = ''
as $$
begin
  kind := case when p_target ~ '^https?://[^/\s]' then 'webhook' when p_target = 'events' then 'events'
               when p_target ~ '^(pgmq|notify):.' then split_part(p_target, ':', 1) end;
  target := case when kind in ('webhook', 'events') then p_target else substr(p_target, position(':' in p_target) + 1) end;
  if kind is null
     or kind = 'webhook' and (p_target ~ '\s' or length(p_target) > 2000 or p_target ~ '^https?://[^/?#]*@')
     or kind = 'notify' and octet_length(target) > 63 then
    raise exception using errcode = 'HT006', message = format('%s is no target', coalesce('"' || regexp_replace(p_target, '//[^/@]*@', '//...@') || '"', 'null')),
      hint = 'Give pgmq:queue, notify:channel (63 bytes at most), an http or https address without a user in it, or events, to have them in report.events alone.';
  end if;
end;
$$;

comment on function htdag.check_target(text) is 'Kind and name of a target. Raises HT006.';

-- Tell versions which kinds are wanted of them. Versions that are being made in this
-- moment, and subscriptions that are, wait for each other.
create or replace function htdag.hear()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_done integer;
begin
  update htdag.flow_versions v
     set heard = w.heard
    from (select f.flow_id,
                 (select array_agg(distinct k) from htdag.subscriptions u, unnest(u.kinds) k
                   where u.flows is null or f.name = any (u.flows)) as heard
            from htdag.flows f) w
   where v.flow_id = w.flow_id and v.heard is distinct from w.heard;
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.hear() is 'Note at the versions of flows which events somebody wants of them; returns how many versions changed.';

create or replace function htdag.subscribe(
  p_name      text,
  p_filter    jsonb default '{}',
  p_target    text default 'events',
  p_secret    text default null,
  p_max_tries integer default 12
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_now    constant timestamptz := htdag.clock();
  v_target record;
  v_wrong  text;
  v_id     integer;
  v_is_new boolean;
begin
  v_wrong := case
    when p_name is null or length(p_name) not between 1 and 100 then format('the name of a subscription is %s', coalesce('"' || p_name || '"', 'null'))
    when jsonb_typeof(p_filter) is distinct from 'object' then format('the filter is %s', coalesce(p_filter::text, 'null'))
    when exists (select from jsonb_object_keys(p_filter) k where k <> all (array['flow', 'kinds', 'step', 'group']))
      then format('"%s" is no part of a filter', (select k from jsonb_object_keys(p_filter) k where k <> all (array['flow', 'kinds', 'step', 'group']) limit 1))
    when length(p_secret) not between 16 and 200 then format('the secret has %s characters', length(p_secret))
    when p_max_tries is null or p_max_tries not between 1 and 100 then format('the number of tries is %s', coalesce(p_max_tries::text, 'null'))
  end;
  if v_wrong is not null then
    raise exception using errcode = 'HT006', message = v_wrong,
      hint = 'Give a name of 1 to 100 characters, a filter such as {"flow": "f", "kinds": ["run.failed"], "step": "s", "group": "g"}, of which each part may be left out, 1 to 100 tries, and for a webhook a secret of 16 to 200 characters or none.';
  end if;
  select * into v_target from htdag.check_target(p_target);
  perform htdag.flow_number(f) from unnest(htdag.filter_list(p_filter, 'flow')) f;
  perform pg_advisory_xact_lock(1213481298, -3);
  if v_target.kind = 'pgmq' and to_regclass('pgmq.' || quote_ident(pgmq.format_table_name(v_target.target, 'q'))) is null then
    perform pgmq.create(v_target.target);
  end if;

  insert into htdag.subscriptions as u (name, flows, kinds, steps, groups, filter, target_kind, target, max_tries, created_at, created_by)
  values (p_name, htdag.filter_list(p_filter, 'flow'), htdag.filter_kinds(htdag.filter_list(p_filter, 'kinds')), htdag.filter_list(p_filter, 'step'),
          htdag.filter_list(p_filter, 'group'), p_filter, v_target.kind, v_target.target, p_max_tries, v_now, session_user)
      on conflict (name) do update
         set flows = excluded.flows, kinds = excluded.kinds, steps = excluded.steps, groups = excluded.groups, filter = excluded.filter,
             target_kind = excluded.target_kind, target = excluded.target, max_tries = excluded.max_tries
  returning subscription_id, created_at = v_now into v_id, v_is_new;
  if v_target.kind = 'webhook' then
    insert into htdag.webhook_secrets as w (subscription_id, secret)
    values (v_id, coalesce(p_secret, replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', '')))
        on conflict (subscription_id) do update set secret = coalesce(p_secret, w.secret);
  end if;
  perform htdag.hear();
  return v_is_new;
end;
$$;

comment on function htdag.subscribe(text, jsonb, text, text, integer) is
  'Send events from now on to a target: pgmq:queue (made if missing; each event is a message, sent in the transaction in which it happens), notify:channel (the same, for those who LISTEN at that moment; a transaction that notifies holds up other commits, so mind flows with many small runs), an https address (POSTed by runners, signed, retried p_max_tries times, in order per run) or events (report.events alone, which has them in any case). The filter has "flow", "kinds", "step" and "group" (a group stands for those below it), each a name or an array, all optional. A webhook without p_secret gets a random one, which the owner finds in htdag.webhook_secrets. A name that exists is changed. True if it is new. Raises HT001 for a flow that does not exist, HT006.';

create or replace function htdag.check_subscription(p_name text)
returns integer
language plpgsql
stable
set search_path = ''
as $$
declare
  v_id integer;
begin
  select subscription_id into v_id from htdag.subscriptions where name = p_name;
  if not found then
    raise exception using errcode = 'HT001', message = format('subscription %s does not exist', coalesce('"' || p_name || '"', 'null')),
      hint = 'select name from report.subscriptions lists those there are.';
  end if;
  return v_id;
end;
$$;

comment on function htdag.check_subscription(text) is 'Number of a subscription. Raises HT001.';

create or replace function htdag.unsubscribe(p_name text)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  perform pg_advisory_xact_lock(1213481298, -3);
  delete from htdag.subscriptions where name = p_name;
  return found and htdag.hear() is not null;
end;
$$;

comment on function htdag.unsubscribe(text) is
  'End a subscription; what was not sent to its webhook is not sent any more. Queues stay as they are. False if there was none.';

create or replace function htdag.pause_subscription(p_name text)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := htdag.clock();
  v_id  constant integer := htdag.check_subscription(p_name);
begin
  update htdag.subscriptions set paused_at = v_now where subscription_id = v_id and paused_at is null;
  return found;
end;
$$;

comment on function htdag.pause_subscription(text) is
  'Send nothing to the target of a subscription. What happens meanwhile is kept for a webhook; queues and channels do not get it later. False if it was paused. Raises HT001.';

create or replace function htdag.resume_subscription(p_name text)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_id constant integer := htdag.check_subscription(p_name);
begin
  update htdag.subscriptions set paused_at = null where subscription_id = v_id and paused_at is not null;
  return found;
end;
$$;

comment on function htdag.resume_subscription(text) is 'Let a paused subscription send again. False if it was not paused. Raises HT001.';

-- A queue's messages do not tell anybody that they came; a notification alone is lost
-- on whoever does not listen. Together they are both.
create or replace function htdag.send_with_notify(p_queue text, p_message jsonb, p_delay integer default 0)
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_table text;
  v_id    bigint;
begin
  v_table := pgmq.format_table_name(p_queue, 'q');
  if to_regclass('pgmq.' || quote_ident(v_table)) is null then
    raise exception using errcode = 'HT001', message = format('queue %s does not exist', coalesce('"' || p_queue || '"', 'null')),
      hint = 'select pgmq.create(...) makes one.';
  elsif p_delay is null or p_delay < 0 then
    raise exception using errcode = 'HT006', message = format('the delay is %s', coalesce(p_delay::text, 'null')), hint = 'Give seconds, 0 or more.';
  end if;
  select m into v_id from pgmq.send(p_queue, p_message, p_delay) m;
  perform pg_notify(format('pgmq.%s.INSERT', v_table), jsonb_build_object('msg_id', v_id, 'delay', p_delay)::text);
  return v_id;
end;
$$;

comment on function htdag.send_with_notify(text, jsonb, integer) is
  'Send a message to a PGMQ queue and wake those who LISTEN on "pgmq.q_<queue>.INSERT", the channel on which queues notify; both when the transaction commits, or neither. Returns the message''s number. Raises HT001 for a queue that does not exist, HT006.';
