-- The corpus: codebases, the files in them, and what was found in the files.
--
-- Content is stored once by hash and read by any runner; everything below
-- code.files is derived from it and replaced by difference when it changes.

begin;

-- Trigram indexes answer substring and regular expression searches. The
-- extension ships with PostgreSQL (Debian: in the server package) and is trusted.
create extension if not exists pg_trgm;

create schema code;
comment on schema code is 'The corpus: codebases, files, symbols, imports, calls, chunks and embeddings.';

create table code.codebases (
  codebase_id   integer generated always as identity,
  name          text not null,
  root          text not null,
  registered_at timestamptz not null default now(),
  scanned_at    timestamptz,
  ready_at      timestamptz,
  scan_run_id   bigint,
  constraint codebases_pkey primary key (codebase_id),
  constraint codebases_name_unique unique (name),
  constraint codebases_name_not_blank check (name <> '' and name = btrim(name)),
  constraint codebases_root_absolute check (root like '/%' or root ~ '^[A-Za-z]:')
);
comment on table code.codebases is 'One row per watched source tree. Files in it are named relative to root.';
comment on column code.codebases.root is 'Canonical absolute path on the machine that serves the tree.';
comment on column code.codebases.scanned_at is 'When a whole scan last ended: every file that is not deleted was seen then. Null before the first.';
comment on column code.codebases.ready_at is 'When the first whole ingestion ended.';
comment on column code.codebases.scan_run_id is 'Run of ingest_codebase that was requested last.';

create table code.blobs (
  sha256    bytea not null,
  bytes     bigint not null,
  content   bytea,
  stored_at timestamptz not null default now(),
  constraint blobs_pkey primary key (sha256),
  constraint blobs_sha256_length check (octet_length(sha256) = 32),
  constraint blobs_bytes_match check (content is null or octet_length(content) = bytes)
);
comment on table code.blobs is 'File contents by sha256, stored once whatever the number of paths that hold them.';
comment on column code.blobs.content is 'Raw bytes; null for contents over the size limit, which are known but not kept.';

create table code.files (
  file_id          bigint generated always as identity,
  codebase_id      integer not null,
  path             text not null,
  bytes            bigint not null,
  modified_ns      bigint not null,
  mode             integer not null,
  inode            bigint not null default 0,
  owner            text,
  sha256           bytea,
  status           text not null default 'pending',
  reason           text,
  language         text,
  lines            integer,
  encoding         text,
  generated        boolean not null default false,
  minified         boolean not null default false,
  module           text,
  doc              text,
  parser           text,
  parse_errors     integer not null default 0,
  family           text,
  scope            text,
  precedence       smallint not null default 0,
  ingested_sha256  bytea,
  ingested_version integer,
  run_id           bigint,
  first_seen_at    timestamptz not null default now(),
  seen_at          timestamptz not null default now(),
  ingested_at      timestamptz,
  deleted_at       timestamptz,
  constraint files_pkey primary key (file_id),
  constraint files_codebase_fkey foreign key (codebase_id) references code.codebases on delete cascade,
  constraint files_path_unique unique (codebase_id, path),
  constraint files_path_relative check (path <> '' and path not like '/%'),
  constraint files_status_known check (status in ('pending', 'ingested', 'partial', 'skipped', 'deleted')),
  constraint files_reason_given check (status not in ('partial', 'skipped') or reason is not null),
  constraint files_deleted_iff_deleted_at check ((status = 'deleted') = (deleted_at is not null)),
  constraint files_ingested_has_time check (status not in ('ingested', 'partial') or ingested_at is not null)
) with (fillfactor = 80);
comment on table code.files is 'One row per regular file ever seen in a codebase, whatever became of it.';
comment on column code.files.path is 'Relative to the codebase root, slash separated; bytes that are not UTF-8 are written \xNN.';
comment on column code.files.modified_ns is 'Modification time in nanoseconds since 1970, as the disk reported it.';
comment on column code.files.sha256 is 'Hash of the content last seen on disk; null where it could not be read.';
comment on column code.files.status is 'pending until first ingested, then ingested, partial, skipped or deleted.';
comment on column code.files.reason is 'Why the file is partial or skipped.';
comment on column code.files.family is 'Languages whose symbols can call each other share a family: go, js, py, jvm.';
comment on column code.files.scope is 'Files with an equal scope see each other''s top-level names without an import (a Go package); null where a file stands alone.';
comment on column code.files.precedence is 'Which of several definitions of one name is meant: 0 before 1 (for another platform) before 2 (tests).';
comment on column code.files.run_id is 'Run of ingest_file that was started last for the file.';
comment on column code.files.seen_at is 'When the disk was asked for the recorded facts; older facts do not replace them. A file that no scan found changed was also seen at the codebase''s scanned_at.';
comment on column code.files.ingested_sha256 is 'Hash of the content that symbols, imports, calls and chunks describe.';
comment on column code.files.ingested_version is 'Extractor version that produced them.';

