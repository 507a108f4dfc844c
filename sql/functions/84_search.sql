-- Search: by words, by text, by name and by vector, and all of them at once.
--
-- The words and hash-v1 vectors of chunks are made in Go when files are ingested
-- (runner/ingest: token.go, embed.go). A query is split and embedded here, by the
-- same rules: code.query_words and code.embed_hash are those functions in SQL, and
-- a test compares the two.
--
-- code.search asks four branches for a ranked list each and fuses the lists by
-- reciprocal rank (Cormack, Clarke, Buettcher 2009). Each branch looks at a bounded
-- number of chunks found by an index, whatever the query.

-- Shapes ----------------------------------------------------------------------

create or replace view code.search_results as
select f.path,
       format('%s-%s', c.start_line, c.end_line) as lines,
       c.symbol_key as symbol,
       c.content as snippet,
       0::double precision as score,
       b.name as codebase
  from code.chunks c
  join code.files f on f.file_id = c.file_id
  join code.codebases b on b.codebase_id = c.codebase_id;
comment on view code.search_results is 'A place in a codebase: the lines, the symbol they are in, their text, and how well it answers a query (higher is better).';

create or replace view code.matching_lines as
select f.path,
       c.start_line as line,
       c.content as text,
       b.name as codebase
  from code.chunks c
  join code.files f on f.file_id = c.file_id
  join code.codebases b on b.codebase_id = c.codebase_id;
comment on view code.matching_lines is 'A line that holds what was searched for.';

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

-- Branches --------------------------------------------------------------------

create or replace function code.search_words(p_words text[], p_codebase_id integer, p_limit integer)
returns setof code.ranked_chunks
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_candidates constant integer := 2000;
  v_rows       double precision;
  v_words      text[];
  v_shares     double precision[];
  v_filter     tsquery;
begin
  select greatest(c.reltuples, 1)::double precision into v_rows from pg_catalog.pg_class c where c.oid = 'code.chunks'::regclass;

  -- How many chunks hold each word, from the planner's statistics: they name the
  -- most common words. Any other is rarer than the rarest of those.
  with common as materialized (
    select u.word, u.share
      from pg_catalog.pg_stats s
     cross join unnest(s.most_common_elems::text::text[], s.most_common_elem_freqs) as u (word, share)
     where s.schemaname = 'code'
       and s.tablename = 'chunks'
       and s.attname = 'words'
       and u.word is not null
  ),
  asked as (
    select w.word, coalesce(c.share, (select min(c.share) / 2 from common c), 0) as share
      from (select distinct u.word from unnest(p_words) as u (word)) w
      left join common c on c.word = w.word
  )
  select array_agg(a.word order by a.share, a.word),
         array_agg(a.share order by a.share, a.word),
         -- Candidates hold one of the rarest words, as many as keep the candidates
         -- few, or all of the words.
         (string_agg(format('%L', a.word), ' | ' order by a.share, a.word)
            filter (where a.running * v_rows <= v_candidates or a.n = 1)
          || ' | ' || string_agg(format('%L', a.word), ' & '))::tsquery
    into v_words, v_shares, v_filter
    from (select a.word,
                 a.share,
                 sum(a.share) over (order by a.share, a.word) as running,
                 row_number() over (order by a.share, a.word) as n
            from asked a) a;
  if v_words is null then
    return;
  end if;

  return query
  with candidates as materialized (
    select c.file_id, c.ordinal, c.words
      from code.chunks c
     where c.words @@ v_filter
       and (p_codebase_id is null or c.codebase_id = p_codebase_id)
     limit 2 * v_candidates
  ),
  hits as materialized (
    -- ts_rank adds 1/n² for the nth occurrence, which saturates much as BM25 does;
    -- 16 divides by 1 + ln(unique words). The first occurrence of a word in the name
    -- of a symbol that is defined there counts 2.5 times.
    select c.file_id, c.ordinal, w.word, w.share, ts_rank('{0.4, 0.4, 0.4, 1}', c.words, w.query, 16) as rank
      from candidates c
     cross join (select u.word, u.share, format('%L', u.word)::tsquery as query
                   from unnest(v_words, v_shares) as u (word, share)) w
     where c.words @@ w.query
  ),
  counted as (
    select h.word, greatest(count(*), max(h.share) * v_rows) as chunks from hits h group by h.word
  ),
  scored as (
    select h.file_id,
           h.ordinal,
           sum(h.rank * ln(1 + (greatest(v_rows, n.chunks) - n.chunks + 0.5) / (n.chunks + 0.5))) as score
      from hits h
      join counted n on n.word = h.word
     group by h.file_id, h.ordinal
  )
  select s.file_id, s.ordinal, row_number() over (order by s.score desc, s.file_id, s.ordinal)
    from scored s
   order by s.score desc, s.file_id, s.ordinal
   limit p_limit;
