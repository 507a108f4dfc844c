begin;

delete from htdag.settings where name = 'keep_versions';
drop table code.commit_files;
drop table code.commits;
drop table code.repositories;
drop table code.symbol_changes;
drop index code.file_versions_sha256_idx;
alter table code.symbols drop column body_hash;
alter table code.file_versions
  drop column moved_from_id,
  drop column git_id,
  drop column seen_at;
alter table code.codebases drop column ref;
comment on table code.file_versions is 'Every content that was ingested under a path, appended when it is stored or found gone.';
comment on table code.codebases is 'One row per watched source tree. Files in it are named relative to root.';
comment on column code.codebases.root is 'Canonical absolute path on the machine that serves the tree.';
comment on column code.files.inode is null;

commit;
