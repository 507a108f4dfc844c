package runner_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/htdag/htdag/runner"
)

// A handler may find out while running what there is to do, and answer with steps in
// place of a result. They become a run of their own under the step.
func ExampleDecompose() {
	ctx := context.Background()
	pool, closeAll := database(ctx)
	defer closeAll()
	exec(ctx, pool, `select htdag.define_flow('{"flow": "count", "steps": [
		{"name": "plan"},
		{"name": "report", "needs": ["plan"], "wants_needs": true}]}')`)

	registry := runner.NewRegistry()
	runner.Register(registry, "plan", func(_ context.Context, _ *runner.Task, in struct{ Text string }) (struct{}, error) {
		return struct{}{}, runner.Decompose(map[string]any{
			"input": map[string]any{"lines": strings.Split(in.Text, "\n")},
			"steps": []map[string]any{
				{"name": "words", "map": "input.lines"},
				{"name": "sum", "needs": []string{"words"}, "wants_needs": true},
			},
		})
	})
	runner.Register(registry, "words", func(_ context.Context, _ *runner.Task, line string) (int, error) {
		return len(strings.Fields(line)), nil
	})
	registry.Register("sum", runner.HandlerFunc(func(_ context.Context, t *runner.Task) (any, error) {
		needs, err := runner.Needs[struct{ Words []int }](t)
		sum := 0
		for _, n := range needs.Words {
			sum += n
		}
		return sum, err
	}))
	registry.Register("report", runner.HandlerFunc(func(_ context.Context, t *runner.Task) (any, error) {
		needs, err := runner.Needs[struct{ Plan struct{ Sum int } }](t)
		fmt.Println("words:", needs.Plan.Sum)
		return nil, err
	}))

	exec(ctx, pool, `select htdag.start_flow('count', '{"text": "one\ntwo three\nfour five six"}')`)
	if _, err := runner.New(pool, registry, runner.Options{}).RunToIdle(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(text(ctx, pool, "select string_agg(flow || ' ' || state, ', ' order by run_id) from report.runs"))
	// Output:
	// words: 6
	// count succeeded, count:plan succeeded
}

// A step of kind signal waits until somebody tells its run what it needs to know:
// here a person approves what was drafted. The signal may be sent from psql, by
// htdag signal, or by any program that reaches the database.
func Example_approval() {
	ctx := context.Background()
	pool, closeAll := database(ctx)
	defer closeAll()
	exec(ctx, pool, `select htdag.define_flow('{"flow": "publish", "steps": [
		{"name": "draft"},
		{"name": "approval", "kind": "signal", "signal": "approved", "needs": ["draft"], "timeout": "7 days"},
		{"name": "print", "needs": ["draft", "approval"], "wants_needs": true}]}')`)

	registry := runner.NewRegistry()
	runner.Register(registry, "draft", func(_ context.Context, _ *runner.Task, in struct{ Title string }) (string, error) {
		return "On " + in.Title, nil
	})
	registry.Register("print", runner.HandlerFunc(func(_ context.Context, t *runner.Task) (any, error) {
		needs, err := runner.Needs[struct {
			Draft    string
			Approval struct{ By string }
		}](t)
		fmt.Printf("%s (approved by %s)\n", needs.Draft, needs.Approval.By)
		return nil, err
	}))
	r := runner.New(pool, registry, runner.Options{})

	exec(ctx, pool, `select htdag.start_flow('publish', '{"title": "waiting"}')`)
	if _, err := r.RunToIdle(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(text(ctx, pool, "select string_agg(step || ' ' || state, ', ') from report.steps where run_id = 1"))

	exec(ctx, pool, `select htdag.send_signal(1, 'approved', '{"by": "Ada"}')`)
	if _, err := r.RunToIdle(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(text(ctx, pool, "select state from report.runs where run_id = 1"))
	// Output:
	// draft succeeded, approval waiting, print waiting
	// On waiting (approved by Ada)
	// succeeded
}
