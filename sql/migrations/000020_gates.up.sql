-- Secrets that were found in files, and who may read what they were found in.

begin;

create table code.findings (
  file_id     bigint not null,
  ordinal     integer not null,
  codebase_id integer not null,
  rule        text not null,
  line        integer not null,
  excerpt     text not null,
  constraint findings_pkey primary key (file_id, ordinal),
  constraint findings_file_fkey foreign key (file_id) references code.files on delete cascade,
  constraint findings_line_positive check (line >= 1)
);
create index findings_codebase_idx on code.findings (codebase_id, rule);
comment on table code.findings is 'Secrets that were found in files, without the secrets: chunks, and all else but code.blobs, have asterisks in their place.';
comment on column code.findings.ordinal is 'Place among the findings of the file, from 0.';
comment on column code.findings.rule is 'What it looks like: the name of a rule of package secret.';
comment on column code.findings.line is 'Where it begins, from 1.';
comment on column code.findings.excerpt is 'That line, with all secrets on it masked.';

comment on column code.blobs.content is 'Raw bytes, any secrets in them included, for extracting anew: only runners and the owner may read them. Null for contents over the size limit, which are known but not kept.';

commit;
