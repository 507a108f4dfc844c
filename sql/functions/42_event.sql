-- Events: what happened to runs, for those who listen.
--
-- An event is written, and sent, in the transaction in which it happens: a transaction
-- that is rolled back has told nobody anything. What nobody listens to is never made:
-- flow_versions.heard says so, a column that every transition reads anyway.
--
-- Whoever emits holds the run, so the events of a run are in the order of their numbers.

create or replace function htdag.event_kinds()
returns text[]
language sql
immutable
parallel safe
return array['run.queued', 'run.admitted', 'run.started', 'run.paused', 'run.resumed', 'run.retried', 'run.succeeded', 'run.failed', 'run.cancelled',
  'step.failed', 'step.retried', 'step.dead', 'step.progress', 'flow.pressure_began', 'flow.pressure_ended',
  'code_ingestion_complete', 'code_ingestion_failed', 'codebase_ready', 'progress_update'];

comment on function htdag.event_kinds() is 'The kinds of events there are. Those without a dot are about codebases.';

create or replace function htdag.listens(p_subscription htdag.subscriptions, p_kind text, p_flow text, p_step text, p_group text)
returns boolean
language sql
immutable
parallel safe
return p_kind = any ((p_subscription).kinds)
   and ((p_subscription).flows is null or p_flow = any ((p_subscription).flows))
   and ((p_subscription).steps is null or coalesce(p_step = any ((p_subscription).steps), false))
   and ((p_subscription).groups is null
        or exists (select from unnest((p_subscription).groups) g where p_group = g or starts_with(p_group, g || '.')));

comment on function htdag.listens(htdag.subscriptions, text, text, text, text) is 'Whether a subscription is about such an event.';

-- Some run among them has listeners: for those who hold no row that would tell.
create or replace function htdag.is_heard(p_run_ids bigint[])
returns boolean
language plpgsql
stable
set search_path = ''
as $$
begin
  return exists (select from htdag.runs r join htdag.flow_versions v using (flow_version_id)
                  where r.run_id = any (p_run_ids) and v.heard is not null);
end;
$$;

comment on function htdag.is_heard(bigint[]) is 'Whether somebody listens to one of the runs.';

create or replace function htdag.run_problem(p_run_id bigint)
returns text
language plpgsql
stable
set search_path = ''
as $$
begin
  return (select error from report.runs where run_id = p_run_id);
end;
$$;

comment on function htdag.run_problem(bigint) is 'Why a run failed, as report.runs has it.';

-- Event i is of kind p_kinds[i] (or p_kinds[1], where that is the only one) and about
-- run p_run_ids[i]; a step, if it is about one, is given by its number.
create or replace function htdag.emit(
  p_kinds    text[],
  p_run_ids  bigint[],
  p_step_nos smallint[] default null,
  p_details  jsonb[] default null
)
returns integer
language plpgsql
volatile
set search_path = ''
set timezone = 'UTC'
as $$
declare
  v_now    constant timestamptz := htdag.clock();
  v_events htdag.events[];
begin
  with told as materialized (
    select e.i, e.kind, r.run_id, r.flow_id, s.name as step,
           jsonb_strip_nulls(jsonb_build_object('v', 1, 'kind', e.kind, 'at', v_now, 'flow', f.name, 'run', r.run_id, 'parent', r.parent_run_id,
             'step', s.name, 'group', nullif(s.group_path, ''),
             'error', case when e.kind in ('run.failed', 'run.cancelled') then left(htdag.run_problem(r.run_id), 2000) end)) || coalesce(e.detail, '{}') as payload
      from (select case when cardinality(p_kinds) = 1 then p_kinds[1] else p_kinds[i] end as kind, run_id, step_no, detail, i
              from unnest(p_run_ids, p_step_nos, p_details) with ordinality a(run_id, step_no, detail, i)) e
      join htdag.runs r on r.run_id = e.run_id
      join htdag.flow_versions v on v.flow_version_id = r.flow_version_id and e.kind = any (v.heard)
      join htdag.flows f on f.flow_id = r.flow_id
      left join htdag.steps s on s.flow_version_id = r.flow_version_id and s.step_no = e.step_no
     where exists (select from htdag.subscriptions u where htdag.listens(u, e.kind, f.name, s.name, s.group_path))
     order by e.i
  ), numbered as materialized (
    select nextval('htdag.events_event_id_seq'::regclass) as event_id, t.* from (select * from told order by i) t
  ), made as (
    insert into htdag.events as e (event_id, occurred_at, run_id, flow_id, kind, step, payload)
    overriding system value
    select event_id, v_now, run_id, flow_id, kind, step, payload || jsonb_build_object('event', event_id) from numbered
    returning e
  )
  select array_agg(e order by (e).event_id) into v_events from made;
  if v_events is null then
    return 0;
  end if;
  perform htdag.publish(v_events);
  return cardinality(v_events);
