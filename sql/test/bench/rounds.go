package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// plan says how much is measured.
type plan struct {
	Rounds  int
	Seconds float64 // that a round should last
	Runs    int     // in a round; as many as last Seconds when 0
	Workers int
	Count   bool // statements, in a further round
	Sync    bool // synchronous_commit
}

// A contestant is an engine at a workload, with all that was measured of it.
type contestant struct {
	Engine  string
	Shape   Shape
	Sync    bool
	Runs    int      // in a round
	Warm    int      // before a round
	Rounds  []round  // timed
	Counted *round   // the round in which statements were counted
	Profile *profile // of that round; nil where the server cannot tell
	LeftOut string   // why nothing was measured, where nothing was
	Failed  string   // what went wrong, where something did

	base string // name of the database that rounds are played on copies of
	make func() Engine
}

// A round is one measurement.
type round struct {
	Sample
	Cost cost // of the whole round; see perTask
}

// bench runs a plan on a server.
type bench struct {
	server   *server
	plan     plan
	progress io.Writer
}

// measure lets the engines that can do a shape compete at it, round by round in turns.
func (b *bench) measure(ctx context.Context, shape Shape, makers []func() Engine) []*contestant {
	var list []*contestant
	for i, make := range makers {
		c := &contestant{Engine: make().Name(), Shape: shape, Sync: b.plan.Sync, base: fmt.Sprintf("bench_base_%d", i), make: make}
		b.say("%s: %s is prepared", shape, c.Engine)
		if err := b.prepare(ctx, c); errors.Is(err, ErrUnavailable) {
			c.LeftOut = err.Error()
		} else if err != nil {
			c.Failed = err.Error()
		}
		list = append(list, c)
	}
	for n := range b.plan.Rounds + 1 {
		counting := n == b.plan.Rounds
		if counting && (!b.server.counts || !b.plan.Count) {
			break
		}
		for _, c := range list {
			if c.LeftOut != "" || c.Failed != "" {
				continue
			}
			r, err := b.round(ctx, c, counting)
			switch {
			case err != nil:
				c.Failed = err.Error()
			case counting:
				c.Counted = &r
			default:
				c.Rounds = append(c.Rounds, r)
				b.say("%s: round %d of %d: %s %.0f/s", shape, n+1, b.plan.Rounds, c.Engine, c.rate(r))
			}
		}
	}
	for _, c := range list {
		if err := b.server.drop(ctx, c.base); err != nil && c.Failed == "" {
			c.Failed = err.Error()
		}
	}
	b.say("")
	return list
}

// say shows what is going on, on one line that the next replaces.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.progress, "\r\x1b[K"+format, args...)
}

// prepare makes the database that rounds begin with, and finds out how many runs last
// as long as a round should.
func (b *bench) prepare(ctx context.Context, c *contestant) error {
	url, err := b.server.create(ctx, c.base, "", b.plan.Sync)
	if err != nil {
		return err
	}
	if err := b.opened(ctx, c, url, func(Engine) error { return nil }); err != nil {
		return err
	}
	if err := b.server.left(ctx, c.base); err != nil {
		return err
	}
	c.Runs, c.Warm = b.plan.Runs, warmUps[c.Shape]
	if c.Runs > 0 {
		c.Runs = max(1, c.Runs/c.Shape.Tasks())
		if c.Shape == Idle {
			c.Runs = max(1, c.Runs/10) // one at a time takes long
		}
		c.Warm = min(c.Warm, c.Runs/2)
		return nil
	}
	_, err = b.on(ctx, c, false, func(engine Engine) (total int, err error) {
		for runs := c.Warm; ; {
			s, err := b.play(ctx, engine, runs)
			if err != nil {
				return 0, err
			}
			total += runs
			share := s.Wall.Seconds() / b.plan.Seconds
			if share > 0.2 {
				c.Runs = roughly(float64(runs) / share)
				return total, nil
			}
			runs = int(float64(runs) * min(10, max(2, 0.5/share)))
		}
	})
	return err
}

