-- Upkeep of the corpus: what nothing refers to any more, events that nobody read.

create or replace function code.clean_search_index(p_analyze boolean default false)
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_pages bigint;
begin
  -- GIN indexes keep new entries in a list that every search reads from end to
  -- end; merged into the tree they are found at once.
  select coalesce(sum(pg_catalog.gin_clean_pending_list(i.indexrelid)), 0)::bigint
    into v_pages
    from pg_catalog.pg_index i
    join pg_catalog.pg_class x on x.oid = i.indexrelid
    join pg_catalog.pg_am a on a.oid = x.relam
   where i.indrelid = 'code.chunks'::regclass
     and a.amname = 'gin';
  if p_analyze then
    -- Contents are left out: reading them takes longer than all the rest.
    analyze code.chunks (file_id, ordinal, codebase_id, symbol_key, start_line, text_hash, words),
            code.vectors (model_id, text_hash), code.embeddings, code.dependencies;
  end if;
  return v_pages;
end;
$$;
comment on function code.clean_search_index(boolean) is
  'Merge the pending entries of the search indexes, and count the corpus for the planner where asked. Returns how many pages were merged.';

create or replace function code.collect_events(p_age interval default interval '7 days')
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_queue    constant regclass := to_regclass('pgmq.q_code_events');
  v_messages bigint[];
begin
  if v_queue is null then
    return 0::bigint;
  end if;
  -- The table is there once the first event was sent, so it is named at run time.
  execute format('select coalesce(array_agg(q.msg_id), ''{}''::bigint[]) from %s q where q.enqueued_at < $1', v_queue)
     into v_messages
    using now() - p_age;
  if v_messages <> '{}' then
    perform pgmq.delete('code_events', v_messages);
  end if;
  return cardinality(v_messages)::bigint;
end;
$$;
comment on function code.collect_events(interval) is
  'Remove events that nobody has taken from the queue code_events for longer than p_age. Returns how many.';

create or replace function code.upkeep()
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  return code.collect_blobs() + code.collect_vectors() + code.collect_events();
end;
$$;
comment on function code.upkeep() is
  'Remove what nothing refers to any more: contents, vectors, events that were never read. To be called now and then; returns how many rows went.';
