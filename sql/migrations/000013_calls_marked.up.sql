-- Of a file that was edited only the calls that are new to it are resolved again.

begin;

alter table code.stale_links add column calls integer[];
comment on column code.stale_links.calls is 'Ordinals of the file''s own calls that are to be resolved; null for all of them, and its imports.';

commit;
