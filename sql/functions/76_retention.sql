-- Retention: old runs go by whole partitions, and whole trees.
--
-- A tree is a run with the runs that its steps started. What a partition loses and
-- what it keeps are whole trees: ended ones take their members in other partitions
-- along, trees with a live member stay, in a small partition (the remnant) that
-- takes the place of the full one. So a run that waits for years holds a few rows.
--
-- Two transactions: the first takes the partition out of sight, for which it has to
-- hold the parents alone, but for a moment and only if it gets them at once; the
-- second archives and drops what nobody sees any more.
--
-- A verb that takes an ended run up again calls keep_partitions first.

create or replace function htdag.set_retention(p_keep interval, p_archive text default null)
returns interval
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  perform htdag.set_setting('archive', p_archive);
  perform htdag.set_setting('keep_runs', p_keep::text);
  update htdag.partitions set check_at = '-infinity';
  return p_keep;
end;
$$;

comment on function htdag.set_retention(interval, text) is
  'Keep runs for so long after they ended; null keeps them for ever. p_archive names a function (p_table text, p_rows regclass) that is called, with the rights of the owner, with each table of old rows in the transaction that drops it: "runs", "htdag.runs_2". Where it raises, nothing is dropped and htdag.partitions has the error. With an archive, htdag.drop_expired() has to be called from time to time until it returns 0, as processes with maintenance do: upkeep leaves archiving out.';

create or replace function htdag.keep_partitions()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_kept integer;
begin
  -- All, for the runs of a tree lie in several.
  perform from htdag.partitions p where p.detached_at is null order by p.partition_no for key share;
  get diagnostics v_kept = row_count;
  return v_kept;
end;
$$;

comment on function htdag.keep_partitions() is
  'Keep partitions from being taken out of sight until the end of the transaction; returns how many. For verbs that make ended runs live again.';

