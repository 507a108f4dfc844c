-- Secrets that were found in files, and who may read what they were found in; what
-- embedding models have been asked for.

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

create table code.embedding_usage (
  model_id smallint not null,
  day      date not null,
  requests bigint not null,
  texts    bigint not null,
  tokens   bigint not null,
  constraint embedding_usage_pkey primary key (model_id, day),
  constraint embedding_usage_model_fkey foreign key (model_id) references code.models on delete cascade
);
comment on table code.embedding_usage is 'What models that cost something were asked for: one row per model and day (UTC).';
comment on column code.embedding_usage.tokens is 'As estimated before a request from the length of its texts: a token per four bytes.';

comment on column code.blobs.content is 'Raw bytes, any secrets in them included, for extracting anew: only runners and the owner may read them. Null for contents over the size limit, which are known but not kept.';

commit;
