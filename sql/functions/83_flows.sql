-- The built-in flows, what starts them, and what they tell the world.

create or replace view code.recorded_changes as
select coalesce(f.path, '') as path,
       f.file_id,
       'started'::text as outcome,
       f.run_id
  from code.codebases c
  left join code.files f using (codebase_id); -- left, since a path that was never seen has no file
comment on view code.recorded_changes is 'What became of a reported change: started (a run), waiting (a run that has not begun will see it), scanning (one scan for the whole burst), unchanged (only facts, if anything) or unknown (gone, and never seen).';

create or replace function code.record_changes(
  p_codebase    text,
  p_version     integer,
  p_paths       text[],
  p_gone        boolean[],
  p_bytes       bigint[],
  p_modified_ns bigint[],
  p_modes       integer[],
  p_inodes      bigint[],
  p_owners      text[],
  p_sha256s     bytea[],
  p_contents    bytea[],
  p_reasons     text[],
  p_seen_at     timestamptz[],
  p_burst       integer default 50
)
returns setof code.recorded_changes
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_codebase_id constant integer := code.codebase_id(p_codebase);
  v_due         bigint[];
  v_waiting     bigint[];
  v_started     bigint[] := '{}'::bigint[];
  v_scan        bigint;
  v_runs        bigint[];
begin
  perform code.store_blobs(p_sha256s, p_bytes, p_contents);

  with given as (
    select g.*
      from unnest(p_paths, p_gone, p_bytes, p_modified_ns, p_modes, p_inodes, p_owners, p_sha256s, p_reasons, p_seen_at)
        as g (path, gone, bytes, modified_ns, mode, inode, owner, sha256, reason, seen_at)
  ),
  seen as (
    select r.file_id, r.due
      from (select array_agg(g.path) as paths, array_agg(g.bytes) as bytes, array_agg(g.modified_ns) as modified_ns,
                   array_agg(g.mode) as modes, array_agg(g.inode) as inodes, array_agg(g.owner) as owners,
                   array_agg(g.sha256) as sha256s, array_agg(g.reason) as reasons, array_agg(g.seen_at) as seen_at
              from given g
             where not g.gone) a
     cross join lateral code.record_files(v_codebase_id, p_version, a.paths, a.bytes, a.modified_ns, a.modes,
                                          a.inodes, a.owners, a.sha256s, a.reasons, a.seen_at) r
     where a.paths is not null
  ),
  gone as (
    select f.file_id, f.status <> 'deleted' and f.seen_at <= g.seen_at as due
      from given g
      join code.files f on f.codebase_id = v_codebase_id and f.path = g.path
     where g.gone
  )
  select coalesce(array_agg(x.file_id order by x.file_id), '{}')
    into v_due
    from (select * from seen union select * from gone) x
   where x.due;

  -- Whoever locks a file's row decides whether its last run will still see the change.
  select coalesce(array_agg(l.file_id) filter (where htdag.run_untouched(l.run_id)), '{}')
    into v_waiting
    from (
      select f.file_id, f.run_id
        from code.files f
       where f.file_id = any (v_due)
       order by f.file_id
         for update) l
   where l.run_id is not null;
  v_started := array(select d from unnest(v_due) d where not d = any (v_waiting) order by d);

  if cardinality(v_started) > p_burst then
    v_scan := code.request_scan(p_codebase, format('%s files changed at once', cardinality(v_started)));
  elsif v_started <> '{}' then
    -- Who has saved a file waits for it; the steps of a whole ingestion come after.
    v_runs := array(
      select htdag.start_flows('ingest_file', array_agg(jsonb_build_object('codebase', p_codebase, 'path', f.path) order by f.file_id), -10)
        from code.files f
       where f.file_id = any (v_started));
    update code.files f
       set run_id = r.run_id
      from unnest(v_started, v_runs) as r (file_id, run_id)
     where f.file_id = r.file_id;
  end if;

  return query
  select g.path,
         f.file_id,
         case
           when f.file_id is null then 'unknown'
           when f.file_id = any (v_waiting) then 'waiting'
           when f.file_id = any (v_started) and v_scan is not null then 'scanning'
           when f.file_id = any (v_started) then 'started'
           else 'unchanged'
         end,
         case
           when f.file_id = any (v_started) and v_scan is not null then v_scan
           when f.file_id = any (v_due) then f.run_id
         end
    from unnest(p_paths) as g (path)
    left join code.files f on f.codebase_id = v_codebase_id and f.path = g.path;
