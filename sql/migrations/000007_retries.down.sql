begin;
drop index htdag.runs_failed_idx;
drop table htdag.retries, htdag.dead_tasks;
commit;
