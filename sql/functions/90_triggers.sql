-- Triggers guard; they never move state.

create or replace function htdag.guard_published_steps()
returns trigger
language plpgsql
volatile
set search_path = ''
as $$
begin
  if exists (select from htdag.flow_versions v
              where v.flow_version_id = coalesce(old.flow_version_id, new.flow_version_id) and v.published_at is not null) then
    raise exception using errcode = 'HT003',
      message = format('steps of flow version %s cannot change: it has been run', coalesce(old.flow_version_id, new.flow_version_id)),
      hint = 'define_flow and add_step make a new version; runs keep the one they began on.';
  end if;
  return coalesce(new, old);
end;
$$;

comment on function htdag.guard_published_steps() is 'Keeps the steps of a version that has been run as they were.';

create or replace trigger steps_are_immutable_once_published
  before insert or update or delete on htdag.steps
  for each row execute function htdag.guard_published_steps();
