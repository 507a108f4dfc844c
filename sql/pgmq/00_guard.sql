-- Refuses to go on where schema pgmq belongs to someone else.
--
-- Run first, in the transaction of the files that follow. A schema is ours when
-- its comment, or its function htdag_version(), says so; either mark is enough,
-- since a restore may have lost the other.

do $$
begin
  if exists (select from pg_catalog.pg_extension e where e.extname = 'pgmq') then
    raise exception using
      errcode = 'HT003',
      message = 'extension pgmq is installed in this database',
      hint    = 'Use it: it answers the same calls. Nothing of ours is needed beside it.';
  end if;

  if exists (
    select
      from pg_catalog.pg_namespace n
     where n.nspname = 'pgmq'
       and coalesce(pg_catalog.obj_description(n.oid, 'pg_namespace'), '') not like 'htdag: %'
       and pg_catalog.to_regprocedure('pgmq.htdag_version()') is null
  ) then
    raise exception using
      errcode = 'HT003',
      message = 'schema pgmq exists and was not made by htdag',
      detail  = 'It is neither the pgmq extension nor our implementation of its interface, so it is left alone.',
      hint    = 'Install the extension (create extension pgmq), or rename the schema: alter schema pgmq rename to pgmq_old.';
  end if;
end;
$$;
