-- Completion: results come in, what they allow goes out.

-- Complete a batch of steps and claim the next in one round trip. Element i of
-- each array is one finished step; a bundle's steps come in order.
create or replace function htdag.complete_steps(
  p_runner   integer,
  p_task_ids bigint[],
  p_tokens   bigint[],
  p_step_nos smallint[],
  p_outcomes text[],
  p_outputs  jsonb[],
  p_errors   text[],
  p_ran      interval[],
  p_want     integer default 0,
  p_codes    text[] default null,
  p_delays   interval[] default null
)
returns setof htdag.claims
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
  v_now     constant timestamptz := htdag.clock();
  v_lanes   constant integer[] := htdag.runner_lanes(p_runner);
  v_runs    bigint[];
  v_mapped  boolean;
  v_done    htdag.tasks[] := array[]::htdag.tasks[];
  v_kept    htdag.tasks[] := array[]::htdag.tasks[];
  v_live    htdag.tasks[];
  v_changes htdag.run_change[];
  v_gone    bigint[] := array[]::bigint[];
  v_spare   bigint[];
  v_settled record;
  v_taken   bigint[] := array[]::bigint[];
  v_small   jsonb[];
  v_hashes  bytea[];
begin
  perform htdag.check_want(p_want);
  if htdag.check_answers(p_task_ids, p_tokens, p_step_nos, p_outcomes, p_delays) then
    -- Of two answers for one step the first counts.
    select array_agg(task_id), array_agg(token), array_agg(step_no), array_agg(outcome), array_agg(output), array_agg(error), array_agg(ran),
           array_agg(code), array_agg(delay)
      into p_task_ids, p_tokens, p_step_nos, p_outcomes, p_outputs, p_errors, p_ran, p_codes, p_delays
      from (select distinct on (task_id, token, step_no) *
              from unnest(p_task_ids, p_tokens, p_step_nos, p_outcomes, p_outputs, p_errors, p_ran, p_codes, p_delays) with ordinality
                   a(task_id, token, step_no, outcome, output, error, ran, code, delay, i)
             where task_id is not null
             order by task_id, token, step_no, i) a;
  end if;

  if pg_column_size(p_outputs) > 2000 then
    select * into p_task_ids, p_tokens, p_step_nos, p_outcomes, p_outputs, p_errors, p_ran, p_codes, p_delays
      from htdag.refuse_outputs(p_task_ids, p_tokens, p_step_nos, p_outcomes, p_outputs, p_errors, p_ran, p_codes, p_delays);
  end if;

  -- Elements of maps first, since they do not lock their run unless their shard asks for it.
  -- Shards, then runs, then whatever is inserted.
  select coalesce(array_agg(t.run_id) filter (where t.map_index is null), '{}'), coalesce(bool_or(t.map_index is not null), false)
    into v_runs, v_mapped
    from htdag.tasks t
   where t.task_id = any (p_task_ids);
  if v_mapped then
    select * into v_done, v_kept from htdag.own_elements(p_task_ids, p_tokens, p_step_nos, p_outcomes);
    perform htdag.lock_runs(v_runs || array(select t.run_id from unnest(v_kept) t), htdag.count_down(v_done));
    v_live := htdag.live_tasks(v_done);
    if cardinality(v_live) < cardinality(v_done) then
      perform htdag.count_back(array(select d from unnest(v_done) d where d.task_id not in (select l.task_id from unnest(v_live) l)));
    end if;
    v_done := v_live;
    v_kept := htdag.live_tasks(v_kept);
  else
    perform htdag.lock_runs(v_runs);
  end if;
  if cardinality(v_runs) > 0 then
    select v_done || o.done, array(select t from unnest(v_kept || o.kept) t order by t.task_id), array(select t.task_id from unnest(o.done) t)
      into v_done, v_kept, v_gone
      from htdag.own_tasks(v_runs, p_task_ids, p_tokens, p_step_nos, p_outcomes) o;
  end if;
  if 'decomposed' = any (p_outcomes) then
    select * into p_outcomes, p_outputs, p_errors, p_codes
      from htdag.decompose(v_kept, p_task_ids, p_tokens, p_step_nos, p_outcomes, p_outputs, p_errors, p_codes);
  end if;

  v_small := p_outputs;
  if pg_column_size(p_outputs) > 2000 then
    select * into v_small, v_hashes from htdag.place_outputs(p_outcomes, p_outputs);
  end if;
  perform htdag.log_tries(p_runner, v_now, v_done || v_kept, p_task_ids, p_tokens, p_step_nos, p_outcomes, v_small, v_hashes, p_errors, p_ran, p_codes);
  if exists (select from unnest(v_done) t where t.memo_key is not null) then
    perform htdag.remember(v_done, p_task_ids, p_tokens, p_outputs);
  end if;

  select * into v_changes, v_spare from htdag.done_changes(v_done);
  if cardinality(v_kept) > 0 then
    -- What fails may withdraw all that its run has: what is through is not among it.
    delete from htdag.tasks where task_id = any (v_gone);
    v_gone := '{}'; v_spare := '{}';
    v_changes := htdag.merge_changes(v_changes || htdag.stopped_changes(v_kept, p_task_ids, p_tokens, p_step_nos, p_outcomes, p_outputs, p_codes, p_delays));
  end if;
  select * into v_settled from htdag.settle(v_changes, p_runner, v_lanes, p_want, v_gone, v_spare);
  v_taken := v_settled.handed;
  if v_settled.ended or cardinality(v_taken) < p_want then
    perform htdag.fill_slots();
  end if;
  if cardinality(v_taken) < p_want then
    v_taken := v_taken || htdag.lease_tasks(p_runner, v_lanes, p_want - cardinality(v_taken));
    if cardinality(v_taken) < p_want then
      -- There was less than this runner could take: no other is needed.
      v_settled.waiting := array(select unnest(v_settled.waiting) except select unnest(v_lanes));
    end if;
  end if;
  if cardinality(v_taken) > 0 then
    return query select * from htdag.claimed(v_taken);
  end if;

  return query
  select v.* from (select unnest(p_task_ids) except select t.task_id from unnest(v_done || v_kept) t) a(task_id), lateral htdag.verdict('stale', a.task_id) v;
  if v_settled.told or 'decomposed' = any (p_outcomes) or htdag.for_engine(v_settled.waiting) then
    return query select * from htdag.verdict('pump');
  end if;
  if cardinality(v_settled.waiting) > 0 then
    return query select v.* from htdag.idle_queues(v_settled.waiting) q, lateral htdag.verdict('wake', p_queue => q) v;
  end if;
