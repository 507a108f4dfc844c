begin;

alter table code.stale_links
  drop column moved,
  drop column passes_on;
drop index code.files_scope_idx;
drop index code.imports_exports_idx;
drop index code.imports_resolved_name_idx;
alter table code.imports drop column exports;

commit;
