-- Views of how codebases came to be what they are. Asked for one codebase, where
-- codebase = ..., each reads only what belongs to it.

create or replace view report.repositories as
select c.name          as codebase,
       c.root,
       c.ref,
       r.state,
       r.note,
       r.head,
       r.read_at,
       (select count(*) from code.commits k where k.codebase_id = c.codebase_id) as commits
  from code.codebases c
  left join code.repositories r on r.codebase_id = c.codebase_id;
comment on view report.repositories is 'Where each codebase comes from, and whether git has a history of it.';
comment on column report.repositories.codebase is 'Name of the codebase.';
comment on column report.repositories.root is 'The directory, or the repository.';
comment on column report.repositories.ref is 'Ref of the repository that is ingested without a work tree; null for a directory.';
comment on column report.repositories.state is 'read, none (no repository), unusable (git is missing or refuses); null before the first scan.';
comment on column report.repositories.note is 'Why there is no history.';
comment on column report.repositories.head is 'Commit up to which the history was read last.';
comment on column report.repositories.read_at is 'When git was asked last.';
comment on column report.repositories.commits is 'Number of commits that are stored.';

create or replace view report.commits as
select c.name                     as codebase,
       encode(k.commit_id, 'hex') as commit,
       k.author,
       k.email,
       k.authored_at,
       k.committed_at,
       k.subject,
       k.files,
       k.commit_no
  from code.commits k
  join code.codebases c on c.codebase_id = k.codebase_id;
comment on view report.commits is 'Commits that changed files of codebases.';
comment on column report.commits.codebase is 'Name of the codebase.';
comment on column report.commits.commit is 'As git writes it.';
comment on column report.commits.author is 'Name of the author, by .mailmap if there is one.';
comment on column report.commits.email is 'Address of the author.';
comment on column report.commits.authored_at is 'When it was written.';
comment on column report.commits.committed_at is 'When it was committed.';
comment on column report.commits.subject is 'First line of the message.';
comment on column report.commits.files is 'Number of files of the codebase that it changed.';
comment on column report.commits.commit_no is 'Ancestors have lower numbers.';

create or replace view report.file_changes as
select c.name                     as codebase,
       cf.path,
       cf.change,
       cf.former_path,
       encode(k.commit_id, 'hex') as commit,
       k.author,
       k.authored_at,
       k.subject,
       k.commit_no
  from code.commit_files cf
  join code.commits k on k.codebase_id = cf.codebase_id and k.commit_no = cf.commit_no
  join code.codebases c on c.codebase_id = cf.codebase_id;
comment on view report.file_changes is 'What each commit did to which file.';
comment on column report.file_changes.codebase is 'Name of the codebase.';
comment on column report.file_changes.path is 'File, after the commit.';
comment on column report.file_changes.change is 'added, modified, deleted, renamed, copied or retyped (from file to link, say).';
comment on column report.file_changes.former_path is 'Where a renamed or copied file was before.';
comment on column report.file_changes.commit is 'As git writes it.';
comment on column report.file_changes.author is 'Author of the commit.';
comment on column report.file_changes.authored_at is 'When it was written.';
comment on column report.file_changes.subject is 'First line of its message.';
comment on column report.file_changes.commit_no is 'Ancestors have lower numbers.';

create or replace view report.churn as
select c.name as codebase,
       x.path,
       x.language,
       x.lines,
       x.complexity,
       x.commits,
       x.authors,
       x.edits,
       x.changes,
       x.first_changed_at,
       x.last_changed_at
  from code.codebases c
 cross join lateral code.churn(c.name) x;