end;
$$;

comment on function htdag.complete_steps(integer, bigint[], bigint[], smallint[], text[], jsonb[], text[], interval[], integer, text[], interval[]) is
  'Report finished steps and claim up to p_want more, in one transaction. Outcomes: succeeded, failed (retried while tries are left and its code is not among the step''s no_retry), failed_permanently, timed_out (likewise retried), released (give the task back, no try counted), snoozed (the same, for as long as its delay), decomposed (the output is a definition that is run before the step succeeds). Answers with the verdicts of htdag.claims; a stale result changes nothing and does not disturb the others. Raises HT001 for a runner that is not registered, HT006 for answers that make no sense.';

-- A room of its own, since its join is the one of the hot path that reads no table:
-- hashing keeps a batch of n answers from being compared n times n.
create or replace function htdag.log_tries(
  p_runner   integer,
  p_now      timestamptz,
  p_tasks    htdag.tasks[],
  p_task_ids bigint[],
  p_tokens   bigint[],
  p_step_nos smallint[],
  p_outcomes text[],
  p_outputs  jsonb[],
  p_hashes   bytea[],
  p_errors   text[],
  p_ran      interval[],
  p_codes    text[]
)
returns integer
language plpgsql
volatile
set search_path = ''
set enable_hashjoin = on
as $$
declare
  v_logged integer;
begin
  insert into htdag.attempts (run_id, step_no, map_index, epoch, attempt, outcome, ready_at, claimed_at, finished_at, ran, runner_id,
         output, output_hash, error, code)
  select t.run_id, a.step_no, coalesce(t.map_index, 0), t.epoch, case when a.step_no = t.step_no then t.attempt else 1 end,
         a.outcome, t.ready_at, t.claimed_at, p_now, a.ran, p_runner, a.output, a.hash,
         case when a.outcome <> 'succeeded' then coalesce(nullif(a.error, ''), 'no reason given') end,
         case when a.outcome <> 'succeeded' then a.code end
    from unnest(p_task_ids, p_tokens, p_step_nos, p_outcomes, p_outputs, p_hashes, p_errors, p_ran, p_codes)
         a(task_id, token, step_no, outcome, output, hash, error, ran, code)
    join unnest(p_tasks) t on t.task_id = a.task_id and t.token = a.token
   where a.outcome not in ('released', 'snoozed', 'decomposed');
  get diagnostics v_logged = row_count;
  return v_logged;
end;
$$;

comment on function htdag.log_tries(integer, timestamptz, htdag.tasks[], bigint[], bigint[], smallint[], text[], jsonb[], bytea[], text[], interval[], text[]) is
  'Log the finished tries among the answers for the given tasks, one row for each step; returns how many.';

