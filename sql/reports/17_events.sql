-- Reports of events: what happened, who hears of it, and what is on its way.

create or replace view report.events as
select e.event_id, e.occurred_at, e.kind, f.name as flow, e.run_id, e.step, e.payload
  from htdag.events e
  left join htdag.flows f using (flow_id);

comment on view report.events is 'What happened to runs, as far as some subscription wants to hear of it; kept for the setting keep_events.';
comment on column report.events.event_id is 'Rises with time within a run; between runs, transactions may end in another order.';
comment on column report.events.occurred_at is 'When it happened.';
comment on column report.events.kind is 'run.queued, run.admitted, run.started, run.paused, run.resumed, run.retried, run.succeeded, run.failed, run.cancelled, step.failed, step.retried, step.dead, step.progress, flow.pressure_began, flow.pressure_ended, or an event of a codebase.';
comment on column report.events.payload is 'The event as it is sent.';

create or replace view report.subscriptions as
select u.name, u.filter, case u.target_kind when 'events' then 'events' when 'webhook' then regexp_replace(u.target, '^(https?://[^/?#]+)[/?#].+$', '\1/...')
            else u.target_kind || ':' || u.target end as target,
       u.created_at, u.created_by, u.paused_at,
       coalesce(d.pending, 0)::integer as pending, coalesce(d.dead, 0)::integer as dead,
       case when u.target_kind = 'pgmq' and to_regclass('pgmq.' || quote_ident('q_' || lower(u.target))) is null
            then 'the queue does not exist' else d.error end as problem
  from htdag.subscriptions u
  left join lateral (select count(*) filter (where state = 'pending') as pending, count(*) filter (where state = 'dead') as dead,
                            (array_agg(error order by delivery_id desc) filter (where error is not null))[1] as error
                       from htdag.deliveries d where d.subscription_id = u.subscription_id and d.state <> 'delivered') d on true;

comment on view report.subscriptions is 'Who hears of which events.';
comment on column report.subscriptions.name is 'As given to htdag.subscribe.';
comment on column report.subscriptions.filter is 'Likewise.';
comment on column report.subscriptions.target is 'Where events are sent; of an address only the host, since the rest may be a secret.';
comment on column report.subscriptions.created_at is 'Since when.';
comment on column report.subscriptions.created_by is 'Role that subscribed.';
comment on column report.subscriptions.paused_at is 'Since when nothing is sent; null when it is.';
comment on column report.subscriptions.pending is 'Events that a webhook has yet to get.';
comment on column report.subscriptions.dead is 'Events that it was sent in vain.';
comment on column report.subscriptions.problem is 'Why the last event did not get through.';

create or replace view report.deliveries as
select d.delivery_id, u.name as subscription, d.state, d.event_id, d.run_id, d.tries::integer as tries,
       case when d.state = 'pending' then d.due_at end as due_at, d.finished_at, d.status, d.error
  from htdag.deliveries d
  join htdag.subscriptions u using (subscription_id);

comment on view report.deliveries is 'Events for webhooks: on their way, delivered (kept for the setting keep_events) or dead.';
comment on column report.deliveries.delivery_id is 'For htdag.redeliver.';
comment on column report.deliveries.subscription is 'Name of the subscription.';
comment on column report.deliveries.state is 'pending, delivered, or dead: no try is left.';
comment on column report.deliveries.event_id is 'See report.events.';
comment on column report.deliveries.tries is 'Times it was sent.';
comment on column report.deliveries.due_at is 'When it is sent next; while it is being sent, when that is given up.';
comment on column report.deliveries.status is 'HTTP status of the last answer.';
