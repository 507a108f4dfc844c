-- Answers by hand: one step at a time, with errors in place of verdicts.

create or replace function htdag.complete_step(p_task_id bigint, p_token bigint, p_output jsonb default null)
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
begin
  return htdag.answer_step(p_task_id, p_token, 'succeeded', p_output, null);
end;
$$;

comment on function htdag.complete_step(bigint, bigint, jsonb) is
  'Complete one claimed step by hand (the first of a bundle: the rest becomes claimable again). Raises HT002 when the token is not the present one.';

create or replace function htdag.fail_step(p_task_id bigint, p_token bigint, p_error text, p_permanent boolean default false, p_code text default null)
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
begin
  return htdag.answer_step(p_task_id, p_token, case when p_permanent then 'failed_permanently' else 'failed' end, null, p_error, p_code);
end;
$$;

comment on function htdag.fail_step(bigint, bigint, text, boolean, text) is
  'Fail one claimed step by hand. It is tried again as its definition says, unless p_permanent or p_code is among its no_retry. Raises HT002 when the token is not the present one.';

create or replace function htdag.snooze_step(p_task_id bigint, p_token bigint, p_delay interval)
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
begin
  return htdag.answer_step(p_task_id, p_token, 'snoozed', null, null, null, p_delay);
end;
$$;

comment on function htdag.snooze_step(bigint, bigint, interval) is
  'Give one claimed step back for a while; no try is counted. Raises HT002 when the token is not the present one, HT006 for a delay that is not between 0 and 1 year.';

create or replace function htdag.decompose_step(p_task_id bigint, p_token bigint, p_spec jsonb)
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
begin
  return htdag.answer_step(p_task_id, p_token, 'decomposed', p_spec, null);
end;
$$;

comment on function htdag.decompose_step(bigint, bigint, jsonb) is
  'Answer one claimed step by hand with a definition, {"steps": [...], "input": ...}: it runs as the step''s child, and its output becomes the step''s. The step fails for good when the definition is invalid. Raises HT002 when the token is not the present one.';

create or replace function htdag.answer_step(
  p_task_id bigint,
  p_token   bigint,
  p_outcome text,
  p_output  jsonb,
  p_error   text,
  p_code    text default null,
  p_delay   interval default null
)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now    constant timestamptz := htdag.clock();
  v_task   htdag.tasks;
  v_answer htdag.claims;
begin
  select * into v_task from htdag.tasks where task_id = p_task_id;
  if v_task.token is distinct from p_token or p_token is null then
    raise exception using errcode = 'HT002',
      message = format('task %s is not claimed with token %s', p_task_id, coalesce(p_token::text, 'null')),
      detail = case when v_task.task_id is null then 'There is no such live task: it ended, or its run did.'
                    else 'It was given to another runner, or taken back.' end,
      hint = 'Drop the result: it does not count any more.';
  end if;
  for v_answer in
    select * from htdag.complete_steps(v_task.runner_id, array[p_task_id], array[p_token], array[v_task.step_no],
      array[p_outcome], array[p_output], array[p_error], array[v_now - v_task.claimed_at], 0, array[p_code], array[p_delay])
  loop
    if v_answer.verdict = 'stale' then
      raise exception using errcode = 'HT002', message = format('task %s ended together with run %s', p_task_id, v_task.run_id),
        hint = 'Drop the result: it does not count any more.';
    elsif v_answer.verdict = 'wake' then
      perform htdag.wake(array[v_answer.queue]);
    elsif v_answer.verdict = 'pump' then
      perform htdag.wake_idle(null);
    end if;
  end loop;
  return true;
end;
$$;

comment on function htdag.answer_step(bigint, bigint, text, jsonb, text, text, interval) is 'complete_steps for one step, with errors instead of verdicts.';