create table code.file_versions (
  file_id     bigint not null,
  ordinal     integer not null,
  change      text not null,
  sha256      bytea,
  bytes       bigint not null,
  lines       integer,
  symbols     integer not null default 0,
  complexity  integer not null default 0,
  recorded_at timestamptz not null default now(),
  constraint file_versions_pkey primary key (file_id, ordinal),
  constraint file_versions_file_fkey foreign key (file_id) references code.files on delete cascade,
  constraint file_versions_change_known check (change in ('added', 'modified', 'deleted', 'restored'))
);
comment on table code.file_versions is 'Every content that was ingested under a path, appended when it is stored or found gone.';

-- Symbols and calls are by far the most numerous rows and are replaced with their
-- file, so they carry no foreign keys: each would cost a third of storing the row.
-- The functions in 80_code.sql keep file_id, caller_id and callee_id true, and
-- code.invariant_violations says where they do not.
create table code.symbols (
  symbol_id      bigint generated always as identity,
  codebase_id    integer not null,
  file_id        bigint not null,
  key            text not null,
  parent_key     text,
  kind           text not null,
  name           text not null,
  qualified_name text not null,
  signature      text,
  doc            text,
  exported       boolean not null,
  export_name    text,
  start_line     integer not null,
  end_line       integer not null,
  start_byte     integer not null,
  end_byte       integer not null,
  complexity     integer not null,
  constraint symbols_pkey primary key (symbol_id),
  constraint symbols_key_unique unique (file_id, key),
  constraint symbols_kind_known check (kind in ('function', 'method', 'class', 'struct', 'interface', 'trait',
    'enum', 'type', 'constant', 'variable', 'field', 'module', 'macro')),
  constraint symbols_lines_ordered check (start_line >= 1 and end_line >= start_line),
  constraint symbols_bytes_ordered check (start_byte >= 0 and end_byte >= start_byte)
);
create index symbols_name_idx on code.symbols (codebase_id, name);
create index symbols_export_name_idx on code.symbols (codebase_id, export_name) where export_name is not null;
comment on table code.symbols is 'Definitions found in files. A symbol that an edit leaves alone keeps its symbol_id.';
comment on column code.symbols.key is 'Unique within the file and stable under edits elsewhere in it.';
comment on column code.symbols.export_name is 'Name under which importers know it, where that is another: default.';
comment on column code.symbols.complexity is 'Cyclomatic complexity (decisions + 1); 0 for what has no body.';

create table code.imports (
  file_id          bigint not null,
  ordinal          integer not null,
  codebase_id      integer not null,
  module           text not null,
  alias            text,
  names            text[] not null,
  line             integer not null,
  seeks            text[] not null,
  resolved_name    text,
  resolved_file_id bigint,
  constraint imports_pkey primary key (file_id, ordinal),
  constraint imports_file_fkey foreign key (file_id) references code.files on delete cascade,
  constraint imports_resolved_file_fkey foreign key (resolved_file_id) references code.files on delete set null
);
create index imports_resolved_file_idx on code.imports (resolved_file_id) where resolved_file_id is not null;
create index imports_seeks_idx on code.imports using gin (seeks);
comment on table code.imports is 'Dependencies that files declare, resolved to a file of the codebase where one provides the name.';
comment on column code.imports.seeks is 'Names that would satisfy the import, best first; see code.provides.';
comment on column code.imports.resolved_name is 'The provided name that satisfies it; several files may provide it, resolved_file_id is the first among them.';

