-- Outputs: what steps and runs have produced, and what steps are given.

create or replace function htdag.blob(p_hash bytea)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
  return (select b.value from htdag.blobs b where b.hash = p_hash);
end;
$$;

comment on function htdag.blob(bytea) is 'A large output, by its hash.';

create or replace function htdag.step_output(p_run_id bigint, p_step_no integer)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
declare
  v_is_map boolean;
begin
  select s.is_map into v_is_map
    from htdag.runs r
    join htdag.steps s using (flow_version_id)
   where r.run_id = p_run_id and s.step_no = p_step_no and get_bit(r.succeeded, s.step_no) = 1;
  return case when v_is_map
    then (select coalesce(jsonb_agg(case when a.output_hash is null then a.output else htdag.blob(a.output_hash) end order by a.map_index), '[]') from htdag.attempts a
           where a.run_id = p_run_id and a.step_no = p_step_no and a.outcome = 'succeeded' and not a.superseded)
    when not v_is_map
    then (select case when a.output_hash is null then a.output else htdag.blob(a.output_hash) end from htdag.attempts a
           where a.run_id = p_run_id and a.step_no = p_step_no and a.outcome = 'succeeded' and not a.superseded)
  end;
end;
$$;

comment on function htdag.step_output(bigint, integer) is
  'Output of a succeeded step; for a map step, the array of its elements'' outputs in order. Null when it has not succeeded.';

create or replace function htdag.needs_output(p_run_id bigint, p_flow_version_id integer, p_step_no integer)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
  return (select jsonb_object_agg(n.name, htdag.step_output(p_run_id, n.step_no))
            from htdag.steps s
            join htdag.steps n on n.flow_version_id = s.flow_version_id and n.name = any (s.needs)
           where s.flow_version_id = p_flow_version_id and s.step_no = p_step_no);
end;
$$;

comment on function htdag.needs_output(bigint, integer, integer) is 'Outputs of the steps that a step needs, as {"step": output}.';

-- Where the definition names no step, the outputs of the steps that nothing needs.
create or replace function htdag.run_output(p_run_id bigint)
returns jsonb
language plpgsql
stable
security definer
set search_path = ''
as $$
begin
  return (select case when v.spec ->> 'output' is not null
                   then (select htdag.step_output(r.run_id, s.step_no) from htdag.steps s
                          where s.flow_version_id = r.flow_version_id and s.name = v.spec ->> 'output')
                   else (select jsonb_object_agg(s.name, htdag.step_output(r.run_id, s.step_no)) from htdag.steps s
                          where s.flow_version_id = r.flow_version_id and get_bit(r.succeeded, s.step_no) = 1
                            and not exists (select from htdag.steps d
                                             where d.flow_version_id = s.flow_version_id and s.name = any (d.needs) and d.run_on = 'success'))
                 end
            from htdag.runs r
            join htdag.flow_versions v using (flow_version_id)
           where r.run_id = p_run_id);
end;
$$;

comment on function htdag.run_output(bigint) is
  'Output of a run: that of the step which the flow names as its output or else, as {"step": output}, those of the steps that nothing needs.';

-- An element of a map over the input of its run is not given the array that it is part
-- of. Maps that were opened before this was so give the whole input.
create or replace function htdag.element_input(p_run_id bigint, p_step_no integer)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
  return coalesce((select item from htdag.map_items where run_id = p_run_id and step_no = p_step_no and map_index = -1),
                  (select input from htdag.run_io where run_id = p_run_id));
end;
$$;

comment on function htdag.element_input(bigint, integer) is
  'The input of a run as elements of a map step are given it: without the array that the map is over; null where that is all of it.';

create or replace function htdag.step_document(p_run_id bigint, p_step_no integer, p_map_index integer default null)
returns jsonb
language plpgsql
stable
set search_path = ''
as $$
begin
  return (select jsonb_build_object('run_id', p_run_id, 'step', s.name,
                   'input', case when p_map_index is null then io.input else htdag.element_input(p_run_id, p_step_no) end,
                   'item', (select i.item from htdag.map_items i where i.run_id = p_run_id and i.step_no = p_step_no and i.map_index = p_map_index),
                   'needs', coalesce(htdag.needs_output(p_run_id, s.flow_version_id, p_step_no), '{}'))
            from htdag.runs r
            join htdag.run_io io using (run_id)
            join htdag.steps s on s.flow_version_id = r.flow_version_id and s.step_no = p_step_no
           where r.run_id = p_run_id);
end;
$$;

comment on function htdag.step_document(bigint, integer, integer) is
  'All that a step may look at, {"run_id", "step", "input", "needs", "item"}: what conditions and arguments are paths into, and what the function of a sql step gets.';

create or replace function htdag.step_argument(p_step htdag.steps, p_document jsonb)
returns jsonb
language sql
immutable
parallel safe
set search_path = ''
return case when (p_step).argument is null then p_document -> 'input'
            else coalesce(jsonb_path_query_first(p_document, (p_step).argument, silent => true), 'null') end;

comment on function htdag.step_argument(htdag.steps, jsonb) is 'What a step gets as its input, out of its document.';
