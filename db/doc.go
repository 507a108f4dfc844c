// Package db is the only door from Go to PostgreSQL.
//
// Open connects a pool with the settings the project counts on. Up brings a database
// to this binary's migrations and functions; it may be called by any number of
// processes at once. InTx runs a function in a transaction and repeats it when
// PostgreSQL asks for that. Errors of the engine arrive as the sentinels of
// errors.go, whatever layer raised them.
//
// The queries are in queries/, their generated code in dbsqlc.
package db
