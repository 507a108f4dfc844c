-- Shapes: views that name the row types which functions return.
--
-- They are never selected from for their rows. A function that returns setof a
-- view gives programs a typed row with the comments below.

create or replace function htdag.clock()
returns timestamptz
language sql
volatile
return clock_timestamp();

comment on function htdag.clock() is
  'The engine''s clock. All times that the engine stores come from it, never from a runner.';

create or replace view htdag.claims as
select 'claimed'::text       as verdict,
       t.task_id,
       t.token,
       t.run_id,
       f.name                as flow,
       t.flow_version_id,
       t.step_no,
       t.last_step_no,
       t.map_index,
       t.attempt,
       io.input,
       mi.item,
       io.input              as needs,
       l.queue
  from htdag.tasks t
  join htdag.flow_versions v on v.flow_version_id = t.flow_version_id
  join htdag.flows f on f.flow_id = v.flow_id
  join htdag.run_io io on io.run_id = t.run_id
  join htdag.lanes l on l.lane_id = t.lane_id
  left join htdag.map_items mi on mi.run_id = t.run_id and mi.step_no = t.step_no and mi.map_index = t.map_index;

comment on view htdag.claims is
  'One answer of an exchange. Verdict claimed: a task to work on. Verdict stale: the result for task_id came too late and changed nothing. Verdict wake: work for queue waits while a runner of it is idle. Verdict pump: the engine has steps of its own to do, by htdag.pump.';

create or replace view htdag.step_definitions as
select s.flow_version_id,
       s.step_no,
       s.name,
       s.kind,
       s.is_map,
       s.timeout,
       (s.argument is not null)::boolean as has_argument
  from htdag.steps s;

comment on view htdag.step_definitions is
  'What a runner needs to know of the steps of a flow version; immutable once the version is published.';

create or replace view htdag.members as
select r.run_id, s.group_path
  from htdag.runs r
  join htdag.steps s using (flow_version_id);

comment on view htdag.members is
  'A run within another one, and the group of that one''s step that it is the body of, or below the body of; null for the run itself.';

create or replace view htdag.stale_tasks as
select t.task_id, t.token
  from htdag.tasks t;

comment on view htdag.stale_tasks is
  'Tasks in a runner''s hands that are no longer its own: cancelled, timed out or given to another.';
