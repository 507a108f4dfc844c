-- Retries: ended runs go on.

create or replace function htdag.lock_ended(p_run_id bigint)
returns htdag.runs
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_seen htdag.runs;
  v_run  htdag.runs;
begin
  perform htdag.keep_partitions();
  select * into v_seen from htdag.runs where run_id = p_run_id;
  if v_seen.finished_at is null then
    return v_seen;
  end if;
  -- Claimed ones, but for elements of maps, belong to who holds the run.
  perform from htdag.tasks where run_id = p_run_id and (runner_id is null or map_index is not null) order by task_id for update;
  perform from htdag.map_shards where run_id = p_run_id order by run_id, step_no, shard for update;
  select * into v_run from htdag.runs where run_id = p_run_id for update;
  if v_run.epoch <> v_seen.epoch and v_run.finished_at is not null then
    -- It went on and ended again while we waited, with tasks that we do not hold.
    raise exception using errcode = 'HT003', message = format('run %s was retried by somebody else and has ended again', p_run_id),
      hint = 'Look at it in report.steps before you retry it once more.';
  end if;
  return v_run;
end;
$$;

comment on function htdag.lock_ended(bigint) is 'A run, locked with what is left of its tasks and shards if it has ended.';

create or replace function htdag.retry_run(p_run_id bigint, p_from text[] default null, p_only_failed boolean default true)
returns boolean
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
  v_run htdag.runs;
  v_on  boolean;
begin
  v_run := htdag.lock_ended(p_run_id);
  perform htdag.check_retry(p_run_id, v_run, p_from);
  v_on := htdag.retake(v_run, p_from, coalesce(p_only_failed, true));
  if v_on then
    perform htdag.schedule(array[p_run_id]);
  elsif not v_on then
    perform htdag.wake_idle(null);
  end if;
  return v_on is not null;
end;
$$;

comment on function htdag.retry_run(bigint, text[], boolean) is
  'Have an ended run go on: what failed, what that or a cancellation kept from running, and all that needs these, run again or for the first time; everything else keeps its output. p_from names steps to take back instead, with all that needs them, also of a run that succeeded; a memo does not answer for them. Of a map that failed only elements without an output run again, unless p_only_failed is false. Handlers that need what is taken back run again too. A run of a limited flow queues. False where there is nothing to do again. Raises HT001, HT003 for a run that has not ended or is part of another, HT006 for steps that there are not.';

create or replace function htdag.preview_retry(p_run_id bigint, p_from text[] default null, p_only_failed boolean default true)
returns setof htdag.retry_plan
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
  v_run   htdag.runs;
  v_taken bit varying;
begin
  select * into v_run from htdag.runs where run_id = p_run_id;
  perform htdag.check_retry(p_run_id, v_run, p_from);
  v_taken := htdag.retaken_steps(v_run, p_from);
  return query
  select s.name, p.state,
         case when get_bit(v_taken, s.step_no) = 0 then 'kept'
              when a.tries > 0 or get_bit(v_run.succeeded | v_run.failed, s.step_no) = 1 then 'runs again'
              else 'runs for the first time' end,
         case when get_bit(v_taken, s.step_no) = 1 and s.is_map then
           case when htdag.keeps_elements(v_run, v_taken, s, coalesce(p_only_failed, true)) then a.done else 0 end end
    from htdag.steps s
    join report.steps p on p.run_id = p_run_id and p.step = s.name
   cross join lateral (select count(*) as tries, count(*) filter (where a.outcome = 'succeeded' and not a.superseded)::integer as done
                         from htdag.attempts a where a.run_id = p_run_id and a.step_no = s.step_no) a
   where s.flow_version_id = v_run.flow_version_id
   order by s.step_no;
end;
$$;

comment on function htdag.preview_retry(bigint, text[], boolean) is
  'What retry_run with the same arguments would do with each step; changes nothing. Raises what it raises.';

create or replace function htdag.retry_runs(
  p_flow  text,
  p_error text default null,
  p_code  text default null,
  p_since timestamptz default null,
  p_limit integer default 1000
)
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
  v_flow_id integer;
  v_runs    htdag.runs[];
  v_run     htdag.runs;
  v_on      boolean;
  v_now     bigint[] := array[]::bigint[];
  v_done    integer := 0;
begin
  select flow_id into v_flow_id from htdag.flows where name = p_flow;
  if not found then
    raise exception using errcode = 'HT001', message = format('flow "%s" does not exist', coalesce(p_flow, 'null')),
      hint = 'select flow from report.flows lists the flows there are.';
  elsif p_limit not between 1 and 10000 then
    raise exception using errcode = 'HT006', message = format('the limit is %s', p_limit), hint = 'Give one between 1 and 10000, and call again for more.';
  end if;
  perform htdag.keep_partitions();
  -- A run that still has a task is held by somebody, or will be tidied up by upkeep.
  v_runs := array(
    select r from htdag.runs r
     where r.flow_id = v_flow_id and r.state = 'failed' and r.parent_run_id is null
       and (p_since is null or r.finished_at >= p_since)
       and not exists (select from htdag.tasks t where t.run_id = r.run_id)
       and (p_error is null and p_code is null or p_code is null and r.error like p_error
            or exists (select from htdag.attempts a
                        where a.run_id = r.run_id and get_bit(r.failed, a.step_no) = 1 and not a.superseded
                          and a.outcome not in ('succeeded', 'cancelled')
                          and (p_error is null or a.error like p_error) and (p_code is null or a.code = p_code)))
     order by r.run_id
     limit coalesce(p_limit, 1000)
       for update of r skip locked);
  foreach v_run in array v_runs loop
    v_on := htdag.retake(v_run, null, true);
    if v_on then
      v_now := v_now || v_run.run_id;
    end if;
    v_done := v_done + (v_on is not null)::integer;
  end loop;
  if cardinality(v_now) > 0 then
    perform htdag.schedule(v_now);
  end if;
  if v_done > cardinality(v_now) then
    perform htdag.wake_idle(null);
  end if;
  return v_done;
end;
$$;

comment on function htdag.retry_runs(text, text, text, timestamptz, integer) is
  'Retry failed runs of a flow, oldest first and p_limit at most: those with an error like p_error, with the error code p_code, that ended since p_since. Passes over runs that somebody else holds. Returns how many. Raises HT001, HT006.';
