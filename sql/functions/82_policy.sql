-- How the built-in flows retry, and how long they may take.
--
-- Versions of flows are immutable: a policy that differs makes new versions, and runs
-- go on with the one that they began on.

create or replace view code.policies as
select coalesce(max_retries, 3)                as max_retries,
       coalesce(backoff_multiplier, 2)         as backoff_multiplier,
       coalesce(initial_delay, interval '1 s') as initial_delay,
       coalesce(node_timeout, interval '60 s') as node_timeout,
       coalesce(dag_timeout, interval '300 s') as dag_timeout
  from code.policy;
comment on view code.policies is 'The policy that holds, defaults filled in: one row.';

create or replace function code.set_policy(
  p_max_retries        integer default null,
  p_backoff_multiplier double precision default null,
  p_initial_delay      interval default null,
  p_node_timeout       interval default null,
  p_dag_timeout        interval default null
)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_was code.policies;
begin
  perform from code.policy order by singleton for no key update; -- one at a time
  select * into v_was from code.policies;
  begin
    update code.policy
       set max_retries        = coalesce(p_max_retries, max_retries),
           backoff_multiplier = coalesce(p_backoff_multiplier, backoff_multiplier),
           initial_delay      = coalesce(p_initial_delay, initial_delay),
           node_timeout       = coalesce(p_node_timeout, node_timeout),
           dag_timeout        = coalesce(p_dag_timeout, dag_timeout);
  exception when check_violation then
    raise exception using
      errcode = 'HT006',
      message = format('policy of %s retries, multiplier %s, initial delay %s, time limits %s and %s is out of range',
                       p_max_retries, p_backoff_multiplier, p_initial_delay, p_node_timeout, p_dag_timeout),
      detail  = sqlerrm,
      hint    = 'Retries are 0 to 1000, the multiplier is 1 to 1000, the delay up to a day, the limits from 1 ms to a day for steps and 30 days for runs.';
  end;
  if v_was is not distinct from (select p from code.policies p) then
    return false;
  end if;
  perform code.define_flows();
  return true;
end;
$$;
comment on function code.set_policy(integer, double precision, interval, interval, interval) is
  'Change how the built-in flows retry and how long they may take; null leaves a part as it is. Runs that are started from then on go by it, in a new version of the flow; those that have begun keep theirs. False where nothing changes. Raises HT006.';
