begin;

drop table code.embedding_usage;
drop table code.findings;
comment on column code.blobs.content is 'Raw bytes; null for contents over the size limit, which are known but not kept.';

commit;
