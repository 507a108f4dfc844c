package runner_test

import (
	"context"
	"fmt"
	"log"

	"github.com/htdag/htdag/runner"
)

// Typed handlers take and return values of the program's own types. A run whose
// input does not fit fails at once, and says where.
func ExampleRegister() {
	ctx := context.Background()
	pool, closeAll := database(ctx)
	defer closeAll()
	exec(ctx, pool, `select htdag.define_flow('{"flow": "invoice", "steps": [
		{"name": "price", "map": "input.items"},
		{"name": "total", "needs": ["price"], "wants_needs": true}]}')`)

	type order struct{ Customer string }
	type item struct {
		Name  string
		Cents int
		Count int `json:"count,omitempty"` // may be left out
	}
	type sum struct {
		Customer string `json:"customer"`
		Cents    int    `json:"cents"`
	}
	registry := runner.NewRegistry()
	runner.Register(registry, "price", func(_ context.Context, _ *runner.Task, i item) (int, error) {
		return i.Cents * max(i.Count, 1), nil
	})
	runner.Register(registry, "total", func(_ context.Context, t *runner.Task, o order) (sum, error) {
		needs, err := runner.Needs[struct{ Price []int }](t)
		total := sum{Customer: o.Customer}
		for _, cents := range needs.Price {
			total.Cents += cents
		}
		return total, err
	})

	exec(ctx, pool, `select htdag.start_flow('invoice', '{"customer": "Ada", "items": [{"name": "tea", "cents": 250, "count": 2}, {"name": "cup", "cents": 900}]}')`)
	exec(ctx, pool, `select htdag.start_flow('invoice', '{"customer": "Bob", "items": [{"name": "tea", "cents": "cheap"}]}')`)
	if _, err := runner.New(pool, registry, runner.Options{}).RunToIdle(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(text(ctx, pool, "select htdag.step_output(1, 1)::text"))
	fmt.Println(text(ctx, pool, "select state || ': ' || error from report.runs where run_id = 2"))
	// Output:
	// {"cents": 1400, "customer": "Ada"}
	// failed: step price: step price of flow invoice: item 0.Cents is a JSON string, which is no int
}

// What a handler writes through Task.Tx is committed exactly when the step's success
// is: here the transfer is made once, although the step is tried three times.
func ExampleTask_Tx() {
	ctx := context.Background()
	pool, closeAll := database(ctx)
	defer closeAll()
	exec(ctx, pool, "create table accounts (owner text primary key, balance int not null)")
	exec(ctx, pool, "insert into accounts values ('Ada', 100), ('Bob', 0)")
	exec(ctx, pool, `select htdag.define_flow('{"flow": "transfer", "steps": [{"name": "move", "max_retries": 2, "initial_delay": "0"}]}')`)

	registry := runner.NewRegistry()
	runner.Register(registry, "move", func(ctx context.Context, t *runner.Task, in struct{ Amount int }) (struct{}, error) {
		tx, err := t.Tx(ctx)
		if err != nil {
			return struct{}{}, err
		}
		for owner, change := range map[string]int{"Ada": -in.Amount, "Bob": in.Amount} {
			if _, err := tx.Exec(ctx, "update accounts set balance = balance + $2 where owner = $1", owner, change); err != nil {
				return struct{}{}, err
			}
		}
		if t.Attempt < 3 {
			return struct{}{}, fmt.Errorf("try %d: the bank is closed", t.Attempt)
		}
		return struct{}{}, nil
	})

	exec(ctx, pool, `select htdag.start_flow('transfer', '{"amount": 30}')`)
	if _, err := runner.New(pool, registry, runner.Options{}).RunToIdle(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(text(ctx, pool, "select string_agg(owner || ' ' || balance, ', ' order by owner) from accounts"))
	fmt.Println(text(ctx, pool, "select step || ' ' || state || ' after tries: ' || attempts from report.steps where run_id = 1"))
	// Output:
	// Ada 70, Bob 30
	// move succeeded after tries: 3
}
