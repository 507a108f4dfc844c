-- Queries: what a search is asked, in the words and vectors of the index.
--
-- The words and hash-v1 vectors of chunks are made in Go when files are ingested
-- (runner/ingest: token.go, embed.go). A query is split and embedded here, by the
-- same rules: code.query_words and code.embed_hash are those functions in SQL, and
-- a test compares the two.

-- Shapes ----------------------------------------------------------------------

create or replace view code.search_results as
select f.path,
       format('%s-%s', c.start_line, c.end_line) as lines,
       c.symbol_key as symbol,
       c.content as snippet,
       0::double precision as score,
       b.name as codebase,
       f.ingested_at,
       f.sha256 is distinct from f.ingested_sha256 as stale
  from code.chunks c
  join code.files f on f.file_id = c.file_id
  join code.codebases b on b.codebase_id = c.codebase_id;
comment on view code.search_results is 'A place in a codebase: the lines, the symbol they are in, their text, how well it answers a query (higher is better), when the file was ingested, and whether it is known to have changed on disk since.';

create or replace view code.matching_lines as
select f.path,
       c.start_line as line,
       c.content as text,
       b.name as codebase,
       f.ingested_at,
       f.sha256 is distinct from f.ingested_sha256 as stale
  from code.chunks c
  join code.files f on f.file_id = c.file_id
  join code.codebases b on b.codebase_id = c.codebase_id;
comment on view code.matching_lines is 'A line that holds what was searched for, when its file was ingested, and whether that is known to have changed on disk since.';

create or replace view code.ranked_chunks as
select c.file_id,
       c.ordinal,
       1::bigint as position
  from code.chunks c;
comment on view code.ranked_chunks is 'A chunk and its place, from 1, in the list that a branch of the search made.';

create or replace view code.embedded_texts as
select v.dimensions,
       v.weights,
       e.signature
  from code.vectors v
  join code.embeddings e on e.model_id = v.model_id and e.text_hash = v.text_hash;
comment on view code.embedded_texts is 'A vector of unit length (dimensions is null where it is dense) and its signature.';

-- What a search is confined to ------------------------------------------------

create or replace function code.path_pattern(p_path text)
returns text
language plpgsql
immutable
strict
parallel safe
set search_path = ''
as $$
declare
  v_escaped constant text := regexp_replace(p_path, '([.+^$(){}|\\\[\]])', '\\\1', 'g');
begin
  if p_path !~ '[*?]' then
    return '^' || regexp_replace(v_escaped, '/+$', '') || '(/|$)';
  end if;
  return '^' || replace(replace(replace(replace(replace(replace(
           v_escaped, '**/', E'\x01'), '**', E'\x02'), '*', '[^/]*'), '?', '[^/]'), E'\x01', '(.*/)?'), E'\x02', '.*') || '$';
end;
$$;
comment on function code.path_pattern(text) is
  'The regular expression of paths that a file or directory, or a glob (*, ? and ** as in .gitignore, of the whole path), stands for.';

create or replace function code.admitted(p_file_id bigint, p_start_line integer, p_end_line integer, p_language text, p_path text, p_kind text)
returns boolean
language sql
stable
return (
  exists (
    select
      from code.files f
     where f.file_id = p_file_id
       and (p_language is null or lower(f.language) = lower(p_language))
       and (p_path is null or f.path ~ p_path))
  and (p_kind is null
       or exists (
            select
              from code.symbols s
             where s.file_id = p_file_id
               and s.kind = p_kind
               and s.start_line between p_start_line and p_end_line)));
comment on function code.admitted(bigint, integer, integer, text, text, text) is
  'Whether a chunk belongs to a file of that language and path (a regular expression), and a symbol of that kind begins in it; null asks nothing.';

-- Words and vectors of a query ------------------------------------------------

create or replace function code.query_words(p_text text)
returns text[]
language plpgsql
immutable
strict
parallel safe
set search_path = ''
as $$
declare
  -- Letters by code point, since what [[:alpha:]] means depends on the collation.
  v_upper constant text := 'A-Z\u00C0-\u00D6\u00D8-\u00DE\u0391-\u03A1\u03A3-\u03A9\u0400-\u042F';
  v_lower constant text := 'a-z\u00AA\u00B5\u00BA\u00DF-\u00F6\u00F8-\u0390\u03A2\u03AA-\u03FF\u0430-\u1FFF\u2C00-\u2DFF'
    || '\u3040-\uD7FF\uF900-\uFDCF\uFE70-\uFEFC\uFF21-\uFF3A\uFF41-\uFF5A\uFF66-\uFFDC\U00010000-\U0001EFFF\U00020000-\U0003FFFF';
  v_run   constant text := '[' || v_upper || v_lower || '0-9_]*';
  v_start constant text := '[' || v_upper || v_lower || ']' || v_run;
  v_words text[];
