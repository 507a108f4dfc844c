-- Cron: what can be said of an expression without working out when it is due, so that
-- a mistake is told to whoever makes it. Programs work out the times.

create or replace function htdag.cron_field_trouble(p_field text, p_what text, p_least integer, p_most integer, p_names text[] default '{}')
returns text
language plpgsql
immutable
set search_path = ''
as $$
declare
  v_item  text;
  v_parts text[];
  v_from  integer;
  v_to    integer;
begin
  foreach v_item in array string_to_array(lower(p_field), ',') loop
    v_parts := regexp_match(v_item, '^(?:([*?])|([a-z]+|\d{1,4})(?:-([a-z]+|\d{1,4}))?)(?:/(\d{1,4}))?$');
    if v_parts is null then
      return format('%s "%s" cannot be read', p_what, v_item);
    elsif v_parts[4]::integer = 0 then
      return format('%s "%s" has a step of 0', p_what, v_item);
    end if;
    continue when v_parts[1] is not null;
    v_from := case when v_parts[2] ~ '^\d' then v_parts[2]::integer else array_position(p_names, v_parts[2]) + p_least - 1 end;
    v_to := case when v_parts[3] is null then v_from
                 when v_parts[3] ~ '^\d' then v_parts[3]::integer else array_position(p_names, v_parts[3]) + p_least - 1 end;
    if v_from is null or v_to is null then
      return format('%s "%s" is not known', p_what, v_item);
    elsif v_from < p_least or v_to > p_most or v_from > v_to then
      return format('%s %s is not %s', p_what, v_item,
                    case when v_from > v_to then 'in order' else format('from %s to %s', p_least, p_most) end);
    end if;
  end loop;
  return null;
end;
$$;

comment on function htdag.cron_field_trouble(text, text, integer, integer, text[]) is
  'What is wrong with a field of a cron expression; null when nothing is.';

create or replace function htdag.cron_trouble(p_cron text)
returns text
language plpgsql
immutable
strict
set search_path = ''
as $$
declare
  v_fields text[] := regexp_split_to_array(btrim(p_cron, E' \t'), '[ \t]+');
begin
  if v_fields[1] like '@%' then
    return case when cardinality(v_fields) = 1
                 and v_fields[1] in ('@yearly', '@annually', '@monthly', '@weekly', '@daily', '@midnight', '@hourly') then null
                else format('%s is not known', btrim(p_cron)) end;
  elsif cardinality(v_fields) = 5 then
    v_fields := array['0'] || v_fields;
  elsif cardinality(v_fields) <> 6 then
    return format('%s fields', case when btrim(p_cron) = '' then 0 else cardinality(v_fields) end);
  end if;
  return coalesce(
    htdag.cron_field_trouble(v_fields[1], 'second', 0, 59),
    htdag.cron_field_trouble(v_fields[2], 'minute', 0, 59),
    htdag.cron_field_trouble(v_fields[3], 'hour', 0, 23),
    htdag.cron_field_trouble(v_fields[4], 'day', 1, 31),
    htdag.cron_field_trouble(v_fields[5], 'month', 1, 12, '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}'),
    htdag.cron_field_trouble(v_fields[6], 'weekday', 0, 6, '{sun,mon,tue,wed,thu,fri,sat}'));
end;
$$;

comment on function htdag.cron_trouble(text) is 'What is wrong with a cron expression; null when nothing is.';
