-- The corpus, as the ingestion steps see it.

-- name: RegisterCodebase :one
select code.register_codebase(p_name => @name, p_root => @root, p_ref => sqlc.narg(ref))::integer as codebase_id;

-- name: Codebase :one
select codebase_id, name, root, coalesce(ref, '')::text as ref, scanned_at, ready_at from code.codebases where name = @name;

-- name: LockCodebase :exec
select code.lock_codebase(p_codebase_id => @codebase_id, p_shared => @shared);

-- name: KnownFiles :many
select * from code.known_files where codebase_id = @codebase_id;

-- name: KnownFile :one
select file_id, path, bytes, mode, owner, status, reason, language, sha256, ingested_sha256, ingested_version
  from code.known_files
 where codebase_id = @codebase_id and path = @path;

-- name: BlobContent :one
select content from code.blobs where sha256 = @sha256;

-- name: MissingBlobs :many
select code.missing_blobs(p_sha256s => @sha256s::bytea[])::bytea as sha256;

-- name: StoreBlobs :one
select code.store_blobs(p_sha256s => @sha256s::bytea[], p_bytes => @bytes::bigint[], p_contents => @contents::bytea[])::bigint as stored;

-- name: RecordFiles :many
select *
  from code.record_files(
         p_codebase_id => @codebase_id,
         p_version     => @version,
         p_paths       => @paths::text[],
         p_bytes       => @bytes::bigint[],
         p_modified_ns => @modified_ns::bigint[],
         p_modes       => @modes::integer[],
         p_inodes      => @inodes::bigint[],
         p_owners      => @owners::text[],
         p_sha256s     => @sha256s::bytea[],
         p_reasons     => @reasons::text[],
         p_seen_at     => @seen_at::timestamptz[]);

-- name: RecordChanges :many
select *
  from code.record_changes(
         p_codebase    => @codebase,
         p_version     => @version,
         p_paths       => @paths::text[],
         p_gone        => @gone::boolean[],
         p_bytes       => @bytes::bigint[],
         p_modified_ns => @modified_ns::bigint[],
         p_modes       => @modes::integer[],
         p_inodes      => @inodes::bigint[],
         p_owners      => @owners::text[],
         p_sha256s     => @sha256s::bytea[],
         p_contents    => @contents::bytea[],
         p_reasons     => @reasons::text[],
         p_seen_at     => @seen_at::timestamptz[],
         p_burst       => @burst);

-- name: RequestScan :one
select code.request_scan(p_codebase => @codebase, p_reason => @reason)::bigint as run_id;

-- name: ForgetFiles :one
select code.forget_files(p_codebase_id => @codebase_id, p_paths => @paths::text[], p_seen_at => @seen_at)::bigint as forgotten;

-- name: FileContents :many
select file_id, path, sha256, bytes, ingested_sha256, ingested_version, content from code.file_contents where file_id = any (@file_ids::bigint[]) order by file_id;

-- name: ImportsAmong :many
select distinct file_id, resolved_file_id::bigint as imported_id
  from code.imports
 where file_id = any (@file_ids::bigint[])
   and resolved_file_id = any (@file_ids)
   and resolved_file_id <> file_id
 order by 1, 2;

-- name: StoreSymbols :one
select code.store_symbols(
         p_codebase_id     => @codebase_id,
         p_replaced        => @replaced::bigint[],
         p_file_ids        => @file_ids::bigint[],
         p_keys            => @keys::text[],
         p_parent_keys     => @parent_keys::text[],
         p_kinds           => @kinds::text[],
         p_names           => @names::text[],
         p_qualified_names => @qualified_names::text[],
         p_signatures      => @signatures::text[],
         p_docs            => @docs::text[],
         p_exporteds       => @exporteds::boolean[],
         p_export_names    => @export_names::text[],
         p_start_lines     => @start_lines::integer[],
         p_end_lines       => @end_lines::integer[],
         p_start_bytes     => @start_bytes::integer[],
         p_end_bytes       => @end_bytes::integer[],
         p_complexities    => @complexities::integer[],
         p_body_hashes     => @body_hashes::bigint[])::bigint as written;

-- name: StoreImports :one
select code.store_imports(
         p_codebase_id => @codebase_id,
         p_replaced    => @replaced::bigint[],
         p_file_ids    => @file_ids::bigint[],
         p_ordinals    => @ordinals::integer[],
         p_modules     => @modules::text[],
         p_aliases     => @aliases::text[],
         p_names       => @names::text[],
         p_lines       => @lines::integer[],
         p_seeks       => @seeks::text[],
         p_exports     => @exports::text[])::bigint as written;

-- name: StoreRequirements :one
select code.store_requirements(
         p_codebase_id  => @codebase_id,
         p_replaced     => @replaced::bigint[],
         p_file_ids     => @file_ids::bigint[],
         p_ordinals     => @ordinals::integer[],
         p_ecosystems   => @ecosystems::text[],
         p_names        => @names::text[],
         p_requirements => @requirements::text[],
         p_kinds        => @kinds::text[],
         p_lines        => @lines::integer[])::bigint as written;

