// Package maintenance does what is due by the clock: it fires schedules and keeps the
// tables in order.
//
// River elects one of the processes that run it; that one sees to it that each of the
// jobs is done now and then, by some process. A job is one call of a function that
// anybody may make in psql, and does no harm when it is made twice. River holds
// nothing that the engine needs: its tables are in schema river, and without them, or
// with River switched off, flows run as before.
//
// Schedules are fired when they are due by the process that was given that duty last.
// What is late, since that process or the elected one has gone, is fired by any other
// within some seconds. The database sees to it that it is done once.
package maintenance
