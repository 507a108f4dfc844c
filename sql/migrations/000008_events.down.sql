begin;
delete from htdag.settings where name = 'keep_events';
drop table htdag.deliveries, htdag.webhook_secrets, htdag.subscriptions, htdag.events;
alter table htdag.flow_versions drop column heard;
commit;
