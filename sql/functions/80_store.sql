-- Storing a batch of extracted files, with their chunks.

create or replace function code.store_chunks(
  p_codebase_id integer,
  p_replaced    bigint[],
  p_file_ids    bigint[],
  p_symbol_keys text[],
  p_start_lines integer[],
  p_end_lines   integer[],
  p_text_hashes bytea[],
  p_contents    text[],
  p_words       text[]
)
returns bigint
language plpgsql
volatile
set search_path = ''
set plan_cache_mode = force_custom_plan
set jit = off
as $$
declare
  v_written bigint;
begin
  -- A chunk is known by its text: moved down by an edit above, it keeps its row
  -- and its place in the indexes. Its ordinal is a name, not a position.
  with given as materialized (
    select g.file_id, nullif(g.symbol_key, '') as symbol_key, g.start_line, g.end_line, g.text_hash,
           g.content, g.words, g.n,
           row_number() over (partition by g.file_id, g.text_hash order by g.n) as copy
      from unnest(p_file_ids, p_symbol_keys, p_start_lines, p_end_lines, p_text_hashes, p_contents, p_words)
        with ordinality as g (file_id, symbol_key, start_line, end_line, text_hash, content, words, n)
  ),
  known as materialized (
    select c.file_id, c.ordinal, c.symbol_key, c.start_line, c.end_line, c.text_hash,
           row_number() over (partition by c.file_id, c.text_hash order by c.start_line, c.ordinal) as copy
      from code.chunks c
     where c.file_id = any (p_replaced)
  ),
  last as (
    select k.file_id, max(k.ordinal) as ordinal from known k group by k.file_id
  ),
  gone as (
    delete from code.chunks c
     using known k
     where c.file_id = k.file_id
       and c.ordinal = k.ordinal
       and not exists (
             select from given g where g.file_id = k.file_id and g.text_hash = k.text_hash and g.copy = k.copy)
    returning 1
  ),
  kept as (
    update code.chunks c
       set symbol_key = g.symbol_key,
           start_line = g.start_line,
           end_line   = g.end_line
      from given g
      join known k on k.file_id = g.file_id and k.text_hash = g.text_hash and k.copy = g.copy
     where c.file_id = k.file_id
       and c.ordinal = k.ordinal
       and (k.symbol_key, k.start_line, k.end_line) is distinct from (g.symbol_key, g.start_line, g.end_line)
    returning 1
  ),
  added as (
    insert into code.chunks (file_id, ordinal, codebase_id, symbol_key, start_line, end_line, text_hash, content, words)
    select g.file_id,
           coalesce(l.ordinal + 1, 0) + row_number() over (partition by g.file_id order by g.n) - 1,
           p_codebase_id, g.symbol_key, g.start_line, g.end_line, g.text_hash, g.content, g.words::tsvector
      from given g
      left join last l on l.file_id = g.file_id
     where not exists (
             select from known k where k.file_id = g.file_id and k.text_hash = g.text_hash and k.copy = g.copy)
    returning 1
  )
  select (select count(*) from gone) + (select count(*) from kept) + (select count(*) from added) into v_written;
  return v_written;
end;
$$;
comment on function code.store_chunks(integer, bigint[], bigint[], text[], integer[], integer[], bytea[], text[], text[]) is
  'Replace the chunks of the files p_replaced by difference on their text. Chunks are given in order. Returns how many rows were written.';

