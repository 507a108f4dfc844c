package runnertest_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/htdag/htdag/db/dbtest"
	"github.com/htdag/htdag/runner"
	"github.com/htdag/htdag/runner/runnertest"
)

// A test of a whole flow reads like the story of a run. Expense claims are checked,
// approved by a person within a week, and paid; the bank is not always there.
func TestExpenseClaim(t *testing.T) {
	t.Parallel()
	h := runnertest.New(t, dbtest.New(t))
	h.Define(`{"flow": "expense", "steps": [
		{"name": "check"},
		{"name": "approval", "kind": "signal", "signal": "decided", "needs": ["check"], "timeout": "7 days"},
		{"name": "pay", "needs": ["approval"], "run_if": "$.needs.approval.ok == true", "initial_delay": "10 min", "max_retries": 3},
		{"name": "refuse", "needs": ["approval"], "skip_if": "$.needs.approval.ok == true"},
		{"name": "complain", "needs": ["approval"], "run_on": "failure"}]}`)

	type claim struct {
		Who   string
		Cents int
	}
	var paid, refused, complaints []string
	bankIsOpen := false
	runner.Register(h.Registry, "check", func(_ context.Context, _ *runner.Task, c claim) (claim, error) {
		if c.Cents <= 0 {
			return c, runner.Permanent(errors.New("nothing to pay"))
		}
		return c, nil
	})
	runner.Register(h.Registry, "pay", func(_ context.Context, _ *runner.Task, c claim) (struct{}, error) {
		if !bankIsOpen {
			return struct{}{}, errors.New("the bank is closed")
		}
		paid = append(paid, c.Who)
		return struct{}{}, nil
	})
	tell := func(whom *[]string) func(context.Context, *runner.Task, claim) (struct{}, error) {
		return func(_ context.Context, _ *runner.Task, c claim) (struct{}, error) {
			*whom = append(*whom, c.Who)
			return struct{}{}, nil
		}
	}
	runner.Register(h.Registry, "refuse", tell(&refused))
	runner.Register(h.Registry, "complain", tell(&complaints))

	ada := h.Start("expense", claim{"Ada", 1200})
	bob := h.Start("expense", claim{"Bob", 99000})
	cyd := h.Start("expense", claim{"Cyd", 50})
	dan := h.Start("expense", claim{"Dan", 0})
	h.RunToIdle()
	if h.State(dan) != "failed" || h.Error(dan) != "step check: nothing to pay" {
		t.Errorf("Dan's claim %s: %s", h.State(dan), h.Error(dan))
	}

	h.Signal(ada, "decided", map[string]bool{"ok": true})
	h.Signal(bob, "decided", map[string]bool{"ok": false})
	h.RunToIdle()
	if h.State(bob) != "succeeded" || !slices.Equal(refused, []string{"Bob"}) {
		t.Errorf("Bob's claim %s; refused: %q", h.State(bob), refused)
	}
	if got := h.Steps(ada)["pay"]; got != "waiting" {
		t.Errorf("while the bank is closed, the payment is %s", got)
	}

	bankIsOpen = true
	h.Advance(10 * time.Minute)
	h.RunToIdle()
	if h.State(ada) != "succeeded" || !slices.Equal(paid, []string{"Ada"}) {
		t.Errorf("Ada's claim %s; paid: %q", h.State(ada), paid)
	}

	h.Advance(7 * 24 * time.Hour)
	h.RunToIdle()
	if h.State(cyd) != "failed" || !slices.Equal(complaints, []string{"Cyd"}) {
		t.Errorf("Cyd's claim %s; complaints: %q", h.State(cyd), complaints)
	}
}
