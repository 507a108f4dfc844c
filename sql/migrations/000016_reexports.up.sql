-- Calls are followed through files that pass on what they import, and those that an
-- edit cannot have touched are not looked at.

begin;

alter table code.imports add column exports text[] not null default '{}';
comment on column code.imports.exports is 'Names under which the file passes on what it imports: a, a as b, * for all but the default, * as b for the module itself.';
create index imports_resolved_name_idx on code.imports (codebase_id, resolved_name) where resolved_name is not null;
create index imports_exports_idx on code.imports (codebase_id, resolved_name) where exports <> '{}';

create index files_scope_idx on code.files (codebase_id, scope) where scope is not null;

alter table code.stale_links
  add column passes_on boolean not null default false,
  add column moved boolean not null default false;
comment on column code.stale_links.passes_on is 'Whether what the file passes on of other files has changed, so that calls of whoever imports it are resolved again.';
comment on column code.stale_links.moved is 'Whether the file''s symbols were found in another way before, so that calls of their names are resolved again wherever they are.';

commit;
