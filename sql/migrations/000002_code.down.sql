begin;
drop schema code cascade;
commit;
