//go:build linux

package watcher

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

var (
	soakFor  = flag.Duration("watcher.soak", 2*time.Second, "how long each soak test does things to its tree")
	soakSeed = flag.Uint64("watcher.seed", 0, "seed of the soak tests; 0 takes one from the clock")
)

// soaker does random things to a tree. Errors are part of the game: names are
// few, so that operations meet.
type soaker struct {
	*rand.Rand
	dir, away string
	hardLinks bool
	log       []string
}

var soakNames = []string{"a", "b", "c", "d.go", "e.go", "f.txt", "g\n", "h\xff", "node_modules", "i.log"}

// path picks a path of up to four elements.
func (s *soaker) path() string {
	p := s.dir
	for range 1 + s.IntN(4) {
		p = filepath.Join(p, soakNames[s.IntN(len(soakNames))])
	}
	return p
}

// existing picks something that is there, where it can.
func (s *soaker) existing(wantDir bool) string {
	p := s.dir
	for range 4 {
		entries, err := os.ReadDir(p)
		if err != nil || len(entries) == 0 {
			break
		}
		e := entries[s.IntN(len(entries))]
		p = filepath.Join(p, e.Name())
		if !e.IsDir() || wantDir && s.IntN(2) == 0 {
			break
		}
	}
	if p == s.dir {
		return s.path()
	}
	return p
}

func (s *soaker) content() []byte {
	b := make([]byte, s.IntN(200))
	for i := range b {
		b[i] = byte('a' + s.IntN(3))
	}
	return b
}

func (s *soaker) write(path string, flags int) error { return s.put(path, flags, s.content()) }

// put writes without waiting where the path leads to a FIFO.
func (s *soaker) put(path string, flags int, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK|flags, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.Write(data)
	return err
}

func (s *soaker) step() {
	a, b := s.existing(false), s.path()
	var what string
	var err error
	switch n := s.IntN(100); {
	case n < 22:
		what = "write " + b
		err = s.write(b, os.O_CREATE|os.O_TRUNC)
	case n < 34:
		what = "write " + a
		err = s.write(a, os.O_CREATE|os.O_TRUNC)
	case n < 40:
		what = "append " + a
		err = s.write(a, os.O_APPEND)
	case n < 47:
		what = "remove " + a
		err = os.Remove(a)
	case n < 57:
		what = "mkdir -p and write in " + b
		if err = os.MkdirAll(b, 0o755); err == nil {
			err = s.write(filepath.Join(b, soakNames[s.IntN(6)]), os.O_CREATE)
		}
	case n < 72:
		a = s.existing(true)
		what = "rename " + a + " to " + b
		err = os.Rename(a, b)
	case n < 76:
		a, b = s.existing(true), s.existing(true)
		what = "rename " + a + " over " + b
		err = os.Rename(a, b)
	case n < 80:
		a = s.existing(true)
		what = "remove all of " + a
		err = os.RemoveAll(a)
	case n < 83:
		out := filepath.Join(s.away, fmt.Sprint(s.IntN(5)))
		a = s.existing(true)
		what = "move " + a + " out"
		err = os.Rename(a, out)
	case n < 86:
		out := filepath.Join(s.away, fmt.Sprint(s.IntN(5)))
		what = "move in to " + b
		err = os.Rename(out, b)
	case n < 89:
		what = "link " + b
		err = os.Symlink([]string{a, ".", "nowhere", s.away}[s.IntN(4)], b)
	case n < 91 && s.hardLinks:
		what = "hard link " + b
		err = os.Link(a, b)
	case n < 93:
		what = "fifo " + b
		err = syscall.Mkfifo(b, 0o644)
	case n < 96:
		what = "chmod " + a
		if fi, e := os.Lstat(a); e == nil && fi.Mode().IsRegular() {
			err = os.Chmod(a, os.FileMode(0o600+s.IntN(0o177)))
		}
	default:
		dir := s.existing(true)
		name := []string{".gitignore", ".htdagignore", "Cargo.toml"}[s.IntN(3)]
		what = "rules in " + dir + "/" + name
		text := []string{"", "*.go\n", "a/\n!b\n", "*.log\n", "/c\n!e.go\n", "!node_modules\n"}[s.IntN(6)]
		err = s.put(filepath.Join(dir, name), os.O_CREATE|os.O_TRUNC, []byte(text))
	}
	s.log = append(s.log, fmt.Sprintf("%q %v", what, err))
}

// TestSoak does random things to a tree, as fast as it can or with pauses, and
// every now and then waits until what is recorded equals the disk.
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	// One thing only time can tell: a file may be written through a hard link in an
	// ignored directory. There the periodic reconcile is part of the law.
	const nowAndThen = 2 * time.Second
	for name, o := range map[string]Options{
		"events":       {},
		"hard links":   {ReconcileInterval: nowAndThen},
		"few bursts":   {BurstSize: 1 << 20},
		"polled":       {newNotifier: limited(0)},
		"some of each": {newNotifier: limited(4), BurstSize: 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Logf("seed: -watcher.seed=%d", seed)
			dir := t.TempDir()
			s := &soaker{hardLinks: o.ReconcileInterval > 0, Rand: rand.New(rand.NewPCG(seed, 1)), dir: in(dir, "tree"), away: in(dir, "away")}
			must(t, os.Mkdir(s.dir, 0o755))
			must(t, os.Mkdir(s.away, 0o755))
			write(t, s.dir, "a/first.go", "package first")
			o.DebounceDelay = 20 * time.Millisecond
			o.PollInterval = 50 * time.Millisecond
			w := watch(t, s.dir, o)
			t.Cleanup(func() {
				if t.Failed() {
					for _, l := range s.log {
						t.Log(l)
					}
				}
			})
			rounds, steps := 0, 0
			for end := time.Now().Add(*soakFor); time.Now().Before(end); rounds++ {
				s.log = nil
				calm := s.IntN(3) == 0
				for range 1 + s.IntN(120) {
					s.step()
					steps++
					if calm {
						time.Sleep(time.Duration(s.IntN(8)) * time.Millisecond)
					}
					switch s.IntN(60) {
					case 0:
						w.set(func() { w.down = errors.New("away") })
					case 1, 2, 3:
						w.set(func() { w.down = nil })
					}
				}
				w.set(func() { w.down = nil })
				if _, err := os.Lstat(s.dir); err != nil {
					must(t, os.Mkdir(s.dir, 0o755))
				}
				w.agrees()
			}
			t.Logf("%d rounds, %d steps", rounds, steps)
		})
	}
}
