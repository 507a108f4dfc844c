-- Keys: the same start said twice is one run.
--
-- A row of run_keys is locked before any run is, and rows of one call in the order
-- of their keys; whoever holds a run never asks for a key.

-- Point keys at runs: keys that are new get a fresh id. Of the keys that have a run
-- already, the rows are locked where the policy may have to change them.
create or replace function htdag.hold_keys(p_flow_id integer, p_keys text[], out fresh bigint[], out held htdag.run_keys[])
language plpgsql
volatile
set search_path = ''
as $$
begin
  fresh := '{}';
  loop
    with made as (
      insert into htdag.run_keys (flow_id, key, run_id)
      select p_flow_id, key, nextval('htdag.runs_run_id_seq'::regclass)
        from (select distinct key from unnest(p_keys) key where key is not null order by key) k
          on conflict (flow_id, key) do nothing
      returning run_id
    )
    select fresh || coalesce(array_agg(run_id), '{}') into fresh from made;
    held := array(select k from htdag.run_keys k
                   where k.flow_id = p_flow_id and k.key = any (p_keys)
                   order by k.key
                     for no key update);
    -- One that was there a moment ago may have been dropped together with its run.
    exit when cardinality(held) = (select count(distinct key) from unnest(p_keys) key);
  end loop;
end;
$$;

comment on function htdag.hold_keys(integer, text[]) is
  'Lock the rows of keys, made where there are none: held are all of them, fresh the ids of runs that are yet to be inserted.';

create or replace function htdag.check_keys(p_inputs jsonb[], p_keys text[], p_on_duplicate text, p_debounce interval)
returns boolean
language plpgsql
immutable
set search_path = ''
as $$
declare
  v_wrong constant text := case
    when p_on_duplicate is null or p_on_duplicate <> all (array['return', 'restart_failed', 'restart', 'reject', 'replace', 'debounce'])
      then format('unknown policy %s for duplicates', coalesce('"' || p_on_duplicate || '"', 'null'))
    when (p_on_duplicate = 'debounce') <> (p_debounce is not null)
      then format('policy "%s" with a debounce of %s', p_on_duplicate, coalesce(p_debounce::text, 'null'))
    when p_debounce <= interval '0' then format('debounce is %s', p_debounce)
    when p_keys is null then 'debounce without a key'
    when cardinality(p_keys) <> cardinality(p_inputs) then format('%s keys for %s inputs', cardinality(p_keys), cardinality(p_inputs))
    when exists (select from unnest(p_keys) key where length(key) not between 1 and 500)
      then format('key %s has %s characters', (select i from unnest(p_keys) with ordinality k(key, i) where length(key) not between 1 and 500 limit 1),
                  (select length(key) from unnest(p_keys) key where length(key) not between 1 and 500 limit 1))
    when p_on_duplicate = 'reject' and exists (select from unnest(p_keys) key where key is not null group by key having count(*) > 1)
      then format('key "%s" is given more than once', (select key from unnest(p_keys) key where key is not null group by key having count(*) > 1 limit 1))
  end;
begin
  if v_wrong is not null then
    raise exception using errcode = 'HT006', message = v_wrong,
      hint = 'Give one key of 1 to 500 characters per input (null for none), one of the policies return, restart_failed, restart, reject, replace and debounce, and with the last, and only with it, an interval.';
  end if;
  return true;
end;
$$;

comment on function htdag.check_keys(jsonb[], text[], text, interval) is 'True; raises HT006 for keys and policies that make no sense.';

create or replace function htdag.start_keyed(
  p_version      htdag.flow_versions,
  p_inputs       jsonb[],
  p_priority     smallint,
  p_keys         text[],
  p_on_duplicate text,
  p_debounce     interval,
  p_start_at     timestamptz
)
returns setof bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_start constant timestamptz := coalesce(p_start_at, htdag.clock() + p_debounce);
  v_fresh bigint[];
  v_held  htdag.run_keys[];
  v_key   htdag.run_keys;
  v_last  bigint;
