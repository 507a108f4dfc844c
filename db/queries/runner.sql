-- name: RegisterRunner :one
select htdag.register_runner(p_name => @name, p_queues => @queues::text[], p_kinds => @kinds::text[], p_concurrency => @concurrency, p_lease => @lease)::integer as runner_id;

-- name: ReadQueues :one
select htdag.read_queues(p_runner => @runner, p_queues => @queues::text[])::boolean as changed;

-- name: Heartbeat :many
select * from htdag.heartbeat(p_runner => @runner, p_cpu => @cpu, p_memory => @memory, p_task_ids => @task_ids::bigint[], p_tokens => @tokens::bigint[], p_lease => @lease);

-- name: Rest :one
select coalesce(extract(epoch from htdag.rest(p_runner => @runner)), -1)::double precision as seconds;

-- name: StopRunner :one
select htdag.stop_runner(p_runner => @runner)::integer as tasks;

-- name: Wake :one
select htdag.wake(p_queues => @queues::text[])::integer as queues;

-- name: ReportProgress :one
select htdag.report_progress(p_task_id => @task_id, p_token => @token, p_done => @done, p_total => sqlc.narg(total), p_note => sqlc.narg(note))::boolean as told;
