-- Settings: what the whole engine goes by; limits of flows are in htdag.limits.

create or replace function htdag.setting(p_name text)
returns text
language plpgsql
stable
set search_path = ''
as $$
begin
  return (select coalesce(value, default_value) from htdag.settings where name = p_name);
end;
$$;

comment on function htdag.setting(text) is 'Value of a setting, or its default.';

create or replace function htdag.set_setting(p_name text, p_value text default null)
returns text
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_unit text;
  v_fits boolean := true;
begin
  select unit into v_unit from htdag.settings where name = p_name for update;
  if not found then
    raise exception using errcode = 'HT001', message = format('setting "%s" does not exist', p_name),
      hint = 'select name, description from htdag.settings lists those there are.';
  end if;
  begin
    v_fits := case v_unit
      when 'interval' then p_value::interval > interval '0'
      when 'bytes' then p_value::bigint > 0
      else p_value is null or to_regprocedure(p_value || '(text, regclass)') is not null
    end;
  exception when data_exception or syntax_error or invalid_name then
    v_fits := false;
  end;
  if not coalesce(v_fits, true) then
    raise exception using errcode = 'HT006', message = format('setting "%s" cannot be "%s"', p_name, p_value),
      hint = case v_unit
        when 'interval' then 'Give a positive interval such as ''30 days'', or null for the default.'
        when 'bytes' then 'Give a positive number of bytes, or null for the default.'
        else 'Give the name, with its schema, of a function (text, regclass), or null for none.' end;
  end if;
  update htdag.settings set value = p_value where name = p_name;
  return htdag.setting(p_name);
end;
$$;

comment on function htdag.set_setting(text, text) is
  'Change a setting; null goes back to its default. Returns what holds now. Raises HT001 for a setting that does not exist, HT006 for a value it cannot have.';