end;
$$;
comment on function code.search_words(text[], integer, integer) is
  'Chunks that hold the words, best first: rare words, repeated words, short chunks and names of definitions count more.';

create or replace function code.search_text(p_text text, p_codebase_id integer, p_limit integer)
returns setof code.ranked_chunks
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_like constant text := '%' || regexp_replace(p_text, '([\\%_])', '\\\1', 'g') || '%';
begin
  return query
  with candidates as materialized (
    select c.file_id, c.ordinal, c.content
      from code.chunks c
     where c.content ilike v_like
       and (p_codebase_id is null or c.codebase_id = p_codebase_id)
     limit 1000
  )
  select c.file_id,
         c.ordinal,
         row_number() over (order by c.content like v_like desc, length(c.content), c.file_id, c.ordinal)
    from candidates c
   order by 3
   limit p_limit;
end;
$$;
comment on function code.search_text(text, integer, integer) is
  'Chunks that hold the text in any case, those that hold it as written first, then the shorter.';

create or replace function code.search_names(p_query text, p_codebase_id integer, p_limit integer)
returns setof code.ranked_chunks
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  -- Of one word, qualified perhaps, all of it and its last part; of several, those
  -- that are written as only identifiers are.
  v_names constant text[] := array(
    select m[1]
      from regexp_matches(p_query, '([[:alpha:]_]\w*)', 'g') as m
     where case
             when p_query ~ '\s' then m[1] ~ '[[:lower:]][[:upper:]]|[[:upper:]]{2}[[:lower:]]|\w_\w|[[:alpha:]]\d'
             else p_query ~ (m[1] || '\W*$')
           end
     limit 20);
begin
  return query
  with named as (
    select s.file_id,
           s.start_line,
           case
             when s.qualified_name = p_query then 1
             when s.name = p_query then 2
             when p_query like '%' || s.qualified_name then 3
             else 4
           end as closeness,
           s.kind in ('field', 'variable') as minor,
           s.exported
      from code.symbols s
     where s.codebase_id in (select b.codebase_id from code.codebases b where p_codebase_id is null or b.codebase_id = p_codebase_id)
       and s.name = any (v_names)
     limit 2000
  ),
  placed as (
    select distinct on (c.file_id, c.ordinal) c.file_id, c.ordinal, n.closeness, n.minor, n.exported
      from named n
      join code.chunks c on c.file_id = n.file_id and n.start_line between c.start_line and c.end_line
     order by c.file_id, c.ordinal, n.closeness, n.minor, n.exported desc
  )
  select p.file_id,
         p.ordinal,
         row_number() over (order by p.closeness, p.minor, p.exported desc, p.file_id, p.ordinal)
    from placed p
   order by 3
   limit p_limit;
end;
$$;
comment on function code.search_names(text, integer, integer) is
  'Chunks in which symbols are defined that the query, or an identifier in it, names exactly.';

