-- Events: what the command line shows, and deliveries that runners send.

-- name: Events :many
select event_id, occurred_at, kind, coalesce(flow, '')::text as flow, run_id, coalesce(step, '')::text as step, payload
  from report.events
 where (sqlc.narg(flow)::text is null or flow = sqlc.narg(flow))
   and (sqlc.narg(kind)::text is null or kind = sqlc.narg(kind) or sqlc.narg(kind) like '%.*' and starts_with(kind, rtrim(sqlc.narg(kind), '*')))
 order by event_id desc
 limit @at_most;

-- name: EventCursor :one
select htdag.event_cursor()::text as cursor;

-- name: EventsAfter :many
select * from htdag.events_after(p_cursor => @cursor);

-- name: ClaimDeliveries :many
select * from htdag.claim_deliveries(p_want => @want, p_lease => @lease);

-- name: FinishDelivery :one
select htdag.finish_delivery(p_delivery_id => @delivery_id, p_token => @token, p_status => sqlc.narg(status), p_error => sqlc.narg(error))::text as state;
