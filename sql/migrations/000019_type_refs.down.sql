begin;

delete from code.dependencies where imports + calls = 0;
alter table code.dependencies
  drop constraint dependencies_counted,
  drop column types,
  add constraint dependencies_counted check (imports + calls > 0);
comment on table code.dependencies is 'Which file needs which, with the number of imports and calls that say so.';
drop table code.type_refs;

commit;
