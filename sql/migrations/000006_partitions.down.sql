begin;

do $$
declare
  v_next   bigint;
  v_table  text;
  v_first  text;
  v_rest   regclass;
  v_name   text;
  v_number integer;
begin
  lock table htdag.runs in access exclusive mode;
  select last_value + is_called::integer into v_next from htdag.runs_run_id_seq;
  select partition_no into v_number from htdag.partitions where detached_at is null order by from_run_id limit 1;

  foreach v_table in array array['runs', 'run_io', 'attempts', 'admission_log'] loop
    v_first := v_table || '_' || v_number;
    execute format('alter table htdag.%I detach partition htdag.%I', v_table, v_first);
    execute format('insert into htdag.%I select * from htdag.%I', v_first, v_table);
    execute format('comment on table htdag.%I is %L', v_first, obj_description(format('htdag.%I', v_table)::regclass, 'pg_class'));
    execute format('drop table htdag.%I', v_table);
    for v_name in
      select c.relname from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid
       where i.indrelid = format('htdag.%I', v_first)::regclass
    loop
      execute format('alter index htdag.%I rename to %I', v_name, v_table || substr(v_name, length(v_first) + 1));
    end loop;
    execute format('alter table htdag.%I rename to %I', v_first, v_table);
  end loop;
  for v_rest in
    select to_regclass(format('htdag.%I', t || '_' || p.partition_no))
      from htdag.partitions p, unnest(array['runs', 'run_io', 'attempts', 'admission_log']) t
     where p.detached_at is not null
  loop
    execute format('drop table %s', v_rest);
  end loop;
  alter table htdag.runs alter column run_id drop default;
  execute format('alter table htdag.runs alter column run_id add generated always as identity (start %s)', v_next);
end;
$$;

drop index htdag.runs_root_idx;
drop table htdag.partitions, htdag.settings;

commit;
