-- The corpus: codebases, contents, files, and what was extracted from them.
--
-- Whoever finds a file records its facts; whoever parses its content stores what
-- it found. Storing replaces by difference: rows that an edit leaves alone are
-- not written, so symbols keep their ids and what refers to them stays true.
-- Storing does not resolve anything: it leaves marks in code.stale_links, and
-- 81_resolve.sql takes them.
--
-- Locks: writers of derived rows hold the codebase's advisory lock until they
-- commit, shared where they touch their own files only (bulk batches), exclusive
-- where they go on to resolve. Take it before the first row lock.

-- Shapes ----------------------------------------------------------------------

create or replace view code.known_files as
select f.codebase_id,
       f.file_id,
       f.path,
       f.bytes,
       f.modified_ns,
       f.mode,
       f.inode,
       f.owner,
       f.status,
       f.reason,
       f.language,
       f.sha256,
       f.ingested_sha256,
       f.ingested_version,
       f.seen_at,
       f.encoding,
       f.generated
  from code.files f
 where f.status <> 'deleted';
comment on view code.known_files is 'Facts of the files that exist, as a scan compares them with the disk.';

create or replace view code.recorded_files as
select f.file_id,
       f.path,
       f.status = 'pending' as changed,
       f.status = 'pending' as due,
       f.run_id
  from code.files f;
comment on view code.recorded_files is 'What became of a recorded fact: whether it differed from the known one, whether the content is to be ingested, and by which run.';

create or replace view code.file_contents as
select f.file_id,
       f.codebase_id,
       f.path,
       f.sha256,
       f.bytes,
       f.ingested_sha256,
       f.ingested_version,
       b.content
  from code.files f
  left join code.blobs b on b.sha256 = f.sha256
 where f.status <> 'deleted';
comment on view code.file_contents is 'Files that exist, with their bytes; content is null where it is unknown or over the size limit.';

-- Codebases -------------------------------------------------------------------

create or replace function code.lock_codebase(p_codebase_id integer, p_shared boolean default false)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
begin
  -- 0x636f6465 spells "code": the first key of every lock on a codebase.
  if p_shared then
    perform pg_catalog.pg_advisory_xact_lock_shared(1668244581, p_codebase_id);
  else
    perform pg_catalog.pg_advisory_xact_lock(1668244581, p_codebase_id);
  end if;
  return p_codebase_id;
end;
$$;
comment on function code.lock_codebase(integer, boolean) is
  'Hold the right to write derived rows of a codebase until the transaction ends; shared for those who write rows of their own files only.';

create or replace function code.register_codebase(p_name text, p_root text, p_ref text default null)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_codebase code.codebases;
begin
  if p_name is null or p_name = '' or p_name <> btrim(p_name) then
    raise exception using
      errcode = 'HT006',
      message = format('codebase name %L is blank or has blanks around it', p_name),
      hint    = 'Give a name such as the last part of the root.';
  end if;
  insert into code.codebases (name, root, ref)
  values (p_name, p_root, p_ref)
      on conflict (name) do nothing;
  select * into v_codebase from code.codebases where name = p_name;
  if (v_codebase.root, v_codebase.ref) is distinct from (p_root, p_ref) then
    raise exception using
      errcode = 'HT003',
      message = format('codebase %L is registered with root %L, not %L', p_name,
                  concat_ws('@', v_codebase.root, v_codebase.ref), concat_ws('@', p_root, p_ref)),
      hint    = 'Choose another name, or code.forget_codebase(name) first.';
  end if;
  return v_codebase.codebase_id;
end;
$$;
comment on function code.register_codebase(text, text, text) is
  'Get or create a codebase: a directory or, with p_ref, the tree of a commit in the git repository p_root. Roots may overlap or lie inside each other: each codebase then keeps its own rows of the shared files, contents are stored once.';

create or replace function code.codebase_id(p_name text)
returns integer
language plpgsql
stable
set search_path = ''
as $$
declare
  v_codebase_id integer;
begin
  select c.codebase_id into v_codebase_id from code.codebases c where c.name = p_name;
  if v_codebase_id is null then
    raise exception using
      errcode = 'HT001',
      message = format('no codebase is named %L', p_name),
      hint    = 'select name, root from code.codebases; register one with code.register_codebase(name, root).';
  end if;
  return v_codebase_id;
end;
$$;
comment on function code.codebase_id(text) is 'The key of the codebase of that name; HT001 where there is none.';

create or replace function code.forget_codebase(p_name text)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_codebase_id constant integer := code.codebase_id(p_name);
  v_files       bigint;
begin
  perform code.lock_codebase(v_codebase_id);
  delete from code.calls where codebase_id = v_codebase_id;
  delete from code.type_refs where codebase_id = v_codebase_id;
  delete from code.symbols where codebase_id = v_codebase_id;
  select count(*) into v_files from code.files where codebase_id = v_codebase_id;
  delete from code.codebases where codebase_id = v_codebase_id;
  return v_files;
end;
$$;
comment on function code.forget_codebase(text) is
  'Remove a codebase and everything derived from it; returns its number of files. Contents go with code.collect_blobs.';

-- Contents --------------------------------------------------------------------

create or replace function code.missing_blobs(p_sha256s bytea[])
returns setof bytea
language plpgsql
stable
set search_path = ''
as $$
begin
  return query
  select distinct g.sha256
    from unnest(p_sha256s) as g (sha256)
   where g.sha256 is not null
     and not exists (select from code.blobs b where b.sha256 = g.sha256 and b.content is not null);
end;
$$;
comment on function code.missing_blobs(bytea[]) is 'Which of these contents are not stored, or known but not kept.';

create or replace function code.store_blobs(p_sha256s bytea[], p_bytes bigint[], p_contents bytea[])
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_stored bigint;
begin
  -- In order of hash, so that two who store the same contents cannot deadlock.
  insert into code.blobs as b (sha256, bytes, content)
  select distinct on (g.sha256) g.sha256, g.bytes, g.content
    from unnest(p_sha256s, p_bytes, p_contents) as g (sha256, bytes, content)
   where g.sha256 is not null
   order by g.sha256, g.content is null
      on conflict (sha256) do update
     set content = excluded.content
   where b.content is null
     and excluded.content is not null;
  get diagnostics v_stored = row_count;
  return v_stored;
end;
$$;
comment on function code.store_blobs(bytea[], bigint[], bytea[]) is
  'Store contents that are not there yet; a null content makes a content known without keeping it. Returns how many were written.';

create or replace function code.collect_blobs(p_age interval default interval '1 day')
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_kept_from constant timestamptz := htdag.clock() - htdag.setting('keep_versions')::interval;
  v_collected bigint;
begin
  delete from code.blobs b
   where b.stored_at < now() - p_age
     and not exists (select from code.files f where f.sha256 = b.sha256 and f.status <> 'deleted')
     and not exists (select from code.files f where f.ingested_sha256 = b.sha256)
     and not exists (
           select
             from code.file_versions v
             left join code.file_versions n on n.file_id = v.file_id and n.ordinal = v.ordinal + 1
            where v.sha256 = b.sha256
              and (n.ordinal is null or n.seen_at >= v_kept_from));
  get diagnostics v_collected = row_count;
  return v_collected;
end;
$$;
comment on function code.collect_blobs(interval) is
  'Remove contents that are older than p_age and that neither a file has nor a version that was current within the setting keep_versions. Returns how many.';
