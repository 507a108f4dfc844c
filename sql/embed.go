// Package sql holds everything PostgreSQL runs, embedded so that one binary carries it.
package sql

import "embed"

// Migrations are the numbered changes of state: schemas, tables, indexes, constraints.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Code is the behaviour, replaced whole on each install: functions and reports,
// the rights to use them, and the message queue for servers that lack the extension.
//
//go:embed functions/*.sql reports/*.sql grants.sql pgmq/*.sql
var Code embed.FS
