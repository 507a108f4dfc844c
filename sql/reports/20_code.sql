-- Views over the corpus. Their columns are the stable interface; the tables
-- behind them are not.

create or replace view report.files as
select c.name                    as codebase,
       f.path,
       f.language,
       f.bytes,
       f.lines,
       encode(f.sha256, 'hex')   as sha256,
       f.status,
       f.reason,
       f.ingested_at
  from code.files f
  join code.codebases c on c.codebase_id = f.codebase_id
 where f.status <> 'pending';
comment on view report.files is 'Every file that was ever ingested, and what became of it.';
comment on column report.files.codebase is 'Name of the codebase.';
comment on column report.files.path is 'Relative to the codebase root, slash separated.';
comment on column report.files.language is 'Language as linguist names it; null where none was recognised.';
comment on column report.files.bytes is 'Size on disk.';
comment on column report.files.lines is 'Number of lines; null for what is not text.';
comment on column report.files.sha256 is 'Hash of the content last seen, in hexadecimal.';
comment on column report.files.status is 'ingested (whole), partial (with a reason), skipped (with a reason) or deleted.';
comment on column report.files.reason is 'Why the file is partial or skipped.';
comment on column report.files.ingested_at is 'When what is stored of it was last made.';

create or replace view report.symbols as
select c.name as codebase,
       f.path,
       s.kind,
       s.name,
       s.qualified_name,
       s.start_line,
       s.end_line,
       s.signature,
       s.complexity
  from code.symbols s
  join code.files f on f.file_id = s.file_id
  join code.codebases c on c.codebase_id = f.codebase_id;
comment on view report.symbols is 'Definitions in files.';
comment on column report.symbols.codebase is 'Name of the codebase.';
comment on column report.symbols.path is 'File that holds the definition.';
comment on column report.symbols.kind is 'function, method, class, struct, interface, trait, enum, type, constant, variable, field, module or macro.';
comment on column report.symbols.name is 'As written at the definition.';
comment on column report.symbols.qualified_name is 'Dotted path within the file''s module, such as Client.Do.';
comment on column report.symbols.start_line is 'First line of the definition, from 1.';
comment on column report.symbols.end_line is 'Last line of the definition.';
comment on column report.symbols.signature is 'The declaration on one line, without the body.';
comment on column report.symbols.complexity is 'Cyclomatic complexity: decisions + 1; 0 for what has no body.';

create or replace view report.imports as
select c.name as codebase,
       f.path,
       i.line,
       i.module,
       t.path as resolved_path
  from code.imports i
  join code.files f on f.file_id = i.file_id
  join code.codebases c on c.codebase_id = f.codebase_id
  left join code.files t on t.file_id = i.resolved_file_id;
comment on view report.imports is 'Dependencies that files declare.';
comment on column report.imports.codebase is 'Name of the codebase.';
comment on column report.imports.path is 'File that imports.';
comment on column report.imports.line is 'Line of the declaration, from 1.';
comment on column report.imports.module is 'What is imported, as written.';
comment on column report.imports.resolved_path is 'File of the codebase that it means, one for many where a directory is meant; null for what lies outside.';

create or replace view report.requirements as
select c.name as codebase,
       f.path,
       r.line,
       r.ecosystem,
       r.name,
       r.requirement,
       r.kind
  from code.requirements r
  join code.files f on f.file_id = r.file_id
  join code.codebases c on c.codebase_id = f.codebase_id;
comment on view report.requirements is 'Packages that manifests declare as needed.';
comment on column report.requirements.codebase is 'Name of the codebase.';
comment on column report.requirements.path is 'The manifest: go.mod, package.json, Cargo.toml, ...';
comment on column report.requirements.line is 'Line of the declaration, from 1.';
comment on column report.requirements.ecosystem is 'go, npm, cargo, pypi, hex, maven, rubygems or composer.';
comment on column report.requirements.name is 'Name of the package there.';
comment on column report.requirements.requirement is 'Version, range of versions or other source, as written; null where it is left open.';
comment on column report.requirements.kind is 'runtime, dev, build, optional, peer or indirect.';

create or replace view report.calls as
select e.codebase,
       e.caller_path,
       e.caller,
       e.call_line,
       e.callee_path,
       e.callee,
       e.confidence
  from code.call_edges e;
comment on view report.calls is 'Calls, with the called symbol where it could be found.';
comment on column report.calls.codebase is 'Name of the codebase.';
comment on column report.calls.caller_path is 'File in which the call stands.';
comment on column report.calls.caller is 'Qualified name of the function or method around the call; null at top level.';
comment on column report.calls.call_line is 'Line of the call, from 1.';
comment on column report.calls.callee_path is 'File that defines the called symbol; null where it lies outside the codebase or could not be told.';
comment on column report.calls.callee is 'Qualified name of the called symbol, or the call as written where it was not found.';
comment on column report.calls.confidence is 'How certain the callee is, from 0.5 (the only one of its name) to 1 (same file); null where it was not found.';

