-- Watches: which process serves which root.
--
-- A root is served by one process at a time, which looks after its lease here and
-- learns in the same call what else it is to serve. Whoever records changes holds the
-- row of the watch in share mode until it commits, so that there is no moment at which
-- two processes record changes of one root.
--
-- Locks: rows of code.watches, by codebase_id, before anything else.

create or replace view code.served_watches as
select w.codebase_id,
       c.name,
       c.root,
       w.server,
       (w.token is not null)::boolean as mine
  from code.watches w
  join code.codebases c on c.codebase_id = w.codebase_id;
comment on view code.served_watches is 'A root that a process asked for or may serve, with the process that serves it.';

create or replace function code.add_watch(
  p_codebase text,
  p_root     text,
  p_host     text,
  p_standing boolean default true
)
returns integer
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_now         constant timestamptz := htdag.clock();
  v_codebase_id constant integer := code.register_codebase(p_codebase, p_root);
begin
  insert into code.watches as w (codebase_id, host, standing, added_at)
  values (v_codebase_id, p_host, p_standing, v_now)
      on conflict (codebase_id) do update
     set host     = case when w.served_until > v_now then w.host else excluded.host end,
         standing = w.standing or excluded.standing;
  perform pg_notify('htdag_watches', '');
  return v_codebase_id;
end;
$$;
comment on function code.add_watch(text, text, text, boolean) is
  'Have a directory on a host watched, as the codebase of that name; returns its key. With p_standing any htdag up on that host serves it, else only one that names it. Raises HT003 where the name is that of another root, HT006.';

create or replace function code.remove_watch(p_codebase text)
returns boolean
language plpgsql
volatile
security definer
set search_path = ''
as $$
declare
  v_codebase_id constant integer := code.codebase_id(p_codebase);
  v_removed     boolean;
begin
  delete from code.watches where codebase_id = v_codebase_id;
  v_removed := found;
  perform pg_notify('htdag_watches', '');
  return v_removed;
end;
$$;
comment on function code.remove_watch(text) is
  'Have a codebase watched no longer; what is stored of it stays. False where it was not watched. Raises HT001.';

create or replace function code.serve_watches(
  p_server text,
  p_token  bigint,
  p_host   text,
  p_named  integer[],
  p_lease  interval default '15 s'
)
returns setof code.served_watches
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_now   constant timestamptz := htdag.clock();
  v_taken integer[];
begin
  v_taken := array(
    select w.codebase_id
      from code.watches w
     where (w.codebase_id = any (p_named) or w.standing and w.host = p_host)
       and (w.token = p_token or w.served_until is null or w.served_until <= v_now)
     order by w.codebase_id
       for no key update);
  update code.watches w
     set host         = p_host,
         server       = p_server,
         token        = p_token,
         served_since = case when w.token = p_token then w.served_since else v_now end,
         served_until = v_now + p_lease
   where w.codebase_id = any (v_taken);
  return query
  select w.codebase_id, c.name, c.root, w.server, coalesce(w.token = p_token, false)
    from code.watches w
    join code.codebases c on c.codebase_id = w.codebase_id
   where w.codebase_id = any (p_named || v_taken)
   order by w.codebase_id;
end;
$$;
comment on function code.serve_watches(text, bigint, text, integer[], interval) is
  'Renew what a process serves and take what is free: roots that it names, and standing ones of its host. Returns those, and which of them are its own; what it is not told of any more it must let go.';

create or replace function code.holds_watch(p_codebase_id integer, p_token bigint)
returns boolean
language plpgsql
volatile
set search_path = ''
as $$
begin
  perform from code.watches w
    where w.codebase_id = p_codebase_id and w.token = p_token
    order by w.codebase_id
      for share;
  return found;
end;
$$;
comment on function code.holds_watch(integer, bigint) is
  'Whether the process with that token serves a root; if so nobody else will before the transaction ends.';

create or replace function code.release_watches(p_token bigint)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_released integer;
begin
  update code.watches
     set server = null, token = null, served_since = null, served_until = null
   where token = p_token;
  get diagnostics v_released = row_count;
  if v_released > 0 then
    perform pg_notify('htdag_watches', '');
  end if;
  return v_released;
end;
$$;
comment on function code.release_watches(bigint) is
  'Let go of all that a process serves, for others to take at once; returns how many roots that were.';

create or replace function code.evict_server(p_server text)
returns integer
language plpgsql
volatile
set search_path = ''
as $$
declare
  v_evicted integer;
begin
  update code.watches
     set server = null, token = null, served_since = null, served_until = null
   where server = p_server;
  get diagnostics v_evicted = row_count;
  return v_evicted;
end;
$$;
comment on function code.evict_server(text) is
  'Take from a process that is known to be gone what it served, before its lease runs out; returns how many roots that were.';
