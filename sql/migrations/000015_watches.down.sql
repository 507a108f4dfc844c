begin;
drop table code.watches;
commit;
