-- Search: code.search asks four branches (84_rank.sql) for a ranked list each and fuses
-- the lists by reciprocal rank (Cormack, Clarke, Buettcher 2009).

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
         d.name,
         f.ingested_at,
         f.sha256 is distinct from f.ingested_sha256
    from chunk c
    join code.files f on f.file_id = c.file_id
    join code.codebases d on d.codebase_id = c.codebase_id
   cross join best b
    join lines l on l.line between b.line and b.line + 7
   group by f.path, b.line, c.file_id, c.symbol_key, d.name, f.file_id;
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
  p_signature   bit varying,
  p_language    text,
  p_path        text,
  p_kind        text
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
  v_path  constant text := code.path_pattern(p_path);
  v_lone  constant boolean := v_query ~ '^[[:alnum:]]+$';
begin
  if v_query is null or v_query = '' then
    return;
  end if;

  return query
  with worded as materialized (
    select r.file_id, r.ordinal, r.position from code.search_words(v_words, p_codebase_id, v_depth, p_language, v_path, p_kind) r
  ),
  lists as (
    select r.file_id, r.ordinal, 1 / (60 + r.position)::double precision as share from worded r
    union all
    select r.file_id, r.ordinal, 1 / (60 + r.position)::double precision
      from code.search_names(v_query, p_codebase_id, v_depth, p_language, v_path, p_kind) r
    union all
    -- A lone word was looked up above; as a mere part of words it is sought only
    -- if that found nothing. Fewer than three letters in a row have no trigram.
    select r.file_id, r.ordinal, 1 / (60 + r.position)::double precision
      from code.search_text(v_query, p_codebase_id, v_depth, p_language, v_path, p_kind) r
     where v_query ~ '[[:alnum:]]{3}'
       and v_query !~ '\n'
       and (not v_lone or not exists (select from worded))
    union all
    select r.file_id, r.ordinal, m.search_weight / (60 + r.position)::double precision
      from code.models m
     cross join code.search_vectors(p_model_id, p_dimensions, p_weights, p_signature, p_codebase_id, v_depth, p_language, v_path, p_kind) r
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
  select s.path, s.lines, s.symbol, s.snippet, b.score, s.codebase, s.ingested_at, s.stale
    from best b
   cross join code.snippet(b.file_id, b.ordinal, v_query, v_words) s
   order by b.score desc, b.file_id, b.ordinal;
end;
$$;
comment on function code.fused_search(text, integer, integer, smallint, smallint[], real[], bit varying, text, text, text) is
  'The work of code.search and code.search_with_vector, on checked arguments.';

create or replace function code.search(
  query       text,
  codebase    text default null,
  max_results integer default 20,
  language    text default null,
  path        text default null,
  kind        text default null
)
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
           v_vector.signature,
           search.language,
           search.path,
           search.kind) r;
end;
$$;
comment on function code.search(text, text, integer, text, text, text) is
  'Where a codebase (all, for null) says what the query asks, best first: by words, exact text, names of symbols and hash-v1 vectors. Confined, where asked, to a language, to a path (a file, a directory or a glob) and to places where a symbol of a kind begins. At most 1,000 results; only the first 2,000 characters of a query count.';

create or replace function code.search_with_vector(
  query       text,
  model       text,
  vector      real[],
  codebase    text default null,
  max_results integer default 20,
  language    text default null,
  path        text default null,
  kind        text default null
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
           code.signature(null, vector, v_model.dimensions),
           search_with_vector.language,
           search_with_vector.path,
           search_with_vector.kind) r;
end;
$$;
comment on function code.search_with_vector(text, text, real[], text, integer, text, text, text) is
  'As code.search, with a vector of the query that the caller got from one of code.models, which may know what words do not say.';
