-- One moment in the life of a run in which every verb finds something to do, kept so
-- that it can be restored; for TestPairs.

create table public.test_clock (at timestamptz not null);
insert into public.test_clock values ('2030-01-01');
create or replace function htdag.clock() returns timestamptz language sql volatile set search_path = ''
return (select at from public.test_clock);

create function public.answer(jsonb) returns jsonb language sql immutable return '[1, 2]'::jsonb;

select htdag.define_flow('{"flow": "child", "steps": [{"name": "c", "kind": "k", "max_retries": 1}]}');
select htdag.define_flow('{"flow": "few", "steps": [{"name": "x", "kind": "k"}, {"name": "y", "kind": "k", "needs": ["x"]}]}');
select htdag.set_limits('few', p_max_concurrent_runs => 1);
select htdag.define_flow('{"flow": "pairs", "timeout": "1 day", "steps": [
  {"name": "a", "kind": "k"},
  {"name": "b", "kind": "k"},
  {"name": "p", "kind": "k"},
  {"name": "each", "kind": "k", "map": "input.items"},
  {"name": "f1", "kind": "flow", "flow": "child", "max_retries": 1},
  {"name": "f2", "kind": "flow", "flow": "child"},
  {"name": "s1", "kind": "signal", "signal": "go", "timeout": "10 s", "max_retries": 1, "on_failure": "continue"},
  {"name": "s2", "kind": "signal", "signal": "now"},
  {"name": "q", "kind": "sql", "sql": "public.answer", "needs": ["p"]},
  {"name": "f3", "kind": "flow", "flow": "child", "needs": ["p"]},
  {"name": "most", "kind": "k", "needs": ["a", "b", "each", "q"]},
  {"name": "all", "kind": "k", "needs": ["most", "f1", "f2", "f3", "s1", "s2"]},
  {"name": "oops", "kind": "k", "needs": ["a", "b", "f1"], "run_on": "failure"},
  {"name": "last", "kind": "k", "needs": ["all", "oops"], "run_on": "always"}]}');

create table public.names (name text primary key, value bigint not null);
insert into public.names select n, htdag.register_runner(n, p_kinds => '{k}', p_lease => '10 min') from unnest('{r1,r2,r3}'::text[]) n;
insert into public.names select 'run', htdag.start_flow('pairs', '{"items": [1, 2, 3]}');
insert into public.names select 'few_run', htdag.start_flow('few');
insert into public.names select 'queued', htdag.start_flow('few');
select htdag.admit();

-- Sub-flows and waits begin; all there is to claim is claimed, b by another runner.
select htdag.pump();
select htdag.claim_steps(value::integer, 100) from public.names where name = 'r1';
update htdag.tasks set runner_id = (select value from public.names where name = 'r2')
 where (run_id, step_no) = (select r.run_id, s.step_no from htdag.runs r join htdag.steps s using (flow_version_id) where s.name = 'b');

create function public.answer_some(p_where text) returns bigint language plpgsql as $$
declare v_done bigint;
begin
  execute 'select count(htdag.complete_step(task_id, token)) from htdag.tasks t join htdag.steps s using (flow_version_id, step_no) where ' || p_where into v_done;
  return v_done;
end $$;
select public.answer_some('s.name = ''p''');
select public.answer_some('s.name = ''each'' and map_index > 0');
-- The child of f2 ends, which pump has not heard yet; a signal has come for s2.
select public.answer_some('run_id = (select max(run_id) from htdag.runs where parent_run_id is not null)');
select htdag.send_signal(value, 'now') from public.names where name = 'run';

insert into public.names select 'child', min(run_id) from htdag.runs where parent_run_id is not null;
insert into public.names
select n.name || n.suffix, case n.suffix when '' then t.task_id when '.token' then t.token else t.step_no end
  from htdag.tasks t
  join htdag.steps s using (flow_version_id, step_no)
 cross join lateral (select case s.name when 'x' then 'few' else s.name end as name, suffix from unnest('{"",.token,.step}'::text[]) suffix) n
 where s.name in ('a', 'b', 'c', 'x', 'each') and t.runner_id is not null;
