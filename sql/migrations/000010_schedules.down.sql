begin;
drop table htdag.schedule_ticks, htdag.schedules;
commit;
