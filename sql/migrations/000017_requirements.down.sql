begin;

drop table code.requirements;

commit;
