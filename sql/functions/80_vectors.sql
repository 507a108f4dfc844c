-- Vectors of chunks, by embedding model.

create or replace view code.unembedded_texts as
select c.codebase_id,
       c.file_id,
       m.model_id,
       c.text_hash,
       c.content
  from code.chunks c
 cross join code.models m
 where not exists (select from code.vectors v where v.model_id = m.model_id and v.text_hash = c.text_hash);
comment on view code.unembedded_texts is 'Chunks without a vector, for each model. Equal texts appear once for each chunk that holds them.';

create or replace view code.unsigned_vectors as
select c.codebase_id,
       c.file_id,
       v.model_id,
       v.text_hash,
       v.dimensions,
       v.weights
  from code.vectors v
  join code.chunks c on c.text_hash = v.text_hash
 where not exists (select from code.embeddings e where e.model_id = v.model_id and e.text_hash = v.text_hash);
comment on view code.unsigned_vectors is 'Vectors that the signature index lacks, once for each chunk that they describe.';

create or replace function code.register_model(p_name text, p_dimensions integer)
returns smallint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_model code.models;
begin
  select * into v_model from code.models where name = p_name;
  if not found then
    insert into code.models (name, dimensions, active)
    values (p_name, p_dimensions, false)
        on conflict (name) do nothing;
    select * into v_model from code.models where name = p_name;
  end if;
  if v_model.dimensions <> p_dimensions then
    raise exception using
      errcode = 'HT003',
      message = format('model %L has %s dimensions, not %s', p_name, v_model.dimensions, p_dimensions),
      hint    = 'Give another model another name, or delete it from code.models and all its vectors with it.';
  end if;
  return v_model.model_id;
end;
$$;
comment on function code.register_model(text, integer) is 'Get or create an embedding model. A new one is not what searches go by until code.activate_model finds it complete.';

create or replace function code.count_unembedded(p_codebase_id integer, p_model_id smallint)
returns bigint
language plpgsql
stable
set search_path = ''
set jit = off
as $$
begin
  return (
    select count(distinct t.text_hash)
      from code.unembedded_texts t
     where t.codebase_id = p_codebase_id
       and t.model_id = p_model_id);
end;
$$;
comment on function code.count_unembedded(integer, smallint) is 'How many different texts of a codebase have no vector of a model.';

create or replace function code.store_vectors(p_model_id smallint, p_text_hashes bytea[], p_dimensions text[], p_weights text[])
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_stored bigint;
begin
  -- In order of hash, so that two who store the same texts cannot deadlock.
  insert into code.vectors (model_id, text_hash, dimensions, weights)
  select p_model_id, g.text_hash, nullif(g.dimensions, '')::smallint[], g.weights::real[]
    from unnest(p_text_hashes, p_dimensions, p_weights) as g (text_hash, dimensions, weights)
   order by g.text_hash
      on conflict (model_id, text_hash) do nothing;
  get diagnostics v_stored = row_count;
  return v_stored;
end;
$$;
comment on function code.store_vectors(smallint, bytea[], text[], text[]) is
  'Store vectors of texts that have none. Each is given as the text of an array; dimensions are empty for dense ones. Returns how many were new.';

create or replace function code.store_signatures(p_model_id smallint, p_text_hashes bytea[], p_signatures text[])
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_stored bigint;
begin
  insert into code.embeddings (model_id, text_hash, signature)
  select p_model_id, g.text_hash, g.signature::bit varying
    from unnest(p_text_hashes, p_signatures) as g (text_hash, signature)
   order by g.text_hash
      on conflict (model_id, text_hash) do nothing;
  get diagnostics v_stored = row_count;
  return v_stored;
end;
$$;
comment on function code.store_signatures(smallint, bytea[], text[]) is
  'Add vectors to the signature index. Returns how many were new.';

create or replace function code.activate_model(p_name text)
returns boolean
language plpgsql
volatile
set search_path = ''
set jit = off
as $$
declare
  v_model code.models;
begin
  select * into v_model from code.models where name = p_name;
  if v_model.active is distinct from false
     or exists (select
                  from code.chunks c
                 where not exists (select from code.embeddings e where e.model_id = v_model.model_id and e.text_hash = c.text_hash)) then
    return false;
  end if;
  -- One statement, so that nobody sees two of them active, or none.
  update code.models m
     set active = m.model_id = v_model.model_id
   where m.active or m.model_id = v_model.model_id;
  return true;
end;
$$;
comment on function code.activate_model(text) is
  'Have searches go by a model instead of the one before, if every chunk has a vector and a signature of it. Returns whether it came to that just now; false for the model that is active already.';

create or replace function code.spend_tokens(p_model_id smallint, p_texts bigint, p_tokens bigint, p_per_day bigint, p_in_all bigint)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_day constant date := (htdag.clock() at time zone 'UTC')::date;
begin
  -- The model's row is locked for the moment, so that two who ask cannot both get the last of it.
  perform from code.models m where m.model_id = p_model_id order by m.model_id for no key update;
  if exists (
       select
         from (select coalesce(sum(u.tokens), 0) as in_all, coalesce(sum(u.tokens) filter (where u.day = v_day), 0) as today
                 from code.embedding_usage u
                where u.model_id = p_model_id) spent
        where p_per_day > 0 and spent.today + p_tokens > p_per_day
           or p_in_all > 0 and spent.in_all + p_tokens > p_in_all) then
    return false;
  end if;
  insert into code.embedding_usage as u (model_id, day, requests, texts, tokens)
  values (p_model_id, v_day, 1, p_texts, p_tokens)
      on conflict (model_id, day) do update
     set requests = u.requests + 1,
         texts    = u.texts + excluded.texts,
         tokens   = u.tokens + excluded.tokens;
  return true;
end;
$$;
comment on function code.spend_tokens(smallint, bigint, bigint, bigint, bigint) is
  'Note what a request to a model will cost, unless that exceeds what may be spent a day (UTC) or in all; 0 is no ceiling. Returns whether it was noted.';

create or replace function code.put_off_embedding(p_codebase text, p_delay interval)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  return htdag.start_flow('embed_codebase', jsonb_build_object('codebase', p_codebase, 'reason', 'put off'),
                          p_key => 'embed:' || p_codebase, p_on_duplicate => 'restart', p_delay => p_delay);
end;
$$;
comment on function code.put_off_embedding(text, interval) is
  'Embed later what a codebase has no vectors of, by a run of embed_codebase; one of them at a time. Returns the run.';

create or replace function code.collect_vectors()
returns bigint
language plpgsql
volatile
set search_path = ''
set jit = off
as $$
declare
  v_collected bigint;
begin
  delete from code.vectors v
   where not exists (select from code.chunks c where c.text_hash = v.text_hash);
  get diagnostics v_collected = row_count;
  return v_collected;
end;
$$;
comment on function code.collect_vectors() is 'Remove vectors of texts that no chunk holds any more, and their signatures. Returns how many.';
