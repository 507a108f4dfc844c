-- Symbols that nothing seems to use. A function can be used without being called by
-- name: as a value, by a framework, through a template. So what counts as used is any
-- mention of the name in the text of the codebase, and what is left is a suspicion
-- with a reason, never a verdict.

create or replace function code.mention_of(
  p_codebase_id integer,
  p_scope       text,
  p_file_id     bigint,
  p_name        text,
  p_start_line  integer,
  p_end_line    integer
)
returns text
language plpgsql
stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $$
declare
  -- Splitting is dear, and most names are one word as they are: only endings of
  -- letters are cut.
  v_word    constant text := case
    when p_name ~ '^_*[A-Za-z][A-Za-z0-9_]{0,99}$' and (lower(p_name) !~ '[sdgey]_*$' or btrim(p_name, '_') ~ '[0-9_]')
      then lower(btrim(p_name, '_'))
    else (code.query_words(p_name))[1] end;
  -- Names of letters have borders; of others (empty?, operator==) any occurrence counts.
  v_pattern constant text := case when p_name ~ '^\w+$' then '\m' || p_name || '\M'
                                  else regexp_replace(p_name, '(\W)', '\\\1', 'g') end;
  v_mention text;
begin
  if v_word is null then
    return 'a name that cannot be looked for';
  end if;
  -- Comment lines say nothing, unless they speak to the compiler or the linker.
  -- By the words alone: the trigram index reads far more for a short name.
  select c.path || ':' || (c.start_line + l.n - 1)
    into v_mention
    from (select k.file_id, g.path, k.start_line, k.content
            from code.chunks k
            join code.files g on g.file_id = k.file_id
           where k.words @@ quote_literal(v_word)::tsquery
             and k.codebase_id = p_codebase_id
             and (p_scope is null or g.scope = p_scope)
          offset 0) c
   cross join lateral string_to_table(c.content, E'\n') with ordinality as l (text, n)
   where strpos(c.content, p_name) > 0
     and strpos(l.text, p_name) > 0
     and l.text ~ v_pattern
     and l.text !~ '^\s*(//(?!go:|export )|#(?=\s|$)|--\s|\*(?=[\s/]|$)|/\*|<!--)'
     and not (c.file_id = p_file_id and c.start_line + l.n - 1 between p_start_line and p_end_line)
   limit 1;
  return v_mention;
end;
$$;
comment on function code.mention_of(integer, text, bigint, text, integer, integer) is
  'A place, path:line, that mentions a name outside comments and outside the given lines of a file, in files of a scope or (null) in all; null where there is none.';

create or replace function code.unused_symbols(
  p_codebase       text,
  p_path_prefix    text default '',
  p_exported       boolean default false,
  p_min_confidence double precision default 0.5,
  p_max_rows       integer default 500
)
returns table (path text, line integer, kind text, symbol text, confidence double precision, reason text)
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
  if p_max_rows is null or p_max_rows < 1 then
    raise exception using
      errcode = 'HT006',
      message = format('p_max_rows is %s', coalesce(p_max_rows::text, 'null')),
      hint    = 'Ask for at least one row.';
  end if;

  return query
  with candidates as materialized (
    select s.symbol_id, s.file_id, f.path,
           -- What a package keeps to itself is mentioned within it.
           case when not s.exported then f.scope end as scope,
           s.start_line, s.end_line, s.kind, s.name, s.qualified_name, s.exported
      from code.files f
      join code.symbols s on s.file_id = f.file_id
     where f.codebase_id = v_codebase_id
       and f.status in ('ingested', 'partial')
       and f.precedence < 2
       and not f.generated
       and not f.minified
       and starts_with(f.path, coalesce(p_path_prefix, ''))
       and s.kind in ('function', 'method', 'class', 'struct', 'interface', 'trait', 'enum', 'type', 'macro')
       and (p_exported or not s.exported)
       and s.export_name is null
       -- Entry points, tests, and methods that the language itself calls.
       and s.name not in ('main', 'init', '_', 'constructor', 'initialize', 'default')
       and s.name !~ '^(__.*__$|[Tt]est|Benchmark|Example|Fuzz|~|operator\M)'
       and not exists (
             select from code.calls c where c.callee_id = s.symbol_id and c.caller_id is distinct from s.symbol_id)
       and not exists (
             select from code.type_refs t where t.type_id = s.symbol_id and t.user_id is distinct from s.symbol_id)
  ),
  -- One by one, in order, so that looking ends when there are enough rows.
  looked as (
    select c.*, coalesce(a.mention, m.mention) as mention, d.decorated
      from (select * from candidates x order by x.path collate "C", x.start_line, x.qualified_name) c
      -- A call that was taken for one of another symbol of the name is a mention too.
      left join lateral (
             select f.path || ':' || k.line as mention
               from code.calls k
               join code.files f on f.file_id = k.file_id
              where k.codebase_id = v_codebase_id
                and k.name = c.name
                and k.caller_id is distinct from c.symbol_id
                and (c.scope is null or f.scope = c.scope)
              limit 1) a on true
     cross join lateral (
             select case when a.mention is null
                         then code.mention_of(v_codebase_id, c.scope, c.file_id, c.name, c.start_line, c.end_line) end as mention) m
     cross join lateral (
             select exists (
               select
                 from code.chunks k
                cross join lateral string_to_table(k.content, E'\n') with ordinality as l (text, n)
                where a.mention is null
                  and m.mention is null
                  and k.file_id = c.file_id
                  and k.start_line <= c.start_line
                  and k.end_line >= c.start_line - 1
                  and k.start_line + l.n - 1 between c.start_line - 1 and c.start_line
                  and l.text ~ '^\s*(@|#\[|\[)') as decorated) d
  ),
  judged as (
    select l.*,
           case when l.mention is not null then 0.3 when l.decorated then 0.4 else 0.9 end
             * case when l.exported then 0.6 else 1 end as trust
      from looked l
  )
  select j.path, j.start_line, j.kind, j.qualified_name, round(j.trust::numeric, 2)::double precision,
         case
           when j.mention is not null then 'nothing was found to call it, but its name stands in ' || j.mention
           when j.decorated then 'nothing mentions it, but what stands before its definition may register it'
           else 'nothing mentions it outside its definition and comments'
         end
         || case when j.exported then '; other codebases may use it' else '' end
    from judged j
   where j.trust >= p_min_confidence
   limit p_max_rows;
end;
$$;
comment on function code.unused_symbols(text, text, boolean, double precision, integer) is
  'Definitions below a path prefix that nothing seems to use, by path, with a confidence and its reason: no call, nothing that names it as a type, and no mention of the name outside the definition. Entry points, tests, generated files and, unless asked for, what is exported are left out. A suspicion to be looked into: reflection and other languages see names that text does not show.';
