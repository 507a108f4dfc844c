-- How codebases came to be what they are: versions with their times and moves, what
-- became of symbols, and what git knows of it.

begin;

alter table code.codebases
  add column ref text,
  add constraint codebases_ref_not_blank check (ref <> '');
comment on table code.codebases is 'One row per source tree: a directory, or a ref of a git repository. Files in it are named relative to its top.';
comment on column code.codebases.root is 'Canonical absolute path, on the machine that serves the tree, of the directory or, where there is a ref, of the git repository.';
comment on column code.codebases.ref is 'Branch, tag or commit of the repository at root whose tree this is, read without a work tree; null for a directory on disk.';
comment on column code.files.inode is 'As the disk reports it; 0 where there are none. Of a tree in a git repository, 63 bits of the content''s object id, with modified_ns 0.';

alter table code.file_versions
  add column seen_at       timestamptz,
  add column git_id        bytea,
  add column moved_from_id bigint,
  add constraint file_versions_moved_from_fkey foreign key (moved_from_id) references code.files on delete set null;
update code.file_versions set seen_at = recorded_at;
alter table code.file_versions alter column seen_at set not null;
create index file_versions_sha256_idx on code.file_versions (sha256) where sha256 is not null;
create index file_versions_moved_from_idx on code.file_versions (moved_from_id) where moved_from_id is not null;
comment on table code.file_versions is 'Every content that was ingested under a path, appended when it is stored or found gone. A version ends when the next one of the file was seen.';
comment on column code.file_versions.seen_at is 'When the disk was asked for the version; recorded_at is when it was stored.';
comment on column code.file_versions.git_id is 'Object id (SHA-1) that git gives the content; null where the content was too large to be kept, and for deletions.';
comment on column code.file_versions.moved_from_id is 'File that had this content and went when this one came: up to an hour before, or ten minutes after.';

alter table code.symbols add column body_hash bigint;
comment on column code.symbols.body_hash is 'Of its text, wherever that stands: 64 bits of its SHA-256. Null where the file was ingested before there were such.';

create table code.symbol_changes (
  change_id      bigint generated always as identity,
  codebase_id    integer not null,
  file_id        bigint not null,
  key            text not null,
  change         text not null,
  kind           text not null,
  name           text not null,
  qualified_name text not null,
  body_hash      bigint,
  changed_at     timestamptz not null,
  constraint symbol_changes_pkey primary key (change_id),
  constraint symbol_changes_file_fkey foreign key (file_id) references code.files on delete cascade,
  constraint symbol_changes_change_known check (change in ('added', 'changed', 'removed'))
);
create index symbol_changes_key_idx on code.symbol_changes (file_id, key);
create index symbol_changes_name_idx on code.symbol_changes (codebase_id, name);
comment on table code.symbol_changes is 'What edits of a file did to its symbols. Symbols that come or go with their whole file have no row: code.file_versions says when that was.';
comment on column code.symbol_changes.body_hash is 'After the change; before it, where the symbol was removed.';

create table code.repositories (
  codebase_id integer not null,
  state       text not null,
  note        text,
  head        text,
  read_at     timestamptz not null,
  constraint repositories_pkey primary key (codebase_id),
  constraint repositories_codebase_fkey foreign key (codebase_id) references code.codebases on delete cascade,
  constraint repositories_state_known check (state in ('read', 'none', 'unusable')),
  constraint repositories_note_given check (state = 'read' or note is not null)
);
comment on table code.repositories is 'What came of asking git for the history of a codebase, when it was scanned last.';
comment on column code.repositories.state is 'read; none (not in a git repository); unusable (git is missing or refuses, see note).';
comment on column code.repositories.head is 'Commit up to which the history was read last.';

create table code.commits (
  codebase_id  integer not null,
  commit_no    integer not null,
  commit_id    bytea not null,
  author       text not null,
  email        text not null,
  authored_at  timestamptz not null,
  committed_at timestamptz not null,
  subject      text not null,
  files        integer not null,
  constraint commits_pkey primary key (codebase_id, commit_no),
  constraint commits_id_unique unique (codebase_id, commit_id),
  constraint commits_codebase_fkey foreign key (codebase_id) references code.codebases on delete cascade
);
comment on table code.commits is 'Commits that changed files of a codebase, of every history that its HEAD or ref was seen at: the newest 20,000 at first, and all later ones.';
comment on column code.commits.commit_no is 'Ancestors have lower numbers.';
comment on column code.commits.files is 'Number of its files in code.commit_files.';

create table code.commit_files (
  codebase_id integer not null,
  commit_no   integer not null,
  path        text not null,
  change      text not null,
  former_path text,
  git_id      bytea,
  constraint commit_files_pkey primary key (codebase_id, commit_no, path),
  constraint commit_files_commit_fkey foreign key (codebase_id, commit_no) references code.commits on delete cascade,
  constraint commit_files_change_known check (change in ('added', 'modified', 'deleted', 'renamed', 'copied', 'retyped')),
  constraint commit_files_former_path check ((change in ('renamed', 'copied')) = (former_path is not null))
);
create index commit_files_path_idx on code.commit_files (codebase_id, path);
comment on table code.commit_files is 'Which files of the codebase a commit changed, and what git takes for a renaming. Merges have none.';
comment on column code.commit_files.path is 'As in code.files.';
comment on column code.commit_files.git_id is 'Object id of the content after the commit; null where the file was deleted.';

insert into htdag.settings (name, unit, default_value, description) values
  ('keep_versions', 'interval', '90 days', 'How long contents of former versions of files are kept after they were replaced or deleted.');

commit;
