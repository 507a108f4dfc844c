-- Ticks: a schedule that is due starts its flow exactly once.
--
-- Whoever fires says which revision of the schedule it has read. The row is locked, so
-- of several that have read the same one only the first does anything; that it has
-- fired, the run and the next time are one commit. A row of schedule_ticks and the
-- key of the run say the same twice more.
--
-- Lock order: schedules, by schedule_id, before keys of runs.

create or replace view htdag.schedule_states as
select s.name,
       s.revision,
       s.cron,
       s.time_zone,
       s.catch_up,
       s.since,
       s.next_due_at,
       s.since as now
  from htdag.schedules s;

comment on view htdag.schedule_states is
  'What is needed to tell when a schedule is due, and the time now. Where next_due_at is null, nobody has worked it out since since.';

create or replace function htdag.due_schedules(p_ahead interval default '0')
returns setof htdag.schedule_states
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_now constant timestamptz := htdag.clock();
begin
  return query
  select s.name, s.revision, s.cron, s.time_zone, s.catch_up, s.since, s.next_due_at, v_now
    from htdag.schedules s
   where s.paused_at is null
     and (s.next_due_at is null or s.next_due_at <= v_now + p_ahead)
   order by s.next_due_at nulls first, s.schedule_id
   limit 1000;
end;
$$;

comment on function htdag.due_schedules(interval) is
  'Schedules that are due, or will be in p_ahead, or whose next time is not worked out. A negative p_ahead leaves out those that are only just due.';

create or replace function htdag.start_tick(p_schedule htdag.schedules, p_due_at timestamptz)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_time  constant text := rtrim(rtrim(to_char(p_due_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '0'), '.') || 'Z';
  v_input jsonb;
begin
  select coalesce(jsonb_object_agg(key, case value when '"{due_at}"' then to_jsonb(v_time) when '"{schedule}"' then to_jsonb(p_schedule.name) else value end), '{}')
    into v_input
    from jsonb_each(p_schedule.input);
  return htdag.start_flow((select name from htdag.flows where flow_id = p_schedule.flow_id), v_input,
                          p_key => format('schedule:%s/%s', p_schedule.name, v_time));
end;
$$;

comment on function htdag.start_tick(htdag.schedules, timestamptz) is 'Start the run of a schedule for a time, unless there is one; returns its id.';

create or replace function htdag.fire_due(
  p_name       text,
  p_revision   integer,
  p_due_at     timestamptz[],
  p_next_at    timestamptz,
  p_skipped_at timestamptz default null,
  p_error      text default null
)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_now      constant timestamptz := htdag.clock();
  v_schedule htdag.schedules;
  v_due_at   timestamptz;
  v_run      bigint;
  v_error    text;
  v_started  integer := 0;
begin
  if exists (select from unnest(p_due_at) d where d > v_now) or p_next_at <= any (p_due_at) then
    raise exception using errcode = 'HT006',
      message = format('schedule "%s": it is %s, and of the times %s the next is said to be %s', p_name, v_now, p_due_at, coalesce(p_next_at, 'infinity')),
      hint = 'Give times that have come, and after them one that comes later.';
  end if;
  select * into v_schedule from htdag.schedules
   where name = p_name and revision = p_revision and paused_at is null
   order by schedule_id for update skip locked;
  if not found then
    return 0;
  end if;
  for v_due_at in select d from unnest(p_due_at) d order by d loop
    continue when exists (select from htdag.schedule_ticks where schedule_id = v_schedule.schedule_id and due_at = v_due_at);
    begin
      v_error := null;
      v_run := htdag.start_tick(v_schedule, v_due_at);
      v_started := v_started + 1;
    exception when others then
      if sqlstate like '40%' then
        raise; -- a conflict: to be tried again as a whole
      end if;
      v_run := null;
      v_error := sqlerrm;
    end;
    insert into htdag.schedule_ticks (schedule_id, due_at, fired_at, by_hand, run_id, error)
    values (v_schedule.schedule_id, v_due_at, v_now, false, v_run, v_error);
  end loop;
  update htdag.schedules
     set next_due_at = coalesce(p_next_at, 'infinity'), skipped_at = coalesce(p_skipped_at, skipped_at), error = p_error, revision = revision + 1
   where schedule_id = v_schedule.schedule_id;
  delete from htdag.schedule_ticks
   where schedule_id = v_schedule.schedule_id and due_at < v_now - interval '30 days' and fired_at < v_now - interval '30 days';
  return v_started;
end;
$$;

comment on function htdag.fire_due(text, integer, timestamptz[], timestamptz, timestamptz, text) is
  'Fire a schedule for times that have come and say when it is due next (null: never again). Does nothing if the schedule has changed since it was read at p_revision, is paused, or somebody else is firing it. A run that cannot be started is noted and not tried again. Returns how many runs were started.';

create or replace function htdag.fire_schedule(p_name text)
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_schedule constant htdag.schedules := htdag.lock_schedule(p_name);
  v_now      constant timestamptz := htdag.clock();
  v_run      bigint;
begin
  v_run := htdag.start_tick(v_schedule, v_now);
  insert into htdag.schedule_ticks (schedule_id, due_at, fired_at, by_hand, run_id)
  values (v_schedule.schedule_id, v_now, v_now, true, v_run);
  return v_run;
end;
$$;

comment on function htdag.fire_schedule(text) is
  'Start the run of a schedule now, whether it is due, paused or neither; when it is due next stays as it is. Returns the run. Raises HT001, and HT003 when the flow is retired.';
