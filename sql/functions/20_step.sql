-- Steps: what the definition of one may say.
--
-- A step that its definition does not describe otherwise is run by the handler that
-- has its name. The kinds sql, flow, sleep and signal are the engine's own.

-- Fill in every default, so that equal definitions have equal specs.
create or replace function htdag.normal_step(p_step jsonb)
returns jsonb
language sql
immutable
parallel safe
set search_path = ''
return jsonb_build_object(
  'name',          p_step ->> 'name',
  'kind',          coalesce(p_step ->> 'kind', p_step ->> 'name'),
  'sql',           p_step ->> 'sql',
  'flow',          p_step ->> 'flow',
  'signal',        p_step ->> 'signal',
  'group',         coalesce(p_step ->> 'group', ''),
  'queue',         coalesce(p_step ->> 'queue', 'default'),
  'bundle',        p_step ->> 'bundle',
  'needs',         coalesce(p_step -> 'needs', '[]'),
  'run_on',        coalesce(p_step ->> 'run_on', 'success'),
  'on_failure',    coalesce(p_step ->> 'on_failure', 'fail'),
  'map',           p_step ->> 'map',
  'wants_needs',   coalesce((p_step ->> 'wants_needs')::boolean, false),
  'argument',      (p_step ->> 'argument')::jsonpath::text,
  'run_if',        (p_step ->> 'run_if')::jsonpath::text,
  'skip_if',       (p_step ->> 'skip_if')::jsonpath::text,
  'on_skip',       coalesce(p_step ->> 'on_skip', 'cascade'),
  'memo',          case p_step ->> 'memo' when 'true' then '1 year' when 'false' then null else (p_step ->> 'memo')::interval::text end,
  'memo_version',  coalesce(p_step ->> 'memo_version', ''),
  'delay',         (coalesce(p_step ->> 'delay', '0')::interval)::text,
  'priority',      coalesce((p_step ->> 'priority')::integer, 0),
  'limit_key',     p_step ->> 'limit_key',
  'timeout',       (coalesce(p_step ->> 'timeout', case when p_step ->> 'kind' in ('flow', 'signal') then '1 year' else '60 s' end)::interval)::text,
  'max_retries',   coalesce((p_step ->> 'max_retries')::integer, case when p_step ->> 'kind' in ('flow', 'signal', 'sleep') then 0 else 3 end),
  'no_retry',      coalesce(p_step -> 'no_retry', '[]'),
  'initial_delay', (coalesce(p_step ->> 'initial_delay', '1 s')::interval)::text,
  'backoff',       coalesce((p_step ->> 'backoff')::double precision, 2),
  'jitter',        coalesce((p_step ->> 'jitter')::double precision, 0),
  'max_delay',     coalesce((p_step ->> 'max_delay')::interval, greatest(interval '1 h', (p_step ->> 'initial_delay')::interval))::text);

comment on function htdag.normal_step(jsonb) is 'A step definition with every default written out.';

create or replace function htdag.by_engine(p_kind text)
returns boolean
language sql
immutable
parallel safe
return p_kind in ('sql', 'flow', 'sleep', 'signal');

comment on function htdag.by_engine(text) is 'Whether steps of a kind are run by the engine itself, and by no runner.';

-- What is wrong with one step by itself, or null.
create or replace function htdag.step_fault(p_step jsonb)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
  v_name constant text := p_step ->> 'name';
  v_kind constant text := p_step ->> 'kind';
