-- Partitions: made ahead of the runs that will fill them.
--
-- Few and wide: statements that find a run by its number look into one partition,
-- but lock them all, so that each costs everybody a little. A new one takes a lock
-- on the parents that stops neither reading nor writing.

create or replace function htdag.partitioned_tables()
returns text[]
language sql
immutable
parallel safe
return array['runs', 'run_io', 'attempts', 'admission_log'];

comment on function htdag.partitioned_tables() is 'Tables of schema htdag that are partitioned by run_id, all alike.';

-- How many runs the next partition is to hold: half of what is kept, so that two
-- are full, one is filling and one is ahead; but a burst makes it four times the last
-- one at most. Without retention, thrice all before it.
create or replace function htdag.partition_width(p_last htdag.partitions)
returns bigint
language plpgsql
stable
set search_path = ''
as $$
declare
  v_now   constant timestamptz := htdag.clock();
  v_keep  constant interval := htdag.setting('keep_runs')::interval;
  v_since timestamptz;
  v_runs  bigint;
begin
  if v_keep is null then
    return greatest(1000000, 3 * p_last.to_run_id);
  end if;
  -- The rate since the present partition began, but over no less than a minute.
  select q.queued_at into v_since
    from (select * from htdag.runs r where r.run_id >= p_last.from_run_id order by r.run_id limit 1) q;
  select s.last_value - p_last.from_run_id into v_runs from htdag.runs_run_id_seq s;
  return least(4 * (p_last.to_run_id - p_last.from_run_id), greatest(1000000,
    ceil(coalesce(v_runs, 0) / greatest(60, extract(epoch from v_now - v_since)) * extract(epoch from v_keep) / 2)::bigint));
end;
$$;

comment on function htdag.partition_width(htdag.partitions) is 'How many runs the partition after the given one should hold.';

-- Tables for a partition, not attached yet.
create or replace function htdag.add_partition(p_from bigint, p_to bigint, p_is_remnant boolean default false)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_table text;
  v_name  text;
  v_like  integer;
  v_new   integer;
begin
  select (array_agg(partition_no order by to_run_id desc))[1], max(partition_no) + 1 into v_like, v_new from htdag.partitions;
  foreach v_table in array htdag.partitioned_tables() loop
    v_name := v_table || '_' || v_new;
    execute format('create table htdag.%I (like htdag.%I including all) with (%s)', v_name, v_table,
      (select coalesce(array_to_string(c.reloptions, ', '), 'fillfactor = 100') from pg_catalog.pg_class c
        where c.oid = format('htdag.%I', v_table || '_' || v_like)::regclass));
    execute format('comment on table htdag.%I is %L', v_name, format('Partition %s of htdag.%s.', v_new, v_table));
  end loop;
  -- Rows come in through the parent, which numbers them.
  execute format('alter table htdag.%I alter column run_id drop default', 'runs_' || v_new);
  insert into htdag.partitions (partition_no, from_run_id, to_run_id, is_remnant, made_at)
  values (v_new, p_from, p_to, p_is_remnant, htdag.clock());
  return v_new;
end;
$$;

comment on function htdag.add_partition(bigint, bigint, boolean) is
  'Make the tables of a partition for a range of run_id, with the storage settings of the newest one; returns its number.';

create or replace function htdag.attach_partition(p_partition_no integer)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_part  htdag.partitions;
  v_table text;
  v_index record;
begin
  select * into v_part from htdag.partitions where partition_no = p_partition_no;
  foreach v_table in array htdag.partitioned_tables() loop
    execute format('alter table htdag.%I attach partition htdag.%I for values from (%s) to (%s)',
      v_table, v_table || '_' || v_part.partition_no, v_part.from_run_id, v_part.to_run_id);
    -- An index is named as that of its parent.
    for v_index in
      select c.relname as is_now, v_table || '_' || v_part.partition_no || substr(p.relname, length(v_table) + 1) as to_be
        from pg_catalog.pg_index i
        join pg_catalog.pg_class c on c.oid = i.indexrelid
        join pg_catalog.pg_inherits h on h.inhrelid = i.indexrelid
        join pg_catalog.pg_class p on p.oid = h.inhparent
       where i.indrelid = format('htdag.%I', v_table || '_' || v_part.partition_no)::regclass
       order by c.relname
    loop
      if v_index.is_now <> v_index.to_be then
        execute format('alter index htdag.%I rename to %I', v_index.is_now, v_index.to_be);
      end if;
    end loop;
  end loop;
  return p_partition_no;
end;
$$;

comment on function htdag.attach_partition(integer) is 'Attach the tables of a partition to their parents; returns its number.';

create or replace function htdag.make_partitions(p_count integer default 1)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
set lock_timeout = '50 ms'
as $$
declare
  v_next bigint;
  v_last htdag.partitions;
  v_done integer := 0;
begin
  loop
    select last_value into v_next from htdag.runs_run_id_seq;
    select * into v_last from htdag.partitions order by to_run_id desc limit 1;
    exit when v_last.to_run_id - v_next >= 1000000 and (select count(*) from htdag.partitions where detached_at is null) >= p_count;
    if v_done = 0 then
      lock table htdag.partitions in share row exclusive mode;
      select * into v_last from htdag.partitions order by to_run_id desc limit 1;
    end if;
    perform htdag.attach_partition(htdag.add_partition(v_last.to_run_id, v_last.to_run_id + htdag.partition_width(v_last)));
    v_done := v_done + 1;
  end loop;
  return v_done;
exception when lock_not_available then
  return 0; -- somebody else is at it
end;
$$;

comment on function htdag.make_partitions(integer) is
  'Make partitions ahead until a million runs fit in, and at least p_count are there. Upkeep calls it; it looks at two rows when there is nothing to do. Returns how many it made.';
