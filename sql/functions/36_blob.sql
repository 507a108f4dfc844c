-- Large outputs: stored once each, by the hash of their text, outside the log of tries.
--
-- complete_steps comes here only when a batch's outputs are large together, so that small
-- ones cost nothing.

-- Who stores a blob marks it as used, under its row's lock: so collect_blobs, which
-- takes only what was not used for a day, cannot take what is about to be referred to.
create or replace function htdag.place_outputs(p_outcomes text[], p_outputs jsonb[], out small jsonb[], out hashes bytea[])
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now   constant timestamptz := htdag.clock();
  v_limit constant bigint := htdag.setting('blob_bytes')::bigint;
begin
  select array_agg(case when l.hash is null then a.output end order by a.i), array_agg(l.hash order by a.i)
    into small, hashes
    from unnest(p_outcomes, p_outputs) with ordinality a(outcome, output, i)
   cross join lateral (select case when a.outcome = 'succeeded' and pg_column_size(a.output) > v_limit
                                   then sha256(convert_to(a.output::text, 'UTF8')) end as hash) l;
  insert into htdag.blobs as b (hash, bytes, used_at, value)
  select distinct on (h.hash) h.hash, octet_length(o.output::text), v_now, o.output
    from unnest(hashes) with ordinality h(hash, i)
    join unnest(p_outputs) with ordinality o(output, i) using (i)
   where h.hash is not null
   order by h.hash
      on conflict (hash) do update set used_at = excluded.used_at;
end;
$$;

comment on function htdag.place_outputs(text[], jsonb[]) is 'Store large outputs of succeeded steps as blobs; returns the small ones as they are, and the hashes of the others.';

-- A step whose output is over the cap fails for good, by itself; what its bundle did
-- after it does not count.
create or replace function htdag.refuse_outputs(
  inout p_task_ids bigint[],
  inout p_tokens   bigint[],
  inout p_step_nos smallint[],
  inout p_outcomes text[],
  inout p_outputs  jsonb[],
  inout p_errors   text[],
  inout p_ran      interval[],
  inout p_codes    text[],
  inout p_delays   interval[]
)
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_cap constant bigint := htdag.setting('max_output_bytes')::bigint;
begin
  if not exists (select from unnest(p_outcomes, p_outputs) a(outcome, output) where a.outcome = 'succeeded' and pg_column_size(a.output) > v_cap) then
    return;
  end if;
  select array_agg(k.task_id), array_agg(k.token), array_agg(k.step_no),
         array_agg(case when k.is_over then 'failed_permanently' else k.outcome end),
         array_agg(case when not k.is_over then k.output end),
         array_agg(case when k.is_over then format('the output of step %s has %s bytes; max_output_bytes is %s',
           (select s.name from htdag.tasks t join htdag.steps s on s.flow_version_id = t.flow_version_id and s.step_no = k.step_no
             where t.task_id = k.task_id), pg_column_size(k.output), v_cap) else k.error end),
         array_agg(k.ran), array_agg(case when k.is_over then 'HT005' else k.code end), array_agg(k.delay)
    into p_task_ids, p_tokens, p_step_nos, p_outcomes, p_outputs, p_errors, p_ran, p_codes, p_delays
    from (select a.*, o.is_over, bool_or(o.is_over) over (partition by a.task_id, a.token order by a.step_no) and not o.is_over as is_after
            from unnest(p_task_ids, p_tokens, p_step_nos, p_outcomes, p_outputs, p_errors, p_ran, p_codes, p_delays)
                 a(task_id, token, step_no, outcome, output, error, ran, code, delay)
           cross join lateral (select coalesce(a.outcome = 'succeeded' and pg_column_size(a.output) > v_cap, false) as is_over) o) k
   where not k.is_after;
end;
$$;

comment on function htdag.refuse_outputs(bigint[], bigint[], smallint[], text[], jsonb[], text[], interval[], text[], interval[]) is
  'Answers, with those whose output is over max_output_bytes turned into failures with the code HT005.';

create or replace function htdag.collect_blobs()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now    constant timestamptz := htdag.clock();
  v_hashes bytea[];
  v_used   bytea[];
begin
  -- What is to be archived may still refer to any.
  if exists (select from htdag.partitions where detached_at is not null) then
    return 0;
  end if;
  v_hashes := array(select hash from htdag.blobs where used_at < v_now - interval '1 day'
                     order by used_at limit 100 for update skip locked);
  if cardinality(v_hashes) = 0 then
    return 0;
  end if;
  v_used := array(select h from unnest(v_hashes) h where exists (select from htdag.attempts a where a.output_hash = h));
  update htdag.blobs set used_at = v_now where hash = any (v_used);
  delete from htdag.blobs where hash = any (v_hashes) and hash <> all (v_used);
  return cardinality(v_hashes) - cardinality(v_used);
end;
$$;

comment on function htdag.collect_blobs() is
  'Delete blobs that nothing refers to, of the hundred that were not looked at for longest; returns how many.';
