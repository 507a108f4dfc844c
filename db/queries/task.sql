-- name: ClaimSteps :many
select * from htdag.claim_steps(p_runner => @runner, p_want => @want);

-- name: CompleteSteps :many
select * from htdag.complete_steps(p_runner => @runner, p_task_ids => @task_ids::bigint[], p_tokens => @tokens::bigint[], p_step_nos => @step_nos::smallint[],
  p_outcomes => @outcomes::text[], p_outputs => @outputs::jsonb[], p_errors => @errors::text[], p_ran => @ran::interval[], p_want => @want,
  p_codes => array_replace(@codes::text[], '', null), p_delays => @delays::interval[]);

-- name: Pump :one
select htdag.pump(p_limit => @row_limit)::integer as steps;

-- name: SetStatementTimeout :exec
select set_config('statement_timeout', @value, true);