-- name: StoreProvides :one
select code.store_provides(
         p_codebase_id => @codebase_id,
         p_replaced    => @replaced::bigint[],
         p_file_ids    => @file_ids::bigint[],
         p_names       => @names::text[],
         p_root_files  => @root_files::bigint[],
         p_prefixes    => @prefixes::text[],
         p_directories => @directories::text[])::bigint as written;

-- name: StoreCalls :one
select code.store_calls(
         p_codebase_id     => @codebase_id,
         p_replaced        => @replaced::bigint[],
         p_file_ids        => @file_ids::bigint[],
         p_ordinals        => @ordinals::integer[],
         p_caller_keys     => @caller_keys::text[],
         p_names           => @names::text[],
         p_qualifiers      => @qualifiers::text[],
         p_lines           => @lines::integer[],
         p_reaches         => @reaches::text[],
         p_targets         => @targets::text[],
         p_callee_keys     => @callee_keys::text[],
         p_confidences     => @confidences::double precision[],
         p_import_ordinals => @import_ordinals::integer[])::bigint as written;

-- name: StoreTypeRefs :one
select code.store_type_refs(
         p_codebase_id     => @codebase_id,
         p_replaced        => @replaced::bigint[],
         p_file_ids        => @file_ids::bigint[],
         p_ordinals        => @ordinals::integer[],
         p_user_keys       => @user_keys::text[],
         p_kinds           => @kinds::text[],
         p_lines           => @lines::integer[],
         p_reaches         => @reaches::text[],
         p_names           => @names::text[],
         p_targets         => @targets::text[],
         p_type_keys       => @type_keys::text[],
         p_import_ordinals => @import_ordinals::integer[])::bigint as written;

-- name: StoreChunks :one
select code.store_chunks(
         p_codebase_id => @codebase_id,
         p_replaced    => @replaced::bigint[],
         p_file_ids    => @file_ids::bigint[],
         p_symbol_keys => @symbol_keys::text[],
         p_start_lines => @start_lines::integer[],
         p_end_lines   => @end_lines::integer[],
         p_text_hashes => @text_hashes::bytea[],
         p_contents    => @contents::text[],
         p_words       => @words::text[])::bigint as written;

-- name: StoreFindings :one
select code.store_findings(
         p_codebase_id => @codebase_id,
         p_replaced    => @replaced::bigint[],
         p_file_ids    => @file_ids::bigint[],
         p_rules       => @rules::text[],
         p_lines       => @lines::integer[],
         p_excerpts    => @excerpts::text[])::bigint as written;

-- name: StoreFiles :one
select code.store_files(
         p_codebase_id  => @codebase_id,
         p_version      => @version,
         p_file_ids     => @file_ids::bigint[],
         p_sha256s      => @sha256s::bytea[],
         p_statuses     => @statuses::text[],
         p_reasons      => @reasons::text[],
         p_languages    => @languages::text[],
         p_lines        => @lines::integer[],
         p_encodings    => @encodings::text[],
         p_generated    => @generated::boolean[],
         p_minified     => @minified::boolean[],
         p_modules      => @modules::text[],
         p_docs         => @docs::text[],
         p_parsers      => @parsers::text[],
         p_parse_errors => @parse_errors::integer[],
         p_families     => @families::text[],
         p_scopes       => @scopes::text[],
         p_precedences  => @precedences::smallint[],
         p_symbols      => @symbols::integer[],
         p_complexities => @complexities::integer[],
         p_git_ids      => @git_ids::bytea[])::bigint as written;

-- name: ResolveFiles :one
select code.resolve_files(p_codebase_id => @codebase_id, p_file_ids => @file_ids::bigint[])::bigint as resolved;

-- name: ResolveCodebase :one
select code.resolve_codebase(p_codebase_id => @codebase_id, p_anew => @anew)::bigint as resolved;

-- name: UpdateDependencies :one
select code.update_dependencies(p_codebase_id => @codebase_id)::bigint as written;

-- name: BeginIngestion :exec
select code.begin_ingestion(
         p_run_id        => @run_id,
         p_codebase_id   => @codebase_id,
         p_reason        => @reason,
         p_files_seen    => @files_seen,
         p_files_changed => @files_changed,
         p_files_gone    => @files_gone,
         p_bytes_changed => @bytes_changed);

-- name: RepositoryHead :one
select coalesce(max(head), '')::text as head from code.repositories where codebase_id = @codebase_id and state = 'read';

-- name: StoreCommits :one
select code.store_commits(
         p_codebase_id  => @codebase_id,
         p_ids          => @ids::bytea[],
         p_authors      => @authors::text[],
         p_emails       => @emails::text[],
         p_authored_at  => @authored_at::timestamptz[],
         p_committed_at => @committed_at::timestamptz[],
         p_subjects     => @subjects::text[],
         p_places       => @places::integer[],
         p_paths        => @paths::text[],
         p_changes      => @changes::text[],
         p_former_paths => @former_paths::text[],
         p_git_ids      => @git_ids::bytea[])::bigint as stored;