begin
  return case
    when v_name is null
      then 'a step has no name'
    when v_name !~ '^[a-z][a-z0-9_]{0,62}$'
      then format('step name "%s" is not lower case letters, digits and underscores, 1 to 63 of them', v_name)
    when v_name = 'input'
      then 'a step cannot be called "input": maps call the run''s input so'
    when jsonb_typeof(p_step -> 'needs') <> 'array'
      then format('needs of step "%s" is not an array of step names', v_name)
    when p_step ->> 'run_on' not in ('success', 'failure', 'always')
      then format('run_on of step "%s" is "%s", not success, failure or always', v_name, p_step ->> 'run_on')
    when p_step ->> 'on_failure' not in ('fail', 'skip', 'continue')
      then format('on_failure of step "%s" is "%s", not fail, skip or continue', v_name, p_step ->> 'on_failure')
    when p_step ->> 'on_skip' not in ('cascade', 'continue')
      then format('on_skip of step "%s" is "%s", not cascade or continue', v_name, p_step ->> 'on_skip')
    when p_step ->> 'bundle' is not null and (p_step ->> 'map' is not null or p_step ->> 'run_on' <> 'success')
      then format('step "%s" is in bundle "%s" but is a map step or does not run on success', v_name, p_step ->> 'bundle')
    when p_step ->> 'bundle' is not null and (htdag.by_engine(v_kind) or (p_step ->> 'delay')::interval > interval '0'
         or coalesce(p_step ->> 'run_if', p_step ->> 'skip_if', p_step ->> 'memo', p_step ->> 'limit_key') is not null)
      then format('step "%s" is in bundle "%s" but has a delay, a condition, a memo, a limit or a kind of the engine''s', v_name, p_step ->> 'bundle')
    when p_step ->> 'run_on' <> 'success' and p_step -> 'needs' = '[]'
      then format('step "%s" runs on %s but needs no step', v_name, p_step ->> 'run_on')
    when not (p_step ->> 'timeout')::interval between interval '1 ms' and interval '1 year'
      then format('timeout of step "%s" is %s, not between 1 ms and 1 year', v_name, p_step ->> 'timeout')
    when not (p_step ->> 'delay')::interval between interval '0' and interval '1 year'
      then format('delay of step "%s" is %s, not between 0 and 1 year', v_name, p_step ->> 'delay')
    when not (p_step ->> 'memo')::interval between interval '1 s' and interval '100 years'
      then format('memo of step "%s" is %s, not true or between 1 s and 100 years', v_name, p_step ->> 'memo')
    when not (p_step ->> 'priority')::integer between -10000 and 10000
      then format('priority of step "%s" is %s, not between -10000 and 10000', v_name, p_step ->> 'priority')
    when jsonb_typeof(p_step -> 'no_retry') <> 'array'
      then format('no_retry of step "%s" is not an array of error codes', v_name)
    when not (p_step ->> 'max_retries')::integer between 0 and 1000
      then format('max_retries of step "%s" is %s, not between 0 and 1000', v_name, p_step ->> 'max_retries')
    when not (p_step ->> 'backoff')::double precision between 1 and 1000
      then format('backoff of step "%s" is %s, not between 1 and 1000', v_name, p_step ->> 'backoff')
    when not (p_step ->> 'jitter')::double precision between 0 and 1
      then format('jitter of step "%s" is %s, not between 0 and 1', v_name, p_step ->> 'jitter')
    when not ((p_step ->> 'initial_delay')::interval between interval '0' and (p_step ->> 'max_delay')::interval
              and (p_step ->> 'max_delay')::interval <= interval '1 year')
      then format('delays of step "%s" are %s to %s, not ascending between 0 and 1 year',
             v_name, p_step ->> 'initial_delay', p_step ->> 'max_delay')
    else htdag.kind_fault(p_step)
  end;
end;
$$;

comment on function htdag.step_fault(jsonb) is 'What is wrong with a step by itself, or null.';

create or replace function htdag.caller()
returns name
language sql
stable
set search_path = ''
return coalesce(nullif(current_setting('role'), 'none'), session_user)::name;

comment on function htdag.caller() is 'The role that called a verb, which itself runs with its owner''s rights.';

-- A sql step runs with the engine's rights unless its function has an owner of its own:
-- so it is either such a function, or one made by somebody who has those rights.
create or replace function htdag.may_run(p_function regprocedure)
returns boolean
language sql
stable
set search_path = ''
return (select p.prosecdef or pg_has_role(p.proowner, n.nspowner, 'member')
          from pg_catalog.pg_proc p, pg_catalog.pg_namespace n
         where p.oid = p_function and n.nspname = 'htdag');

comment on function htdag.may_run(regprocedure) is
  'Whether the engine may call a function for a sql step: it is security definer, or its owner may act as the engine''s.';

