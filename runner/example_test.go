package runner_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"strings"

	"github.com/htdag/htdag/db"
	"github.com/htdag/htdag/db/localpg"
	"github.com/htdag/htdag/runner"
)

// A program defines a flow, registers a handler per kind of step and runs a runner.
// Flows may be started from anywhere that reaches the database, psql included.
func Example() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	// Any PostgreSQL from 14 on will do; this one is gone when the program ends.
	server, err := localpg.Start(ctx, localpg.Options{Ephemeral: true})
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()
	pool, err := db.Open(ctx, server.URL("postgres"), db.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	if err := db.Up(ctx, pool); err != nil {
		log.Fatal(err)
	}

	if _, err := pool.Exec(ctx, `select htdag.define_flow('{"flow": "greet", "steps": [
		{"name": "split"},
		{"name": "shout", "needs": ["split"], "map": "split", "max_retries": 2},
		{"name": "join", "needs": ["shout"], "wants_needs": true}]}')`); err != nil {
		log.Fatal(err)
	}

	done := make(chan string)
	registry := runner.NewRegistry()
	registry.Register("split", runner.HandlerFunc(func(_ context.Context, t *runner.Task) (any, error) {
		var in struct{ Text string }
		if err := json.Unmarshal(t.Input, &in); err != nil {
			return nil, runner.Permanent(err) // trying again would not help
		}
		return strings.Fields(in.Text), nil
	}))
	registry.Register("shout", runner.HandlerFunc(func(_ context.Context, t *runner.Task) (any, error) {
		var word string
		err := json.Unmarshal(t.Item, &word)
		return strings.ToUpper(word), err
	}))
	registry.Register("join", runner.HandlerFunc(func(_ context.Context, t *runner.Task) (any, error) {
		var needs struct{ Shout []string }
		if err := json.Unmarshal(t.Needs, &needs); err != nil {
			return nil, err
		}
		text := strings.Join(needs.Shout, " ")
		done <- text
		return text, nil
	}))
	finished := make(chan error)
	go func() { finished <- runner.New(pool, registry, runner.Options{}).Run(ctx) }()

	if _, err := pool.Exec(ctx, `select htdag.start_flow('greet', '{"text": "hello from the database"}')`); err != nil {
		log.Fatal(err)
	}
	fmt.Println(<-done)
	stop() // the runner hands in what it has and returns
	if err := <-finished; err != nil {
		log.Fatal(err)
	}
	// Output: HELLO FROM THE DATABASE
}