// warmUps are the runs before a round and the first guess at how many a round has:
// enough for connections, plans and caches to be what they are later.
var warmUps = map[Shape]int{Chain: 40, Diamond: 20, Map: 1, Ingest: 20, Jobs: 200, Storm: 100, Idle: 5}

// roughly rounds to two digits: as exact as a guess from one try is.
func roughly(n float64) int {
	unit := math.Pow(10, math.Floor(math.Log10(max(n, 1)))-1)
	return max(1, int(math.Round(math.Round(n/unit)*unit)))
}

// round plays one round on a copy of the contestant's database.
func (b *bench) round(ctx context.Context, c *contestant, counting bool) (r round, err error) {
	counted, err := b.on(ctx, c, counting, func(engine Engine) (int, error) {
		if _, err := b.play(ctx, engine, c.Warm); err != nil {
			return 0, fmt.Errorf("warm-up: %w", err)
		}
		if counting {
			if _, err := b.server.admin.Exec(ctx, "select pg_stat_statements_reset()"); err != nil {
				return 0, err
			}
		}
		if _, err := b.server.admin.Exec(ctx, "checkpoint"); err != nil {
			return 0, err
		}
		start, err := b.server.position(ctx)
		if err != nil {
			return 0, err
		}
		before, err := b.server.spent(ctx, copyName)
		if err != nil {
			return 0, err
		}
		if r.Sample, err = b.play(ctx, engine, c.Runs); err != nil {
			return 0, err
		}
		after, err := b.server.spent(ctx, copyName)
		r.Cost = after.minus(before)
		if counting {
			c.Profile = b.server.inspect(ctx, start)
		}
		return c.Warm + c.Runs, err
	})
	// Sessions tell of these when they end, so the warm-up is in them: its share goes.
	share := float64(c.Runs) / float64(c.Warm+c.Runs)
	r.Cost.Transactions, r.Cost.Dead = counted.Transactions*share, counted.Dead*share
	return r, err
}

// copyName is the database in which a round is played.
const copyName = "bench_round"

// on copies the contestant's database, opens the engine on the copy and does something
// there which comes to a total of runs. It verifies that the database has these, and
// returns what its sessions counted in the meantime.
func (b *bench) on(ctx context.Context, c *contestant, counting bool, do func(Engine) (total int, err error)) (counted cost, err error) {
	url, err := b.server.create(ctx, copyName, c.base, b.plan.Sync)
	if err != nil {
		return counted, err
	}
	if err := b.server.count(ctx, copyName, counting); err != nil {
		return counted, err
	}
	before, err := b.server.counted(ctx, copyName)
	if err != nil {
		return counted, err
	}
	total := 0
	err = b.opened(ctx, c, url, func(engine Engine) (err error) {
		total, err = do(engine)
		return err
	})
	if err != nil {
		return counted, err
	}
	if counting && c.Profile != nil {
		if c.Profile.Functions, err = b.server.functions(ctx, copyName); err != nil {
			return counted, err
		}
	}
	after, err := b.server.counted(ctx, copyName)
	if err != nil {
		return counted, err
	}
	err = b.opened(ctx, c, url, func(engine Engine) error {
		if err := engine.Verify(ctx, total); err != nil {
			return fmt.Errorf("the result is wrong: %w", err)
		}
		return nil
	})
	return after.minus(before), errors.Join(err, b.server.drop(ctx, copyName))
}

// opened does something with the opened engine, closes it and waits until it is gone.
func (b *bench) opened(ctx context.Context, c *contestant, url string, do func(Engine) error) error {
	engine := c.make()
	err := engine.Open(ctx, url, c.Shape)
	if err == nil {
		err = do(engine)
	}
	return errors.Join(err, engine.Close(context.WithoutCancel(ctx)), b.server.left(ctx, copyName))
}

// play has an engine do its runs, within ten times the time that a round should last
// and a minute.
func (b *bench) play(ctx context.Context, engine Engine, runs int) (Sample, error) {
	if runs == 0 {
		return Sample{}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute+time.Duration(10*b.plan.Seconds)*time.Second)
	defer cancel()
	return engine.Run(ctx, runs, b.plan.Workers)
}
