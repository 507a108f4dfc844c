-- Memos: forgetting outputs that were kept for steps with memo.

create or replace function htdag.purge_memos(p_kind text default null, p_before timestamptz default 'infinity')
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_done bigint;
begin
  -- One that is just being made anew is from now.
  delete from htdag.memos
   where memo_key = any (array(select memo_key from htdag.memos where (p_kind is null or kind = p_kind) and made_at < p_before
                                order by memo_key for update skip locked));
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.purge_memos(text, timestamptz) is
  'Forget what steps of a kind (of all when null) gave before a time, so that the same work is done again; returns how many outputs.';

create or replace function htdag.clear_memos()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now  constant timestamptz := htdag.clock();
  v_done integer;
begin
  delete from htdag.memos
   where memo_key = any (array(select memo_key from htdag.memos where expires_at <= v_now
                                order by expires_at limit 1000 for update skip locked));
  get diagnostics v_done = row_count;
  return v_done;
end;
$$;

comment on function htdag.clear_memos() is 'Delete some outputs that have expired; returns how many.';

-- While a task waited for its limit, another may have done the same work.
create or replace function htdag.recall_task(p_task htdag.tasks, p_now timestamptz)
returns htdag.step_results
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_output jsonb;
begin
  select output into v_output from htdag.memos where memo_key = p_task.memo_key and expires_at > p_now;
  if found then
    return (p_task.task_id, 'succeeded', v_output, null, null, interval '0')::htdag.step_results;
  end if;
  update htdag.tasks set parked = 'limit', due_at = 'infinity' where task_id = p_task.task_id;
  return null;
end;
$$;

comment on function htdag.recall_task(htdag.tasks, timestamptz) is
  'End a task with what is remembered of the same work; one whose memo has just expired waits for its limit again.';