-- Members outside a partition of trees that it has members of.
create or replace function htdag.stray_runs(p_part htdag.partitions)
returns htdag.runs[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_roots bigint[];
begin
  v_roots := array(select distinct root_run_id from htdag.runs
                    where (root_run_id >= p_part.from_run_id and root_run_id < p_part.to_run_id and run_id >= p_part.to_run_id)
                       or (root_run_id < p_part.from_run_id and run_id >= p_part.from_run_id and run_id < p_part.to_run_id));
  return array(select r from htdag.runs r
                where (r.root_run_id = any (v_roots) or r.run_id = any (v_roots))
                  and not (r.run_id >= p_part.from_run_id and r.run_id < p_part.to_run_id)
                order by r.run_id
                limit 10001);
end;
$$;

comment on function htdag.stray_runs(htdag.partitions) is
  'Runs outside a partition that belong to trees with members in it, 10,001 at most.';

create or replace function htdag.drop_expired(p_archive boolean default true)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_keep constant interval := htdag.setting('keep_runs')::interval;
  v_part htdag.partitions;
begin
  select p.* into v_part
    from htdag.partitions p
   where p.check_at <= v_now
     and (p.detached_at is not null and (p_archive or htdag.setting('archive') is null) or p.detached_at is null and v_keep is not null and p.to_run_id <= (select s.last_value from htdag.runs_run_id_seq s))
   order by p.detached_at, p.from_run_id
   limit 1
     for update skip locked;
  if not found then
    return 0;
  elsif v_part.detached_at is not null then
    return htdag.bury_partition(v_part);
  end if;
  return htdag.expire_partition(v_part, v_keep);
end;
$$;

comment on function htdag.drop_expired(boolean) is
  'One step of retention: take a partition out of sight whose runs ended long enough ago, or archive and drop one that is. Upkeep calls it, but without archiving, which may take longer than a heartbeat should. Returns 1 when it did something.';

-- The trees that must stay decide whether the partition can go.
create or replace function htdag.expire_partition(p_part htdag.partitions, p_keep interval)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now    constant timestamptz := htdag.clock();
  v_before constant timestamptz := v_now - p_keep;
  v_table  constant text := format('htdag.%I', 'runs_' || p_part.partition_no);
  v_strays htdag.runs[];
  v_live   bigint[];
  v_last   timestamptz;
  v_note   text;
begin
  execute format('select array(select coalesce(root_run_id, run_id) from %s where finished_at is null limit 1001)', v_table) into v_live;
  if cardinality(v_live) <= 1000 then
    execute format('select max(finished_at) from %s', v_table) into v_last;
    if v_last >= v_before then
      update htdag.partitions set check_at = v_last + p_keep, note = format('its last run ended at %s', v_last)
       where partition_no = p_part.partition_no;
      return 0;
    end if;
    v_strays := htdag.stray_runs(p_part);
    v_live := array(select unnest(v_live) union
                    select coalesce(s.root_run_id, s.run_id) from unnest(v_strays) s where coalesce(s.finished_at >= v_before, true));
  end if;
  v_note := case when cardinality(v_live) > 1000 then 'more than 1000 of its trees are live'
                 when cardinality(v_strays) > 10000 then 'more than 10000 runs of its trees lie in other partitions: use htdag.prune_runs'
                 when p_part.is_remnant and cardinality(v_live) > 0 then format('live trees: %s', cardinality(v_live)) end;
  if v_note is null then
    begin
      perform htdag.detach_partition(p_part, v_live,
        array(select s.run_id from unnest(v_strays) s where coalesce(s.root_run_id, s.run_id) <> all (v_live)));
      return 1;
    exception when lock_not_available then
      v_note := 'somebody was reading';
    end;
  end if;
  update htdag.partitions set check_at = v_now + case when v_note = 'somebody was reading' then interval '10 s' else interval '10 min' end, note = v_note
   where partition_no = p_part.partition_no;
  return 0;
end;
$$;

comment on function htdag.expire_partition(htdag.partitions, interval) is
  'Detach a partition if all of its trees but a few ended long enough ago; else note what holds it and when to look again. Returns 1 when it was detached.';

-- Whoever waits for the locks that this waits for waits at most as long as the timeout.
create or replace function htdag.detach_partition(p_part htdag.partitions, p_live bigint[], p_strays bigint[])
returns integer
language plpgsql
volatile
set search_path = ''
set lock_timeout = '50 ms'
as $$
declare
  v_old   htdag.partitions;
  v_new   integer;
  v_table text;
  v_runs  bigint[];
begin
  if cardinality(p_live) > 0 then
    -- A remnant just before this one is taken into the new one.
    select * into v_old from htdag.partitions
     where is_remnant and detached_at is null and to_run_id = p_part.from_run_id for update;
    v_new := htdag.add_partition(coalesce(v_old.from_run_id, p_part.from_run_id), p_part.to_run_id, true);
  end if;
  lock table only htdag.runs, only htdag.run_io, only htdag.attempts, only htdag.admission_log in access exclusive mode;
  foreach v_table in array htdag.partitioned_tables() loop
    execute format('alter table htdag.%I detach partition htdag.%I', v_table, v_table || '_' || p_part.partition_no);
    if v_old.partition_no is not null then
      execute format('alter table htdag.%I detach partition htdag.%I', v_table, v_table || '_' || v_old.partition_no);
      execute format('insert into htdag.%I select * from htdag.%I', v_table || '_' || v_new, v_table || '_' || v_old.partition_no);
      execute format('drop table htdag.%I', v_table || '_' || v_old.partition_no);
    end if;
  end loop;
  delete from htdag.partitions where partition_no = v_old.partition_no;
  if v_new is not null then
    execute format('select array(select run_id from htdag.%I where coalesce(root_run_id, run_id) = any ($1))', 'runs_' || p_part.partition_no)
       into v_runs using p_live;
  end if;
  foreach v_table in array htdag.partitioned_tables() loop
    if v_new is not null then
      execute format('with gone as (delete from htdag.%I where run_id = any ($1) returning *) insert into htdag.%I select * from gone',
        v_table || '_' || p_part.partition_no, v_table || '_' || v_new) using v_runs;
    end if;
    if cardinality(p_strays) > 0 then
      execute format('with gone as (delete from htdag.%I where run_id = any ($1) returning *) insert into htdag.%I select * from gone',
        v_table, v_table || '_' || p_part.partition_no) using p_strays;
    end if;
  end loop;
  if v_new is not null then
    perform htdag.attach_partition(v_new);
  end if;
  update htdag.partitions set detached_at = htdag.clock(), check_at = '-infinity', note = null where partition_no = p_part.partition_no;
  return v_new;
end;
$$;

comment on function htdag.detach_partition(htdag.partitions, bigint[], bigint[]) is
  'Take a partition out of sight, together with stray runs of its trees; live trees stay in a remnant, whose number is returned. Raises 55P03 when others keep it from the locks.';

create or replace function htdag.bury_partition(p_part htdag.partitions)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_archive constant text := htdag.setting('archive');
  v_table   text;
begin
  foreach v_table in array htdag.partitioned_tables() loop
    if v_archive is not null then
      execute format('select %s(%L, %L::regclass)', v_archive::regproc, v_table, format('htdag.%I', v_table || '_' || p_part.partition_no));
    end if;
  end loop;
  foreach v_table in array htdag.partitioned_tables() loop
    execute format('drop table htdag.%I', v_table || '_' || p_part.partition_no);
  end loop;
  -- What upkeep has not got round to since they ended.
  delete from htdag.map_items m where m.run_id >= p_part.from_run_id and m.run_id < p_part.to_run_id
     and not exists (select from htdag.runs r where r.run_id = m.run_id);
  delete from htdag.map_shards m where m.run_id >= p_part.from_run_id and m.run_id < p_part.to_run_id
     and not exists (select from htdag.runs r where r.run_id = m.run_id);
  delete from htdag.signals g where g.run_id >= p_part.from_run_id and g.run_id < p_part.to_run_id
     and not exists (select from htdag.runs r where r.run_id = g.run_id);
  delete from htdag.run_keys k where k.run_id >= p_part.from_run_id and k.run_id < p_part.to_run_id
     and not exists (select from htdag.runs r where r.run_id = k.run_id);
  delete from htdag.retries t where t.run_id >= p_part.from_run_id and t.run_id < p_part.to_run_id
     and not exists (select from htdag.runs r where r.run_id = t.run_id);
  delete from htdag.dead_tasks d where d.run_id >= p_part.from_run_id and d.run_id < p_part.to_run_id
     and not exists (select from htdag.runs r where r.run_id = d.run_id);
  delete from htdag.partitions where partition_no = p_part.partition_no;
  return 1;
exception when others then
  raise warning using errcode = sqlstate, message = format('partition %s was not archived: %s', p_part.partition_no, sqlerrm),
    hint = 'It is kept and tried again in ten minutes; select * from htdag.partitions.';
  update htdag.partitions set check_at = htdag.clock() + interval '10 min', note = format('not archived: %s', sqlerrm)
   where partition_no = p_part.partition_no;
  return 0;
end;
$$;

comment on function htdag.bury_partition(htdag.partitions) is 'Archive and drop a detached partition; returns 1, or 0 when archiving it failed.';

create or replace function htdag.prune_runs(p_flow text, p_before timestamptz, p_limit integer default 1000)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  v_roots bigint[];
  v_runs  bigint[];
begin
  if p_flow is not null and not exists (select from htdag.flows where name = p_flow) then
    raise exception using errcode = 'HT001', message = format('flow "%s" does not exist', p_flow),
      hint = 'select name from htdag.flows lists the flows there are; null means all.';
  end if;
  v_roots := array(select r.run_id
                     from htdag.runs r
                    where r.parent_run_id is null and r.finished_at < p_before
                      and (p_flow is null or r.flow_id = (select f.flow_id from htdag.flows f where f.name = p_flow))
                      and not exists (select from htdag.runs c where c.root_run_id = r.run_id and coalesce(c.finished_at >= p_before, true))
                    order by r.run_id
                    limit p_limit
                      for update of r skip locked);
  v_runs := v_roots || array(select c.run_id from htdag.runs c where c.root_run_id = any (v_roots));
  delete from htdag.map_items where run_id = any (v_runs);
  delete from htdag.map_shards where run_id = any (v_runs);
  delete from htdag.signals where run_id = any (v_runs);
  delete from htdag.run_keys where run_id = any (v_runs);
  delete from htdag.retries where run_id = any (v_runs);
  delete from htdag.dead_tasks where run_id = any (v_runs);
  delete from htdag.admission_log where run_id = any (v_runs);
  delete from htdag.attempts where run_id = any (v_runs);
  delete from htdag.run_io where run_id = any (v_runs);
  delete from htdag.runs where run_id = any (v_runs);
  return cardinality(v_runs);
end;
$$;

comment on function htdag.prune_runs(text, timestamptz, integer) is
  'Delete up to p_limit trees of runs of a flow (null: of any) that ended before a time, with everything below them; returns how many runs that were. They are not archived. Raises HT001.';
