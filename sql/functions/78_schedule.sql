-- Schedules: flows that start by the clock.
--
-- When a schedule is due next is worked out by a program that reads cron, and kept in
-- next_due_at. A change of the expression or a pause empties it, so that nothing is
-- caught up that lies before the change or in the pause.

create or replace function htdag.check_schedule(p_name text, p_cron text, p_time_zone text, p_catch_up text, p_input jsonb)
returns boolean
language plpgsql
stable
set search_path = ''
as $$
declare
  v_wrong constant text := htdag.cron_trouble(p_cron);
begin
  if length(p_name) not between 1 and 200 then
    raise exception using errcode = 'HT006',
      message = format('the name of a schedule has %s characters', length(p_name)), hint = 'Give one of 1 to 200.';
  elsif v_wrong is not null then
    raise exception using errcode = 'HT006',
      message = format('schedule "%s": cron "%s": %s', p_name, p_cron, v_wrong),
      hint = 'Give minute, hour, day, month and weekday (sun or 0 to sat or 6), with the second before them if it matters, or @yearly, @monthly, @weekly, @daily or @hourly.';
  elsif not exists (select from pg_catalog.pg_timezone_names where name = p_time_zone) then
    raise exception using errcode = 'HT006',
      message = format('schedule "%s": time zone "%s" is not known', p_name, p_time_zone),
      hint = 'select name from pg_timezone_names lists the time zones there are, such as UTC or Europe/Berlin.';
  elsif p_catch_up <> all (array['skip', 'latest', 'all']) then
    raise exception using errcode = 'HT006',
      message = format('schedule "%s": unknown way to catch up "%s"', p_name, p_catch_up), hint = 'Give skip, latest or all.';
  elsif jsonb_typeof(p_input) <> 'object' then
    raise exception using errcode = 'HT006',
      message = format('schedule "%s": the input is %s %s', p_name, case jsonb_typeof(p_input) when 'array' then 'an' else 'a' end, jsonb_typeof(p_input)),
      hint = 'Give an object.';
  end if;
  return true;
end;
$$;

comment on function htdag.check_schedule(text, text, text, text, jsonb) is 'Raises HT006 for whatever is wrong with a schedule; what is null is not looked at, but for the time zone.';

-- The id of a flow that may be started, by its name.
create or replace function htdag.flow_in_use(p_flow text)
returns integer
language plpgsql
stable
set search_path = ''
as $$
declare
  v_flow htdag.flows;
begin
  select * into v_flow from htdag.flows where name = p_flow;
  if not found then
    raise exception using errcode = 'HT001', message = format('flow "%s" does not exist', p_flow),
      hint = 'select flow from report.flows lists the flows there are; define_flow makes one.';
  elsif v_flow.retired_at is not null then
    raise exception using errcode = 'HT003', message = format('flow "%s" is retired', p_flow),
      hint = format('Bring it back first: select htdag.retire_flow(%L, p_retired => false);', p_flow);
  end if;
  return v_flow.flow_id;
end;
$$;

comment on function htdag.flow_in_use(text) is 'The id of a flow. Raises HT001, and HT003 when it is retired.';

create or replace function htdag.lock_schedule(p_name text)
returns htdag.schedules
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_schedule htdag.schedules;
begin
  select * into v_schedule from htdag.schedules where name = p_name order by schedule_id for update;
  if not found then
    raise exception using errcode = 'HT001', message = format('schedule "%s" does not exist', p_name),
      hint = 'select schedule from report.schedules lists the schedules there are.';
  end if;
  return v_schedule;
end;
$$;

comment on function htdag.lock_schedule(text) is 'A schedule, locked. Raises HT001.';

