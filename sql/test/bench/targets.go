package main

import (
	"fmt"
	"math"
	"strings"
)

// A target is what the engine is to reach, and what it reached.
type target struct {
	shape   Shape // that it is about
	what    string
	got     string
	met     bool
	unknown string // why nothing can be said, where it cannot
}

// scores are the figures of durable rounds.
type scores struct{ list []*contestant }

// of returns the figures of the best of the engines named, all of which must have some.
func (s scores) of(shape Shape, better func(a, b figures) bool, names ...string) (best figures, err error) {
	for i, name := range names {
		f, err := s.named(shape, better, name)
		if err != nil {
			return best, err
		}
		if i == 0 || better(f, best) {
			best = f
		}
	}
	return best, nil
}

// named returns the figures of an engine; of its best configuration where it is
// measured in several, whose names begin with its own. What begins with htdag and the
// floors go by their whole names.
func (s scores) named(shape Shape, better func(a, b figures) bool, name string) (best figures, err error) {
	found, why := false, "not asked for"
	for _, c := range s.list {
		if c.Shape != shape || !c.Sync || c.Engine != name && (name == "htdag" || !strings.HasPrefix(c.Engine, name+" ")) {
			continue
		}
		switch {
		case c.LeftOut != "":
			why = "left out"
		case c.Failed != "":
			why = "failed"
		default:
			if f := c.figures(); !found || better(f, best) {
				best, found = f, true
			}
		}
	}
	if !found {
		err = fmt.Errorf("%s at %s: %s", name, shape, why)
	}
	return best, err
}

func faster(a, b figures) bool  { return a.Rate.Median > b.Rate.Median }
func quicker(a, b figures) bool { return a.P50.Median < b.P50.Median }

// peers are the engines that know of an order of steps.
var peers = []string{"pgflow", "dbos", "river"}

// targets compares what was measured with what was aimed at.
func targets(all []*contestant) []target {
	s := scores{all}
	var list []target
	for _, t := range []struct {
		shape Shape
		times float64
		peer  string
	}{
		{Chain, 40, "pgflow"}, {Chain, 12, "dbos"}, {Chain, 30, "river"},
		{Diamond, 30, "pgflow"}, {Diamond, 6, "dbos"},
		{Map, 30, "pgflow"}, {Map, 6, "dbos"},
		{Ingest, 30, "pgflow"}, {Ingest, 6, "dbos"},
	} {
		list = append(list, s.ratio(fmt.Sprintf("%s at least %g times as fast as %s", t.shape, t.times, t.peer), t.shape, t.times, t.shape, t.peer))
	}
	return append(list,
		s.ratio("chain, in steps, at least 1.5 times as fast as the fastest queue's plain jobs", Chain, 1.5, Jobs, "river", "graphile-worker"),
		s.ratio("chain at least a quarter of the floor at 50 steps a commit", Chain, 0.25, Chain, "floor x50"),
		s.least(Chain, "WAL of a chain's step, in bytes", 700, func(f figures) float64 { return f.WAL.Median }),
		s.least(Chain, "row versions that a chain's step makes dead", 2.2, func(f figures) float64 { return f.Dead.Median }),
		s.idle(),
		s.bundle(),
	)
}

// ratio compares the rate of htdag at a shape with the best of some engines at another.
func (s scores) ratio(what string, shape Shape, times float64, at Shape, names ...string) target {
	ours, err := s.of(shape, faster, "htdag")
	if err != nil {
		return target{shape: shape, what: what, unknown: err.Error()}
	}
	theirs, err := s.of(at, faster, names...)
	if err != nil {
		return target{shape: shape, what: what, unknown: err.Error()}
	}
	got := ours.Rate.Median / theirs.Rate.Median
	return target{shape: shape, what: what, got: number(got), met: got >= times}
}

// least looks whether a cost of a shape's step is at most what it may be.
func (s scores) least(shape Shape, what string, most float64, figure func(figures) float64) target {
	what = fmt.Sprintf("%s, at most %g", what, most)
	ours, err := s.of(shape, faster, "htdag")
	if err != nil {
		return target{shape: shape, what: what, unknown: err.Error()}
	}
	// What is printed is what counts: 2.2004 is 2.2.
	got := math.Round(figure(ours)*100) / 100
	return target{shape: shape, what: what, got: number(got), met: got <= most}
}

func (s scores) idle() target {
	const what = "median latency of a chain on an idle system below that of every peer, in ms"
	ours, err := s.of(Idle, quicker, "htdag")
	if err != nil {
		return target{shape: Idle, what: what, unknown: err.Error()}
	}
	theirs, err := s.of(Idle, quicker, peers...)
	if err != nil {
		return target{shape: Idle, what: what, unknown: err.Error()}
	}
	return target{shape: Idle, what: what, got: fmt.Sprintf("%s, best peer %s", number(ours.P50.Median), number(theirs.P50.Median)), met: ours.P50.Median < theirs.P50.Median}
}

func (s scores) bundle() target {
	const what = "median latency of a bundled chain below that of three commits, in ms"
	ours, err := s.of(Idle, quicker, "htdag bundles")
	if err != nil {
		return target{shape: Idle, what: what, unknown: err.Error()}
	}
	floor, err := s.of(Idle, quicker, "floor x1")
	if err != nil {
		return target{shape: Idle, what: what, unknown: err.Error()}
	}
	commits := 3 * floor.P50.Median / float64(Idle.Tasks())
	return target{shape: Idle, what: what, got: fmt.Sprintf("%s, three commits %s", number(ours.P50.Median), number(commits)), met: ours.P50.Median < commits}
}
