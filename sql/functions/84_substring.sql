-- Lines: exact substrings and regular expressions, with the lines that they are in.

create or replace function code.matches_of(
  p_regex    text,
  p_codebase text,
  p_limit    integer,
  p_language text,
  p_path     text,
  p_kind     text
)
returns setof code.matching_lines
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_codebase_id constant integer := case when p_codebase is not null then code.codebase_id(p_codebase) end;
  v_limit       integer := least(coalesce(p_limit, 50), 10000);
  v_filtered    constant boolean := num_nonnulls(p_language, p_path, p_kind) > 0;
  v_path        constant text := code.path_pattern(p_path);
  v_rows        integer;
  v_chunk       record;
begin
  if v_limit < 1 then
    raise exception using
      errcode = 'HT006',
      message = format('max_results is %s', p_limit),
      hint    = 'Ask for at least one result.';
  end if;
  -- A loop, so that no more chunks are taken apart than are needed.
  for v_chunk in
    select c.file_id, c.ordinal, c.start_line, f.path, b.name, f.ingested_at, f.sha256 is distinct from f.ingested_sha256 as stale
      from (select m.file_id, m.ordinal, m.start_line, m.codebase_id
              from code.chunks m
             where m.content ~ p_regex
               and (v_codebase_id is null or m.codebase_id = v_codebase_id)
               and (not v_filtered or code.admitted(m.file_id, m.start_line, m.end_line, p_language, v_path, p_kind))
             limit 5000) c
      join code.files f on f.file_id = c.file_id
      join code.codebases b on b.codebase_id = c.codebase_id
     where f.status in ('pending', 'ingested', 'partial')
     order by b.name, f.path, c.start_line, c.ordinal
  loop
    return query
    select v_chunk.path,
           v_chunk.start_line + l.n::integer - 1,
           -- Of a very long line, the part around the match.
           case
             when length(l.text) <= 400 then rtrim(l.text, E'\r')
             else substr(l.text, greatest(strpos(l.text, substring(l.text from p_regex)) - 100, 1), 400)
           end,
           v_chunk.name,
           v_chunk.ingested_at,
           v_chunk.stale
      from code.chunks c
     cross join string_to_table(
             case when right(c.content, 1) = E'\n' then left(c.content, -1) else c.content end, E'\n')
             with ordinality as l (text, n)
     where c.file_id = v_chunk.file_id
       and c.ordinal = v_chunk.ordinal
       and l.text ~ p_regex
     order by l.n
     limit v_limit;
    get diagnostics v_rows = row_count;
    v_limit := v_limit - v_rows;
    exit when v_limit = 0;
  end loop;
end;
$$;
comment on function code.matches_of(text, text, integer, text, text, text) is
  'The work of code.substring_search and code.regex_search: lines that match a regular expression, by codebase, path and line, out of at most 5,000 chunks.';

create or replace function code.substring_search(
  pattern     text,
  codebase    text default null,
  max_results integer default 50,
  language    text default null,
  path        text default null,
  kind        text default null
)
returns setof code.matching_lines
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
  if pattern ~ '[\n\r]' then
    raise exception using
      errcode = 'HT006',
      message = format('the pattern %L spans lines', pattern),
      hint    = 'Lines are searched one by one: look for a part that stands on one of them.';
  end if;
  if pattern <> '' then
    return query select m.* from code.matches_of('***=' || pattern, codebase, max_results, language, substring_search.path, kind) m;
  end if;
end;
$$;
comment on function code.substring_search(text, text, integer, text, text, text) is
  'Lines that hold the pattern as it is written, case and all, by codebase, path and line. Three letters in a row make it quick. At most 10,000.';

create or replace function code.regex_search(
  pattern     text,
  codebase    text default null,
  max_results integer default 50,
  language    text default null,
  path        text default null,
  kind        text default null
)
returns setof code.matching_lines
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
  -- Newline-sensitive, so that what matches a line matches the chunk around it,
  -- which the index knows. The pattern's own options, (?i) say, stay in front.
  v_options constant text := coalesce(substring(pattern, '^\(\?([a-z]+)\)'), '');
  v_regex   constant text := '(?' || v_options || 'n)' || regexp_replace(pattern, '^\(\?[a-z]+\)', '');
begin
  if coalesce(pattern, '') = '' then
    return;
  end if;
  begin
    if pattern like '***%' then
      raise invalid_regular_expression using message = 'a director (***) is not supported';
    end if;
    perform regexp_match('', v_regex);
  exception
    when invalid_regular_expression then
      raise exception using
        errcode = 'HT006',
        message = format('the pattern %L is no regular expression: %s', pattern, sqlerrm),
        hint    = 'Escape characters that are meant literally with a backslash, or use code.substring_search.';
  end;
  return query select m.* from code.matches_of(v_regex, codebase, max_results, language, regex_search.path, kind) m;
end;
$$;
comment on function code.regex_search(text, text, integer, text, text, text) is
  'Lines that match the regular expression (PostgreSQL''s; (?i) in front ignores case), by codebase, path and line. Three letters in a row make it quick. At most 10,000.';