create or replace function htdag.create_schedule(
  p_name      text,
  p_cron      text,
  p_flow      text,
  p_input     jsonb default '{}',
  p_time_zone text default 'UTC',
  p_catch_up  text default 'skip'
)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_id integer;
begin
  if num_nulls(p_name, p_cron, p_flow, p_input, p_time_zone, p_catch_up) > 0 then
    raise exception using errcode = 'HT006', message = 'an argument of create_schedule is null', hint = 'Leave out what is to have its default.';
  end if;
  perform htdag.check_schedule(p_name, p_cron, p_time_zone, p_catch_up, p_input);
  insert into htdag.schedules (name, cron, time_zone, flow_id, input, catch_up, since)
  values (p_name, btrim(p_cron), p_time_zone, htdag.flow_in_use(p_flow), p_input, p_catch_up, htdag.clock())
      on conflict (name) do nothing
  returning schedule_id into v_id;
  if v_id is null then
    raise exception using errcode = 'HT003', message = format('schedule "%s" exists already', p_name),
      hint = 'htdag.alter_schedule changes it, htdag.drop_schedule removes it.';
  end if;
  return v_id;
end;
$$;

comment on function htdag.create_schedule(text, text, text, jsonb, text, text) is
  'Start a flow by the clock, at the times that a cron expression names in a time zone; returns the schedule''s id. Times more than a minute past when somebody looks are missed: skip starts nothing for them, latest one run for the last one, all one for each of the last hundred. Values "{due_at}" and "{schedule}" at the top of the input are replaced. Raises HT001, HT003, HT006.';

create or replace function htdag.alter_schedule(
  p_name      text,
  p_cron      text default null,
  p_flow      text default null,
  p_input     jsonb default null,
  p_time_zone text default null,
  p_catch_up  text default null
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_old constant htdag.schedules := htdag.lock_schedule(p_name);
  v_new htdag.schedules := v_old;
begin
  perform htdag.check_schedule(p_name, p_cron, coalesce(p_time_zone, v_old.time_zone), p_catch_up, p_input);
  v_new.cron := coalesce(btrim(p_cron), v_old.cron);
  v_new.time_zone := coalesce(p_time_zone, v_old.time_zone);
  v_new.flow_id := case when p_flow is null then v_old.flow_id else htdag.flow_in_use(p_flow) end;
  v_new.input := coalesce(p_input, v_old.input);
  v_new.catch_up := coalesce(p_catch_up, v_old.catch_up);
  if v_new is not distinct from v_old then
    return false;
  elsif (v_new.cron, v_new.time_zone) is distinct from (v_old.cron, v_old.time_zone) then
    v_new.next_due_at := null;
    v_new.since := htdag.clock();
    v_new.error := null;
  end if;
  update htdag.schedules
     set cron = v_new.cron, time_zone = v_new.time_zone, flow_id = v_new.flow_id, input = v_new.input, catch_up = v_new.catch_up,
         next_due_at = v_new.next_due_at, since = v_new.since, error = v_new.error, revision = revision + 1
   where schedule_id = v_old.schedule_id;
  return true;
end;
$$;

comment on function htdag.alter_schedule(text, text, text, jsonb, text, text) is
  'Change what is given of a schedule; false if that changes nothing. New times count from now on. Raises HT001, HT003, HT006.';

create or replace function htdag.pause_schedule(p_name text, p_reason text default null)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_old constant htdag.schedules := htdag.lock_schedule(p_name);
begin
  update htdag.schedules
     set paused_at = htdag.clock(), paused_by = session_user, pause_reason = p_reason, revision = revision + 1
   where schedule_id = v_old.schedule_id and paused_at is null;
  return found;
end;
$$;

comment on function htdag.pause_schedule(text, text) is
  'Let a schedule start nothing until resume_schedule; false if it is paused already. fire_schedule still works. Raises HT001.';

create or replace function htdag.resume_schedule(p_name text)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_old constant htdag.schedules := htdag.lock_schedule(p_name);
begin
  update htdag.schedules
     set paused_at = null, paused_by = null, pause_reason = null, next_due_at = null, since = htdag.clock(), revision = revision + 1
   where schedule_id = v_old.schedule_id and paused_at is not null;
  return found;
end;
$$;

comment on function htdag.resume_schedule(text) is
  'Let a paused schedule go on from now; times in the pause are not caught up. False if it is not paused. Raises HT001.';

create or replace function htdag.drop_schedule(p_name text)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_old constant htdag.schedules := htdag.lock_schedule(p_name);
begin
  delete from htdag.schedules where schedule_id = v_old.schedule_id;
  return found;
end;
$$;

comment on function htdag.drop_schedule(text) is 'Remove a schedule and the record of its times; runs that it started go on. Raises HT001.';
