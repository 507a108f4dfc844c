-- What the manifests of packages ask for, one row for each declared dependency.

begin;

create table code.requirements (
  file_id     bigint not null,
  ordinal     integer not null,
  codebase_id integer not null,
  ecosystem   text not null,
  name        text not null,
  requirement text,
  kind        text not null,
  line        integer not null,
  constraint requirements_pkey primary key (file_id, ordinal),
  constraint requirements_file_fkey foreign key (file_id) references code.files on delete cascade,
  constraint requirements_kind_known check (kind in ('runtime', 'dev', 'build', 'optional', 'peer', 'indirect')),
  constraint requirements_name_not_blank check (name <> '')
);
create index requirements_name_idx on code.requirements (name, ecosystem);
comment on table code.requirements is 'Packages that manifests (go.mod, package.json, Cargo.toml, ...) declare as needed.';
comment on column code.requirements.ordinal is 'Place in the manifest, from 0.';
comment on column code.requirements.ecosystem is 'Where the name means something: go, npm, cargo, pypi, hex, maven, rubygems, composer.';
comment on column code.requirements.requirement is 'Version, range of versions or other source as written; null where the manifest leaves it open.';
comment on column code.requirements.kind is 'runtime, dev, build, optional, peer (the user of the package brings it) or indirect (needed by what is needed).';
comment on column code.requirements.line is 'Line of the declaration, from 1.';

commit;