create table code.provides (
  file_id     bigint not null,
  name        text not null,
  codebase_id integer not null,
  constraint provides_pkey primary key (file_id, name),
  constraint provides_file_fkey foreign key (file_id) references code.files on delete cascade
);
create index provides_name_idx on code.provides (codebase_id, name);
comment on table code.provides is 'Names by which a file can be imported, with the prefix of their language family: go:net/http, py:pkg.mod.';

create table code.import_roots (
  file_id     bigint not null,
  prefix      text not null,
  codebase_id integer not null,
  directory   text not null,
  constraint import_roots_pkey primary key (file_id, prefix),
  constraint import_roots_file_fkey foreign key (file_id) references code.files on delete cascade
);
create index import_roots_codebase_idx on code.import_roots (codebase_id, prefix);
comment on table code.import_roots is 'Import prefixes that manifests (go.mod, package.json, Cargo.toml) map to their directory.';

-- Half of the calls are updated once, when they are resolved: the free space keeps
-- their new versions on the page and the indexes as they are.
create table code.calls (
  file_id        bigint not null,
  ordinal        integer not null,
  codebase_id    integer not null,
  caller_id      bigint,
  callee_id      bigint,
  line           integer not null,
  import_ordinal integer,
  confidence     double precision,
  reach          text not null,
  name           text not null,
  target         text not null,
  qualifier      text,
  constraint calls_pkey primary key (file_id, ordinal),
  constraint calls_confidence_range check (confidence > 0 and confidence <= 1),
  constraint calls_confidence_iff_callee check ((callee_id is null) = (confidence is null)),
  constraint calls_reach_known check (reach in ('file', 'self', 'package', 'import', 'type', 'method', 'none'))
) with (fillfactor = 60);
create index calls_name_idx on code.calls (codebase_id, name);
comment on table code.calls is 'Call sites. callee_id is set where the called symbol could be found, with the confidence of that.';
comment on column code.calls.reach is 'Where the called name is to be looked for: file, own class, package, an import, a type, any method, nowhere.';
comment on column code.calls.name is 'The called name as its definition spells it, renamings on import undone.';
comment on column code.calls.target is 'Qualified name to look for within reach.';
comment on column code.calls.import_ordinal is 'Import of the same file through which the name is reached.';

create table code.dependencies (
  file_id       bigint not null,
  depends_on_id bigint not null,
  codebase_id   integer not null,
  imports       integer not null,
  calls         integer not null,
  constraint dependencies_pkey primary key (file_id, depends_on_id),
  constraint dependencies_file_fkey foreign key (file_id) references code.files on delete cascade,
  constraint dependencies_depends_on_fkey foreign key (depends_on_id) references code.files on delete cascade,
  constraint dependencies_not_itself check (file_id <> depends_on_id),
  constraint dependencies_counted check (imports + calls > 0)
);
create index dependencies_depends_on_idx on code.dependencies (depends_on_id);
comment on table code.dependencies is 'Which file needs which, with the number of imports and calls that say so.';

-- What storing a file leaves to be done by resolving, and resolving by the graph.
-- Marks are taken in the transaction that does the work, so none is lost.
create table code.stale_links (
  file_id     bigint not null,
  codebase_id integer not null,
  names       text[],
  provided    text[],
  roots       boolean not null,
  constraint stale_links_pkey primary key (file_id),
  constraint stale_links_file_fkey foreign key (file_id) references code.files on delete cascade
);
create index stale_links_codebase_idx on code.stale_links (codebase_id);
comment on table code.stale_links is 'Files whose imports and calls are to be resolved, with the names that they gained or lost.';
comment on column code.stale_links.names is 'Symbol names gained or lost: calls of these are resolved again, whoever makes them. Null where they were not noted, because everything is to be resolved anyway.';
comment on column code.stale_links.provided is 'Import names gained or lost: imports that seek these are resolved again.';
comment on column code.stale_links.roots is 'Whether import prefixes changed, so that every import is resolved again.';

create table code.stale_dependencies (
  file_id     bigint not null,
  codebase_id integer not null,
  constraint stale_dependencies_pkey primary key (file_id),
  constraint stale_dependencies_file_fkey foreign key (file_id) references code.files on delete cascade
);
create index stale_dependencies_codebase_idx on code.stale_dependencies (codebase_id);
comment on table code.stale_dependencies is 'Files whose rows of code.dependencies are to be counted again.';

