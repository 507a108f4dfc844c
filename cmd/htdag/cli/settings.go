package cli

import (
	"cmp"
	"math"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/htdag/htdag/db/dbsqlc"
	"github.com/htdag/htdag/watcher"
)

// settings are what up and run can be told; names and defaults are part of the
// documented interface.
type settings struct {
	codebase    string
	once        bool
	concurrency int
	queues      []string
	name        string
	giveUp      time.Duration
	maintenance bool
	private     bool

	enabled            bool
	debounceMs         int
	includeExtensions  []string
	ignorePatterns     []string
	maxConcurrentDags  int
	rateLimitPerMinute int
	cpuThreshold       float64
	memoryThreshold    float64
}

func (s *settings) runnerFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.IntVar(&s.concurrency, "concurrency", runtime.GOMAXPROCS(0), "steps to work on at once")
	f.BoolVar(&s.maintenance, "maintenance", true, "take part in firing schedules and in upkeep; runners do what is needed of the latter without it")
	f.StringVar(&s.name, "runner-name", "", "name in reports (default host:process)")
	f.BoolVar(&s.private, "allow-private-webhooks", false, "send events to private and loopback addresses too, and without TLS")
}

func (s *settings) watchFlags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&s.enabled, "enabled", true, "watch after the first ingestion; --enabled=false stops there, as --once does")
	f.IntVar(&s.debounceMs, "debounce-delay-ms", 500, "quiet time after which a changed file is looked at")
	f.StringSliceVar(&s.includeExtensions, "include-extensions", nil, "only files with these extensions or names (default all)")
	f.StringSliceVar(&s.ignorePatterns, "ignore-patterns", nil, "further patterns to ignore, as in .gitignore")
	f.IntVar(&s.maxConcurrentDags, "max-concurrent-dags", 10, "runs of ingest_file at once")
	f.IntVar(&s.rateLimitPerMinute, "rate-limit-per-minute", 30, "starts of ingest_file a minute")
	f.Float64Var(&s.cpuThreshold, "cpu-threshold", 0.7, "share of processors in use above which new runs of ingest_file wait")
	f.Float64Var(&s.memoryThreshold, "memory-threshold", 0.8, "share of memory in use above which they wait")
}

// limits are those that were set by flag or environment. They live in the
// database; what nobody sets stays as it is there.
func (s *settings) limits(cmd *cobra.Command) dbsqlc.ChangeLimitsParams {
	p := dbsqlc.ChangeLimitsParams{Flow: "ingest_file"}
	given := cmd.Flags().Changed
	if dags := int32(s.maxConcurrentDags); given("max-concurrent-dags") {
		p.MaxConcurrentRuns = &dags
	}
	if rate := int32(s.rateLimitPerMinute); given("rate-limit-per-minute") {
		p.RatePerMinute = &rate
	}
	if given("cpu-threshold") {
		p.CpuThreshold = &s.cpuThreshold
	}
	if given("memory-threshold") {
		p.MemoryThreshold = &s.memoryThreshold
	}
	return p
}

// mostConcurrent bounds the handlers of one runner; each may take a connection.
const mostConcurrent = 1000

func (s *settings) checkRunner() error {
	return within("concurrency", s.concurrency, mostConcurrent)
}

func (s *settings) check() error {
	if s.codebase != strings.TrimSpace(s.codebase) {
		return usagef("--codebase is %q; it must not begin or end with a blank", s.codebase)
	}
	const hour = 3_600_000
	return cmp.Or(
		s.checkRunner(),
		within("debounce-delay-ms", s.debounceMs, hour),
		within("max-concurrent-dags", s.maxConcurrentDags, math.MaxInt32),
		within("rate-limit-per-minute", s.rateLimitPerMinute, math.MaxInt32),
		share("cpu-threshold", s.cpuThreshold),
		share("memory-threshold", s.memoryThreshold),
	)
}

// within checks a number that must be from 1 to most.
func within(flag string, n, most int) error {
	if n < 1 || n > most {
		return usagef("--%s is %d; it must be from 1 to %d", flag, n, most)
	}
	return nil
}

// share checks a number that must be above 0 and at most 1, which NaN is not.
func share(flag string, x float64) error {
	if !(x > 0 && x <= 1) {
		return usagef("--%s is %g; it must be above 0 and at most 1", flag, x)
	}
	return nil
}

func (s *settings) filter() watcher.Filter {
	return watcher.Filter{IgnorePatterns: s.ignorePatterns, IncludeExtensions: s.includeExtensions}
}

func (s *settings) debounce() time.Duration { return time.Duration(s.debounceMs) * time.Millisecond }
