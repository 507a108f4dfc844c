begin;

update htdag.tasks set parked = null, due_at = null where parked = 'memo';
alter table htdag.tasks
  drop constraint tasks_parked_known,
  add constraint tasks_parked_known check (parked in ('retry', 'delay', 'snooze', 'limit', 'paused', 'signal', 'sub-flow'));

commit;
