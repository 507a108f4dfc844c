package cli

import (
	"runtime"
	"time"

	"github.com/spf13/cobra"

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
	f.StringVar(&s.name, "runner-name", "", "name in reports (default host:process)")
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

// limitsGiven says whether any of the limits was set by flag or environment. They
// live in the database; what nobody sets stays as it is there.
func limitsGiven(cmd *cobra.Command) bool {
	for _, name := range []string{"max-concurrent-dags", "rate-limit-per-minute", "cpu-threshold", "memory-threshold"} {
		if cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

func (s *settings) check() error {
	switch {
	case s.debounceMs <= 0:
		return usagef("--debounce-delay-ms is %d; it must be more than 0", s.debounceMs)
	case s.concurrency <= 0:
		return usagef("--concurrency is %d; it must be more than 0", s.concurrency)
	case s.maxConcurrentDags <= 0:
		return usagef("--max-concurrent-dags is %d; it must be more than 0", s.maxConcurrentDags)
	case s.rateLimitPerMinute <= 0:
		return usagef("--rate-limit-per-minute is %d; it must be more than 0", s.rateLimitPerMinute)
	case s.cpuThreshold <= 0 || s.cpuThreshold > 1:
		return usagef("--cpu-threshold is %g; it must be above 0 and at most 1", s.cpuThreshold)
	case s.memoryThreshold <= 0 || s.memoryThreshold > 1:
		return usagef("--memory-threshold is %g; it must be above 0 and at most 1", s.memoryThreshold)
	}
	return nil
}

func (s *settings) filter() watcher.Filter {
	return watcher.Filter{IgnorePatterns: s.ignorePatterns, IncludeExtensions: s.includeExtensions}
}

func (s *settings) debounce() time.Duration { return time.Duration(s.debounceMs) * time.Millisecond }
