begin;

delete from htdag.settings where name in ('blob_bytes', 'max_output_bytes');
update htdag.attempts a set output = b.value, output_hash = null from htdag.blobs b where b.hash = a.output_hash;
drop index htdag.attempts_output_idx;
alter table htdag.attempts drop column output_hash;
drop table htdag.blobs, htdag.progress;
alter table htdag.runs drop column parent_step_no;

commit;
