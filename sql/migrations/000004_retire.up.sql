-- Retiring flows: a flow that is out of use keeps its versions and runs, and starts
-- no more.

begin;

alter table htdag.flows add column retired_at timestamptz;
comment on column htdag.flows.retired_at is 'Since when it starts no new runs; null while it is in use.';

commit;