create or replace view report.dependencies as
select e.codebase,
       e.path,
       e.depends_on,
       e.imports,
       e.calls,
       e.types
  from code.file_edges e;
comment on view report.dependencies is 'Which file needs which, and how much.';
comment on column report.dependencies.codebase is 'Name of the codebase.';
comment on column report.dependencies.path is 'File that needs the other.';
comment on column report.dependencies.depends_on is 'File that is needed.';
comment on column report.dependencies.imports is 'Number of imports that mean it.';
comment on column report.dependencies.calls is 'Number of calls of its symbols.';
comment on column report.dependencies.types is 'Number of definitions that name its types.';

create or replace view report.type_references as
select e.codebase,
       e.user_path as path,
       e.user_name as symbol,
       e.line,
       e.kind,
       e.type_path,
       e.type_name as type,
       e.confidence
  from code.type_edges e;
comment on view report.type_references is 'Types that definitions name, each once for a definition and a kind.';
comment on column report.type_references.codebase is 'Name of the codebase.';
comment on column report.type_references.path is 'File that names the type.';
comment on column report.type_references.symbol is 'Qualified name of the definition that does; null outside of any.';
comment on column report.type_references.line is 'Line of the first mention, from 1.';
comment on column report.type_references.kind is 'What for: extends, implements, field, signature, variable, alias or body.';
comment on column report.type_references.type_path is 'File that defines the type; null where it lies outside the codebase or could not be told.';
comment on column report.type_references.type is 'Qualified name of the type, or as written where it was not found.';
comment on column report.type_references.confidence is 'How certain that is, from 0.5 (the only one of its name) to 1 (same file); null where it was not found.';

create or replace view report.history as
select c.name                    as codebase,
       f.path,
       v.ordinal                 as version,
       v.change,
       encode(v.sha256, 'hex')   as sha256,
       v.bytes,
       v.lines,
       v.symbols,
       v.complexity,
       v.recorded_at,
       v.seen_at,
       n.seen_at                 as gone_at,
       o.path                    as moved_from,
       encode(k.commit_id, 'hex') as commit,
       k.author,
       k.authored_at
  from code.file_versions v
  join code.files f on f.file_id = v.file_id
  join code.codebases c on c.codebase_id = f.codebase_id
  left join code.file_versions n on n.file_id = v.file_id and n.ordinal = v.ordinal + 1
  left join code.files o on o.file_id = v.moved_from_id
  left join lateral (
         select m.commit_id, m.author, m.authored_at
           from code.commit_files cf
           join code.commits m on m.codebase_id = cf.codebase_id and m.commit_no = cf.commit_no
          where cf.codebase_id = f.codebase_id
            and cf.path = f.path
            and cf.git_id = v.git_id
          order by cf.commit_no desc
          limit 1) k on true;
comment on view report.history is 'Every version of every file that was ingested.';
comment on column report.history.codebase is 'Name of the codebase.';
comment on column report.history.path is 'File, relative to the codebase root.';
comment on column report.history.version is 'Number of the version of the file, from 1.';
comment on column report.history.change is 'added, modified, deleted or restored.';
comment on column report.history.sha256 is 'Hash of the content, in hexadecimal; null for a deletion.';
comment on column report.history.bytes is 'Size of the content.';
comment on column report.history.lines is 'Number of lines.';
comment on column report.history.symbols is 'Number of definitions.';
comment on column report.history.complexity is 'Sum of the cyclomatic complexity of its definitions.';
comment on column report.history.recorded_at is 'When the version was ingested.';
comment on column report.history.seen_at is 'When it was seen on disk: the beginning of the version.';
comment on column report.history.gone_at is 'When the next version was seen; null for the last one.';
comment on column report.history.moved_from is 'Where the same content was until then.';
comment on column report.history.commit is 'The last commit, as git writes it, that gave the path this content; null where there is none, or no repository.';
comment on column report.history.author is 'Author of that commit.';
comment on column report.history.authored_at is 'When it was written.';

create or replace view report.languages as
select c.name                            as codebase,
       coalesce(f.language, 'unknown')   as language,
       count(*)                          as files,
       coalesce(sum(f.lines), 0)         as lines,
       sum(f.bytes)                      as bytes,
       coalesce(sum(s.symbols), 0)       as symbols,
       coalesce(sum(s.complexity), 0)    as complexity
  from code.files f
  join code.codebases c on c.codebase_id = f.codebase_id
  left join (
         select s.file_id, count(*) as symbols, sum(s.complexity) as complexity
           from code.symbols s
          group by s.file_id) s on s.file_id = f.file_id
 where f.status in ('ingested', 'partial', 'skipped')
 group by c.name, coalesce(f.language, 'unknown');