end;
$$;
comment on function code.record_changes(text, integer, text[], boolean[], bigint[], bigint[], integer[], bigint[], text[], bytea[], bytea[], text[], timestamptz[], integer) is
  'Store the facts and contents of changed files and start ingest_file for each whose content is new or gone, all in one transaction. Changes of a file whose run has not begun need no other; more than p_burst at once become one scan.';

create or replace function code.request_scan(p_codebase text, p_reason text default 'requested')
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_codebase_id constant integer := code.codebase_id(p_codebase);
  v_run_id      bigint;
begin
  select c.scan_run_id into v_run_id
    from code.codebases c
   where c.codebase_id = v_codebase_id
     for no key update;
  if v_run_id is not null and htdag.run_untouched(v_run_id) then
    return v_run_id;
  end if;
  v_run_id := htdag.start_flow('ingest_codebase', jsonb_build_object('codebase', p_codebase, 'reason', p_reason));
  update code.codebases set scan_run_id = v_run_id where codebase_id = v_codebase_id;
  return v_run_id;
end;
$$;
comment on function code.request_scan(text, text) is
  'Start ingest_codebase, unless a run of it is waiting that has not begun to look; returns the run either way.';

create or replace function code.begin_ingestion(
  p_run_id        bigint,
  p_codebase_id   integer,
  p_reason        text,
  p_files_seen    integer,
  p_files_changed integer,
  p_files_gone    integer,
  p_bytes_changed bigint
)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
begin
  insert into code.ingestions as i
         (run_id, codebase_id, reason, files_seen, files_changed, files_gone, bytes_changed, started_at)
  values (p_run_id, p_codebase_id, p_reason, p_files_seen, p_files_changed, p_files_gone, p_bytes_changed, htdag.clock())
      on conflict (run_id) do update
     set files_seen    = excluded.files_seen,
         files_changed = excluded.files_changed,
         files_gone    = excluded.files_gone,
         bytes_changed = excluded.bytes_changed,
         files_done    = 0,
         bytes_done    = 0;
  update code.codebases set scanned_at = htdag.clock() where codebase_id = p_codebase_id;
  return p_run_id;
end;
$$;
comment on function code.begin_ingestion(bigint, integer, text, integer, integer, integer, bigint) is
  'Note what a whole scan found; the rest of the run is measured against it.';

create or replace function code.advance_ingestion(p_run_id bigint, p_files integer, p_bytes bigint)
returns bigint
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_advanced bigint;
begin
  update code.ingestions
     set files_done = files_done + p_files,
         bytes_done = bytes_done + p_bytes
   where run_id = p_run_id;
  get diagnostics v_advanced = row_count;
  return v_advanced;
end;
$$;
comment on function code.advance_ingestion(bigint, integer, bigint) is
  'Add a batch to the progress of a run. Call it last in the batch''s transaction: the row is shared.';

create or replace function code.finish_ingestion(p_run_id bigint)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_codebase_id integer;
  v_first       boolean;
begin
  update code.ingestions
     set finished_at = htdag.clock()
   where run_id = p_run_id
  returning codebase_id into v_codebase_id;
  if v_codebase_id is null then
    return false;
  end if;
  update code.codebases
     set ready_at = htdag.clock()
   where codebase_id = v_codebase_id
     and ready_at is null
  returning true into v_first;
  return coalesce(v_first, false);
end;
$$;
comment on function code.finish_ingestion(bigint) is
  'Note that a whole ingestion ended well. Returns whether it is the codebase''s first.';

create or replace function code.notify(
  p_event    text,
  p_codebase text,
  p_path     text,
  p_run_id   bigint,
  p_details  jsonb default '{}'
)
returns bigint
language plpgsql
volatile
security definer
set search_path = ''
as $$
begin
  if to_regclass('pgmq.q_code_events') is null then
    perform pgmq.create('code_events');
  end if;
  if htdag.is_heard(array[p_run_id]) then
    perform htdag.emit(array[p_event], array[p_run_id],
      p_details => array[jsonb_strip_nulls(jsonb_build_object('codebase', p_codebase, 'path', p_path)) || coalesce(p_details, '{}')]);
  end if;
  return (
    select m
      from pgmq.send(
             'code_events',
             jsonb_strip_nulls(jsonb_build_object(
               'event',    p_event,
               'version',  1,
               'codebase', p_codebase,
               'path',     p_path,
               'run_id',   p_run_id,
               'at',       htdag.clock()))
             || coalesce(p_details, '{}')) as m);
end;
$$;
comment on function code.notify(text, text, text, bigint, jsonb) is
  'Send an event to the PGMQ queue code_events, and to those who subscribed to it, in the caller''s transaction: code_ingestion_complete, code_ingestion_failed, codebase_ready or progress_update. Returns the message id.';

