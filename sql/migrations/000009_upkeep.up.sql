-- Which step a child run is the body of, how far running tasks are, and large outputs.

begin;

alter table htdag.runs
  add column parent_step_no smallint;
comment on column htdag.runs.parent_step_no is 'Step of the parent that this run is the body of.';

create table htdag.progress (
  task_id     bigint not null,
  done        bigint not null,
  total       bigint,
  reported_at timestamptz not null,
  note        text,
  constraint progress_pkey primary key (task_id),
  constraint progress_done_not_negative check (done >= 0),
  constraint progress_total_not_negative check (total >= 0)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
comment on table htdag.progress is 'How far tasks are that say so; only while they are worked on.';

create table htdag.blobs (
  hash    bytea not null,
  bytes   integer not null,
  used_at timestamptz not null,
  value   jsonb not null,
  constraint blobs_pkey primary key (hash),
  constraint blobs_hash_is_sha256 check (length(hash) = 32)
) with (fillfactor = 70);
create index blobs_used_idx on htdag.blobs (used_at);
comment on table htdag.blobs is 'Large outputs of steps, each once.';
comment on column htdag.blobs.bytes is 'Length of the value as text.';
comment on column htdag.blobs.used_at is 'When it was last stored, or found to be referred to.';

alter table htdag.attempts
  add column output_hash bytea,
  add constraint attempts_output_in_one_place check (output is null or output_hash is null);
create index attempts_output_idx on htdag.attempts (output_hash) where output_hash is not null;
comment on column htdag.attempts.output_hash is 'Where the output is large: its place in htdag.blobs.';

insert into htdag.settings (name, unit, default_value, description) values
  ('blob_bytes', 'bytes', '2000', 'Outputs larger than this are stored in htdag.blobs, each once.'),
  ('max_output_bytes', 'bytes', '16777216', 'A step whose output is larger than this fails for good.');

commit;
