-- Events: what happened, who wants to hear of it, and what is yet to be sent.

begin;

alter table htdag.flow_versions add column heard text[];
comment on column htdag.flow_versions.heard is 'Kinds of events that some subscription wants of this flow; null when nobody listens.';

create table htdag.events (
  event_id    bigint generated always as identity,
  xid         xid8 not null default pg_current_xact_id(),
  occurred_at timestamptz not null,
  run_id      bigint not null,
  flow_id     integer not null,
  kind        text not null,
  step        text,
  payload     jsonb not null,
  constraint events_pkey primary key (event_id)
) with (autovacuum_vacuum_insert_scale_factor = 0.2);
create index events_follow_idx on htdag.events (xid, event_id);
create index events_run_idx on htdag.events (run_id, event_id);
comment on table htdag.events is 'What happened to runs that somebody listens to, appended in the transaction in which it happened.';
comment on column htdag.events.xid is 'Transaction that wrote it. All events of transactions before pg_snapshot_xmin(pg_current_snapshot()) are there to be seen, so (xid, event_id) is an order in which none is missed.';
comment on column htdag.events.payload is 'The event as it is sent: {"v": 1, "event", "kind", "at", "flow", "run", ...}.';

create table htdag.subscriptions (
  subscription_id integer generated always as identity,
  name            text not null,
  flows           text[],
  kinds           text[] not null,
  steps           text[],
  groups          text[],
  filter          jsonb not null,
  target_kind     text not null,
  target          text not null,
  max_tries       smallint not null,
  created_at      timestamptz not null,
  created_by      text not null,
  paused_at       timestamptz,
  constraint subscriptions_pkey primary key (subscription_id),
  constraint subscriptions_name_unique unique (name),
  constraint subscriptions_name_length check (length(name) between 1 and 100),
  constraint subscriptions_target_known check (target_kind in ('events', 'pgmq', 'notify', 'webhook')),
  constraint subscriptions_max_tries_range check (max_tries between 1 and 100)
);
comment on table htdag.subscriptions is 'Who hears of which events; htdag.subscribe makes them.';
comment on column htdag.subscriptions.flows is 'Names of flows; null for all. Likewise steps and groups.';
comment on column htdag.subscriptions.kinds is 'Kinds of events, written out.';
comment on column htdag.subscriptions.target is 'Queue, channel or address.';

create table htdag.webhook_secrets (
  subscription_id integer not null,
  secret          text not null,
  constraint webhook_secrets_pkey primary key (subscription_id),
  constraint webhook_secrets_subscription_fkey foreign key (subscription_id) references htdag.subscriptions on delete cascade,
  constraint webhook_secrets_long_enough check (length(secret) between 16 and 200)
);
comment on table htdag.webhook_secrets is 'Keys of the signatures of webhooks. Nobody but the owner reads them; signatures are made in the database.';

create table htdag.deliveries (
  delivery_id     bigint generated always as identity,
  subscription_id integer not null,
  event_id        bigint not null,
  run_id          bigint not null,
  state           text not null default 'pending',
  tries           smallint not null default 0,
  body            text not null,
  created_at      timestamptz not null,
  due_at          timestamptz not null,
  token           bigint,
  finished_at     timestamptz,
  status          integer,
  error           text,
  constraint deliveries_pkey primary key (delivery_id),
  constraint deliveries_subscription_fkey foreign key (subscription_id) references htdag.subscriptions on delete cascade,
  constraint deliveries_state_known check (state in ('pending', 'delivered', 'dead')),
  constraint deliveries_finished_iff_over check ((state = 'pending') = (finished_at is null))
) with (fillfactor = 70);
create index deliveries_subscription_idx on htdag.deliveries (subscription_id, run_id, delivery_id);
create index deliveries_due_idx on htdag.deliveries (due_at, delivery_id) where state = 'pending';
create index deliveries_finished_idx on htdag.deliveries (finished_at) where state = 'delivered';
comment on table htdag.deliveries is 'Events for webhooks: one row per event and subscription, written in the transaction of the event.';
comment on column htdag.deliveries.due_at is 'When to send it, or, while it is being sent, when to give up on the sender.';
comment on column htdag.deliveries.token is 'Fence of who is sending it.';
comment on column htdag.deliveries.status is 'HTTP status of the last answer.';

insert into htdag.settings (name, unit, default_value, description) values
  ('keep_events', 'interval', '7 days', 'How long events, and what was sent of them, are kept.');

commit;
