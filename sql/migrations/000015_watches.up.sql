-- Which directories are watched, where, and by which process.

begin;

create table code.watches (
  codebase_id  integer not null,
  host         text not null,
  standing     boolean not null,
  added_at     timestamptz not null,
  server       text,
  token        bigint,
  served_since timestamptz,
  served_until timestamptz,
  constraint watches_pkey primary key (codebase_id),
  constraint watches_codebase_fkey foreign key (codebase_id) references code.codebases on delete cascade,
  constraint watches_host_not_blank check (host <> ''),
  constraint watches_served_or_not check (num_nulls(server, token, served_since, served_until) in (0, 4))
);
comment on table code.watches is 'Directories that are watched: one row per codebase, with the process that serves it. Its lease is renewed every few seconds; when it has run out another process may take over.';
comment on column code.watches.host is 'Machine on whose disk the root is; where none served it, that of the process that took it last.';
comment on column code.watches.standing is 'Whether any process on that host serves it, and not only one that was started for it.';
comment on column code.watches.token is 'Random number of the process that serves it: who does not know it records nothing.';

commit;
