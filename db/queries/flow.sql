-- name: StepDefinitions :many
select * from htdag.step_definitions where flow_version_id = @flow_version_id order by step_no;

-- name: DefineFlow :one
select htdag.define_flow(p_spec => @spec)::integer as version;

-- name: SetLimits :one
select htdag.set_limits(p_flow => @flow, p_max_concurrent_runs => sqlc.narg(max_concurrent_runs), p_rate_per_minute => sqlc.narg(rate_per_minute),
  p_cpu_threshold => sqlc.narg(cpu_threshold), p_memory_threshold => sqlc.narg(memory_threshold), p_only_if_unset => @only_if_unset)::boolean as is_set;

-- name: ChangeLimits :one
-- Limits that are null here stay as they are.
select htdag.set_limits(
         p_flow                => f.name,
         p_max_concurrent_runs => coalesce(sqlc.narg(max_concurrent_runs)::integer, l.max_concurrent_runs),
         p_rate_per_minute     => coalesce(sqlc.narg(rate_per_minute)::integer, l.rate_per_minute),
         p_cpu_threshold       => coalesce(sqlc.narg(cpu_threshold)::double precision, l.cpu_threshold),
         p_memory_threshold    => coalesce(sqlc.narg(memory_threshold)::double precision, l.memory_threshold),
         p_burst => l.burst, p_rate_mode => coalesce(l.rate_mode, 'burst'), p_key => l.key,
         p_max_concurrent_per_key => l.max_concurrent_per_key, p_rate_per_minute_per_key => l.rate_per_minute_per_key)::boolean as is_set
  from htdag.flows f
  left join htdag.limits l using (flow_id)
 where f.name = @flow;

-- name: SetPolicy :one
select code.set_policy(
         p_max_retries        => sqlc.narg(max_retries),
         p_backoff_multiplier => sqlc.narg(backoff_multiplier),
         p_initial_delay      => sqlc.narg(initial_delay),
         p_node_timeout       => sqlc.narg(node_timeout),
         p_dag_timeout        => sqlc.narg(dag_timeout))::boolean as changed;

-- name: IngestionSettings :one
-- What the database holds of the settings; a limit that is null is lifted.
select l.max_concurrent, l.rate_per_minute, l.cpu_threshold, l.memory_threshold,
       p.max_retries, p.backoff_multiplier, p.initial_delay, p.node_timeout, p.dag_timeout
  from report.policy p
  left join report.limits l on l.kind = 'flow' and l.name = 'ingest_file';

-- name: CodebasesAt :many
select name from code.codebases where root = @root and coalesce(ref, '') = @ref::text order by codebase_id;
