package main

import (
	"context"
	"errors"
	"time"
)

// Engine is one thing that is measured. It is made and opened on an empty database,
// once, and closed. Each round is then played on a copy of that database: a new Engine
// is opened, Run warms it up, Run is measured, it is closed, and another is opened to
// verify. What is made for the warm-up (connections, prepared statements) may be kept.
//
// The harness measures what the server does (WAL, tuples, statements, processor
// time) around Run and nothing else. So Run starts, works and waits; it neither
// prepares nor checks.
type Engine interface {
	// Name is printed. It is unique and says which configuration it is.
	Name() string

	// Shapes are the workloads that the engine can do.
	Shapes() []Shape

	// Open gets ready to work on the database at a URL. It installs into the database
	// if that is empty, and finds everything in place if it is not. An error that wraps ErrUnavailable leaves the engine
	// out of the benchmark, with the error as the printed reason.
	Open(ctx context.Context, url string, shape Shape) error

	// Run starts that many runs of the shape, finishes them all (of Storm: starts them
	// all) and tells how long that took. Workers are the processes that do the work,
	// each with a connection of its own; an engine that is made for another division
	// of labour (goroutines over a pool, an event loop) says in README.md what it makes
	// of the number.
	Run(ctx context.Context, runs, workers int) (Sample, error)

	// Verify fails unless the database says that exactly that many runs (counted since
	// the database was empty, warm-up included) succeeded and that each of their steps
	// was executed. For Storm: that they are there and none of them has begun.
	Verify(ctx context.Context, runs int) error

	// Close ends every connection. What the engine wrote stays. It may be called after
	// a failed Open.
	Close(ctx context.Context) error
}

// Sample is what the client side of a round saw.
type Sample struct {
	Wall  time.Duration // from the first start to the last end
	Drain time.Duration // from the last start to the last end; 0 where runs are not all started first

	// Latencies are those of the runs, from start to end, as the client saw them or as
	// the engine recorded them. Idle has one for each run; elsewhere it may be nil.
	Latencies []time.Duration
}

// ErrUnavailable is wrapped by Open where what an engine needs is not here.
var ErrUnavailable = errors.New("unavailable")