comment on view report.churn is 'How often each file was changed: by commits, followed through renamings, and by edits that were seen.';
comment on column report.churn.codebase is 'Name of the codebase.';
comment on column report.churn.path is 'File that exists.';
comment on column report.churn.language is 'Language as linguist names it.';
comment on column report.churn.lines is 'Number of lines now.';
comment on column report.churn.complexity is 'Sum of the cyclomatic complexity of its definitions now.';
comment on column report.churn.commits is 'Number of commits that changed it, under this path or one that it was renamed from.';
comment on column report.churn.authors is 'Number of their authors, by address.';
comment on column report.churn.edits is 'Number of times that another content was seen in its place.';
comment on column report.churn.changes is 'The greater of commits and edits.';
comment on column report.churn.first_changed_at is 'When it was first committed or seen.';
comment on column report.churn.last_changed_at is 'When the last commit was written, or the last edit seen.';

create or replace view report.hot_spots as
select x.codebase,
       x.path,
       x.language,
       x.complexity,
       x.changes,
       x.complexity::bigint * x.changes as heat,
       x.authors,
       x.last_changed_at
  from report.churn x
 where x.complexity > 0
   and x.changes > 0;
comment on view report.hot_spots is 'Files that are both complex and often changed: where trouble is to be expected. Order by heat desc.';
comment on column report.hot_spots.codebase is 'Name of the codebase.';
comment on column report.hot_spots.path is 'File that exists.';
comment on column report.hot_spots.language is 'Language as linguist names it.';
comment on column report.hot_spots.complexity is 'Sum of the cyclomatic complexity of its definitions now.';
comment on column report.hot_spots.changes is 'As in report.churn.';
comment on column report.hot_spots.heat is 'complexity x changes.';
comment on column report.hot_spots.authors is 'Number of authors of its commits.';
comment on column report.hot_spots.last_changed_at is 'As in report.churn.';

create or replace view report.co_changes as
select c.name as codebase,
       x.path,
       x.other_path,
       x.together,
       x.changes,
       x.other_changes,
       x.share
  from code.codebases c
 cross join lateral code.co_changes(c.name) x;
comment on view report.co_changes is 'Files that change together, at least twice. It goes through all commits, which takes seconds for ten thousands of them: for one file code.co_changes(codebase, path) is quicker.';
comment on column report.co_changes.codebase is 'Name of the codebase.';
comment on column report.co_changes.path is 'File that exists.';
comment on column report.co_changes.other_path is 'File that changed with it; each pair is there both ways round.';
comment on column report.co_changes.together is 'Number of changes that both had a part in.';
comment on column report.co_changes.changes is 'Number of changes of path that were counted.';
comment on column report.co_changes.other_changes is 'Number of changes of other_path that were counted.';
comment on column report.co_changes.share is 'together / changes: how often the other changes when this one does.';

create or replace view report.symbol_history as
select c.name as codebase,
       x.path,
       x.kind,
       x.name,
       x.qualified_name,
       x.first_seen_at,
       x.last_changed_at,
       x.edits,
       x.moved_from,
       x.moved_at
  from code.codebases c
 cross join lateral code.symbol_history(c.name) x;
comment on view report.symbol_history is 'Since when each definition has been there, when it changed last and where it was before. It goes through all of a codebase, which takes seconds for a large one: for one path or name code.symbol_history(codebase, path, name) answers at once.';
comment on column report.symbol_history.codebase is 'Name of the codebase.';
comment on column report.symbol_history.path is 'File that holds the definition.';
comment on column report.symbol_history.kind is 'As in report.symbols.';
comment on column report.symbol_history.name is 'As written at the definition.';
comment on column report.symbol_history.qualified_name is 'Dotted path within the file''s module.';
comment on column report.symbol_history.first_seen_at is 'When it was first seen in this file or, if it was moved, when the file was that it came from.';
comment on column report.symbol_history.last_changed_at is 'When its text, signature or documentation was last seen to change; moving up and down in the file is no change.';
comment on column report.symbol_history.edits is 'How many such changes were seen.';
comment on column report.symbol_history.moved_from is 'File that lost the same definition, word for word, within an hour of its coming here; null where none did.';
comment on column report.symbol_history.moved_at is 'When it came.';
