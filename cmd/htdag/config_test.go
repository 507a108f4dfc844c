package main_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/htdag/htdag/db/dbtest"
)

// shownSetting is one setting as htdag config --json has it.
type shownSetting struct {
	Setting string
	Value   any
	Origin  string
	Default any
	Effect  string `json:"takes_effect_in"`
}

func config(t *testing.T, args []string, options ...option) []shownSetting {
	t.Helper()
	var all []shownSetting
	if err := json.Unmarshal([]byte(succeed(t, append(args, "--json"), options...).stdout), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// The example says of every setting what it is without being set.
func TestConfigExample(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{"htdag.yaml": succeed(t, []string{"config", "example"}).stdout})
	all := config(t, []string{"config"}, in(dir))
	if len(all) != 32 {
		t.Errorf("there are %d settings, want 32", len(all))
	}
	for _, s := range all {
		if diff := cmp.Diff(s.Default, s.Value); diff != "" {
			t.Errorf("%s (-default +example):\n%s", s.Setting, diff)
		}
		if !strings.HasPrefix(s.Origin, "htdag.yaml:") {
			t.Errorf("%s comes from %s, not the example", s.Setting, s.Origin)
		}
	}
}

// Flags win over variables, these over the file, and the file is found in the working
// directory before the one to watch.
func TestConfigPrecedence(t *testing.T) {
	t.Parallel()
	dir := openDir(t)
	write(t, dir, map[string]string{
		"here/htdag.yaml":  "batch_size: 1\nmax_retries: 1\n",
		"tree/htdag.yaml":  "batch_size: 2\ndebounce_delay_ms: 2\ncpu_threshold: 0.2\n",
		"other/htdag.yaml": "batch_size: 3\n",
		"named.yaml":       "batch_size: 4\n",
	})
	here, tree, other := in(dir+"/here"), dir+"/tree", dir+"/other"
	variables := env("HTDAG_BATCH_SIZE=5", "HTDAG_DEBOUNCE_DELAY_MS=5", "HTDAG_IGNORE_PATTERNS=a,b")
	for _, c := range []struct {
		name    string
		args    []string
		options []option
		want    string // of debounce_delay_ms, cpu_threshold, batch_size and ignore_patterns: value and origin
	}{
		{"tree", []string{tree}, nil, "2 FILE:2, 0.2 FILE:3, 2 FILE:1, [] default"},
		{"named", []string{tree, "--config", dir + "/named.yaml"}, nil, "500 default, 0.7 default, 4 FILE:1, [] default"},
		{"environment", []string{tree}, []option{variables}, "5 HTDAG_DEBOUNCE_DELAY_MS, 0.2 FILE:3, 5 HTDAG_BATCH_SIZE, [a b] HTDAG_IGNORE_PATTERNS"},
		{"flag", []string{tree, "--batch-size=6"}, []option{variables}, "5 HTDAG_DEBOUNCE_DELAY_MS, 0.2 FILE:3, 6 --batch-size, [a b] HTDAG_IGNORE_PATTERNS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, s := range config(t, append([]string{"config"}, c.args...), c.options...) {
				switch s.Setting {
				case "batch_size", "debounce_delay_ms", "cpu_threshold", "ignore_patterns":
					origin := s.Origin
					if i := strings.LastIndexByte(origin, ':'); i >= 0 {
						origin = "FILE" + origin[i:]
					}
					value, _ := json.Marshal(s.Value)
					got = append(got, strings.NewReplacer(`"`, "", ",", " ").Replace(string(value))+" "+origin)
				}
			}
			if diff := cmp.Diff(c.want, strings.Join(got, ", ")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
	oneError(t, run(t, []string{"config", tree}, here), 2, "htdag.yaml:2: max_retries: 1 is no setting", "retry_policy")
	oneError(t, run(t, []string{"config", tree, other}), 2, tree+"/htdag.yaml", other+"/htdag.yaml", "--config")
}

// A settings file may say all that the command line does.
func TestUpFromFile(t *testing.T) {
	t.Parallel()
	pool := dbtest.New(t)
	dir := openDir(t)
	write(t, dir, map[string]string{
		"etc/htdag.yaml": "enabled: false\nwatch_directories: [../first, ../second]\ninclude_extensions: [py]\nignore_patterns: [\"*_old.py\"]\n" +
			"max_concurrent_dags: 3\nrate_limit_per_minute: 10000\ncpu_threshold: 1\nmemory_threshold: 1\nretry_policy:\n  max_retries: 1\n",
		"first/a.py": "def a(): pass\n", "first/a_old.py": "def old(): pass\n", "first/a.go": "package a\n",
		"second/b.py": "def b(): pass\n",
	})
	succeed(t, at(pool, "up"), in(dir+"/etc"))
	if got := strings.Join(dbtest.Column[string](t, pool, "select codebase || '/' || path from report.files order by 1"), " "); got != "first/a.py second/b.py" {
		t.Errorf("files are %q", got)
	}
	if got := rows(t, pool, "select max_concurrent, max_retries from report.limits, report.policy where name = 'ingest_file'"); got[0] != "3\t1" {
		t.Errorf("limits and policy are %q", got)
	}
	// The same again makes no new version of a flow, another policy does; runs keep theirs.
	versions := "select string_agg(flow || ' ' || version, ', ' order by flow) from report.flows where flow like 'ingest%'"
	before := dbtest.Value[string](t, pool, versions)
	succeed(t, at(pool, "up"), in(dir+"/etc"))
	if got := dbtest.Value[string](t, pool, versions); got != before {
		t.Errorf("versions are %s, and were %s before the same settings were given again", got, before)
	}
	succeed(t, at(pool, "up", "--dag-timeout-ms=1000", "--max-retries=2"), in(dir+"/etc"))
	if got := dbtest.Value[string](t, pool, versions); got == before {
		t.Errorf("versions are still %s after the policy has changed", got)
	}
}

// A codebase is named after its remote, unless somebody else has the name, or it has a
// name already.
func TestCodebaseNames(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	pool := dbtest.New(t)
	dir := openDir(t)
	for _, name := range []string{"clone", "second", "plain", "known", "ssh"} {
		write(t, filepath.Join(dir, name), map[string]string{"a.py": "def a(): pass\n"})
	}
	git := func(root string, args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", filepath.Join(dir, root), "-c", "user.name=a", "-c", "user.email=a@example.test"}, args...)...)
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
	}
	for root, remote := range map[string]string{"clone": "https://code.example/team/shop.git", "second": "https://code.example/team/shop.git/", "ssh": "git@code.example:tools"} {
		git(root, "init", "-q")
		git(root, "remote", "add", "origin", remote)
	}
	git("clone", "add", ".")
	git("clone", "commit", "-q", "-m", "first")
	git("clone", "worktree", "add", "-q", "../tree")
	dbtest.Exec(t, pool, "select code.register_codebase('early', '"+dir+"/known')")

	for _, c := range []struct {
		root string
		args []string
		want string
	}{
		{"clone", nil, "shop"},
		{"clone", nil, "shop"},
		{"second", nil, "second"}, // shop is somebody else's
		{"tree", nil, "tree"},     // a linked work tree, one of many
		{"ssh", []string{"--default-codebase-id=unused"}, "tools"},
		{"known", []string{"--default-codebase-id=unused"}, "early"},
		{"plain", []string{"--default-codebase-id=fixed"}, "fixed"},
	} {
		succeed(t, upOnce(pool, append(c.args, filepath.Join(dir, c.root))...))
		got := dbtest.Value[string](t, pool, "select string_agg(name, ' ') from code.codebases where root = $1", filepath.Join(dir, c.root))
		if got != c.want {
			t.Errorf("the codebase of %s is %q, want %q", c.root, got, c.want)
		}
	}
	oneError(t, run(t, upOnce(pool, "--auto-detect-codebase=false", dir+"/plain")), 2, dir+"/plain", "--codebase", "default_codebase_id")
	oneError(t, run(t, upOnce(pool, "--auto-detect-codebase=false", "--default-codebase-id=shop", dir+"/plain")), 1, "shop", dir+"/clone")

	// Two work trees of one repository are two codebases that share their contents.
	if got := rows(t, pool, `select count(distinct f.codebase_id), count(distinct f.sha256), (select count(*) from code.blobs)
		from code.files f join code.codebases c using (codebase_id) where c.name in ('shop', 'tree')`); got[0] != "2\t1\t1" {
		t.Errorf("codebases, contents, blobs: %q, want 2, 1 and 1", got[0])
	}
}

// The README's table of settings is what the command says of itself.
func TestReadmeSettings(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n### Settings\n")
	section, _, _ = strings.Cut(section, "\n### ")
	documented := regexp.MustCompile("(?m)^\\| `.*\\|$").FindAllString(section, -1)
	var known []string
	help := succeed(t, []string{"config", "--help"}).stdout
	for _, s := range regexp.MustCompile(`(?m)^([a-z_.]+)\n    (.*)\n    (--\S+), (\S+); default (.*)\n    works in (.*)$`).FindAllStringSubmatch(help, -1) {
		known = append(known, fmt.Sprintf("| `%s` | `%s` | `%s` | %s | %s | %s |", s[1], s[3], s[4], s[5], s[2], s[6]))
	}
	if diff := cmp.Diff(known, documented); diff != "" {
		t.Errorf("the README has other settings than htdag config --help (-command +README):\n%s", diff)
	}

	// Each is a flag of up, with that default, and a setting of the file.
	up := succeed(t, []string{"up", "--help"}).stdout
	all := config(t, []string{"config"}, in(t.TempDir()))
	if len(all) != len(known) {
		t.Fatalf("%d settings are shown, %d described", len(all), len(known))
	}
	for i, s := range all {
		cells := strings.Split(known[i], " | ")
		if flag := strings.Trim(cells[1], "`"); !regexp.MustCompile(flag + `\b`).MatchString(up) {
			t.Errorf("htdag up has no flag %s", flag)
		}
		if !strings.HasPrefix(known[i], "| `"+s.Setting+"` ") || !strings.HasSuffix(known[i], "| "+s.Effect+" |") {
			t.Errorf("setting %s is described by %s", s.Setting, known[i])
		}
		if number, ok := s.Default.(float64); ok && cells[3] != strconv.FormatFloat(number, 'f', -1, 64) {
			t.Errorf("the default of %s is %v, described as %s", s.Setting, number, cells[3])
		}
	}
}
