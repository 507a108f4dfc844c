begin;
drop schema report cascade;
drop schema htdag cascade;
commit;
