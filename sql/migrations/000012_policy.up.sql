-- How the built-in flows retry, and how long they may take, where it is not the default.

begin;

create table code.policy (
  singleton          boolean not null default true,
  max_retries        integer,
  backoff_multiplier double precision,
  initial_delay      interval,
  node_timeout       interval,
  dag_timeout        interval,
  constraint policy_pkey primary key (singleton),
  constraint policy_is_one_row check (singleton),
  constraint policy_max_retries_range check (max_retries between 0 and 1000),
  constraint policy_backoff_multiplier_range check (backoff_multiplier between 1 and 1000),
  constraint policy_initial_delay_range check (initial_delay between interval '0' and interval '1 day'),
  constraint policy_node_timeout_range check (node_timeout between interval '1 ms' and interval '1 day'),
  constraint policy_dag_timeout_range check (dag_timeout between interval '1 ms' and interval '30 days')
);
comment on table code.policy is 'One row: what code.define_flows makes of the built-in flows'' retries and time limits; null where the default holds. code.set_policy changes it.';
comment on column code.policy.max_retries is 'Further tries of a step after the first; 3 by default.';
comment on column code.policy.backoff_multiplier is 'How much longer each delay between tries is than the one before; 2 by default.';
comment on column code.policy.initial_delay is 'Delay before the second try of a step of ingest_file; twice as long for ingest_codebase; 1 s by default.';
comment on column code.policy.node_timeout is 'Time limit of the longest steps of ingest_file; the others'' are in proportion; 60 s by default.';
comment on column code.policy.dag_timeout is 'Time limit of a run of ingest_file; 300 s by default.';
insert into code.policy default values;

commit;
