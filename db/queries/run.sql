-- name: StartFlow :one
select htdag.start_flow(p_flow => @flow, p_input => @input, p_priority => @priority)::bigint as run_id;

-- name: CancelRun :one
select htdag.cancel_run(p_run_id => @run_id, p_reason => @reason)::boolean as cancelled;

-- name: Run :one
select * from report.runs where run_id = @run_id;

-- name: Why :many
select w::text as line from htdag.why(p_run_id => @run_id) w;