-- name: NoteRepository :one
select code.note_repository(p_codebase_id => @codebase_id, p_state => @state, p_note => sqlc.narg(note), p_head => sqlc.narg(head))::bigint as commits;

-- name: AdvanceIngestion :exec
select code.advance_ingestion(p_run_id => @run_id, p_files => @files, p_bytes => @bytes);

-- name: FinishIngestion :one
select code.finish_ingestion(p_run_id => @run_id)::boolean as first;

-- name: Ingestion :one
select * from code.ingestions where run_id = @run_id;

-- name: Notify :one
select code.notify(
         p_event    => @event,
         p_codebase => @codebase,
         p_path     => sqlc.narg(path),
         p_run_id   => @run_id,
         p_details  => @details)::bigint as message_id;

-- name: FileTotals :one
select code.file_totals(p_codebase => @codebase, p_path => @path)::jsonb as totals;

-- name: CleanSearchIndex :one
select code.clean_search_index(p_analyze => @with_statistics::boolean)::bigint as cleaned;

-- name: RegisterModel :one
select code.register_model(p_name => @name, p_dimensions => @dimensions)::smallint as model_id;

-- name: CountUnembedded :one
select code.count_unembedded(p_codebase_id => @codebase_id, p_model_id => @model_id)::bigint as texts;

-- name: UnembeddedTextsOfFile :many
select distinct on (text_hash) text_hash, content
  from code.unembedded_texts
 where file_id = @file_id and model_id = @model_id
 order by text_hash;

-- name: UnembeddedTextsInRange :many
select distinct on (text_hash) text_hash, content
  from code.unembedded_texts
 where codebase_id = @codebase_id and model_id = @model_id
   and text_hash >= @first::bytea and text_hash < @before::bytea
 order by text_hash;

-- name: StoreVectors :one
select code.store_vectors(
         p_model_id    => @model_id,
         p_text_hashes => @text_hashes::bytea[],
         p_dimensions  => @dimensions::text[],
         p_weights     => @weights::text[])::bigint as stored;

-- name: ModelDimensions :one
select dimensions from code.models where name = @name;

-- name: ActivateModel :one
select code.activate_model(@name)::boolean as switched;

-- name: SpendTokens :one
select code.spend_tokens(
         p_model_id => @model_id,
         p_texts    => @texts,
         p_tokens   => @tokens,
         p_per_day  => @per_day,
         p_in_all   => @in_all)::boolean as noted;

-- name: PutOffEmbedding :one
select code.put_off_embedding(@codebase, @delay)::bigint as run_id;

-- name: UnsignedVectorsOfFile :many
select distinct on (text_hash) text_hash, dimensions, weights
  from code.unsigned_vectors
 where file_id = @file_id and model_id = @model_id
 order by text_hash;

-- name: UnsignedVectorsInRange :many
select distinct on (text_hash) text_hash, dimensions, weights
  from code.unsigned_vectors
 where codebase_id = @codebase_id and model_id = @model_id
   and text_hash >= @first::bytea and text_hash < @before::bytea
 order by text_hash;

-- name: StoreSignatures :one
select code.store_signatures(
         p_model_id    => @model_id,
         p_text_hashes => @text_hashes::bytea[],
         p_signatures  => @signatures::text[])::bigint as stored;

-- name: ReserveSymbolIDs :many
select code.reserve_symbol_ids(p_count => @count)::bigint as symbol_id;

-- name: MarkCopied :one
select code.mark_copied(p_codebase_id => @codebase_id, p_file_ids => @file_ids::bigint[])::bigint as marked;

-- name: AddWatch :one
select code.add_watch(p_codebase => @codebase, p_root => @root, p_host => @host, p_standing => @standing)::integer as codebase_id;

-- name: RemoveWatch :one
select code.remove_watch(p_codebase => @codebase)::boolean as removed;

-- name: ServeWatches :many
select codebase_id, name, root, coalesce(server, '')::text as server, mine
  from code.serve_watches(p_server => @server, p_token => @token, p_host => @host, p_named => @named::integer[], p_lease => @lease);

-- name: HoldsWatch :one
select code.holds_watch(p_codebase_id => @codebase_id, p_token => @token)::boolean as held;

-- name: ReleaseWatches :one
select code.release_watches(p_token => @token)::integer as released;

-- name: EvictServer :one
select code.evict_server(p_server => @server)::integer as evicted;

-- name: Watches :many
select codebase, root, host, standing, coalesce(server, '')::text as server, coalesce(served_since, 'epoch')::timestamptz as served_since, scanned_at, coalesce(trouble, '')::text as trouble
  from report.watches
 order by codebase;