begin
  perform htdag.check_keys(p_inputs, p_keys, p_on_duplicate, p_debounce);
  select fresh, held into v_fresh, v_held from htdag.hold_keys(p_version.flow_id, p_keys);

  if p_on_duplicate <> 'return' then
    for v_key in select * from unnest(v_held) h where h.run_id <> all (v_fresh) order by h.run_id loop
      v_last := (select max(i) from unnest(p_keys) with ordinality k(key, i) where k.key = v_key.key);
      if htdag.is_superseded(v_key, p_on_duplicate, p_inputs[v_last], v_start) then
        update htdag.run_keys set run_id = nextval('htdag.runs_run_id_seq'::regclass)
         where flow_id = v_key.flow_id and key = v_key.key
        returning run_id into v_key.run_id;
        v_fresh := v_fresh || v_key.run_id;
      end if;
    end loop;
  end if;

  -- Of several inputs for one key the last counts, as if they had come one by one; but
  -- where the first run would just have been returned, the first does.
  return query
  with wanted as (
    select i, k.key, h.run_id, p_inputs[i] as input,
           k.key is null or i = case when p_on_duplicate in ('replace', 'debounce') then max(i) over w else min(i) over w end as is_it
      from unnest(p_keys) with ordinality k(key, i)
      left join htdag.run_keys h on h.flow_id = p_version.flow_id and h.key = k.key
    window w as (partition by k.key)
  ), fresh as (
    select array_agg(input order by i) as inputs, array_agg(run_id order by i) as run_ids, array_agg(i order by i) as places
      from wanted
     where is_it and (key is null or run_id = any (v_fresh))
  ), made as materialized (
    select m.run_id, f.places[m.place] as i
      from fresh f
     cross join lateral unnest(htdag.insert_runs(p_version, f.inputs, p_priority, v_start, f.run_ids)) with ordinality m(run_id, place)
     where f.inputs is not null
  )
  select coalesce(w.run_id, m.run_id) from wanted w left join made m on m.i = w.i order by w.i;
end;
$$;

comment on function htdag.start_keyed(htdag.flow_versions, jsonb[], smallint, text[], text, interval, timestamptz) is
  'start_flows for inputs with keys: starts runs for keys that have none, and deals with the others as the policy says.';

-- Apply a policy to the run that a key has. The caller holds the key.
create or replace function htdag.is_superseded(p_key htdag.run_keys, p_on_duplicate text, p_input jsonb, p_start_at timestamptz)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_state text;
  v_by    text;
begin
  if p_on_duplicate in ('restart', 'restart_failed', 'reject') then
    select state into v_state from htdag.runs where run_id = p_key.run_id;
    if p_on_duplicate = 'reject' then
      raise exception using errcode = 'HT003',
        message = format('run %s has the key "%s" already: it is %s', p_key.run_id, p_key.key, v_state),
        hint = 'Give another key or another policy: return, restart_failed, restart, replace or debounce.';
    end if;
    return v_state in ('failed', 'cancelled') or p_on_duplicate = 'restart' and v_state = 'succeeded';
  elsif p_on_duplicate = 'replace' then
    perform htdag.cancel_run(p_key.run_id, 'replaced by a later start with the same key');
    return true;
  end if;

  -- Admission passes over a run that is locked; one that it holds has waited long enough.
  perform from htdag.runs where run_id = p_key.run_id and state = 'queued' order by run_id for no key update;
  if not found then
    return true;
  end if;
  select key into v_by from htdag.limits where flow_id = p_key.flow_id;
  v_by := case when v_by is not null then htdag.limit_key(p_input, v_by) end;
  update htdag.run_queue
     set starts_at = case when starts_at = 'infinity' then starts_at else p_start_at end, limit_key = coalesce(v_by, '')
   where run_id = p_key.run_id and starts_at is not null;
  if not found then
    return true;
  end if;
  update htdag.run_io set input = p_input where run_id = p_key.run_id;
  update htdag.runs set limit_key = v_by where run_id = p_key.run_id and limit_key is distinct from v_by;
  return false;
end;
$$;

comment on function htdag.is_superseded(htdag.run_keys, text, jsonb, timestamptz) is
  'Whether a new run is to take the place of the one that the key has: cancels it, or puts it off with the new input, as the policy says. Raises HT003 for policy reject.';
