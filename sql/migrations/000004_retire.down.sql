begin;
alter table htdag.flows drop column retired_at;
commit;
