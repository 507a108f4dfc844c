//go:build linux

package main_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/htdag/htdag/db/dbtest"
)

var (
	soakFor   = flag.Duration("soak", 16*time.Second, "how long TestSoak does things to its tree, waits for the law not counted")
	soakFiles = flag.Int("soak.files", 1000, "files in the tree of TestSoak")
	soakSeed  = flag.Uint64("soak.seed", 0, "seed of TestSoak; 0 takes one from the clock")
	soakWait  = flag.Duration("soak.wait", 3*time.Minute, "how long the law may take to hold once the disk is quiet; less than the five minutes after which the watcher looks anyway")
)

// Bounds of the soak. A process may grow while it is new; what it has at most in the
// second half of its life must not be much more than in the first.
const (
	soakIdleCPU   = 0.01 // of one processor
	soakMoreShare = 0.30
	soakMoreKB    = 48 << 10
)

// TestSoak has several writers do random things to a tree, while the process that
// watches it is killed, its event queue overflows, and the database goes away and
// comes back. Whenever the disk is quiet the database comes to hold what git says is
// there. Then the process is left alone under load and must not grow, and left alone
// without load and must do nothing.
func TestSoak(t *testing.T) {
	t.Parallel()
	if *soakWait >= 270*time.Second {
		t.Fatal("-soak.wait is so long that the periodic look at everything could hide what was missed")
	}
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed: -soak.seed=%d", seed)
	s := newSoak(t, seed, *soakFiles)
	s.up()
	s.lawHolds("the first ingestion")

	// Two thirds of the time with accidents, in rounds; then one long round without,
	// for what a process must show that lives.
	round := max(*soakFor/30, 5*time.Second)
	for left, n := *soakFor*2/3, 1; left > 0; left, n = left-round, n+1 {
		for _, what := range s.round(round, s.accidents) {
			s.count[what]++
		}
		s.lawHolds(fmt.Sprintf("round %d", n))
		s.tree.refill(s.writer(), *soakFiles)
	}
	s.afresh()
	sampling, sampled := make(chan struct{}), make(chan []int, 1)
	p := s.process
	go func() { sampled <- p.sizes(sampling) }()
	s.round(*soakFor/3, nil)
	s.lawHolds("the last round")
	close(sampling)
	s.flat(<-sampled)
	s.idle(min(max(*soakFor/20, 5*time.Second), 30*time.Second))

	pool := s.pool()
	dbtest.CheckInvariants(t, pool)
	s.process.interrupt()
	slices.Sort(s.took)
	t.Logf("%d files at the end; %d operations, %v; law after %s (median) to %s", len(s.onDisk()), s.operations.Load(), s.count,
		s.took[len(s.took)/2].Round(time.Millisecond), s.took[len(s.took)-1].Round(time.Millisecond))
}

// round has the writers at work for a while, and accidents happen meanwhile.
func (s *soak) round(length time.Duration, accidents func(end time.Time) []string) (happened []string) {
	end := time.Now().Add(length)
	var writers sync.WaitGroup
	defer writers.Wait() // also where an accident fails the test
	for range 4 {
		w := s.writer()
		writers.Go(func() { w.write(end) })
	}
	if accidents != nil {
		happened = accidents(end)
	}
	writers.Wait()
	s.tree.settle()
	return happened
}

// accidents lets one to three things happen before the end of a round.
func (s *soak) accidents(end time.Time) (happened []string) {
	all := map[string]func(){
		"killed":             func() { s.process.kill(); s.pause(2 * time.Second); s.up() },
		"overflown":          s.overflow,
		"database restarted": func() { s.stopDatabase(); s.pause(3 * time.Second); s.startDatabase() },
		"database killed":    func() { s.killDatabase(); s.pause(3 * time.Second); s.startDatabase() },
		"both killed":        func() { s.killDatabase(); s.process.kill(); s.pause(2 * time.Second); s.startDatabase(); s.up() },
		"frozen":             func() { s.process.freeze(); s.pause(3 * time.Second); s.process.thaw() },
	}
	names := []string{"killed", "overflown", "database restarted", "database killed", "both killed", "frozen"}
	for range 1 + s.IntN(3) {
		s.pause(time.Until(end) / 2)
		if time.Now().After(end) {
			break
		}
		s.revive()
		what := names[s.IntN(len(names))]
		s.t.Logf("%s  %s", time.Now().Format(time.TimeOnly), what)
		all[what]()
		happened = append(happened, what)
	}
	return happened
}

