-- Floors: where a claim does not look, since nothing is left there.
--
-- What was claimed leaves a dead entry in the claim index, at its near end. While some
-- transaction may still see it nobody may remove it, and without vacuum nobody does;
-- walking over a hundred thousand of them takes ten milliseconds. So a session that had
-- to walk far remembers up to which task everything of a priority was gone: its floor.
--
-- Floors are hints. What comes to lie below one (a retry, a claim that was undone, a
-- transaction that commits late) is found when the session looks everywhere again:
-- after a hundred times as long as that took, ten seconds at most, and ten times as long
-- where it finds nothing above its floors. A task of a priority without floor is found at
-- once, and so is one that is newer than the last thousand were when the floor was set.
--
-- The session keeps them in its setting htdag.floors, as numbers: until when they hold,
-- until when they hold for a claim that finds nothing, both in microseconds since 1970,
-- then lane, priority and task of each. So they are undone with the claim that set them.

create or replace function htdag.microseconds(p_at timestamptz)
returns bigint
language sql
stable
parallel safe
set search_path = ''
return (extract(epoch from p_at) * 1000000)::bigint;

comment on function htdag.microseconds(timestamptz) is 'A time as microseconds since 1970.';

-- Counted, not timed, so that it depends on nothing but the index.
create or replace function htdag.pages_read()
returns bigint
language sql
volatile
set search_path = ''
return pg_stat_get_xact_blocks_fetched('htdag.tasks_claim_idx'::regclass);

comment on function htdag.pages_read() is 'Pages of the claim index that this session has read lately; only differences mean something.';

create or replace function htdag.stretches(
  p_lanes  integer[],
  p_floors bigint[],
  out lane_id        integer,
  out after_priority integer,
  out after_task     bigint,
  out below_priority integer
)
returns setof record
language plpgsql
immutable
set search_path = ''
as $$
begin
  return query
  select e.lane_id, lag(e.priority, 1, -2147483647) over w, lag(e.task_id, 1, 0::bigint) over w, e.priority
    from (select p_floors[i]::integer as lane_id, p_floors[i + 1]::integer as priority, p_floors[i + 2] as task_id
            from generate_series(3, cardinality(p_floors), 3) i
           where p_floors[i] = any (p_lanes)
          union all
          select l, 2147483647, 0 from unnest(p_lanes) l) e
  window w as (partition by e.lane_id order by e.priority);
end;
$$;

comment on function htdag.stretches(integer[], bigint[]) is
  'What is left of the claim index between floors: from after one task of a priority to below another priority.';

-- Raise the floors to what a claim has found: nothing is left of the priorities before
-- the last of which it took something, and of none where it took less than it wanted.
-- Numbers drawn lately may belong to transactions that have not committed.
create or replace function htdag.raise_floors(
  p_lanes  integer[],
  p_floors bigint[],
  p_taken  bigint[],
  p_last   bigint,
  p_all    boolean,
  p_learn  boolean
)
returns bigint[]
language plpgsql
stable
set search_path = ''
as $$
begin
  return array(
    with found as (
      select distinct on (t.lane_id) t.lane_id, t.priority, t.task_id
        from htdag.tasks t where t.task_id = any (p_taken)
       order by t.lane_id, t.priority desc, t.task_id desc
    ), known as (
      select p_floors[i]::integer as lane_id, p_floors[i + 1]::integer as priority, p_floors[i + 2] as task_id
        from generate_series(3, cardinality(p_floors), 3) i
      union all
      select f.lane_id, f.priority, null from found f
      union all
      -- Others may have emptied what this session has never taken from.
      (select s.lane_id, s.priority * 1000 - least(s.step_no, 999), null
         from htdag.steps s where p_learn and s.lane_id = any (p_lanes)
        order by s.flow_version_id desc limit 32)
    ), raised as (
      select k.lane_id, k.priority,
             greatest(max(k.task_id), max(case when k.lane_id <> all (p_lanes) then null
                                               when p_all or k.priority < f.priority then p_last - 1000
                                               when k.priority = f.priority then least(f.task_id, p_last - 1000) end)) as task_id
        from known k
        left join found f on f.lane_id = k.lane_id
       group by k.lane_id, k.priority
    )
    select n
      from (select * from raised where task_id > 0 order by task_id desc limit 32) r
     cross join lateral unnest(array[r.lane_id, r.priority, r.task_id]) n);
end;
$$;

comment on function htdag.raise_floors(integer[], bigint[], bigint[], bigint, boolean, boolean) is
  'Floors after a claim, as lane, priority and task of each; p_learn also looks for priorities among the definitions of steps.';

-- Set, raise or drop the floors of the session after a claim that read so many pages.
-- Where little was read nothing is to be gained.
create or replace function htdag.keep_floors(
  p_lanes      integer[],
  p_known      bigint[],
  p_everywhere boolean,
  p_taken      bigint[],
  p_all        boolean,
  p_pages      bigint,
  p_began      timestamptz
)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_far   constant boolean := p_pages > 8 + 8 * cardinality(p_lanes) + 2 * coalesce(cardinality(p_known), 0);
  v_now   constant timestamptz := clock_timestamp();
  v_until bigint[] := p_known[1:2];
begin
  if not v_far then
    if p_everywhere and p_known is not null then
      perform set_config('htdag.floors', '', false);
    end if;
    return false;
  end if;
  if p_everywhere then
    v_until := array[htdag.microseconds(v_now + least(100 * (v_now - p_began), interval '10 s')),
                     htdag.microseconds(v_now + least(10 * (v_now - p_began), interval '1 s'))];
  end if;
  perform set_config('htdag.floors', (v_until
    || htdag.raise_floors(p_lanes, p_known, p_taken, pg_sequence_last_value('htdag.tasks_task_id_seq'), p_all, p_everywhere))::text, false);
  return true;
end;
$$;

comment on function htdag.keep_floors(integer[], bigint[], boolean, bigint[], boolean, bigint, timestamptz) is
  'Remember in the session where a claim need not look the next time; returns whether it changed what it knew.';
