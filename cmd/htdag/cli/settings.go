package cli

import (
	"cmp"
	"math"
	"path/filepath"
	"runtime"
	"slices"
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
	config      string
	once        bool
	concurrency int
	queues      []string
	name        string
	giveUp      time.Duration
	maintenance bool
	private     bool

	enabled            bool
	watchDirectories   []string
	watchMode          string
	pollMs             int
	debounceMs         int
	maxConcurrentDags  int
	rateLimitPerMinute int
	cpuThreshold       float64
	memoryThreshold    float64
	batchSize          int
	dependencyAware    bool
	maxRetries         int
	backoffMultiplier  float64
	initialDelayMs     int
	includeExtensions  []string
	ignorePatterns     []string
	nodeTimeoutMs      int
	dagTimeoutMs       int
	autoDetectCodebase bool
	defaultCodebaseID  string

	gates     gates
	embedding embedding
}

// setting is one of those that a settings file can hold as well.
type setting struct {
	key    string // in the file; a dot stands between a section and a key in it
	effect string // where it works
}

// The effects that there are.
const (
	inProcess  = "this process, from its start"
	inAll      = "this process, from its start; every process of a database needs the same"
	inDatabase = "the database: everywhere, at once"
	inNewRuns  = "the database: runs that start from then on"
)

// documented are the settings in the order in which they are shown.
var documented = []setting{
	{"enabled", inProcess},
	{"watch_directories", inProcess},
	{"watch_mode", inProcess},
	{"poll_interval_ms", inProcess},
	{"debounce_delay_ms", inProcess},
	{"max_concurrent_dags", inDatabase},
	{"rate_limit_per_minute", inDatabase},
	{"cpu_threshold", inDatabase},
	{"memory_threshold", inDatabase},
	{"batch_size", inProcess},
	{"dependency_aware", inProcess},
	{"retry_policy.max_retries", inNewRuns},
	{"retry_policy.backoff_multiplier", inNewRuns},
	{"retry_policy.initial_delay_ms", inNewRuns},
	{"include_extensions", inProcess},
	{"ignore_patterns", inProcess},
	{"node_timeout_ms", inNewRuns},
	{"dag_timeout_ms", inNewRuns},
	{"auto_detect_codebase", inProcess},
	{"default_codebase_id", inProcess},
	{"mask_secrets", inAll},
	{"max_parse_bytes", inAll},
	{"max_file_bytes", inAll},
	{"embedding_provider", inAll},
	{"embedding_url", inAll},
	{"embedding_model", inAll},
	{"embedding_file", inAll},
	{"embedding_dimensions", inAll},
	{"embedding_batch_size", inProcess},
	{"embedding_timeout_ms", inProcess},
	{"embedding_tokens_per_day", inProcess},
	{"embedding_tokens_in_all", inProcess},
}

// flag is the name of the flag that says the same.
func (s setting) flag() string {
	_, name := s.parts()
	return strings.ReplaceAll(name, "_", "-")
}

func (s setting) parts() (section, name string) {
	if section, name, ok := strings.Cut(s.key, "."); ok {
		return section, name
	}
	return "", s.key
}

// variable is the environment variable of a flag.
func variable(flag string) string {
	return "HTDAG_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
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
	f.StringVar(&s.config, "config", "", "settings file (default htdag.yaml in the working directory or, if there is none, in the directory to watch)")
	f.BoolVar(&s.enabled, "enabled", true, "watch after the first ingestion; if not, the process ends there, as with --once")
	f.StringSliceVar(&s.watchDirectories, "watch-directories", nil, "directories to watch where none are named as arguments")
	f.StringVar(&s.watchMode, "watch-mode", "auto", "how changes are found: events, poll, or auto, which polls network file systems and those in user space")
	f.IntVar(&s.pollMs, "poll-interval-ms", 2000, "time between two looks at directories that are polled")
	f.IntVar(&s.debounceMs, "debounce-delay-ms", 500, "quiet time after which a changed file is looked at")
	f.IntVar(&s.maxConcurrentDags, "max-concurrent-dags", 10, "runs of ingest_file at once")
	f.IntVar(&s.rateLimitPerMinute, "rate-limit-per-minute", 30, "starts of ingest_file a minute")
	f.Float64Var(&s.cpuThreshold, "cpu-threshold", 0.7, "share of processors in use above which new runs of ingest_file wait")
	f.Float64Var(&s.memoryThreshold, "memory-threshold", 0.8, "share of memory in use above which they wait")
	f.IntVar(&s.batchSize, "batch-size", 10, "changed files recorded, and their runs started, in one transaction")
	f.BoolVar(&s.dependencyAware, "dependency-aware", true, "in a whole ingestion, begin with files that others import")
	f.IntVar(&s.maxRetries, "max-retries", 3, "further tries of a step that failed")
	f.Float64Var(&s.backoffMultiplier, "backoff-multiplier", 2, "how much longer each delay between tries is than the one before")
	f.IntVar(&s.initialDelayMs, "initial-delay-ms", 1000, "delay before the second try of a step; twice as long in ingest_codebase")
	f.StringSliceVar(&s.includeExtensions, "include-extensions", nil, "if there are some, only files with these extensions or names")
	f.StringSliceVar(&s.ignorePatterns, "ignore-patterns", nil, "further patterns to ignore, as in .gitignore")
	f.IntVar(&s.nodeTimeoutMs, "node-timeout-ms", 60000, "time limit of the longest steps of ingest_file; shorter ones change in proportion")
	f.IntVar(&s.dagTimeoutMs, "dag-timeout-ms", 300000, "time limit of a run of ingest_file")
	f.BoolVar(&s.autoDetectCodebase, "auto-detect-codebase", true, "name a codebase after its git remote or its directory")
	s.gates.flags(f)
	s.embedding.flags(f)
	f.StringVar(&s.defaultCodebaseID, "default-codebase-id", "", "name of a codebase that has no git remote, or of any if names are not detected")
}

