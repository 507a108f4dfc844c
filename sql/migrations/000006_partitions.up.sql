-- Settings, and partitions: what is kept of ended runs is split by run_id, so that old runs go by
-- dropping tables. Tables that exist become the first partition as they are.
--
-- Each of htdag.runs, run_io, attempts and admission_log has the partitions that
-- htdag.partitions lists; number 2 of htdag.runs is htdag.runs_2. Storage settings
-- belong to partitions; a new one takes those of the one before it.

begin;

create table htdag.settings (
  name          text not null,
  value         text,
  default_value text,
  unit          text not null,
  description   text not null,
  constraint settings_pkey primary key (name),
  constraint settings_unit_known check (unit in ('interval', 'bytes', 'function'))
);
comment on table htdag.settings is 'Settings of the engine; htdag.set_setting changes one.';
comment on column htdag.settings.value is 'Null where the default holds.';

insert into htdag.settings (name, unit, default_value, description) values
  ('keep_runs', 'interval', null, 'How long runs are kept after they ended; without it, for ever.'),
  ('archive', 'function', null, 'Function that is given the tables of runs before they are dropped: schema.function(p_table text, p_rows regclass).');

create table htdag.partitions (
  partition_no integer not null,
  from_run_id  bigint not null,
  to_run_id    bigint not null,
  is_remnant   boolean not null default false,
  made_at      timestamptz not null,
  check_at     timestamptz not null default '-infinity',
  detached_at  timestamptz,
  note         text,
  constraint partitions_pkey primary key (partition_no),
  constraint partitions_range_not_empty check (from_run_id < to_run_id)
);
comment on table htdag.partitions is 'Partitions of runs, run_io, attempts and admission_log: one row for the four of them, deleted when they are dropped.';
comment on column htdag.partitions.to_run_id is 'First run_id that is not in it.';
comment on column htdag.partitions.is_remnant is 'Whether it holds only the few runs of its range that were not through when the rest went.';
comment on column htdag.partitions.check_at is 'When to look again whether it may go.';
comment on column htdag.partitions.detached_at is 'Since when its runs are out of sight, to be archived and dropped.';
comment on column htdag.partitions.note is 'What holds it: live runs, or how archiving failed.';

create index runs_root_idx on htdag.runs (root_run_id) where root_run_id is not null;

do $$
declare
  v_next  bigint;
  v_to    bigint;
  v_table text;
  v_old   text;
  v_def   text;
  v_name  text;
begin
  -- Numbers that open transactions have taken count too.
  lock table htdag.runs in access exclusive mode;
  select last_value + is_called::integer into v_next from htdag.runs_run_id_seq;
  v_to := (v_next / 1000000 + 2) * 1000000;

  foreach v_table in array array['runs', 'run_io', 'attempts', 'admission_log'] loop
    v_old := v_table || '_1';
    execute format('alter table htdag.%I rename to %I', v_table, v_old);
    if v_table = 'runs' then
      alter table htdag.runs_1 alter column run_id drop identity;
    end if;
    for v_name in
      select c.relname from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
       where i.indrelid = format('htdag.%I', v_old)::regclass
    loop
      execute format('alter index htdag.%I rename to %I', v_name, v_old || substr(v_name, length(v_table) + 1));
    end loop;

    execute format('create table htdag.%I (like htdag.%I including defaults including constraints including comments) partition by range (run_id)',
      v_table, v_old);
    execute format('comment on table htdag.%I is %L', v_table, obj_description(format('htdag.%I', v_old)::regclass, 'pg_class'));
    execute format('comment on table htdag.%I is %L', v_old, format('Partition 1 of htdag.%s.', v_table));
    for v_def, v_name in
      select coalesce(pg_get_constraintdef(k.oid), pg_get_indexdef(i.indexrelid)), v_table || substr(k.conname, length(v_old) + 1)
        from pg_catalog.pg_index i left join pg_catalog.pg_constraint k on k.conindid = i.indexrelid
       where i.indrelid = format('htdag.%I', v_old)::regclass
       order by i.indexrelid
    loop
      if v_name is not null then
        execute format('alter table htdag.%I add constraint %I %s', v_table, v_name, v_def);
      else
        execute replace(v_def, v_old, v_table);
      end if;
    end loop;
    execute format('alter table htdag.%I attach partition htdag.%I for values from (0) to (%s)', v_table, v_old, v_to);
  end loop;

  -- Not an identity: before PostgreSQL 17, partitions of a table cannot have one.
  execute format('create sequence htdag.runs_run_id_seq start %s owned by htdag.runs.run_id', v_next);
  alter table only htdag.runs alter column run_id set default nextval('htdag.runs_run_id_seq');
  insert into htdag.partitions (partition_no, from_run_id, to_run_id, made_at) values (1, 0, v_to, now());
end;
$$;

commit;