comment on view report.languages is 'What each codebase is written in.';
comment on column report.languages.codebase is 'Name of the codebase.';
comment on column report.languages.language is 'Language as linguist names it.';
comment on column report.languages.files is 'Number of files that exist.';
comment on column report.languages.lines is 'Number of their lines.';
comment on column report.languages.bytes is 'Their size on disk.';
comment on column report.languages.symbols is 'Number of their definitions.';
comment on column report.languages.complexity is 'Sum of the cyclomatic complexity of their definitions.';

create or replace view report.ingestions as
select c.name                                                       as codebase,
       i.run_id,
       i.reason,
       case
         when i.finished_at is not null then 'finished'
         when r.finished_at is not null then r.state
         else 'running'
       end                                                          as state,
       i.files_seen,
       i.files_changed,
       i.files_gone,
       i.files_done,
       i.bytes_changed,
       i.bytes_done,
       case when i.bytes_changed = 0 then 1 else round(i.bytes_done::numeric / i.bytes_changed, 3) end as share_done,
       i.started_at,
       i.finished_at
  from code.ingestions i
  join code.codebases c on c.codebase_id = i.codebase_id
  left join htdag.runs r on r.run_id = i.run_id;
comment on view report.ingestions is 'Whole scans of codebases and how far each has come.';
comment on column report.ingestions.codebase is 'Name of the codebase.';
comment on column report.ingestions.run_id is 'The run of ingest_codebase; see report.runs.';
comment on column report.ingestions.reason is 'Why it was started.';
comment on column report.ingestions.state is 'running, finished, or how the run ended otherwise.';
comment on column report.ingestions.files_seen is 'Files on disk.';
comment on column report.ingestions.files_changed is 'Files whose content was new.';
comment on column report.ingestions.files_gone is 'Files that were on disk before.';
comment on column report.ingestions.files_done is 'Changed files that are stored.';
comment on column report.ingestions.bytes_changed is 'Size of the changed files.';
comment on column report.ingestions.bytes_done is 'Size of those that are stored.';
comment on column report.ingestions.share_done is 'From 0 to 1, by size.';
comment on column report.ingestions.started_at is 'When the scan had compared everything.';
comment on column report.ingestions.finished_at is 'When everything was stored, resolved and indexed.';

create or replace view report.policy as
select max_retries, backoff_multiplier, initial_delay, node_timeout, dag_timeout
  from code.policies;
comment on view report.policy is 'How the built-in flows retry and how long they may take; code.set_policy changes it.';
comment on column report.policy.max_retries is 'Further tries of a step after the first.';
comment on column report.policy.backoff_multiplier is 'How much longer each delay between tries is than the one before.';
comment on column report.policy.initial_delay is 'Delay before the second try; twice as long in ingest_codebase.';
comment on column report.policy.node_timeout is 'Time limit of the longest steps of ingest_file; the others'' are in proportion.';
comment on column report.policy.dag_timeout is 'Time limit of a run of ingest_file.';

create or replace view report.watches as
select c.name as codebase,
       c.root,
       w.host,
       w.standing,
       case when w.served_until > htdag.clock() then w.server end as server,
       case when w.served_until > htdag.clock() then w.served_since end as served_since,
       c.scanned_at,
       case
         when w.served_until > htdag.clock() then null
         when w.standing then format('no htdag up runs on %s', w.host)
         else format('no process serves it; htdag up %s does', c.root)
       end as trouble
  from code.watches w
  join code.codebases c on c.codebase_id = w.codebase_id;
comment on view report.watches is 'Directories that are to be watched.';
comment on column report.watches.codebase is 'Name of the codebase.';
comment on column report.watches.root is 'The directory.';
comment on column report.watches.host is 'Machine on whose disk it is.';
comment on column report.watches.standing is 'Whether any htdag up on that host serves it, and not only one that names it.';
comment on column report.watches.server is 'Process that watches it, as host:process; null while none does.';
comment on column report.watches.served_since is 'Since when that process does.';
comment on column report.watches.scanned_at is 'When a whole scan of it last ended.';
comment on column report.watches.trouble is 'Why it is not watched; null when it is.';

create or replace view report.findings as
select c.name as codebase,
       f.path,
       s.line,
       s.rule,
       s.excerpt
  from code.findings s
  join code.files f on f.file_id = s.file_id
  join code.codebases c on c.codebase_id = f.codebase_id;
comment on view report.findings is 'Secrets that were found in files, without the secrets.';
comment on column report.findings.codebase is 'Name of the codebase.';
comment on column report.findings.path is 'File that holds the secret.';
comment on column report.findings.line is 'Line in which it begins, from 1.';
comment on column report.findings.rule is 'What it looks like: private-key, github-token, assigned-password and so on.';
comment on column report.findings.excerpt is 'The line, with the secret replaced by asterisks.';
