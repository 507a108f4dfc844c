-- A task that waited for a limit may find its work done meanwhile.

begin;

alter table htdag.tasks
  drop constraint tasks_parked_known,
  add constraint tasks_parked_known check (parked in ('retry', 'delay', 'snooze', 'limit', 'paused', 'signal', 'sub-flow', 'memo'));

commit;
