package localpg

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// setting is one line of the configuration.
type setting struct{ name, value string }

// plan is what the settings depend on.
type plan struct {
	port       int
	socketDir  string
	id         string
	ephemeral  bool
	memory     uint64 // bytes, 0 unknown
	sysvShared bool   // /dev/shm is too small
	toast, wal string // compression methods
	extra      map[string]string
}

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)?$`)

// settings returns the configuration for a server that shares its machine with
// the programs that use it: a quarter of memory, and no durability given up
// unless the server is ephemeral.
func (p plan) settings() []setting {
	list := []setting{
		{"listen_addresses", "127.0.0.1"},
		{"port", strconv.Itoa(p.port)},
		{"unix_socket_directories", p.socketDir},
		{"unix_socket_permissions", "0700"},
		{"cluster_name", p.id},
		{"max_connections", "100"},

		{"shared_buffers", megabytes(p.memory/4, 128, p.most(1024, 256))},
		{"effective_cache_size", megabytes(p.memory/2, 256, 1<<20)},
		{"work_mem", megabytes(p.memory/256, 4, 32)},
		{"maintenance_work_mem", megabytes(p.memory/32, 64, 512)},
		{"random_page_cost", "1.1"}, // no disk with a moving head is assumed
		{"jit", "off"},              // many short statements: compiling them costs more than running them
		{"default_toast_compression", p.toast},

		{"wal_compression", p.wal},
		{"max_wal_size", "4GB"},
		{"checkpoint_completion_target", "0.9"},

		{"logging_collector", "off"},
		{"log_destination", "stderr"},
		{"log_line_prefix", "%m [%p] %q%u@%d "},
		{"lc_messages", "C"}, // failures are recognized by their English messages
	}
	durability := "on"
	if p.ephemeral {
		durability = "off"
	}
	for _, name := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		list = append(list, setting{name, durability})
	}
	if p.sysvShared {
		list = append(list, setting{"dynamic_shared_memory_type", "sysv"})
	}
	for _, name := range slices.Sorted(maps.Keys(p.extra)) {
		list = append(list, setting{name, p.extra[name]})
	}
	return list
}

func (p plan) most(durable, ephemeral uint64) uint64 {
	if p.ephemeral {
		return ephemeral
	}
	return durable
}

func megabytes(bytes, floor, ceiling uint64) string {
	return fmt.Sprintf("%dMB", min(max(bytes>>20, floor), ceiling))
}

// text is the configuration file.
func (p plan) text() string {
	var b strings.Builder
	b.WriteString("# Written by htdag at each start: changes made here are lost. Settings of your own go\n" +
		"# to the end of data/postgresql.conf, or are made with ALTER SYSTEM; both win over these.\n\n")
	for _, s := range p.settings() {
		fmt.Fprintf(&b, "%s = %s\n", s.name, quoted(s.value))
	}
	return b.String()
}

var quoting = strings.NewReplacer(`'`, `''`, `\`, `\\`, "\n", `\n`, "\r", `\r`)

func quoted(value string) string { return "'" + quoting.Replace(value) + "'" }

// supported returns the first of the values that the server knows for a setting.
// Asking the server itself is exact where the flags of its build are not at hand.
// The last value is taken unasked: every version knows it.
func (in *instance) supported(ctx context.Context, bins Binaries, name string, values ...string) string {
	for _, v := range values[:len(values)-1] {
		_, err := in.who.run(ctx, in.path, bins.path("postgres"),
			"-C", name, "-D", in.file(dataName), "-c", "config_file=/dev/null", "-c", name+"="+v)
		if err == nil {
			return v
		}
	}
	return values[len(values)-1]
}
