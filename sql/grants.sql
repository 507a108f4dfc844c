-- Rights: verbs run with their owner's rights and are nobody's by default.
--
-- The roles are made by whoever may make roles; where they are missing, the owner
-- does everything. htdag_runner claims and answers, and keeps the corpus;
-- htdag_client starts, cancels and defines; htdag_reader reads reports and searches.
-- To set them up: create role htdag_runner; create role htdag_client;
-- create role htdag_reader; then htdag migrate up, and grant them to users.

do $$
declare
  v_grants constant text[] := array[
    'grant usage on schema htdag, code, report, pgmq to htdag_runner, htdag_client',
    'grant usage on schema htdag, code, report to htdag_reader',

    'grant execute on function htdag.register_runner, htdag.read_queues, htdag.heartbeat, htdag.rest, htdag.stop_runner, htdag.claim_steps, htdag.complete_steps, htdag.complete_step, htdag.fail_step, htdag.snooze_step, htdag.decompose_step, htdag.pump, htdag.wake to htdag_runner',
    'grant select on htdag.step_definitions, htdag.installations, public.htdag_migrations to htdag_runner',
    'grant select, insert, update, delete on all tables in schema code, pgmq to htdag_runner',
    'grant usage on all sequences in schema pgmq to htdag_runner',
    'grant execute on all routines in schema code to htdag_runner',
    'grant execute on function htdag.start_flow, htdag.run_untouched to htdag_runner',
    'grant execute on function code.add_watch, code.remove_watch, code.set_policy to htdag_client',

    'grant execute on function htdag.start_flow, htdag.start_flows, htdag.cancel_run, htdag.define_flow, htdag.create_flow, htdag.add_step, htdag.set_limits, htdag.admit, htdag.upkeep, htdag.pump, htdag.send_signal, htdag.broadcast_signal, htdag.run_output to htdag_client',

    'grant execute on function htdag.retire_flow to htdag_client',
    'grant execute on function htdag.retry_run, htdag.retry_runs, htdag.discard_dead, htdag.move_runs to htdag_client',
    'grant execute on function htdag.preview_retry to htdag_client, htdag_reader',
    'grant execute on function htdag.set_limit, htdag.set_queue_limit, htdag.pause_run, htdag.resume_run, htdag.pause_flow, htdag.resume_flow, htdag.pause_queue, htdag.resume_queue, htdag.purge_memos to htdag_client',
    'grant execute on function htdag.create_schedule, htdag.alter_schedule, htdag.pause_schedule, htdag.resume_schedule, htdag.drop_schedule, htdag.fire_schedule, htdag.due_schedules, htdag.fire_due to htdag_client',
    'grant execute on function htdag.due_schedules, htdag.fire_due, htdag.upkeep, htdag.drop_expired to htdag_runner',
    'grant execute on function htdag.diff_flow, htdag.diff_versions, htdag.flow_graph to htdag_client, htdag_reader',

    'grant execute on function htdag.subscribe, htdag.unsubscribe, htdag.pause_subscription, htdag.resume_subscription, htdag.redeliver, htdag.redeliver_dead to htdag_client',
    'grant execute on function htdag.send_with_notify to htdag_client, htdag_runner',
    'grant execute on function htdag.claim_deliveries, htdag.finish_delivery, htdag.report_progress to htdag_runner',
    'grant execute on function htdag.event_cursor, htdag.events_after to htdag_runner, htdag_client, htdag_reader',

    'grant execute on function htdag.run_members, htdag.why, htdag.clock, htdag.pause_words to htdag_runner, htdag_client, htdag_reader',
    'grant execute on function code.search, code.search_with_vector, code.substring_search, code.regex_search, code.dependents, code.callers, code.callees, code.as_of, code.content_as_of, code.churn, code.co_changes, code.symbol_history to htdag_client, htdag_reader',
    'grant execute on function code.call_path, code.blast_radius, code.import_cycles, code.layers, code.repo_map, code.unused_symbols, code.type_users to htdag_client, htdag_reader',
    'grant select on all tables in schema report to htdag_runner, htdag_client, htdag_reader'];
  v_grant text;
begin
  revoke execute on all routines in schema htdag, code from public;
  if (select count(*) from pg_catalog.pg_roles where rolname in ('htdag_runner', 'htdag_client', 'htdag_reader')) = 3 then
    foreach v_grant in array v_grants loop
      execute v_grant;
    end loop;
  end if;
end;
$$;
