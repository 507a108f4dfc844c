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
  insert into code.models (name, dimensions)
  values (p_name, p_dimensions)
      on conflict (name) do nothing;
  select * into v_model from code.models where name = p_name;
  if v_model.dimensions <> p_dimensions then
    raise exception using
      errcode = 'HT003',
      message = format('model %L has %s dimensions, not %s', p_name, v_model.dimensions, p_dimensions),
      hint    = 'Give another model another name, or delete it from code.models and all its vectors with it.';
  end if;
  return v_model.model_id;
end;
$$;
comment on function code.register_model(text, integer) is 'Get or create an embedding model.';

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