-- Refuse answers that make no sense before they half-count.
create or replace function htdag.check_answers(p_task_ids bigint[], p_tokens bigint[], p_step_nos smallint[], p_outcomes text[], p_delays interval[] default null)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_wrong  bigint;
  v_double boolean;
begin
  -- Who empties the last shard of a map must see what others did while it waited.
  if current_setting('transaction_isolation') <> 'read committed' then
    raise exception using errcode = 'HT003',
      message = format('steps cannot be completed in a transaction that is %s', current_setting('transaction_isolation')),
      hint = 'Use read committed, which is PostgreSQL''s default.';
  end if;
  select min(i) filter (where a.task_id is null or a.token is null or a.step_no is null or a.outcome is null
                           or a.outcome <> all (array['succeeded', 'failed', 'failed_permanently', 'timed_out', 'released', 'snoozed', 'decomposed'])
                           or a.outcome = 'snoozed' and coalesce(a.delay not between interval '0' and interval '1 year', true)),
         count(*) > 1 and count(*) > count(distinct (a.task_id, a.token, a.step_no))
    into v_wrong, v_double
    from unnest(p_task_ids, p_tokens, p_step_nos, p_outcomes, p_delays) with ordinality a(task_id, token, step_no, outcome, delay, i);
  if v_wrong is not null then
    raise exception using errcode = 'HT006',
      message = format('answer %s of the batch: task %s, token %s, step number %s, outcome %s', v_wrong, coalesce(p_task_ids[v_wrong]::text, 'null'),
        coalesce(p_tokens[v_wrong]::text, 'null'), coalesce(p_step_nos[v_wrong]::text, 'null'), coalesce('"' || p_outcomes[v_wrong] || '"', 'null')),
      hint = 'None of them may be null; the outcome is succeeded, failed, failed_permanently, timed_out, released, snoozed (with a delay of up to a year) or decomposed. Nothing of the batch was stored.';
  end if;
  return v_double;
end;
$$;

comment on function htdag.check_answers(bigint[], bigint[], smallint[], text[], interval[]) is
  'Whether some step is answered twice. Raises HT006 for answers that are incomplete or have an unknown outcome, HT003 in a transaction with a snapshot of its own.';

-- The fence: who has lost a task does not find it by its token. A claimed task is ended
-- only by who holds its run, so that the lock of the run is its lock too.
create or replace function htdag.own_tasks(
  p_run_ids  bigint[],
  p_task_ids bigint[],
  p_tokens   bigint[],
  p_step_nos smallint[],
  p_outcomes text[],
  out done   htdag.tasks[],
  out kept   htdag.tasks[]
)
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_first bigint;
  v_last  bigint;
  v_dead  htdag.tasks[];
begin
  select min(r), max(r) into v_first, v_last from unnest(p_run_ids) r;
  with answers as materialized (
    select task_id, token, min(step_no) as first_no, max(step_no) as last_no, count(*) as steps, bool_and(outcome = 'succeeded') as whole
      from unnest(p_task_ids, p_tokens, p_step_nos, p_outcomes) a(task_id, token, step_no, outcome)
     group by task_id, token
  )
  select array_agg(t.task order by a.task_id) filter (where l.is_live and w.is_whole), array_agg(t.task) filter (where l.is_live and not w.is_whole),
         array_agg(t.task) filter (where l.is_live is null)
    into done, kept, v_dead
    from answers a
   cross join lateral (select t as task, t.run_id, t.epoch, t.step_no, t.last_step_no from htdag.tasks t
                        where t.task_id = a.task_id and t.token = a.token and t.map_index is null offset 0) t
    left join lateral (select true as is_live from htdag.runs r
                        where r.run_id = t.run_id and r.run_id between v_first and v_last and htdag.is_live(r, t.epoch, t.step_no) offset 0) l on true
   cross join lateral (select a.whole and t.step_no = a.first_no and t.last_step_no = a.last_no and a.steps = a.last_no - a.first_no + 1 as is_whole) w;
  done := coalesce(done, '{}');
  kept := coalesce(kept, '{}');
  if v_dead is not null then
    perform htdag.live_tasks(v_dead);
  end if;
end;
$$;

comment on function htdag.own_tasks(bigint[], bigint[], bigint[], smallint[], text[]) is
  'The tasks, no elements of maps, that still belong to the given tokens: those whose every step succeeded, and the others. The caller holds their runs.';

