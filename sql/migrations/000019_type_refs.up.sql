-- Which types definitions name: in signatures, fields, extends clauses and bodies.
-- Filled by ingesting anew, which the higher extractor version asks for.

begin;

create table code.type_refs (
  file_id        bigint not null,
  ordinal        integer not null,
  codebase_id    integer not null,
  user_id        bigint,
  type_id        bigint,
  line           integer not null,
  import_ordinal integer,
  confidence     double precision,
  kind           text not null,
  reach          text not null,
  name           text not null,
  target         text not null,
  constraint type_refs_pkey primary key (file_id, ordinal),
  constraint type_refs_confidence_range check (confidence > 0 and confidence <= 1),
  constraint type_refs_confidence_iff_type check ((type_id is null) = (confidence is null)),
  constraint type_refs_kind_known check (kind in ('extends', 'implements', 'field', 'signature', 'variable', 'alias', 'body')),
  constraint type_refs_reach_known check (reach in ('file', 'package', 'import'))
) with (fillfactor = 60);
create index type_refs_name_idx on code.type_refs (codebase_id, name);
comment on table code.type_refs is 'Types that definitions name, each once for a definition and a kind. type_id is set where the type could be found, with the confidence of that.';
comment on column code.type_refs.user_id is 'The definition that names the type; null outside of any.';
comment on column code.type_refs.kind is 'What for: a base type, a field, a signature, a variable outside functions, another name for it, inside a function.';
comment on column code.type_refs.reach is 'Where the name is to be looked for: file, package (and what was imported without names), an import.';
comment on column code.type_refs.name is 'The type''s name as its definition spells it, renamings on import undone.';
comment on column code.type_refs.target is 'Qualified name to look for within reach.';

alter table code.dependencies
  add column types integer not null default 0,
  drop constraint dependencies_counted,
  add constraint dependencies_counted check (imports + calls + types > 0);
comment on column code.dependencies.types is 'Number of definitions that name types of the other file.';
comment on table code.dependencies is 'Which file needs which, with the number of imports, calls and named types that say so.';

commit;
