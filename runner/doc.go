// Package runner claims steps of flows from the database and runs their handlers.
//
// A program fills a Registry with a Handler per kind of step, makes a Runner and
// calls Run, which blocks until its context ends and then drains: it claims nothing
// more, lets running handlers finish, and gives back what they have not begun. Any
// number of runners on any number of hosts may work on one database. All state is
// there; a runner that is killed loses nothing, since what it held is given to
// another once its lease has expired.
//
// Handlers are functions with types of their own, made known by the function
// Register, or anything that implements Handler. By the errors that they return they
// say what is to come of a step: Permanent, Coded, Snooze and Decompose. RunToIdle
// does what there is to do and returns; package runnertest is made of it.
//
// A runner keeps its leases by one heartbeat, with which it also reports its load
// and learns what to abort. If the heartbeat fails for as long as the lease lasts, or
// the engine says that the runner is no longer known, every handler's context is
// cancelled with ErrLeaseLost and its result is dropped: somebody else has the work
// by then. Handlers must therefore tolerate being run more than once.
package runner
