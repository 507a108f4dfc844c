begin;

alter table code.stale_links drop column calls;

commit;
