-- What is handed on to the runner that made it due takes over the row of the task that did: no
-- column of an index changes then. When claims end is looked up by runner, not by time.

begin;

drop index htdag.tasks_leased_idx;
create index tasks_leased_idx on htdag.tasks (runner_id) where runner_id is not null;
comment on column htdag.tasks.task_id is 'Unique among live tasks; the step handed on to the runner that made it due keeps it.';
comment on column htdag.tasks.lane_id is 'Where it waits. Of a claimed task, where its row waited last: it may have been that of an earlier step. Steps without a lane of their own have this one.';
comment on column htdag.tasks.priority is 'Lower is sooner; of a claimed task, of the step for which its row waited last.';

commit;
