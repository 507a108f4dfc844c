-- Progress: how far a task is, while it is worked on. A table of its own, so that
-- saying so often costs the hot ones nothing.

create or replace function htdag.report_progress(
  p_task_id bigint,
  p_token   bigint,
  p_done    bigint,
  p_total   bigint default null,
  p_note    text default null
)
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
  v_now  constant timestamptz := htdag.clock();
  v_task htdag.tasks;
begin
  if p_done is null or p_done < 0 or p_total < 0 then
    raise exception using errcode = 'HT006',
      message = format('task %s: %s of %s is no progress', p_task_id, coalesce(p_done::text, 'null'), coalesce(p_total::text, 'null')),
      hint = 'Say how much is done, 0 or more, and of how much if that is known.';
  end if;
  select * into v_task from htdag.tasks t where t.task_id = p_task_id and t.token = p_token;
  if not found then
    raise exception using errcode = 'HT002',
      message = format('task %s is not claimed with token %s', coalesce(p_task_id::text, 'null'), coalesce(p_token::text, 'null')),
      hint = 'Stop working on it: the result will not count.';
  end if;
  insert into htdag.progress (task_id, done, total, note, reported_at)
  values (p_task_id, p_done, p_total, left(p_note, 1000), v_now)
      on conflict (task_id) do update
         set done = excluded.done, total = excluded.total, note = excluded.note, reported_at = excluded.reported_at;
  if htdag.is_heard(array[v_task.run_id]) then
    perform htdag.emit('{step.progress}', array[v_task.run_id], array[v_task.step_no],
      array[jsonb_strip_nulls(jsonb_build_object('element', v_task.map_index, 'attempt', v_task.attempt,
        'progress', jsonb_build_object('done', p_done, 'total', p_total, 'note', p_note)))]);
  end if;
  return true;
end;
$$;

comment on function htdag.report_progress(bigint, bigint, bigint, bigint, text) is
  'Say how far a claimed task is; report.steps shows it, and those who listen get it as an event step.progress. Raises HT002 when the token is not the present one, so that it also tells a handler to stop; HT006 for numbers below 0.';

create or replace function htdag.clear_progress()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_done integer;
begin
  delete from htdag.progress
   where task_id = any (array(select p.task_id from htdag.progress p
                               where not exists (select from htdag.tasks t where t.task_id = p.task_id)
                               order by p.task_id limit 1000
                                 for update skip locked));
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.clear_progress() is 'Delete the progress of tasks that are gone, a thousand at most; returns how many.';
