-- Schedules and upkeep: one call each.

-- name: DueSchedules :many
select * from htdag.due_schedules(p_ahead => @ahead);

-- name: FireDue :one
select htdag.fire_due(p_name => @name, p_revision => @revision, p_due_at => @due_at::timestamptz[], p_next_at => sqlc.narg(next_at),
  p_skipped_at => sqlc.narg(skipped_at), p_error => sqlc.narg(error))::integer as started;

-- name: CreateSchedule :one
select htdag.create_schedule(p_name => @name, p_cron => @cron, p_flow => @flow, p_input => @input,
  p_time_zone => @time_zone, p_catch_up => @catch_up)::integer as schedule_id;

-- name: AlterSchedule :one
select htdag.alter_schedule(p_name => @name, p_cron => sqlc.narg(cron), p_flow => sqlc.narg(flow), p_input => sqlc.narg(input),
  p_time_zone => sqlc.narg(time_zone), p_catch_up => sqlc.narg(catch_up))::boolean as changed;

-- name: PauseSchedule :one
select htdag.pause_schedule(p_name => @name, p_reason => sqlc.narg(reason))::boolean as changed;

-- name: ResumeSchedule :one
select htdag.resume_schedule(p_name => @name)::boolean as changed;

-- name: DropSchedule :one
select htdag.drop_schedule(p_name => @name)::boolean as changed;

-- name: FireSchedule :one
select htdag.fire_schedule(p_name => @name)::bigint as run_id;

-- name: Schedules :many
-- The epoch stands for no time.
select schedule, cron, time_zone, flow, input, catch_up, coalesce(next_due_at, 'epoch')::timestamptz as next_due_at,
       coalesce(last_due_at, 'epoch')::timestamptz as last_due_at, last_run_id, coalesce(last_error, '')::text as last_error,
       paused_at, coalesce(trouble, '')::text as trouble
  from report.schedules
 order by schedule;

-- name: Upkeep :one
select htdag.upkeep()::integer as done;

-- name: DropExpired :one
select htdag.drop_expired()::integer as done;

-- name: CodeUpkeep :one
select code.upkeep()::bigint as done;