-- What is wrong with the kind of one step and what it is aimed at, or null.
create or replace function htdag.kind_fault(p_step jsonb)
returns text
language plpgsql
stable
set search_path = ''
as $$
declare
  v_name   constant text := p_step ->> 'name';
  v_kind   constant text := p_step ->> 'kind';
  v_proc   regprocedure;
  v_extra  text;
begin
  select k into v_extra from unnest('{sql,flow,signal}'::text[]) k where p_step ->> k is not null and k <> v_kind limit 1;
  if v_extra is not null then
    return format('step "%s" of kind %s has a key "%s"', v_name, v_kind, v_extra);
  elsif v_kind in ('sql', 'flow', 'signal') and p_step ->> v_kind is null then
    return format('step "%s" of kind %s does not say which: give "%s"', v_name, v_kind, v_kind);
  elsif v_kind = 'sleep' and (p_step ->> 'delay')::interval = interval '0' then
    return format('step "%s" of kind sleep does not say how long: give "delay"', v_name);
  elsif v_kind = 'sql' then
    v_proc := to_regprocedure((p_step ->> 'sql') || '(jsonb)');
    return case
      when v_proc is null
        then format('step "%s" calls %s, but there is no function %2$s(jsonb)', v_name, p_step ->> 'sql')
      when (select prorettype <> 'jsonb'::regtype or proretset from pg_catalog.pg_proc where oid = v_proc)
        then format('step "%s" calls %s, which does not return jsonb', v_name, v_proc)
      when not has_function_privilege(htdag.caller(), v_proc, 'execute')
        then format('step "%s" calls %s, which %s may not execute', v_name, v_proc, htdag.caller())
      when not htdag.may_run(v_proc)
        then format('step "%s" calls %s, which is not security definer: it would run with the rights of the engine', v_name, v_proc)
    end;
  end if;
  return null;
end;
$$;

comment on function htdag.kind_fault(jsonb) is 'What is wrong with a step''s kind and target, or null.';

-- Raise HT004 for the first thing that is wrong with the steps, naming the step.
create or replace function htdag.check_steps(p_flow text, p_steps jsonb)
returns integer
language plpgsql
stable
set search_path = ''
as $$
declare
  v_step  jsonb;
  v_names text[] := array[]::text[];
  v_wrong text;
begin
  for v_step in select jsonb_array_elements(p_steps) loop
    v_wrong := case when v_step ->> 'name' = any (v_names) then format('step "%s" is defined twice', v_step ->> 'name')
                    else htdag.step_fault(v_step) end;
    if v_wrong is not null then
      raise exception using errcode = 'HT004',
        message = format('flow "%s": %s', p_flow, v_wrong),
        hint = 'Correct the definition; nothing was stored.';
    end if;
    v_names := v_names || (v_step ->> 'name');
  end loop;

  select coalesce(
           (select format('step "%s" needs "%s", which is not defined', s ->> 'name', n)
              from jsonb_array_elements(p_steps) s, jsonb_array_elements_text(s -> 'needs') n
             where not n = any (v_names) limit 1),
           (select format('step "%s" maps over "%s", which is neither input nor a step that it needs', s ->> 'name', s ->> 'map')
              from jsonb_array_elements(p_steps) s
             where s ->> 'map' is not null
               and split_part(s ->> 'map', '.', 1) <> 'input'
               and not s -> 'needs' ? split_part(s ->> 'map', '.', 1) limit 1),
           (select format('bundle "%s" has steps in queues %s: its steps are claimed as one', s ->> 'bundle',
                          string_agg(distinct s ->> 'queue', ' and '))
              from jsonb_array_elements(p_steps) s
             where s ->> 'bundle' is not null
             group by s ->> 'bundle'
            having count(distinct s ->> 'queue') > 1 limit 1))
    into v_wrong;
  if v_wrong is not null then
    raise exception using errcode = 'HT004',
      message = format('flow "%s": %s', p_flow, v_wrong),
      hint = 'Correct the definition; nothing was stored.';
  end if;
  return cardinality(v_names);
end;
$$;

comment on function htdag.check_steps(text, jsonb) is
  'Number of steps; raises HT004, naming the step, when names, needs, map sources or options are wrong.';

