-- How often files change, and which of them together: from the commits that git knows
-- and from the edits that were seen.

create or replace view code.file_churn as
select f.path,
       f.language,
       f.lines,
       0         as complexity,
       0::bigint as commits,
       0::bigint as authors,
       0::bigint as edits,
       0::bigint as changes,
       f.first_seen_at as first_changed_at,
       f.first_seen_at as last_changed_at
  from code.files f;
comment on view code.file_churn is 'How often a file was changed; report.churn says what each column is.';

create or replace view code.file_pairs as
select a.path    as path,
       b.path    as other_path,
       0::bigint as together,
       0::bigint as changes,
       0::bigint as other_changes,
       0::numeric as share
  from code.files a
  join code.files b on b.codebase_id = a.codebase_id;
comment on view code.file_pairs is 'How often two files change together; report.co_changes says what each column is.';

create or replace view code.named_files as
select f.file_id,
       f.path,
       2147483647 as before
  from code.files f;
comment on view code.named_files is 'A path that a file has or had, in commits below a number.';

create or replace function code.file_names(p_codebase_id integer)
returns setof code.named_files
language plpgsql
stable
security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
begin
  -- Commit numbers fall with every step back, so this ends.
  return query
  with recursive names (file_id, path, before) as (
    select f.file_id, f.path, 2147483647
      from code.files f
     where f.codebase_id = p_codebase_id
       and f.status <> 'deleted'
    union
    select n.file_id, r.former_path, r.commit_no
      from names n
      join code.commit_files r on r.codebase_id = p_codebase_id and r.path = n.path and r.commit_no < n.before
     where r.change = 'renamed'
  )
  select n.file_id, n.path, max(n.before)
    from names n
   group by n.file_id, n.path;
end;
$$;
comment on function code.file_names(integer) is
  'The paths that git knows of the files of a codebase: their own, and those that they were renamed from, which count in commits before that.';

create or replace function code.churn(p_codebase text)
returns setof code.file_churn
language plpgsql
stable
security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_codebase_id constant integer := code.codebase_id(p_codebase);
begin
  return query
  with committed as materialized (
    select n.file_id, count(distinct k.commit_no) as commits, count(distinct k.email) as authors,
           min(k.authored_at) as first_at, max(k.authored_at) as last_at
      from code.file_names(v_codebase_id) n
      join code.commit_files cf on cf.codebase_id = v_codebase_id and cf.path = n.path and cf.commit_no < n.before
      join code.commits k on k.codebase_id = v_codebase_id and k.commit_no = cf.commit_no
     group by n.file_id
  ),
  seen as materialized (
    select v.file_id, count(*) filter (where v.change = 'modified') as edits, min(v.seen_at) as first_at,
           max(v.seen_at) filter (where v.change = 'modified') as last_at,
           (array_agg(v.complexity order by v.ordinal desc))[1] as complexity
      from code.file_versions v
      join code.files f on f.file_id = v.file_id
     where f.codebase_id = v_codebase_id
     group by v.file_id
  )
  select f.path,
         f.language,
         f.lines,
         coalesce(s.complexity, 0),
         coalesce(c.commits, 0),
         coalesce(c.authors, 0),
         coalesce(s.edits, 0),
         greatest(c.commits, s.edits, 0),
         least(c.first_at, s.first_at),
         greatest(c.last_at, s.last_at)
    from code.files f
    left join committed c on c.file_id = f.file_id
    left join seen s on s.file_id = f.file_id
   where f.codebase_id = v_codebase_id
     and f.status in ('ingested', 'partial');
end;
$$;
comment on function code.churn(text) is
  'How often each file of a codebase was changed, as report.churn has it. Raises HT001.';

create or replace function code.co_changes(p_codebase text, p_path text default null)
returns setof code.file_pairs
language plpgsql
stable
security definer
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_codebase_id constant integer := code.codebase_id(p_codebase);
begin
  -- A change is a commit; of what git does not know, the edits that were seen within
  -- ten minutes by the clock. Changes of more than 50 files say nothing about two of them.
  return query
  with parts as materialized (
    select distinct n.file_id, cf.commit_no::bigint as change_no
      from code.commits k
      join code.commit_files cf on cf.codebase_id = k.codebase_id and cf.commit_no = k.commit_no
      join code.file_names(v_codebase_id) n on n.path = cf.path and cf.commit_no < n.before
     where k.codebase_id = v_codebase_id
       and k.files <= 50
    union all
    select distinct v.file_id, -(extract(epoch from v.seen_at)::bigint / 600)
      from code.file_versions v
      join code.files f on f.file_id = v.file_id
     where f.codebase_id = v_codebase_id
       and f.status <> 'deleted'
       and v.change = 'modified'
       and not exists (select from code.commits k where k.codebase_id = v_codebase_id)
  ),
  changes as materialized (
    select p.change_no
      from parts p
     group by p.change_no
    having count(*) between 2 and 50
       and (p_path is null or bool_or(p.file_id = (
              select f.file_id from code.files f where f.codebase_id = v_codebase_id and f.path = p_path)))
  ),
  counted as materialized (
    select p.file_id, count(*) as changes from parts p group by p.file_id
  ),
  pairs as (
    select a.file_id, b.file_id as other_id, count(*) as together
      from changes c
      join parts a on a.change_no = c.change_no
      join parts b on b.change_no = c.change_no and b.file_id <> a.file_id
     group by a.file_id, b.file_id
    having count(*) >= 2
  )
  select f.path, o.path, p.together, x.changes, y.changes, round(p.together::numeric / x.changes, 3)
    from pairs p
    join code.files f on f.file_id = p.file_id
    join code.files o on o.file_id = p.other_id
    join counted x on x.file_id = p.file_id
    join counted y on y.file_id = p.other_id
   where p_path is null
      or f.path = p_path;
end;
$$;
comment on function code.co_changes(text, text) is
  'Files of a codebase, or those with one of them, that change together at least twice, as report.co_changes has it: in commits of up to 50 files or, where there is no repository, edits within ten minutes. Raises HT001.';