create or replace function code.file_totals(p_codebase text, p_path text)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
  return (
    select jsonb_strip_nulls(jsonb_build_object(
             'status',   f.status,
             'reason',   f.reason,
             'language', f.language,
             'sha256',   encode(f.sha256, 'hex'),
             'lines',    f.lines,
             'symbols',  (select count(*) from code.symbols s where s.file_id = f.file_id),
             'imports',  (select count(*) from code.imports i where i.file_id = f.file_id),
             'calls',    (select count(*) from code.calls c where c.file_id = f.file_id),
             'chunks',   (select count(*) from code.chunks c where c.file_id = f.file_id)))
      from code.codebases b
      join code.files f on f.codebase_id = b.codebase_id
     where b.name = p_codebase
       and f.path = p_path);
end;
$$;
comment on function code.file_totals(text, text) is 'What is stored of a file, in numbers; null where the file is unknown.';

create or replace function code.define_flows()
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_policy   code.policies;
  v_file     jsonb; -- defaults of every step; what a step says itself comes last and wins
  v_codebase jsonb;
  v_scale    double precision; -- of time limits: those written here are for a policy of 60 s
  v_steps    jsonb;
begin
  select * into v_policy from code.policies;
  v_file := jsonb_build_object('max_retries', v_policy.max_retries, 'backoff', v_policy.backoff_multiplier);
  v_codebase := v_file || jsonb_build_object('initial_delay', (v_policy.initial_delay * 2)::text);
  v_file := v_file || jsonb_build_object('initial_delay', v_policy.initial_delay::text);
  v_scale := (extract(epoch from v_policy.node_timeout) / 60)::double precision;

  select jsonb_agg(v_file || s || jsonb_build_object('timeout', greatest((s ->> 'timeout')::interval * v_scale, interval '1 ms')::text) order by n)
    into v_steps
    from jsonb_array_elements('[
      {"name": "file_detection",      "group": "detection",  "queue": "root:{codebase}", "bundle": "validation", "timeout": "30 s"},
      {"name": "file_validation",     "group": "validation", "queue": "root:{codebase}", "bundle": "validation", "timeout": "10 s",
       "needs": ["file_detection"]},
      {"name": "content_validation",  "group": "validation", "queue": "root:{codebase}", "bundle": "validation", "timeout": "15 s",
       "needs": ["file_detection"]},
      {"name": "permission_check",    "group": "validation", "queue": "root:{codebase}", "bundle": "validation", "timeout": "10 s",
       "needs": ["file_detection"]},
      {"name": "progress_validation", "group": "validation", "queue": "root:{codebase}", "bundle": "validation", "timeout": "10 s",
       "kind": "progress_update", "needs": ["file_validation", "content_validation", "permission_check"]},

      {"name": "language_detection",  "group": "parsing", "bundle": "parsing", "timeout": "5 s",
       "needs": ["file_validation", "content_validation", "permission_check"]},
      {"name": "ast_parsing",         "group": "parsing", "bundle": "parsing", "timeout": "30 s", "needs": ["language_detection"]},
      {"name": "metadata_extraction", "group": "parsing", "bundle": "parsing", "timeout": "20 s", "needs": ["ast_parsing"]},
      {"name": "database_storage",    "group": "storage", "bundle": "parsing", "timeout": "60 s", "needs": ["metadata_extraction"]},
      {"name": "relationship_mapping", "group": "storage", "bundle": "parsing", "timeout": "30 s", "needs": ["database_storage"]},
      {"name": "progress_storage",    "group": "storage", "bundle": "parsing", "timeout": "10 s",
       "kind": "progress_update", "needs": ["relationship_mapping"]},

      {"name": "embedding_generation", "group": "storage", "timeout": "45 s", "needs": ["database_storage"], "on_failure": "continue"},

      {"name": "vector_index_update", "group": "indexing", "bundle": "indexing", "timeout": "30 s", "needs": ["embedding_generation"]},
      {"name": "search_index_rebuild", "group": "indexing", "bundle": "indexing", "timeout": "60 s", "needs": ["database_storage"]},
      {"name": "graph_update",        "group": "indexing", "bundle": "indexing", "timeout": "45 s", "needs": ["relationship_mapping"]},
      {"name": "completion_notification", "group": "notification", "bundle": "indexing", "timeout": "10 s",
       "needs": ["vector_index_update", "search_index_rebuild", "graph_update", "progress_validation", "progress_storage"]}
    ]') with ordinality as x (s, n);
  v_steps := v_steps || jsonb_build_array(v_file || jsonb_build_object(
    'name', 'error_notification', 'group', 'notification', 'run_on', 'failure',
    'timeout', greatest(interval '10 s' * v_scale, interval '1 ms')::text,
    'needs', (select jsonb_agg(s -> 'name') from jsonb_array_elements(v_steps) as s)));
  perform htdag.define_flow(jsonb_build_object(
    'flow',        'ingest_file',
    'description', 'Read one changed file of a codebase and bring everything derived from it up to date.',
    'timeout',     v_policy.dag_timeout::text,
    'steps',       v_steps));
  perform htdag.set_limits('ingest_file', 10, 30, 0.7, 0.8, p_only_if_unset => true);

  -- Resolving and the graph come one after the other, so they begin before the
  -- vectors, which many runners can make at once.
  select jsonb_agg(v_codebase || s order by n) into v_steps
    from jsonb_array_elements('[
      {"name": "codebase_scan",        "group": "detection", "queue": "root:{codebase}", "timeout": "30 min"},
      {"name": "batch_ingestion",      "group": "parsing", "timeout": "10 min", "needs": ["codebase_scan"], "map": "codebase_scan.batches"},
      {"name": "relationship_mapping", "group": "storage", "timeout": "10 min", "needs": ["batch_ingestion"], "priority": -1},
      {"name": "embedding_plan",       "group": "storage", "timeout": "60 s", "needs": ["batch_ingestion"]},
      {"name": "embedding_generation", "group": "storage", "timeout": "10 min", "needs": ["embedding_plan"],
       "map": "embedding_plan.batches", "on_failure": "continue"},
      {"name": "vector_index_update",  "group": "indexing", "timeout": "10 min", "needs": ["embedding_plan", "embedding_generation"],
       "map": "embedding_plan.batches"},
      {"name": "search_index_rebuild", "group": "indexing", "timeout": "30 min", "needs": ["batch_ingestion"]},
      {"name": "graph_update",         "group": "indexing", "timeout": "10 min", "needs": ["relationship_mapping"]},
      {"name": "history_update",       "group": "indexing", "queue": "root:{codebase}", "timeout": "10 min", "needs": ["codebase_scan"],
       "on_failure": "continue"},
      {"name": "progress_parsing",     "group": "parsing", "kind": "progress_update", "timeout": "10 s", "needs": ["batch_ingestion"]},
      {"name": "progress_storage",     "group": "storage", "kind": "progress_update", "timeout": "10 s", "needs": ["relationship_mapping"]},
      {"name": "completion_notification", "group": "notification", "timeout": "10 s",
       "needs": ["vector_index_update", "search_index_rebuild", "graph_update", "progress_parsing", "progress_storage"]}
    ]') with ordinality as x (s, n);
  v_steps := v_steps || jsonb_build_array(v_codebase || jsonb_build_object(
    'name', 'error_notification', 'group', 'notification', 'timeout', '10 s', 'run_on', 'failure',
    'needs', (select jsonb_agg(s -> 'name') from jsonb_array_elements(v_steps) as s)));
  perform htdag.define_flow(jsonb_build_object(
    'flow',        'ingest_codebase',
    'description', 'Compare a whole codebase with the disk and bring everything that changed up to date, in batches.',
    'timeout',     '6 hours',
    'steps',       v_steps));
  -- Two scans of one codebase would do the same work twice.
  perform htdag.set_limits('ingest_codebase', 4, p_only_if_unset => true);

  select jsonb_agg(v_codebase || s order by n) into v_steps
    from jsonb_array_elements('[
      {"name": "embedding_plan",       "group": "storage", "timeout": "60 s"},
      {"name": "embedding_generation", "group": "storage", "timeout": "10 min", "needs": ["embedding_plan"],
       "map": "embedding_plan.batches", "on_failure": "continue"},
      {"name": "vector_index_update",  "group": "indexing", "timeout": "10 min", "needs": ["embedding_plan", "embedding_generation"],
       "map": "embedding_plan.batches"},
      {"name": "embedding_switch",     "group": "indexing", "timeout": "5 min", "needs": ["vector_index_update"]}
    ]') with ordinality as x (s, n);
  perform htdag.define_flow(jsonb_build_object(
    'flow',        'embed_codebase',
    'description', 'Make the vectors that a codebase lacks, which could not be made when its files were ingested.',
    'timeout',     '30 days',
    'steps',       v_steps));
  return 3;
end;
$$;
comment on function code.define_flows() is
  'Define ingest_file, ingest_codebase and embed_codebase by the policy and give them limits where they have none. Repeatable: a definition that is the same makes no new version.';
