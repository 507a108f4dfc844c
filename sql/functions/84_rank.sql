-- Ranking: the four lists that a search is made of, by words, text, names and vectors.
--
-- Each looks at a bounded number of chunks found by an index, whatever the query.

create or replace function code.search_words(
  p_words        text[],
  p_codebase_id  integer,
  p_limit        integer,
  p_language     text default null,
  p_path         text default null,
  p_kind         text default null
)
returns setof code.ranked_chunks
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_candidates constant integer := 2000;
  v_filtered   constant boolean := num_nonnulls(p_language, p_path, p_kind) > 0;
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
       and (not v_filtered or code.admitted(c.file_id, c.start_line, c.end_line, p_language, p_path, p_kind))
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
comment on function code.search_words(text[], integer, integer, text, text, text) is
  'Chunks that hold the words, best first: rare words, repeated words, short chunks and names of definitions count more.';

create or replace function code.search_text(
  p_text         text,
  p_codebase_id  integer,
  p_limit        integer,
  p_language     text default null,
  p_path         text default null,
  p_kind         text default null
)
returns setof code.ranked_chunks
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_filtered constant boolean := num_nonnulls(p_language, p_path, p_kind) > 0;
  v_like     constant text := '%' || regexp_replace(p_text, '([\\%_])', '\\\1', 'g') || '%';
begin
  return query
  with candidates as materialized (
    select c.file_id, c.ordinal, c.content
      from code.chunks c
     where c.content ilike v_like
       and (p_codebase_id is null or c.codebase_id = p_codebase_id)
       and (not v_filtered or code.admitted(c.file_id, c.start_line, c.end_line, p_language, p_path, p_kind))
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
comment on function code.search_text(text, integer, integer, text, text, text) is
  'Chunks that hold the text in any case, those that hold it as written first, then the shorter.';

create or replace function code.search_names(
  p_query        text,
  p_codebase_id  integer,
  p_limit        integer,
  p_language     text default null,
  p_path         text default null,
  p_kind         text default null
)
returns setof code.ranked_chunks
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_filtered constant boolean := num_nonnulls(p_language, p_path, p_kind) > 0;
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
       and (not v_filtered or code.admitted(s.file_id, s.start_line, s.start_line, p_language, p_path, p_kind))
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
comment on function code.search_names(text, integer, integer, text, text, text) is
  'Chunks in which symbols are defined that the query, or an identifier in it, names exactly.';

create or replace function code.search_vectors(
  p_model_id     smallint,
  p_dimensions   smallint[],
  p_weights      real[],
  p_signature    bit varying,
  p_codebase_id  integer,
  p_limit        integer,
  p_language     text default null,
  p_path         text default null,
  p_kind         text default null
)
returns setof code.ranked_chunks
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_filtered constant boolean := num_nonnulls(p_language, p_path, p_kind) > 0;
begin
  return query
  with near as materialized (
    select e.text_hash
      from code.embeddings e
     where e.model_id = p_model_id
       and (p_codebase_id is null and not v_filtered
            or e.text_hash in (
                 select c.text_hash
                   from code.chunks c
                  where (p_codebase_id is null or c.codebase_id = p_codebase_id)
                    and (not v_filtered or code.admitted(c.file_id, c.start_line, c.end_line, p_language, p_path, p_kind))))
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
   where (p_codebase_id is null or c.codebase_id = p_codebase_id)
     and (not v_filtered or code.admitted(c.file_id, c.start_line, c.end_line, p_language, p_path, p_kind))
   order by 3
   limit p_limit;
end;
$$;
comment on function code.search_vectors(smallint, smallint[], real[], bit varying, integer, integer, text, text, text) is
  'Chunks whose vectors point most nearly where the given one does: the nearest 200 by signature, then in exact order.';