create table code.models (
  model_id      smallint generated always as identity,
  name          text not null,
  dimensions    integer not null,
  active        boolean not null default true,
  search_weight real not null default 1,
  constraint models_pkey primary key (model_id),
  constraint models_name_unique unique (name),
  constraint models_dimensions_positive check (dimensions > 0),
  constraint models_search_weight_not_negative check (search_weight >= 0)
);
comment on table code.models is 'Embedding models whose vectors are stored. hash-v1 is built in: hashed words, lexical, not neural.';
comment on column code.models.search_weight is 'How much a place in the list of this model''s nearest chunks counts in a search, beside 1 for the lists of words, texts and names.';

insert into code.models (name, dimensions, search_weight) values ('hash-v1', 512, 0.05);

-- Rows are kept in one piece where two fit a page: search reads thousands, and
-- fetching their words from the TOAST table took five times as long. With the
-- contents out of sight the planner also preferred to read the whole table.
create table code.chunks (
  file_id     bigint not null,
  ordinal     integer not null,
  codebase_id integer not null,
  symbol_key  text,
  start_line  integer not null,
  end_line    integer not null,
  text_hash   bytea not null,
  content     text not null,
  words       tsvector not null,
  constraint chunks_pkey primary key (file_id, ordinal),
  constraint chunks_file_fkey foreign key (file_id) references code.files on delete cascade,
  constraint chunks_lines_ordered check (start_line >= 1 and end_line >= start_line),
  constraint chunks_text_hash_length check (octet_length(text_hash) = 16)
) with (toast_tuple_target = 4080);
create index chunks_text_hash_idx on code.chunks (text_hash);
create index chunks_codebase_idx on code.chunks (codebase_id, text_hash);
create index chunks_words_idx on code.chunks using gin (words);
create index chunks_content_idx on code.chunks using gin (content gin_trgm_ops);
comment on table code.chunks is 'Consecutive pieces of a file, cut along symbol borders; joined in order they are the file''s text.';
comment on column code.chunks.text_hash is 'First 16 bytes of the sha256 of content.';
comment on column code.chunks.words is 'Words split in Go (camelCase, snake_case) as code.query_words does; weight A in names of symbols defined in the chunk.';

create table code.vectors (
  model_id   smallint not null,
  text_hash  bytea not null,
  dimensions smallint[],
  weights    real[] not null,
  constraint vectors_pkey primary key (model_id, text_hash),
  constraint vectors_model_fkey foreign key (model_id) references code.models on delete cascade,
  constraint vectors_sparse_pairs check (dimensions is null or cardinality(dimensions) = cardinality(weights))
);
comment on table code.vectors is 'Unit-length chunk vectors for exact reranking: sparse (dimensions, weights) or dense (dimensions null).';

create table code.embeddings (
  model_id  smallint not null,
  text_hash bytea not null,
  signature bit varying not null,
  constraint embeddings_pkey primary key (model_id, text_hash),
  constraint embeddings_text_hash_length check (octet_length(text_hash) = 16),
  constraint embeddings_vector_fkey foreign key (model_id, text_hash) references code.vectors on delete cascade
);
comment on table code.embeddings is 'Sign bits of chunk vectors, narrow so that a scan by Hamming distance is quick. Shared by equal texts.';

create table code.ingestions (
  run_id        bigint not null,
  codebase_id   integer not null,
  reason        text,
  files_seen    integer not null default 0,
  files_changed integer not null default 0,
  files_gone    integer not null default 0,
  files_done    integer not null default 0,
  bytes_changed bigint not null default 0,
  bytes_done    bigint not null default 0,
  started_at    timestamptz not null default now(),
  finished_at   timestamptz,
  constraint ingestions_pkey primary key (run_id),
  constraint ingestions_codebase_fkey foreign key (codebase_id) references code.codebases on delete cascade
);
create index ingestions_codebase_idx on code.ingestions (codebase_id);
comment on table code.ingestions is 'Progress and totals of each ingest_codebase run.';

-- Text compresses five times as fast with LZ4 and nearly as well; not every server
-- is built with it.
do $$
begin
  if exists (select from pg_settings where name = 'default_toast_compression' and 'lz4' = any (enumvals)) then
    alter table code.blobs alter column content set compression lz4;
    alter table code.chunks alter column content set compression lz4;
    alter table code.chunks alter column words set compression lz4;
  end if;
end;
$$;

commit;