// pause waits for a random time up to most.
func (s *soak) pause(most time.Duration) {
	if most > 0 {
		time.Sleep(rand.N(most))
	}
}

// flat expects that what a process holds of memory does not grow, whatever it has done.
func (s *soak) flat(sizes []int) {
	if len(sizes) < 4 {
		s.t.Errorf("the size of the process was taken only %d times", len(sizes))
		return
	}
	first, second := slices.Max(sizes[:len(sizes)/2]), slices.Max(sizes[len(sizes)/2:])
	s.t.Logf("resident memory: at most %d MB in the first half of the last round, %d MB in the second", first>>10, second>>10)
	if float64(second) > float64(first)*(1+soakMoreShare)+soakMoreKB {
		s.t.Errorf("the process grew from %d kB to %d kB", first, second)
	}
}

// idle expects that a process with nothing to do does nothing. What ended the last
// round has its own aftermath, and whatever shares the machine has its effects on this
// process too; so it may take three tries to see it idle.
func (s *soak) idle(length time.Duration) {
	least := 1.0
	limit := soakIdleCPU
	if length < 20*time.Second {
		limit *= 3 // a short look counts few ticks, and what the round before has left to do
	}
	for try := 0; try < 3 && least > limit; try++ {
		before, began := s.process.processorTime(), time.Now()
		time.Sleep(length)
		used, passed := s.process.processorTime()-before, time.Since(began)
		least = min(least, used.Seconds()/passed.Seconds())
		s.t.Logf("idle: %.2f %% of a processor over %s", 100*used.Seconds()/passed.Seconds(), passed.Round(time.Second))
	}
	if least > limit {
		s.t.Errorf("an idle process used %.2f %% of a processor, more than %.0f %%", 100*least, 100*limit)
	}
}

// lawHolds waits until the database holds exactly what is on disk, all of it ingested.
func (s *soak) lawHolds(when string) {
	s.t.Helper()
	began := time.Now()
	want := s.onDisk()
	var diff []string
	for {
		got, pending, err := s.recorded()
		switch {
		case err != nil:
			diff = []string{err.Error()}
		default:
			diff = differences(want, got)
			if len(diff) == 0 && pending == (work{}) {
				took := time.Since(began)
				s.t.Logf("%s: %d files, the law holds after %s", when, len(want), took.Round(time.Millisecond))
				s.took = append(s.took, took)
				return
			}
			diff = append(diff, fmt.Sprintf("%d files are not ingested yet, %d runs have not ended", pending.files, pending.runs))
		}
		s.revive()
		select {
		case <-s.process.done:
			s.t.Fatalf("%s: the process ended by itself:\n%s", when, s.process.stderr.String())
		default:
		}
		if time.Since(began) > *soakWait {
			s.tree.dump(s.t)
			s.t.Logf("what has not ended:\n%s", s.unfinished())
			s.t.Fatalf("%s: %s after the disk became quiet the database differs:\n%s", when, *soakWait, strings.Join(diff[:min(len(diff), 20)], "\n"))
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// differences names the paths of which the database says something else than the disk.
func differences(disk, database map[string]string) (diff []string) {
	for path, sum := range disk {
		if got, ok := database[path]; !ok {
			diff = append(diff, "missing: "+path)
		} else if got != sum {
			diff = append(diff, "outdated: "+path)
		}
	}
	for path := range database {
		if _, ok := disk[path]; !ok {
			diff = append(diff, "gone from disk: "+path)
		}
	}
	slices.Sort(diff)
	return diff
}