end;
$$;

comment on function htdag.emit(text[], bigint[], smallint[], jsonb[]) is
  'Write and send events of runs, as far as somebody listens; returns how many. Payloads are {"v": 1, "event": number, "kind", "at", "flow", "run", "parent" (of the run, if it has one), "step" and "group" (of a step), "error"} and what the kind adds.';

create or replace function htdag.publish(p_events htdag.events[])
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_sent record;
  v_done integer := 0;
begin
  for v_sent in
    select u.subscription_id, u.target_kind, u.target, u.paused_at, e.payloads, e.rows
      from htdag.subscriptions u
     cross join lateral (select array_agg(e.payload order by e.event_id) as payloads, array_agg(e order by e.event_id) as rows
                           from unnest(p_events) e
                          where htdag.listens(u, e.kind, e.payload ->> 'flow', e.step, e.payload ->> 'group')) e
     where u.target_kind <> 'events' and e.payloads is not null and (u.paused_at is null or u.target_kind = 'webhook')
     order by u.subscription_id
  loop
    case v_sent.target_kind
    when 'pgmq' then
      -- Whoever drops a queue must not stop the flows that are heard there.
      if to_regclass('pgmq.' || quote_ident(pgmq.format_table_name(v_sent.target, 'q'))) is not null then
        perform pgmq.send_batch(v_sent.target, v_sent.payloads);
      end if;
    when 'notify' then
      perform pg_notify(v_sent.target, htdag.short_payload(p)) from unnest(v_sent.payloads) p;
    else
      insert into htdag.deliveries (subscription_id, event_id, run_id, body, created_at, due_at)
      select v_sent.subscription_id, e.event_id, e.run_id, e.payload::text, v_now, v_now from unnest(v_sent.rows) e order by e.event_id;
    end case;
    v_done := v_done + cardinality(v_sent.payloads);
  end loop;
  return v_done;
end;
$$;

comment on function htdag.publish(htdag.events[]) is 'Send events to those who subscribed to them; returns how many messages that were.';

-- A notification has room for 8000 bytes.
create or replace function htdag.short_payload(p_payload jsonb)
returns text
language sql
immutable
parallel safe
return case when octet_length(p_payload::text) < 7900 then p_payload::text
       else (jsonb_build_object('cut', true) || jsonb_strip_nulls(jsonb_build_object('v', p_payload -> 'v', 'event', p_payload -> 'event', 'kind', p_payload -> 'kind',
               'at', p_payload -> 'at', 'flow', p_payload -> 'flow', 'run', p_payload -> 'run', 'step', p_payload -> 'step')))::text end;

comment on function htdag.short_payload(jsonb) is 'An event as it fits a notification: whole, or its head with "cut": true.';

-- What came of tries that did not get through. The caller has parked those that are
-- made again; the others still have their token.
create or replace function htdag.emit_tries(p_tasks htdag.tasks[], p_step_nos smallint[], p_outcomes text[])
returns integer
language plpgsql
volatile
set search_path = ''
set timezone = 'UTC'
as $$
declare
  v_kinds   text[];
  v_runs    bigint[];
  v_steps   smallint[];
  v_details jsonb[];
begin
  if not exists (select from unnest(p_tasks) t join htdag.flow_versions v using (flow_version_id) where v.heard is not null) then
    return 0;
  end if;
  select array_agg(e.kind order by f.task_id, e.place), array_agg(f.run_id order by f.task_id, e.place),
         array_agg(f.step_no order by f.task_id, e.place), array_agg(e.detail order by f.task_id, e.place)
    into v_kinds, v_runs, v_steps, v_details
    from (select t.task_id, t.run_id, o.step_no, t.map_index, a.attempt, a.outcome, left(a.error, 2000) as error, a.code, l.ready_at as again_at
            from unnest(p_tasks) with ordinality t
            join unnest(p_step_nos, p_outcomes) with ordinality o(step_no, outcome, ordinality) using (ordinality)
           cross join lateral (select * from htdag.attempts a
                                where a.run_id = t.run_id and a.step_no = o.step_no and a.map_index = coalesce(t.map_index, 0) and a.epoch = t.epoch
                                order by a.attempt desc limit 1) a
            left join htdag.tasks l on l.task_id = t.task_id and l.runner_id is null
           where o.outcome not in ('succeeded', 'released', 'snoozed', 'decomposed')) f
   cross join lateral (select jsonb_strip_nulls(jsonb_build_object('element', f.map_index, 'attempt', f.attempt, 'error', f.error, 'code', f.code)) as head) h
   cross join lateral (select 1 as place, 'step.failed' as kind, h.head || jsonb_build_object('outcome', f.outcome) as detail
                       union all
                       select 2, 'step.retried', h.head || jsonb_build_object('attempt', f.attempt + 1, 'again_at', f.again_at) where f.again_at is not null) e;
  return htdag.emit(v_kinds, v_runs, v_steps, v_details);
