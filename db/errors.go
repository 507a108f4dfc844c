package db

import (
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
)

// Errors that the engine's functions raise, by SQLSTATE. sql/README.md lists them
// with their hints; Error turns a server error into one of these.
var (
	ErrNotFound   = errors.New("not found")                 // HT001
	ErrLeaseLost  = errors.New("lease lost")                // HT002
	ErrState      = errors.New("not allowed in this state") // HT003
	ErrDefinition = errors.New("invalid flow definition")   // HT004
	ErrLimit      = errors.New("limit exceeded")            // HT005
	ErrArgument   = errors.New("invalid argument")          // HT006
)

// States maps the SQLSTATEs of class HT to their sentinels.
var States = map[string]error{
	"HT001": ErrNotFound,
	"HT002": ErrLeaseLost,
	"HT003": ErrState,
	"HT004": ErrDefinition,
	"HT005": ErrLimit,
	"HT006": ErrArgument,
}

// Error translates an error of the engine: the result matches its sentinel with
// errors.Is and reads as the server's message with its hint. Other errors, and
// nil, come back unchanged.
func Error(err error) error {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return err
	}
	sentinel, ok := States[pgErr.Code]
	if !ok {
		return err
	}
	return &engineError{sentinel: sentinel, pg: pgErr}
}

type engineError struct {
	sentinel error
	pg       *pgconn.PgError
}

func (e *engineError) Error() string {
	s := e.pg.Message
	if e.pg.Detail != "" {
		s += ". " + e.pg.Detail
	}
	if e.pg.Hint != "" {
		s = fmt.Sprintf("%s (%s)", s, e.pg.Hint)
	}
	return s
}

func (e *engineError) Unwrap() []error { return []error{e.sentinel, e.pg} }

// Conflict says whether an error is PostgreSQL asking for the transaction to be run
// again: a serialization failure or a deadlock.
func Conflict(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == "40001" || pgErr.Code == "40P01")
}