-- Elements of maps do not lock their run: deleting them by their tokens is the fence.
create or replace function htdag.own_elements(
  p_task_ids bigint[],
  p_tokens   bigint[],
  p_step_nos smallint[],
  p_outcomes text[],
  out done   htdag.tasks[],
  out kept   htdag.tasks[]
)
language plpgsql
volatile
set search_path = ''
as $$
begin
  with answers as (
    select task_id, token, step_no
      from unnest(p_task_ids, p_tokens, p_step_nos, p_outcomes) a(task_id, token, step_no, outcome)
     where outcome = 'succeeded'
     order by task_id
  ), gone as (
    delete from htdag.tasks t using answers a
     where t.task_id = any (p_task_ids) and t.task_id = a.task_id and t.token = a.token and t.step_no = a.step_no and t.map_index is not null
    returning t as task
  )
  select coalesce(array_agg(task order by (task).task_id), '{}') into done from gone;
  kept := '{}';
  -- One that did not succeed, or not yet, stays for now, locked.
  if cardinality(done) < (select count(distinct a) from unnest(p_task_ids) a) then
    kept := array(select t from htdag.tasks t
                   where t.task_id = any (p_task_ids) and t.map_index is not null
                     and exists (select from unnest(p_task_ids, p_tokens) a(task_id, token) where a.task_id = t.task_id and a.token = t.token)
                   order by t.task_id
                     for update);
  end if;
end;
$$;

comment on function htdag.own_elements(bigint[], bigint[], smallint[], text[]) is
  'The elements of maps that still belong to the given tokens: those that succeeded, which are deleted, and the others, locked, by task_id.';

create or replace function htdag.live_tasks(p_tasks htdag.tasks[])
returns htdag.tasks[]
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_first bigint;
  v_last  bigint;
  v_live htdag.tasks[];
  v_dead htdag.tasks[];
begin
  if cardinality(p_tasks) = 0 then
    return p_tasks;
  end if;
  select min(t.run_id), max(t.run_id) into v_first, v_last from unnest(p_tasks) t;
  select array_agg(t order by t.task_id) filter (where l.is_live), array_agg(t) filter (where l.is_live is null)
    into v_live, v_dead
    from unnest(p_tasks) t
    left join lateral (select true as is_live from htdag.runs r
                        where r.run_id = t.run_id and r.run_id between v_first and v_last and htdag.is_live(r, t.epoch, t.step_no) offset 0) l on true;
  if v_dead is not null then
    delete from htdag.tasks where task_id = any (array(select t.task_id from unnest(v_dead) t));
    insert into htdag.attempts (run_id, step_no, map_index, epoch, attempt, outcome, ready_at, claimed_at, finished_at, runner_id, error)
    select t.run_id, t.step_no, coalesce(t.map_index, 0), t.epoch, t.attempt, 'cancelled', t.ready_at, t.claimed_at, v_now, t.runner_id,
           'its step ended before it did'
      from unnest(v_dead) t where t.runner_id is not null
        on conflict do nothing;
  end if;
  return coalesce(v_live, '{}');
end;
$$;

comment on function htdag.live_tasks(htdag.tasks[]) is
  'Those of the tasks whose step is still open in a run that goes on; the others lost a race against the end of their step and are deleted.';

-- What wholly succeeded tasks change in their runs, one change per run. A map step
-- has succeeded when no shard has elements left; the caller holds the run, so of
-- two completions that empty the last two shards the later one sees both.
create or replace function htdag.done_changes(p_done htdag.tasks[], out changes htdag.run_change[], out spare bigint[])
language plpgsql
volatile
set search_path = ''
as $$
begin
  select coalesce(array_agg((d.run_id, d.bits, d.blank, d.blank, d.blank)::htdag.run_change order by d.run_id), '{}'),
         coalesce(array_agg(d.spare order by d.run_id), '{}')
    into changes, spare
    from (select t.run_id, bit_or(s.self) as bits, bit_or(s.self & ~s.self) as blank,
                 min(t.task_id) filter (where t.map_index is null and t.limit_key is null) as spare
            from unnest(p_done) t
            join htdag.steps s on s.flow_version_id = t.flow_version_id and s.step_no between t.step_no and t.last_step_no
           where t.map_index is null
              or not exists (select from htdag.map_shards m where m.run_id = t.run_id and m.step_no = t.step_no and m.remaining > 0)
           group by t.run_id) d;
end;
$$;

comment on function htdag.done_changes(htdag.tasks[]) is
  'The bits that succeeded tasks set in their runs and, for each of these changes, a task whose row may be used again; null where there is none.';

create or replace function htdag.merge_changes(p_changes htdag.run_change[])
returns htdag.run_change[]
language plpgsql
immutable
set search_path = ''
as $$
begin
  return array(select (c.run_id, bit_or(c.succeeded), bit_or(c.failed), bit_or(c.skipped), bit_or(c.unscheduled))::htdag.run_change
                 from unnest(p_changes) c group by c.run_id order by c.run_id);
end;
$$;

comment on function htdag.merge_changes(htdag.run_change[]) is 'One change per run, in ascending order.';
