-- Invariants of the corpus, as 85_invariants.sql has those of the engine.

create or replace view code.invariant_violations as
select 'symbol without a live file' as invariant, s.file_id, s.symbol_id::text as detail
  from code.symbols s
 where not exists (select from code.files f where f.file_id = s.file_id and f.codebase_id = s.codebase_id and f.status <> 'deleted')
union all
select 'call without a live file', c.file_id, c.ordinal::text
  from code.calls c
 where not exists (select from code.files f where f.file_id = c.file_id and f.codebase_id = c.codebase_id and f.status <> 'deleted')
union all
select 'caller is no symbol of the file', c.file_id, c.ordinal::text
  from code.calls c
 where c.caller_id is not null
   and not exists (select from code.symbols s where s.symbol_id = c.caller_id and s.file_id = c.file_id)
union all
select 'callee is no symbol of the codebase', c.file_id, c.ordinal::text
  from code.calls c
 where c.callee_id is not null
   and not exists (select from code.symbols s where s.symbol_id = c.callee_id and s.codebase_id = c.codebase_id)
union all
select 'type reference without a live file', t.file_id, t.ordinal::text
  from code.type_refs t
 where not exists (select from code.files f where f.file_id = t.file_id and f.codebase_id = t.codebase_id and f.status <> 'deleted')
union all
select 'user of a type is no symbol of the file', t.file_id, t.ordinal::text
  from code.type_refs t
 where t.user_id is not null
   and not exists (select from code.symbols s where s.symbol_id = t.user_id and s.file_id = t.file_id)
union all
select 'type is no symbol of the codebase', t.file_id, t.ordinal::text
  from code.type_refs t
 where t.type_id is not null
   and not exists (select from code.symbols s where s.symbol_id = t.type_id and s.codebase_id = t.codebase_id)
union all
select 'deleted file with derived rows', f.file_id, f.path
  from code.files f
 where f.status = 'deleted'
   and (exists (select from code.imports i where i.file_id = f.file_id)
        or exists (select from code.requirements r where r.file_id = f.file_id)
        or exists (select from code.provides p where p.file_id = f.file_id)
        or exists (select from code.chunks c where c.file_id = f.file_id)
        or exists (select from code.findings s where s.file_id = f.file_id))
union all
select 'import means a file that does not provide the name', i.file_id, i.ordinal::text
  from code.imports i
 where i.resolved_file_id is not null
   and not exists (select from code.provides p where p.file_id = i.resolved_file_id and p.name = i.resolved_name);
comment on view code.invariant_violations is 'What the corpus promises and does not hold; empty when all is well. Calls and imports may be listed while their marks in code.stale_links wait.';
