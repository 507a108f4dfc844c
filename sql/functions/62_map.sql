-- Elements of map steps: counted down in shards, opened window by window.

-- Count elements of map steps as done. Returns one task of each shard that is
-- through or should open more elements: only for those is the run locked.
create or replace function htdag.count_down(p_done htdag.tasks[])
returns htdag.tasks[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_reached htdag.tasks[];
begin
  if not exists (select from unnest(p_done) t where t.map_index is not null) then
    return array[]::htdag.tasks[];
  end if;
  perform htdag.lock_shards(p_done);

  with closed as (
    select t.run_id, t.step_no, (t.map_index % 16)::smallint as shard, count(*)::integer as n, (array_agg(t))[1] as task
      from unnest(p_done) t
     where t.map_index is not null
     group by 1, 2, 3
  ), counted as (
    update htdag.map_shards s
       set remaining = s.remaining - c.n
      from closed c
     where s.run_id = c.run_id and s.step_no = c.step_no and s.shard = c.shard
    returning c.task, s.remaining, s.opened < s.total and s.opened - (s.total - s.remaining) < 32 as is_short
  )
  select array_agg(task) into v_reached from counted where remaining = 0 or is_short;
  return coalesce(v_reached, '{}');
end;
$$;

comment on function htdag.count_down(htdag.tasks[]) is 'Count finished map elements; returns one task of each shard that is through or needs more elements opened.';

-- The step ended while its shard waited for the run: the elements have not succeeded.
create or replace function htdag.count_back(p_lost htdag.tasks[])
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_done integer;
begin
  update htdag.map_shards s
     set remaining = s.remaining + c.n
    from (select t.run_id, t.step_no, (t.map_index % 16)::smallint as shard, count(*)::integer as n
            from unnest(p_lost) t where t.map_index is not null group by 1, 2, 3) c
   where s.run_id = c.run_id and s.step_no = c.step_no and s.shard = c.shard;
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.count_back(htdag.tasks[]) is 'Undo count_down for tasks that turned out to be wanted no more, whose shards the caller still holds; returns how many shards.';

create or replace function htdag.lock_runs(p_run_ids bigint[], p_reached htdag.tasks[] default '{}')
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_runs constant bigint[] := array(select unnest(p_run_ids) union all select t.run_id from unnest(p_reached) t order by 1);
begin
  perform from htdag.runs
    where run_id = any (v_runs) and run_id between v_runs[1] and v_runs[cardinality(v_runs)]
    order by run_id for no key update;
  perform htdag.open_more(p_reached);
  return cardinality(v_runs);
end;
$$;

comment on function htdag.lock_runs(bigint[], htdag.tasks[]) is
  'Lock runs, in ascending order, also those of map elements whose shard is through or runs short.';

-- Open further elements of map shards, so that a map has about a thousand live
-- tasks however long it is. The caller holds the shards and their runs.
create or replace function htdag.open_more(p_reached htdag.tasks[])
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_runs     bigint[];
  v_steps    smallint[];
  v_elements integer[];
begin
  if cardinality(p_reached) = 0 then
    return 0;
  end if;
  with short as (
    select s.*
      from (select distinct t.run_id, t.step_no, (t.map_index % 16)::smallint as shard from unnest(htdag.live_tasks(p_reached)) t) k
      join htdag.map_shards s using (run_id, step_no, shard)
     where s.opened < s.total
  ), widened as (
    update htdag.map_shards s
       set opened = least(s.total, s.total - s.remaining + 63)
      from short o
     where s.run_id = o.run_id and s.step_no = o.step_no and s.shard = o.shard
    returning s.run_id, s.step_no, s.shard, o.opened as first, s.opened - 1 as last
  )
  select array_agg(w.run_id), array_agg(w.step_no), array_agg((j * 16 + w.shard)::integer)
    into v_runs, v_steps, v_elements
    from widened w, generate_series(w.first, w.last) j;
  return htdag.open_tasks(v_runs, v_steps, v_elements);
end;
$$;

comment on function htdag.open_more(htdag.tasks[]) is 'Insert the next tasks of map shards that run short; returns how many.';

create or replace function htdag.lock_shards(p_tasks htdag.tasks[])
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_done integer;
begin
  perform from htdag.map_shards s
   where (s.run_id, s.step_no, s.shard) in (select t.run_id, t.step_no, (t.map_index % 16)::smallint
                                              from unnest(p_tasks) t where t.map_index is not null)
   order by s.run_id, s.step_no, s.shard
     for no key update;
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.lock_shards(htdag.tasks[]) is 'Lock, in ascending order, the shards that elements of map steps count for; returns how many.';