do $$
begin
  if (select count(*) from public.names) <> 22 or not htdag.pump_due() then
    raise exception 'the state to begin with is not what it ought to be: %', (select string_agg(name, ', ' order by name) from public.names);
  end if;
end $$;

-- Restoring: all that changes, from copies.
create schema kept;
do $$
declare
  v_table text;
begin
  foreach v_table in array array['runs', 'run_io', 'run_queue', 'tasks', 'attempts', 'map_items', 'map_shards', 'runners', 'inbox', 'signals', 'memos', 'limits', 'pauses'] loop
    execute format('create table kept.%I as table htdag.%1$I', v_table);
  end loop;
end $$;
create function public.restore() returns void language plpgsql as $$
declare
  v_table text;
begin
  update public.test_clock set at = '2030-01-01';
  foreach v_table in array array['runs', 'run_io', 'run_queue', 'tasks', 'attempts', 'map_items', 'map_shards', 'runners', 'inbox', 'signals', 'memos', 'limits', 'pauses'] loop
    execute format('delete from htdag.%I', v_table);
    execute format('insert into htdag.%I overriding system value table kept.%1$I', v_table);
  end loop;
  delete from htdag.admission_log;
end $$;

create function public.faults() returns setof text language plpgsql as $$
begin
  return query
  select format('run %s: %s: %s', run_id, invariant, detail) from htdag.invariant_violations
  union all
  select format('step %s of run %s succeeded %s times', s.name, r.run_id, count(a.*))
    from htdag.runs r
    join htdag.steps s using (flow_version_id)
    left join htdag.attempts a on a.run_id = r.run_id and a.step_no = s.step_no and a.outcome = 'succeeded'
   where get_bit(r.succeeded, s.step_no) = 1 and not s.is_map
   group by s.name, r.run_id having count(a.*) <> 1
  union all
  select format('step %s of run %s did not succeed, but in the log it has', s.name, r.run_id)
    from htdag.runs r
    join htdag.steps s using (flow_version_id)
    join htdag.attempts a on a.run_id = r.run_id and a.step_no = s.step_no and a.outcome = 'succeeded'
   where not s.is_map and get_bit(r.succeeded, s.step_no) = 0;
end $$;

-- Do all that is left, as a runner that never fails and time that passes; say what is wrong then.
create function public.drain() returns setof text language plpgsql as $$
declare
  v_runner constant integer := htdag.register_runner('drain', p_kinds => '{k}', p_lease => '100 days');
  v_moved  bigint;
  v_ids bigint[]; v_tokens bigint[]; v_steps smallint[];
begin
  perform htdag.resume_flow('pairs');
  perform htdag.resume_run(run_id) from htdag.runs where finished_at is null order by run_id;
  for i in 1 .. 60 loop
    v_moved := htdag.upkeep() + htdag.pump();
    if exists (select from htdag.tasks where parked = 'signal') then
      v_moved := v_moved + htdag.broadcast_signal('go') + htdag.broadcast_signal('now') + htdag.pump();
    end if;
    select array_agg(task_id), array_agg(token), array_agg(step_no) into v_ids, v_tokens, v_steps
      from htdag.claim_steps(v_runner, 100) where verdict = 'claimed';
    if v_ids is not null then
      perform htdag.complete_steps(v_runner, v_ids, v_tokens, v_steps, array_fill('succeeded'::text, array[cardinality(v_ids)]), '{}', '{}', '{}', 0);
      v_moved := v_moved + 1;
    end if;
    exit when not exists (select from htdag.runs where finished_at is null);
    if v_moved = 0 then
      update public.test_clock set at = at + interval '11 min';
    end if;
  end loop;
  perform htdag.pump(), htdag.upkeep();
  return query
  select * from public.faults()
  union all
  select 'not finished: ' || w from htdag.runs r, htdag.why(r.run_id) w where r.finished_at is null
  union all
  select format('a task is left: run %s step %s', run_id, step_no) from htdag.tasks
  union all
  select format('a message is left: %s for run %s', kind, run_id) from htdag.inbox
  union all
  select format('a run that ended is still queued: %s', run_id) from htdag.run_queue;
end $$;