begin
  with compounds as (
    select m[1] as compound, n
      from regexp_matches(p_text collate "C", '(' || v_start || '(?:-' || v_start || ')*|[0-9_]' || v_run || ')', 'g')
        with ordinality as t (m, n)
  ),
  runs as (
    select c.n, r.n as run_n, r.run, r.run ~ '^[0-9]' as is_number, btrim(r.run, '_') as identifier
      from compounds c
     cross join string_to_table(c.compound, '-') with ordinality as r (run, n)
  ),
  parts as (
    select r.n, r.run_n, p.n as part_n, p.m[1] as part, count(*) over (partition by r.n, r.run_n) as parts
      from runs r
     cross join regexp_matches(
             r.identifier collate "C",
             '([' || v_upper || ']+(?![' || v_lower || '])|[' || v_upper || ']?[' || v_lower || ']+|[0-9]+)', 'g')
        with ordinality as p (m, n)
     where not r.is_number
       and octet_length(r.identifier) <= 128
  ),
  found as (
    select c.n, 0::bigint as run_n, 0::bigint as part_n, rtrim(c.compound, '_') as word
      from compounds c
     where c.compound like '%-%'
    union all
    select r.n, r.run_n, 0, r.run
      from runs r
     where r.is_number
    union all
    select p.n, p.run_n, 0, r.identifier
      from parts p
      join runs r on r.n = p.n and r.run_n = p.run_n
     where p.part_n = 1
       and p.part <> r.identifier
    union all
    select p.n, p.run_n, p.part_n, p.part
      from parts p
  )
  select array_agg(coalesce(substring(e.word, '^([a-z]{3,})[ey]$'), e.word) order by f.n, f.run_n, f.part_n)
    into v_words
    from found f
   cross join lateral (
           select translate(
             lower(f.word collate "C"),
             'ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩ'
             || 'ЀЁЂЃЄЅІЇЈЉЊЋЌЍЎЏАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ',
             'àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþαβγδεζηθικλμνξοπρστυφχψω'
             || 'ѐёђѓєѕіїјљњћќѝўџабвгдежзийклмнопрстуфхцчшщъыьэюя') as word) g
   -- Plurals, then -ed and -ing; a final e or y goes in the select list.
   cross join lateral (
           select coalesce(
             substring(g.word, '^([a-z]{3,})ies$'),
             substring(g.word, '^([a-z]{3,})es$'),
             substring(g.word, '^([a-z]{2,}[a-rt-z])s$'),
             g.word) as word) h
   cross join lateral (
           select coalesce(
             substring(h.word, '^([a-z]{3,})ied$'),
             regexp_replace(substring(h.word, '^([a-z]{3,})ing$'), '^(..+([b-df-hj-kmnp-rtv-y]))\2$', '\1'),
             regexp_replace(substring(h.word, '^([a-z]{2,}[a-df-z])ed$'), '^(..+([b-df-hj-kmnp-rtv-y]))\2$', '\1'),
             h.word) as word) e
   where octet_length(f.word) <= 128;
  return coalesce(v_words, '{}');
end;
$$;
comment on function code.query_words(text) is
  'The words of a text in order, repetitions included, as they are in code.chunks.words: identifiers and their parts, lower case, English endings cut.';

create or replace function code.signature(p_dimensions smallint[], p_weights real[], p_size integer)
returns bit varying
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
declare
  v_sums integer[];
  v_half integer := 1;
  v_sum  integer;
begin
  if p_dimensions is null then
    return (select string_agg(case when w > 0 then '1' else '0' end, '' order by n)::bit varying
              from unnest(p_weights) with ordinality as u (w, n));
  end if;
  -- A Walsh-Hadamard transform, which gives every dimension a share in each bit.
  -- The loops are its butterflies: each level adds what the one before has added.
  v_sums := array_fill(0, array[p_size]);
  for i in 1 .. cardinality(p_dimensions) loop
    v_sums[p_dimensions[i] + 1] := trunc(p_weights[i]::double precision * 1048576)::integer;
  end loop;
  while v_half < p_size loop
    for i in 1 .. p_size loop
      if ((i - 1) & v_half) = 0 then
        v_sum := v_sums[i];
        v_sums[i] := v_sum + v_sums[i + v_half];
        v_sums[i + v_half] := v_sum - v_sums[i + v_half];
      end if;
    end loop;
    v_half := v_half * 2;
  end loop;
  return (select string_agg(case when s > 0 then '1' else '0' end, '' order by n)::bit varying
            from unnest(v_sums) with ordinality as u (s, n));
end;
$$;
comment on function code.signature(smallint[], real[], integer) is
  'Bits whose Hamming distance grows with the angle between vectors: the signs of a dense vector, or of a sparse one rotated in p_size (a power of two) dimensions.';

create or replace function code.embed_hash(p_text text)
returns setof code.embedded_texts
language plpgsql
immutable
parallel safe
set search_path = ''
as $$
begin
  return query
  with words as (
    select w.word, least(count(*), 16)::integer as frequency, decode(md5(w.word), 'hex') as hash
      from unnest(code.query_words(coalesce(p_text, ''))) as w (word)
     group by w.word
  ),
  sums as (
    select ((get_byte(w.hash, 0) << 8 | get_byte(w.hash, 1)) % 512)::smallint as dimension,
           sum((array[100, 169, 210, 239, 261, 279, 295, 308, 320, 330, 340, 348, 356, 364, 371, 377])[w.frequency]
               * least(octet_length(w.word), 6)
               * case get_byte(w.hash, 2) & 1 when 1 then -1 else 1 end)::double precision as weight
      from words w
     group by 1
  ),
  vector as (
    select coalesce(array_agg(s.dimension order by s.dimension), '{}') as dimensions,
           coalesce(array_agg((s.weight / s.length)::real order by s.dimension), '{}') as weights
      from (select s.dimension, s.weight, sqrt(sum(s.weight * s.weight) over ()) as length from sums s) s
     where s.weight <> 0
  )
  select v.dimensions, v.weights, code.signature(v.dimensions, v.weights, 512)
    from vector v;
end;
$$;
comment on function code.embed_hash(text) is
  'The vector that the built-in model hash-v1 gives a text. It is lexical: texts are near when they share words.';
