-- Who may see: monitoring reads queues, as it does with the extension. All else
-- is the caller's own right on the tables, since no function here lends its
-- owner's.

grant usage on schema pgmq to pg_monitor;
grant select on all tables in schema pgmq to pg_monitor;
alter default privileges in schema pgmq grant select on tables to pg_monitor;
