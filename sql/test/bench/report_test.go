package main

import (
	"flag"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// measured makes up a contestant with rounds of the given lengths.
func measured(engine string, shape Shape, runs int, walls ...time.Duration) *contestant {
	c := &contestant{Engine: engine, Shape: shape, Sync: true, Runs: runs}
	for _, wall := range walls {
		units := c.units()
		c.Rounds = append(c.Rounds, round{
			Sample: Sample{Wall: wall, Drain: wall * 3 / 4, Latencies: []time.Duration{wall / 100, wall / 50, wall / 10}},
			Cost:   cost{WAL: 690 * units, CPU: time.Duration(units) * 95 * time.Microsecond, Transactions: units / 25, Dead: 2.2 * units},
		})
	}
	c.Counted = &round{Cost: cost{Statements: c.units() / 50, Nested: c.units() / 4}}
	return c
}

func TestReport(t *testing.T) {
	t.Parallel()
	const s = time.Second
	off := measured("htdag", Chain, 12_000, 3*s)
	off.Sync = false
	floor := measured("floor x1", Idle, 50, 150*time.Millisecond, 160*time.Millisecond)
	floor.Counted = nil
	chain := measured("htdag", Chain, 10_000, 3*s, 2*s, 4*s)
	chain.Profile = &profile{
		Functions: []share{{"htdag.settle", 1_500_000, 3_000_000}, {"htdag.open_tasks", 600_000, 3_000_000}},
		WAL:       []share{{"tasks: Heap HOT_UPDATE", 20_000_000, 34_500_000}, {"full-page images", 1_000_000, 34_500_000}},
	}
	all := []*contestant{
		chain,
		measured("htdag bundles", Chain, 20_000, 3*s, 2*s, 4*s),
		measured("pgflow", Chain, 250, 3*s, 4*s),
		measured("river", Chain, 500, 3*s),
		{Engine: "dbos", Shape: Chain, Sync: true, LeftOut: "unavailable: not today\nnor tomorrow"},
		measured("floor x50", Chain, 50_000, 3*s),
		measured("htdag", Diamond, 3_000, 3*s),
		{Engine: "pgflow", Shape: Diamond, Sync: true, Failed: "the result is wrong: 9 runs completed, want 10"},
		measured("htdag", Storm, 90_000, 3*s),
		measured("river", Jobs, 20_000, 3*s),
		measured("graphile-worker", Jobs, 30_000, 3*s),
		measured("htdag", Idle, 50, s, s),
		measured("htdag bundles", Idle, 50, s/10),
		measured("pgflow", Idle, 20, 2*s),
		floor,
		off,
	}
	got := report("2026-11-22: made up\n", all)
	const golden = "testdata/report.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("the report differs from %s (-want +got); -update writes it anew:\n%s", golden, diff)
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0.00", 0.044: "0.04", 2.2: "2.20", 9.994: "9.99", 9.996: "10.0", 99.94: "99.9", 100: "100", 999.6: "1,000",
		1234567: "1,234,567", -1234: "-1,234", -123: "-123",
	} {
		if got := number(v); got != want {
			t.Errorf("number(%g) = %q, want %q", v, got, want)
		}
	}
}
