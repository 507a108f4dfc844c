-- Deliveries: events on their way to webhooks.
--
-- Runners claim deliveries, POST them and say what came of it. A row is locked for one
-- call, never while something is sent. Of a run, only the first event that a
-- subscription was not given yet is ever under way, so they arrive in order; one that
-- is given up as dead lets those behind it pass.

-- RFC 2104, so that secrets need not leave the database.
create or replace function htdag.hmac_sha256(p_message bytea, p_key bytea)
returns bytea
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  v_key   constant bytea := case when octet_length(p_key) > 64 then sha256(p_key) else p_key end;
  v_inner bytea := decode(repeat('36', 64), 'hex');
  v_outer bytea := decode(repeat('5c', 64), 'hex');
begin
  for i in 0 .. octet_length(v_key) - 1 loop
    v_inner := set_byte(v_inner, i, get_byte(v_inner, i) # get_byte(v_key, i));
    v_outer := set_byte(v_outer, i, get_byte(v_outer, i) # get_byte(v_key, i));
  end loop;
  return sha256(v_outer || sha256(v_inner || p_message));
end;
$$;

comment on function htdag.hmac_sha256(bytea, bytea) is 'HMAC with SHA-256.';

create or replace view htdag.delivery_claims as
select d.delivery_id, d.token, d.event_id, u.target as url, d.body, extract(epoch from d.due_at)::bigint as sent_at, d.body as signature
  from htdag.deliveries d
  join htdag.subscriptions u using (subscription_id);

comment on view htdag.delivery_claims is
  'An event to be sent now: sent_at are seconds since 1970, signature is the HMAC-SHA256, in hexadecimal, of sent_at, a full stop and the body.';

create or replace function htdag.claim_deliveries(p_want integer default 16, p_lease interval default '1 min')
returns setof htdag.delivery_claims
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_sent constant text := extract(epoch from v_now)::bigint::text;
begin
  return query
  with taken as (
    select d.delivery_id
      from htdag.deliveries d
      join htdag.subscriptions u on u.subscription_id = d.subscription_id and u.paused_at is null and u.target_kind = 'webhook'
     where d.state = 'pending' and d.due_at <= v_now
       and not exists (select from htdag.deliveries e
                        where e.subscription_id = d.subscription_id and e.run_id = d.run_id and e.delivery_id < d.delivery_id and e.state = 'pending')
     order by d.due_at, d.delivery_id
     limit p_want
       for update of d skip locked
  ), claimed as (
    update htdag.deliveries d
       set token = htdag.random_token(), due_at = v_now + p_lease, tries = d.tries + 1
      from taken t
     where d.delivery_id = t.delivery_id and d.state = 'pending' and d.due_at <= v_now
    returning d.*
  )
  select c.delivery_id, c.token, c.event_id, u.target, c.body, v_sent::bigint,
         encode(htdag.hmac_sha256(convert_to(v_sent || '.' || c.body, 'utf8'), convert_to(w.secret, 'utf8')), 'hex')
    from claimed c
    join htdag.subscriptions u using (subscription_id)
    join htdag.webhook_secrets w using (subscription_id)
   order by c.delivery_id;
end;
$$;

comment on function htdag.claim_deliveries(integer, interval) is
  'Take up to p_want events that are to be sent to webhooks now; whoever does not say within p_lease what came of it has lost them to others.';

create or replace function htdag.finish_delivery(p_delivery_id bigint, p_token bigint, p_status integer default null, p_error text default null)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_now      constant timestamptz := htdag.clock();
  v_delivery htdag.deliveries;
  v_most     smallint;
begin
  select * into v_delivery from htdag.deliveries where delivery_id = p_delivery_id for update;
  if v_delivery.token is distinct from p_token or v_delivery.state is distinct from 'pending' then
    return 'stale';
  end if;
  v_most := (select max_tries from htdag.subscriptions where subscription_id = v_delivery.subscription_id);
  v_delivery.state := case when p_error is null then 'delivered' when v_delivery.tries >= v_most then 'dead' else 'pending' end;
  v_delivery.due_at := case when v_delivery.state = 'pending'
    then v_now + least(interval '1 hour', interval '5 s' * power(2, least(v_delivery.tries - 1, 12))) * (0.9 + 0.2 * random()) else v_now end;
  update htdag.deliveries
     set state = v_delivery.state, due_at = v_delivery.due_at, token = null, status = p_status, error = left(p_error, 2000),
         finished_at = case when v_delivery.state <> 'pending' then v_now end
   where delivery_id = p_delivery_id;
  if v_delivery.state = 'pending' then
    -- Those behind it need not be looked at until then.
    update htdag.deliveries set due_at = v_delivery.due_at
     where delivery_id = any (array(select delivery_id from htdag.deliveries
                                     where subscription_id = v_delivery.subscription_id and run_id = v_delivery.run_id and delivery_id > p_delivery_id
                                       and state = 'pending' and due_at < v_delivery.due_at
                                     order by delivery_id limit 1000 for update skip locked));
  end if;
  return v_delivery.state;
end;
$$;

comment on function htdag.finish_delivery(bigint, bigint, integer, text) is
  'Say what came of sending an event: without an error it was delivered, with one it is tried again after 5 s, 10 s, 20 s and so on up to an hour, or dead when no try is left. Returns delivered, pending, dead, or stale where others have it.';

create or replace function htdag.redeliver(p_delivery_id bigint)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := htdag.clock();
begin
  update htdag.deliveries
     set state = 'pending', tries = 0, due_at = v_now, token = null, finished_at = null
   where delivery_id = p_delivery_id and state <> 'pending';
  if not found and not exists (select from htdag.deliveries where delivery_id = p_delivery_id) then
    raise exception using errcode = 'HT001', message = format('delivery %s does not exist', coalesce(p_delivery_id::text, 'null')),
      hint = 'select delivery_id from report.deliveries lists those there are.';
  end if;
  return found;
end;
$$;

comment on function htdag.redeliver(bigint) is 'Send an event again that is dead or was delivered. False if it is still to be sent. Raises HT001.';

create or replace function htdag.redeliver_dead(p_name text)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_id   constant integer := htdag.check_subscription(p_name);
  v_done integer;
begin
  update htdag.deliveries
     set state = 'pending', tries = 0, due_at = v_now, token = null, finished_at = null
   where delivery_id = any (array(select delivery_id from htdag.deliveries where subscription_id = v_id and state = 'dead'
                                   order by delivery_id for update skip locked));
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.redeliver_dead(text) is 'Send all dead events of a subscription again; returns how many. Raises HT001.';