end;
$$;

comment on function htdag.emit_tries(htdag.tasks[], smallint[], text[]) is
  'Tell of tries that failed (step.failed: "attempt", "outcome", "error", "code", "element" of a map) and of those that are made again (step.retried: "attempt", "again_at"); returns how many events that were.';

create or replace function htdag.emit_dead(p_run_id bigint, p_step_no smallint)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
begin
  if not htdag.is_heard(array[p_run_id]) then
    return 0;
  end if;
  return htdag.emit('{step.dead}', array[p_run_id], array[p_step_no], array[(
    select jsonb_strip_nulls(jsonb_build_object('attempt', a.attempt, 'error', left(a.error, 2000), 'code', a.code))
      from htdag.attempts a
     where a.run_id = p_run_id and a.step_no = p_step_no and a.outcome not in ('succeeded', 'cancelled')
     order by a.finished_at desc, a.attempt desc limit 1)]);
end;
$$;

comment on function htdag.emit_dead(bigint, smallint) is
  'Tell that a step has failed for good (step.dead: "attempt", "error", "code" of its last try); returns how many events that were.';

-- Numbers of events are given before transactions end, so whoever only remembers the last
-- number misses what was slower. A cursor is a transaction and an event; only events
-- of transactions older than all that still write are given, which none can join later.
create or replace view htdag.followed_events as
select e.event_id, e.occurred_at, e.kind, f.name as flow, e.run_id, coalesce(e.step, '') as step, e.payload, (e.xid || ':' || e.event_id)::text as cursor
  from htdag.events e
  join htdag.flows f using (flow_id);

comment on view htdag.followed_events is 'An event, and the cursor with which to ask for those after it.';

create or replace function htdag.event_cursor()
returns text
language sql
stable
security definer
set search_path = ''
return pg_snapshot_xmin(pg_current_snapshot()) || ':0';

comment on function htdag.event_cursor() is 'The cursor of now: what is committed from now on comes after it, with perhaps a little of what came just before.';

create or replace function htdag.events_after(p_cursor text, p_limit integer default 1000)
returns setof htdag.followed_events
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
  if p_cursor is null or p_cursor !~ '^\d{1,18}:\d{1,18}$' then
    raise exception using errcode = 'HT006', message = format('%s is no cursor of events', coalesce('"' || p_cursor || '"', 'null')),
      hint = 'Give the cursor of the last event you have, or htdag.event_cursor() to begin with.';
  end if;
  return query
  select e.event_id, e.occurred_at, e.kind, f.name, e.run_id, coalesce(e.step, ''), e.payload, e.xid || ':' || e.event_id
    from htdag.events e
    join htdag.flows f using (flow_id)
   where (e.xid, e.event_id) > (split_part(p_cursor, ':', 1)::xid8, split_part(p_cursor, ':', 2)::bigint)
     and e.xid < pg_snapshot_xmin(pg_current_snapshot())
   order by e.xid, e.event_id
   limit p_limit;
end;
$$;

comment on function htdag.events_after(text, integer) is
  'Events after a cursor, in an order in which none is ever missed or comes twice. An event is given once every transaction that wrote before it has ended. Raises HT006.';

create or replace function htdag.clear_events()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_before constant timestamptz := htdag.clock() - htdag.setting('keep_events')::interval;
  v_done   integer;
begin
  delete from htdag.events
   where event_id = any (array(select event_id from (select event_id, occurred_at from htdag.events order by event_id limit 1000) e
                                where e.occurred_at < v_before));
  get diagnostics v_done = row_count;
  delete from htdag.deliveries
   where delivery_id = any (array(select delivery_id from htdag.deliveries where state = 'delivered' and finished_at < v_before
                                   order by finished_at limit 1000 for update skip locked));
  return v_done;
end;
$$;

comment on function htdag.clear_events() is 'Delete events, and deliveries that got through, older than the setting keep_events, a thousand of each at most; returns how many events.';