create or replace function code.search_vectors(
  p_model_id     smallint,
  p_dimensions   smallint[],
  p_weights      real[],
  p_signature    bit varying,
  p_codebase_id integer,
  p_limit        integer
)
returns setof code.ranked_chunks
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
begin
  return query
  with near as materialized (
    select e.text_hash
      from code.embeddings e
     where e.model_id = p_model_id
       and (p_codebase_id is null
            or e.text_hash in (select c.text_hash from code.chunks c where c.codebase_id = p_codebase_id))
     order by bit_count(e.signature # p_signature), e.text_hash
     limit 200
  ),
  compared as materialized (
    select n.text_hash, s.similarity
      from near n
      join code.vectors v on v.model_id = p_model_id and v.text_hash = n.text_hash
     cross join lateral (
             select sum(a.weight * b.weight) as similarity
               from unnest(v.dimensions, v.weights) with ordinality as a (dimension, weight, n)
               join unnest(p_dimensions, p_weights) with ordinality as b (dimension, weight, n)
                 on coalesce(a.dimension, a.n) = coalesce(b.dimension, b.n)) s
     where s.similarity > 0
  )
  select c.file_id, c.ordinal, row_number() over (order by s.similarity desc, c.file_id, c.ordinal)
    from compared s
    join code.chunks c on c.text_hash = s.text_hash
   where p_codebase_id is null or c.codebase_id = p_codebase_id
   order by 3
   limit p_limit;
end;
$$;
comment on function code.search_vectors(smallint, smallint[], real[], bit varying, integer, integer) is
  'Chunks whose vectors point most nearly where the given one does: the nearest 200 by signature, then in exact order.';

-- Search ----------------------------------------------------------------------

create or replace function code.snippet(p_file_id bigint, p_ordinal integer, p_query text, p_words text[])
returns setof code.search_results
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set jit = off
as $$
begin
  return query
  with chunk as materialized (
    select c.* from code.chunks c where c.file_id = p_file_id and c.ordinal = p_ordinal
  ),
  lines as materialized (
    select c.start_line + t.n::integer - 1 as line, rtrim(t.text, E'\r') as text, lower(t.text) as folded
      from chunk c
     cross join string_to_table(c.content, E'\n') with ordinality as t (text, n)
     where c.start_line + t.n - 1 <= c.end_line
  ),
  -- Definitions that begin in the chunk, or that it begins in.
  symbols as materialized (
    select s.qualified_name, s.start_line, s.end_line, lower(s.name) as name
      from chunk c
      join code.symbols s on s.file_id = c.file_id and s.start_line <= c.end_line and s.end_line >= c.start_line
     where s.kind not in ('field', 'variable', 'constant')
  ),
  sought as (
    select u.word, 1 as weight from unnest(p_words) as u (word)
    union all
    select lower(p_query), 10
  ),
  -- A word counts by how few lines have it, and more in the name of a definition.
  hits as (
    select l.line,
           w.word,
           case
             when strpos(l.folded, w.word) = 0 then 0
             when exists (select from symbols s where s.start_line = l.line and strpos(s.name, w.word) > 0) then 2.5 * w.weight
             else w.weight
           end as weight
      from lines l
     cross join sought w
  ),
  counted as (
    select h.line, h.word, h.weight / greatest(count(*) filter (where h.weight > 0) over (partition by h.word), 1) as weight
      from hits h
  ),
  windows as (
    select n.line, max(n.weight) over (partition by n.word order by n.line rows between current row and 7 following) as weight
      from counted n
  ),
  best as (
    -- Of equal windows the last begins with what was sought.
    select w.line from windows w group by w.line order by sum(w.weight) desc, w.line desc limit 1
  )
  select f.path,
         case when min(l.line) = max(l.line) then min(l.line)::text else format('%s-%s', min(l.line), max(l.line)) end,
         coalesce(
           (select s.qualified_name
              from symbols s
             where s.end_line >= b.line
               and s.start_line <= b.line + 7
             order by b.line between s.start_line and s.end_line desc,
                      case when s.start_line <= b.line then -s.start_line else s.start_line end,
                      s.end_line
             limit 1),
           (select s.qualified_name from code.symbols s where s.file_id = c.file_id and s.key = c.symbol_key)),
         string_agg(left(l.text, 200), E'\n' order by l.line),
         0::double precision,
         d.name
    from chunk c
    join code.files f on f.file_id = c.file_id
    join code.codebases d on d.codebase_id = c.codebase_id
   cross join best b
    join lines l on l.line between b.line and b.line + 7
   group by f.path, b.line, c.file_id, c.symbol_key, d.name;
end;
$$;
comment on function code.snippet(bigint, integer, text, text[]) is
  'The eight lines of a chunk that say most of a query, and what they are part of.';

create or replace function code.fused_search(
  p_query       text,
  p_codebase_id integer,
  p_limit       integer,
  p_model_id    smallint,
  p_dimensions  smallint[],
  p_weights     real[],
  p_signature   bit varying
)
returns setof code.search_results
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_query constant text := btrim(left(p_query, 2000), E' \t\r\n');
  v_words constant text[] := array(
    select w.word from unnest(code.query_words(v_query)) with ordinality as w (word, n) group by w.word order by min(w.n) limit 64);
  -- Lists are cut where a place no longer counts for much.
  v_depth constant integer := greatest(200, p_limit);
  v_lone  constant boolean := v_query ~ '^[[:alnum:]]+$';
begin
  if v_query is null or v_query = '' then
    return;
  end if;

  return query
  with worded as materialized (
    select r.file_id, r.ordinal, r.position from code.search_words(v_words, p_codebase_id, v_depth) r
  ),
  lists as (
    select r.file_id, r.ordinal, 1 / (60 + r.position)::double precision as share from worded r
    union all
    select r.file_id, r.ordinal, 1 / (60 + r.position)::double precision
      from code.search_names(v_query, p_codebase_id, v_depth) r
    union all
    -- A lone word was looked up above; as a mere part of words it is sought only
    -- if that found nothing. Fewer than three letters in a row have no trigram.
    select r.file_id, r.ordinal, 1 / (60 + r.position)::double precision
      from code.search_text(v_query, p_codebase_id, v_depth) r
     where v_query ~ '[[:alnum:]]{3}'
       and v_query !~ '\n'
       and (not v_lone or not exists (select from worded))
    union all
    select r.file_id, r.ordinal, m.search_weight / (60 + r.position)::double precision
      from code.models m
     cross join code.search_vectors(p_model_id, p_dimensions, p_weights, p_signature, p_codebase_id, v_depth) r
     where m.model_id = p_model_id
  ),
  best as materialized (
    select l.file_id, l.ordinal, sum(l.share) as score
      from lists l
      join code.files f on f.file_id = l.file_id
     where f.status in ('pending', 'ingested', 'partial')
     group by l.file_id, l.ordinal
     order by score desc, l.file_id, l.ordinal
     limit p_limit
  )
  select s.path, s.lines, s.symbol, s.snippet, b.score, s.codebase
    from best b
   cross join code.snippet(b.file_id, b.ordinal, v_query, v_words) s
   order by b.score desc, b.file_id, b.ordinal;
end;
$$;
comment on function code.fused_search(text, integer, integer, smallint, smallint[], real[], bit varying) is
  'The work of code.search and code.search_with_vector, on checked arguments.';

create or replace function code.search(query text, codebase text default null, max_results integer default 20)
returns setof code.search_results
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
  v_model_id smallint;
  v_vector   code.embedded_texts;
begin
  if max_results < 1 then
    raise exception using
      errcode = 'HT006',
      message = format('max_results is %s', max_results),
      hint    = 'Ask for at least one result.';
  end if;
  select m.model_id into v_model_id from code.models m where m.name = 'hash-v1' and m.active;
  if found then
    select e.* into v_vector from code.embed_hash(left(search.query, 2000)) e;
  end if;
  return query
  select r.*
    from code.fused_search(
           search.query,
           case when codebase is not null then code.codebase_id(codebase) end,
           least(coalesce(max_results, 20), 1000),
           v_model_id,
           v_vector.dimensions,
           v_vector.weights,
           v_vector.signature) r;
end;
$$;
comment on function code.search(text, text, integer) is
  'Where a codebase (all, for null) says what the query asks, best first: by words, exact text, names of symbols and hash-v1 vectors. At most 1,000 results; only the first 2,000 characters of a query count.';

create or replace function code.search_with_vector(
  query       text,
  model       text,
  vector      real[],
  codebase    text default null,
  max_results integer default 20
)
returns setof code.search_results
language plpgsql
stable
security definer
set search_path = ''
as $$
declare
  v_model code.models;
begin
  if max_results < 1 then
    raise exception using
      errcode = 'HT006',
      message = format('max_results is %s', max_results),
      hint    = 'Ask for at least one result.';
  end if;
  select m.* into v_model from code.models m where m.name = search_with_vector.model;
  if not found then
    raise exception using
      errcode = 'HT001',
      message = format('there is no model %L', model),
      hint    = 'The models that have vectors are in code.models.';
  end if;
  if cardinality(vector) is distinct from v_model.dimensions then
    raise exception using
      errcode = 'HT006',
      message = format('the vector has %s dimensions, those of model %L have %s', cardinality(vector), model, v_model.dimensions),
      hint    = 'Embed the query with the model that embedded the code.';
  end if;
  return query
  select r.*
    from code.fused_search(
           search_with_vector.query,
           case when codebase is not null then code.codebase_id(codebase) end,
           least(coalesce(max_results, 20), 1000),
           v_model.model_id,
           null,
           vector,
           code.signature(null, vector, v_model.dimensions)) r;
end;
$$;
comment on function code.search_with_vector(text, text, real[], text, integer) is
  'As code.search, with a vector of the query that the caller got from one of code.models, which may know what words do not say.';

-- Lines -----------------------------------------------------------------------

create or replace function code.matches_of(p_regex text, p_codebase text, p_limit integer)
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
    select c.file_id, c.ordinal, c.start_line, f.path, b.name
      from (select m.file_id, m.ordinal, m.start_line, m.codebase_id
              from code.chunks m
             where m.content ~ p_regex
               and (v_codebase_id is null or m.codebase_id = v_codebase_id)
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
           v_chunk.name
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
comment on function code.matches_of(text, text, integer) is
  'The work of code.substring_search and code.regex_search: lines that match a regular expression, by codebase, path and line, out of at most 5,000 chunks.';

create or replace function code.substring_search(pattern text, codebase text default null, max_results integer default 50)
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
    return query select m.* from code.matches_of('***=' || pattern, codebase, max_results) m;
  end if;
end;
$$;
comment on function code.substring_search(text, text, integer) is
  'Lines that hold the pattern as it is written, case and all, by codebase, path and line. Three letters in a row make it quick. At most 10,000.';

create or replace function code.regex_search(pattern text, codebase text default null, max_results integer default 50)
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
  return query select m.* from code.matches_of(v_regex, codebase, max_results) m;
end;
$$;
comment on function code.regex_search(text, text, integer) is
  'Lines that match the regular expression (PostgreSQL''s; (?i) in front ignores case), by codebase, path and line. Three letters in a row make it quick. At most 10,000.';
