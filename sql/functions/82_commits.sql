-- What git knows of a codebase, read when it is scanned.
--
-- Locks: the codebase's row of code.repositories, so that commits get their numbers
-- one batch after the other.

create or replace function code.store_commits(
  p_codebase_id  integer,
  p_ids          bytea[],
  p_authors      text[],
  p_emails       text[],
  p_authored_at  timestamptz[],
  p_committed_at timestamptz[],
  p_subjects     text[],
  p_places       integer[],
  p_paths        text[],
  p_changes      text[],
  p_former_paths text[],
  p_git_ids      bytea[]
)
returns bigint
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_stored bigint;
begin
  insert into code.repositories as r (codebase_id, state, note, read_at)
  values (p_codebase_id, 'unusable', 'its history is being read', htdag.clock())
      on conflict (codebase_id) do update set read_at = excluded.read_at;
  with fresh as materialized (
    select g.*, l.last + row_number() over (order by g.place) as commit_no
      from unnest(p_ids, p_authors, p_emails, p_authored_at, p_committed_at, p_subjects)
        with ordinality as g (commit_id, author, email, authored_at, committed_at, subject, place)
     cross join (select coalesce(max(k.commit_no), 0) as last from code.commits k where k.codebase_id = p_codebase_id) l
     where not exists (
             select from code.commits k where k.codebase_id = p_codebase_id and k.commit_id = g.commit_id)
  ),
  files as materialized (
    select f.commit_no, g.path, g.change, nullif(g.former_path, '') as former_path, g.git_id
      from unnest(p_places, p_paths, p_changes, p_former_paths, p_git_ids) as g (place, path, change, former_path, git_id)
      join fresh f on f.place = g.place
  ),
  commits as (
    insert into code.commits (codebase_id, commit_no, commit_id, author, email, authored_at, committed_at, subject, files)
    select p_codebase_id, f.commit_no, f.commit_id, f.author, f.email, f.authored_at, f.committed_at, f.subject,
           (select count(*) from files x where x.commit_no = f.commit_no)
      from fresh f
    returning 1
  ),
  changed as (
    insert into code.commit_files (codebase_id, commit_no, path, change, former_path, git_id)
    select distinct on (x.commit_no, x.path) p_codebase_id, x.commit_no, x.path, x.change, x.former_path, x.git_id
      from files x
     order by x.commit_no, x.path
  )
  select count(*) into v_stored from commits;
  return v_stored;
end;
$$;
comment on function code.store_commits(integer, bytea[], text[], text[], timestamptz[], timestamptz[], text[], integer[], text[], text[], text[], bytea[]) is
  'Add commits that are not known yet, ancestors first, and the files that they changed, whose p_places say which of the commits, from 1. An empty former path means none. Returns how many commits were new.';

create or replace function code.note_repository(p_codebase_id integer, p_state text, p_note text, p_head text)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  insert into code.repositories as r (codebase_id, state, note, head, read_at)
  values (p_codebase_id, p_state, p_note, p_head, htdag.clock())
      on conflict (codebase_id) do update
     set state   = excluded.state,
         note    = excluded.note,
         head    = coalesce(excluded.head, r.head),
         read_at = excluded.read_at;
  return (select count(*) from code.commits k where k.codebase_id = p_codebase_id);
end;
$$;
comment on function code.note_repository(integer, text, text, text) is
  'Note what came of asking git for the history of a codebase, and up to which commit it was read; without one, that stays as it was. Returns the number of commits that are known.';