create or replace function code.store_files(
  p_codebase_id  integer,
  p_version      integer,
  p_file_ids     bigint[],
  p_sha256s      bytea[],
  p_statuses     text[],
  p_reasons      text[],
  p_languages    text[],
  p_lines        integer[],
  p_encodings    text[],
  p_generated    boolean[],
  p_minified     boolean[],
  p_modules      text[],
  p_docs         text[],
  p_parsers      text[],
  p_parse_errors integer[],
  p_families     text[],
  p_scopes       text[],
  p_precedences  smallint[],
  p_symbols      integer[],
  p_complexities integer[],
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
  v_now     constant timestamptz := htdag.clock();
  v_written bigint;
  v_came    bigint[];
begin
  with given as materialized (
    select g.file_id, g.sha256, g.status, nullif(g.reason, '') as reason, nullif(g.language, '') as language,
           nullif(g.lines, -1) as lines, nullif(g.encoding, '') as encoding, g.generated, g.minified,
           nullif(g.module, '') as module, nullif(g.doc, '') as doc, nullif(g.parser, '') as parser,
           g.parse_errors, nullif(g.family, '') as family, nullif(g.scope, '') as scope, g.precedence,
           g.symbols, g.complexity, g.git_id
      from unnest(p_file_ids, p_sha256s, p_statuses, p_reasons, p_languages, p_lines, p_encodings, p_generated,
                  p_minified, p_modules, p_docs, p_parsers, p_parse_errors, p_families, p_scopes, p_precedences,
                  p_symbols, p_complexities, p_git_ids)
        as g (file_id, sha256, status, reason, language, lines, encoding, generated,
              minified, module, doc, parser, parse_errors, family, scope, precedence, symbols, complexity, git_id)
  ),
  known as materialized (
    select f.* from code.files f where f.file_id = any (p_file_ids)
  ),
  written as (
    update code.files f
       set status           = g.status,
           reason           = g.reason,
           language         = g.language,
           lines            = g.lines,
           encoding         = g.encoding,
           generated        = g.generated,
           minified         = g.minified,
           module           = g.module,
           doc              = g.doc,
           parser           = g.parser,
           parse_errors     = g.parse_errors,
           family           = g.family,
           scope            = g.scope,
           precedence       = g.precedence,
           ingested_sha256  = g.sha256,
           ingested_version = p_version,
           ingested_at      = now()
      from given g
      join known k on k.file_id = g.file_id
     where f.file_id = g.file_id
       and f.status <> 'deleted'
    returning f.file_id,
              f.bytes,
              f.seen_at,
              g.sha256,
              g.git_id,
              g.lines,
              g.symbols,
              g.complexity,
              k.ingested_sha256,
              (k.family, k.scope, k.precedence, k.module) is distinct from (f.family, f.scope, f.precedence, f.module) as moved
  ),
  versions as (
    insert into code.file_versions (file_id, ordinal, change, sha256, git_id, bytes, lines, symbols, complexity, seen_at, recorded_at)
    select w.file_id,
           coalesce(v.ordinal, 0) + 1,
           case
             when v.ordinal is null then 'added'
             when v.change = 'deleted' then 'restored'
             else 'modified'
           end,
           w.sha256, w.git_id, w.bytes, w.lines, w.symbols, w.complexity, w.seen_at, v_now
      from written w
      left join lateral (
             select v.ordinal, v.change, v.sha256
               from code.file_versions v
              where v.file_id = w.file_id
              order by v.ordinal desc
              limit 1) v on true
     where w.sha256 is distinct from v.sha256
        or v.ordinal is null
    returning file_id, change
  ),
  -- Symbols are found by their file's scope, and files are chosen by precedence:
  -- where these change, all its names count as touched.
  moved as (
    select w.file_id,
           code.symbol_names(w.file_id)::text as names,
           array(select p.name from code.provides p where p.file_id = w.file_id)::text as provided,
           exists (select from code.imports i where i.file_id = w.file_id and i.exports <> '{}') as passing
      from written w
     where w.moved
       and w.ingested_sha256 is not null
  )
  select (select count(*) from written)
         + 0 * coalesce((
             select code.mark_stale(
                      p_codebase_id,
                      array_agg(m.file_id),
                      array_agg(m.names),
                      array_agg(m.provided),
                      array_agg(false),
                      p_passing => array_agg(m.passing),
                      p_moved   => true)
               from moved m
             having count(*) > 0), 0),
         (select array_agg(v.file_id) from versions v where v.change <> 'modified')
    into v_written, v_came;
  if v_came is not null then
    perform code.follow_moves(p_codebase_id, v_came, '{}');
  end if;
  return v_written;
end;
$$;
comment on function code.store_files(integer, integer, bigint[], bytea[], text[], text[], text[], integer[], text[], boolean[],
  boolean[], text[], text[], text[], integer[], text[], text[], smallint[], integer[], integer[], bytea[]) is
  'Set what ingestion found out about files, append a version where the content is new, and mark what moved to another scope. Call it after store_symbols. Returns how many rows were written.';
