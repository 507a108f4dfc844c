-- Verbs of the command line: one call each.

-- name: DiffFlow :many
select * from htdag.diff_flow(p_spec => @spec);

-- name: DiffVersions :many
select * from htdag.diff_versions(p_flow => @flow, p_from => @from_version, p_to => sqlc.narg(to_version));

-- name: FlowGraph :many
select * from htdag.flow_graph(p_flow => @flow, p_version => sqlc.narg(version));

-- name: RetireFlow :one
select htdag.retire_flow(p_flow => @flow, p_retired => @retired)::boolean as changed;

-- name: Flows :many
-- Flows that steps made of themselves while running are not what people look for.
select * from report.flows where flow not like '%:%' order by flow;

-- name: StartFlow :one
select htdag.start_flow(p_flow => @flow, p_input => @input, p_priority => @priority, p_key => sqlc.narg(key),
  p_on_duplicate => @on_duplicate, p_debounce => sqlc.narg(debounce), p_delay => sqlc.narg(delay))::bigint as run_id;

-- name: CancelRun :one
select htdag.cancel_run(p_run_id => @run_id, p_reason => @reason)::boolean as cancelled;

-- name: Why :many
select line::text from htdag.why(p_run_id => @run_id) line;

-- name: RunReport :one
select run_id, flow, version, state, started_at, finished_at, steps_total, steps_done, coalesce(error, '')::text as error
  from report.runs
 where run_id = @run_id;

-- name: RunReports :many
select run_id, flow, version, state, started_at, finished_at, steps_total, steps_done, coalesce(error, '')::text as error
  from report.runs
 where (sqlc.narg(flow)::text is null or flow = sqlc.narg(flow))
   and (sqlc.narg(state)::text is null or state = sqlc.narg(state))
 order by run_id desc
 limit @at_most;

-- name: NewestVersion :one
select version, draft, (retired_at is not null)::boolean as retired from report.flows where flow = @flow;

-- name: StepReports :many
select step, group_path, state::text as state, attempts, coalesce(ran, '0')::interval as ran, coalesce(error, '')::text as error,
       coalesce(progress_done, -1)::bigint as progress_done, coalesce(progress_total, 0)::bigint as progress_total, coalesce(progress_note, '')::text as progress_note
  from report.steps
 where run_id = @run_id;

-- name: SendSignal :one
select htdag.send_signal(p_run_id => @run_id, p_name => @name, p_payload => @payload)::boolean as sent;

-- name: BroadcastSignal :one
select htdag.broadcast_signal(p_name => @name, p_payload => @payload, p_flow => sqlc.narg(flow))::integer as runs;

-- name: PauseRun :one
select htdag.pause_run(p_run_id => @run_id, p_reason => sqlc.narg(reason))::boolean as changed;

-- name: ResumeRun :one
select htdag.resume_run(p_run_id => @run_id)::boolean as changed;

-- name: PauseFlow :one
select htdag.pause_flow(p_flow => @flow, p_reason => sqlc.narg(reason), p_running => @running)::boolean as changed;

-- name: ResumeFlow :one
select htdag.resume_flow(p_flow => @flow)::boolean as changed;

-- name: PauseQueue :one
select htdag.pause_queue(p_queue => @queue, p_reason => sqlc.narg(reason))::boolean as changed;

-- name: ResumeQueue :one
select htdag.resume_queue(p_queue => @queue)::boolean as changed;

-- name: Pauses :many
select kind, name, paused_at, paused_by, coalesce(reason, '')::text as reason from report.pauses order by kind, paused_at;

-- name: RetryRun :one
select htdag.retry_run(p_run_id => @run_id, p_from => sqlc.narg(from_steps)::text[], p_only_failed => @only_failed)::boolean as again;

-- name: PreviewRetry :many
select step, state, happens, coalesce(elements_kept, 0)::integer as elements_kept
  from htdag.preview_retry(p_run_id => @run_id, p_from => sqlc.narg(from_steps)::text[], p_only_failed => @only_failed);

-- name: RetryRuns :one
select htdag.retry_runs(p_flow => @flow, p_error => sqlc.narg(error), p_code => sqlc.narg(code), p_since => sqlc.narg(since), p_limit => @at_most)::integer as runs;

-- name: DeadTasks :many
select run_id, flow, step, coalesce(element, -1)::integer as element, item, input, attempts, coalesce(code, '')::text as code, coalesce(error, '')::text as error, died_at
  from report.dead_tasks
 where sqlc.narg(flow)::text is null or flow = sqlc.narg(flow)
 order by died_at desc, run_id desc
 limit @at_most;
