begin;
drop table code.policy;
commit;