// limits are those that were given. They live in the database; what nobody gives
// stays as it is there.
func (s *settings) limits(cmd *cobra.Command) dbsqlc.ChangeLimitsParams {
	given := cmd.Flags().Changed
	return dbsqlc.ChangeLimitsParams{
		Flow:              "ingest_file",
		MaxConcurrentRuns: when(given("max-concurrent-dags"), int32(s.maxConcurrentDags)),
		RatePerMinute:     when(given("rate-limit-per-minute"), int32(s.rateLimitPerMinute)),
		CpuThreshold:      when(given("cpu-threshold"), s.cpuThreshold),
		MemoryThreshold:   when(given("memory-threshold"), s.memoryThreshold),
	}
}

// policy is what was given of retries and time limits, which live in the database too.
func (s *settings) policy(cmd *cobra.Command) dbsqlc.SetPolicyParams {
	given := cmd.Flags().Changed
	return dbsqlc.SetPolicyParams{
		MaxRetries:        when(given("max-retries"), int32(s.maxRetries)),
		BackoffMultiplier: when(given("backoff-multiplier"), s.backoffMultiplier),
		InitialDelay:      when(given("initial-delay-ms"), milliseconds(s.initialDelayMs)),
		NodeTimeout:       when(given("node-timeout-ms"), milliseconds(s.nodeTimeoutMs)),
		DagTimeout:        when(given("dag-timeout-ms"), milliseconds(s.dagTimeoutMs)),
	}
}

func when[T any](given bool, v T) *T {
	if !given {
		return nil
	}
	return &v
}

// mostConcurrent bounds the handlers of one runner; each may take a connection.
const mostConcurrent = 1000

func (s *settings) checkRunner() error {
	return within("concurrency", s.concurrency, 1, mostConcurrent)
}

func (s *settings) check() error {
	const day = 24 * 3_600_000
	return cmp.Or(
		noBlanks("codebase", s.codebase),
		directories("watch-directories", s.watchDirectories),
		oneOf("watch-mode", s.watchMode, string(watcher.Auto), string(watcher.Events), string(watcher.Poll)),
		within("poll-interval-ms", s.pollMs, 10, day/24),
		within("debounce-delay-ms", s.debounceMs, 1, day/24),
		within("max-concurrent-dags", s.maxConcurrentDags, 1, math.MaxInt32),
		within("rate-limit-per-minute", s.rateLimitPerMinute, 1, math.MaxInt32),
		share("cpu-threshold", s.cpuThreshold),
		share("memory-threshold", s.memoryThreshold),
		within("batch-size", s.batchSize, 1, 1000),
		within("max-retries", s.maxRetries, 0, 1000),
		between("backoff-multiplier", s.backoffMultiplier, 1, 1000),
		within("initial-delay-ms", s.initialDelayMs, 0, day),
		within("node-timeout-ms", s.nodeTimeoutMs, 1, day),
		within("dag-timeout-ms", s.dagTimeoutMs, 1, 30*day),
		noBlanks("default-codebase-id", s.defaultCodebaseID),
		s.gates.check(),
		s.embedding.check(),
	)
}

// within checks a whole number.
func within(flag string, n, least, most int) error {
	if n < least || n > most {
		return usagef("--%s is %d; it must be from %d to %d", flag, n, least, most)
	}
	return nil
}

// oneOf checks a word.
func oneOf(flag, word string, words ...string) error {
	if !slices.Contains(words, word) {
		return usagef("--%s is %q; it must be %s", flag, word, strings.Join(words, ", "))
	}
	return nil
}

// between checks a number, which NaN is not.
func between(flag string, x, least, most float64) error {
	if !(x >= least && x <= most) {
		return usagef("--%s is %g; it must be from %g to %g", flag, x, least, most)
	}
	return nil
}

// share checks a number that must be above 0 and at most 1.
func share(flag string, x float64) error {
	if !(x > 0 && x <= 1) {
		return usagef("--%s is %g; it must be above 0 and at most 1", flag, x)
	}
	return nil
}

func noBlanks(flag, name string) error {
	if name != strings.TrimSpace(name) {
		return usagef("--%s is %q; it must not begin or end with a blank", flag, name)
	}
	return nil
}

func directories(flag string, dirs []string) error {
	if slices.Contains(dirs, "") {
		return usagef("--%s is %q; each must name a directory", flag, dirs)
	}
	return nil
}

func (s *settings) filter() watcher.Filter {
	return watcher.Filter{IgnorePatterns: s.ignorePatterns, IncludeExtensions: s.includeExtensions}
}

// watching says whether the process goes on after the first ingestion.
func (s *settings) watching() bool { return s.enabled && !s.once }

func (s *settings) debounce() time.Duration { return milliseconds(s.debounceMs) }

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// below names directories relative to another one, where they are not absolute.
func below(dir string, names []string) []string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = name
		if name != "" && !filepath.IsAbs(name) {
			all[i] = filepath.Join(dir, name)
		}
	}
	return all
}
