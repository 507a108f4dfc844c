package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// spread is the median of rounds, with the lowest and the highest.
type spread struct{ Median, Min, Max float64 }

func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + median) / 2
	}
	return spread{median, sorted[0], sorted[len(sorted)-1]}
}

// percentile returns the smallest value that a share of all values does not exceed.
func percentile[T cmp.Ordered](values []T, share float64) T {
	var none T
	if len(values) == 0 {
		return none
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}

// figures are what is printed of a contestant. What is unknown is NaN. Costs are per
// task; of a Storm, per run.
type figures struct {
	Rate, Drain  spread // tasks a second; of a Storm, runs
	P50, P99     spread // milliseconds, of a run
	WAL, Dead    spread
	CPU          spread // microseconds
	Transactions spread
	Statements   float64 // of the counting round
	Nested       float64
}

// units is what a round did: tasks, or starts.
func (c *contestant) units() float64 {
	if c.Shape == Storm {
		return float64(c.Runs)
	}
	return float64(c.Runs * c.Shape.Tasks())
}

func (c *contestant) rate(r round) float64 { return c.units() / r.Wall.Seconds() }

func (c *contestant) figures() figures {
	over := func(f func(r round) float64) spread {
		var values []float64
		for _, r := range c.Rounds {
			if v := f(r); !math.IsNaN(v) {
				values = append(values, v)
			}
		}
		return spreadOf(values)
	}
	known := func(v float64) float64 {
		if v == 0 {
			return math.NaN()
		}
		return v
	}
	milliseconds := func(share float64) func(r round) float64 {
		return func(r round) float64 {
			return known(float64(percentile(r.Latencies, share)) / float64(time.Millisecond))
		}
	}
	f := figures{
		Rate:         over(c.rate),
		Drain:        over(func(r round) float64 { return c.units() / known(r.Drain.Seconds()) }),
		P50:          over(milliseconds(0.5)),
		P99:          over(milliseconds(0.99)),
		WAL:          over(func(r round) float64 { return r.Cost.WAL / c.units() }),
		Dead:         over(func(r round) float64 { return r.Cost.Dead / c.units() }),
		CPU:          over(func(r round) float64 { return known(float64(r.Cost.CPU) / float64(time.Microsecond) / c.units()) }),
		Transactions: over(func(r round) float64 { return r.Cost.Transactions / c.units() }),
		Statements:   math.NaN(),
		Nested:       math.NaN(),
	}
	if c.Counted != nil {
		f.Statements, f.Nested = c.Counted.Cost.Statements/c.units(), c.Counted.Cost.Nested/c.units()
	}
	return f
}
