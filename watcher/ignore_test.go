package watcher

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestIgnoreAgreesWithGit generates trees with ignore files in them, and lists of the
// repository and of the user beside them, and asks git about every path: the verdict,
// the file, the line and the pattern must be ours.
func TestIgnoreAgreesWithGit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "tree")
		if err != nil {
			rt.Fatal(err)
		}
		defer os.RemoveAll(dir)
		paths := drawTree(rt, dir)
		compareWithGit(rt, dir, paths)
	})
}

// names are few, so that patterns hit, and include what patterns must escape.
var treeNames = []string{"a", "b", "ab", "abc", "foo", "foobar", "bar.o", "x.go", ".hidden", "a b", "c ", "[d]", "e*", "#f", "!g", "h\\i", "é", "a-b", "Z"}

func drawTree(t *rapid.T, dir string) (paths []string) {
	minimalRepository(t, dir)
	dirs := []string{""}
	for range rapid.IntRange(1, 14).Draw(t, "entries") {
		parent := rapid.SampledFrom(dirs).Draw(t, "parent")
		path := filepath.Join(parent, rapid.SampledFrom(treeNames).Draw(t, "name"))
		if _, err := os.Lstat(filepath.Join(dir, path)); err == nil {
			continue
		}
		paths = append(paths, path)
		if rapid.Bool().Draw(t, "directory") && strings.Count(path, "/") < 3 {
			must(t, os.Mkdir(filepath.Join(dir, path), 0o755))
			dirs = append(dirs, path)
			continue
		}
		must(t, os.WriteFile(filepath.Join(dir, path), nil, 0o644))
	}
	must(t, os.WriteFile(filepath.Join(dir, ".gitignore"), drawPatterns(t), 0o644))
	for _, d := range dirs[1:] {
		if rapid.IntRange(0, 2).Draw(t, "has rules") == 0 {
			must(t, os.WriteFile(filepath.Join(dir, d, ".gitignore"), drawPatterns(t), 0o644))
		}
	}
	must(t, os.MkdirAll(filepath.Join(dir, ".git/info"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, ".git/info/exclude"), drawPatterns(t), 0o644))
	drawExcludes(t, dir)
	return paths
}

// drawExcludes makes the list of a user, in one of the places where it can be.
func drawExcludes(t *rapid.T, dir string) {
	list, configured := filepath.Join(dir, ".git/users list"), ""
	switch rapid.IntRange(0, 6).Draw(t, "place of the user's list") {
	case 0: // none
		return
	case 1:
		configured = list
	case 2:
		configured = "~/.git/users list" // the test's home is the tree
	case 3:
		configured = ".git/users list"
	case 4:
		list, configured = filepath.Join(dir, ".git/git/ignore"), "none"
	default: // where git looks by itself
		list = filepath.Join(dir, ".git/git/ignore")
	}
	must(t, os.MkdirAll(filepath.Join(dir, ".git/git"), 0o755))
	must(t, os.WriteFile(list, drawPatterns(t), 0o644))
	if configured == "" {
		return
	}
	text := []byte("[core]\n\texcludesFile = " + configured + "\n")
	switch rapid.IntRange(0, 2).Draw(t, "place of the setting") {
	case 0:
		must(t, os.WriteFile(filepath.Join(dir, ".git/config"), text, 0o644))
	case 1:
		must(t, os.WriteFile(filepath.Join(dir, ".git/git/config"), text, 0o644))
	default:
		must(t, os.WriteFile(filepath.Join(dir, ".git/some"), text, 0o644))
		must(t, os.WriteFile(filepath.Join(dir, ".git/git/config"), []byte("[includeIf \"gitdir:"+dir+"/\"]\n\tpath = "+dir+"/.git/some\n"), 0o644))
	}
}

// gitEnv has git, run by us or by the test, find what drawExcludes makes, and nothing
// that belongs to whoever runs the test.
func gitEnv(dir string) []string {
	return append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "HOME="+dir, "XDG_CONFIG_HOME="+filepath.Join(dir, ".git"))
}

func drawPatterns(t *rapid.T) []byte {
	piece := rapid.OneOf(
		rapid.SampledFrom(treeNames),
		rapid.SampledFrom([]string{"*", "**", "?", "/", "a", "b", "o", ".", "-", " ", "\\", "\\*", "\\ ", "\\/", "***", "**/", "/**", "/**/",
			"[ab]", "[!a]", "[^b]", "[a-c]", "[]-]", "[[:alpha:]]", "[[:nope:]]", "[a", "[]", "[\\]]", "[a-", "[!]a]", "[[:upper:][:digit:]-]", "[[:a]", "[z-a]", "[/]", "*.o", "*.go", "#", "!"}),
	)
	line := rapid.Custom(func(t *rapid.T) string {
		s := strings.Join(rapid.SliceOfN(piece, 1, 5).Draw(t, "pieces"), "")
		if rapid.IntRange(0, 3).Draw(t, "negate") == 0 {
			s = "!" + s
		}
		return s + rapid.SampledFrom([]string{"", "", "", "/", "/", " ", "  ", "\t", "\\ ", "\r"}).Draw(t, "end")
	})
	text := strings.Join(rapid.SliceOfN(line, 0, 5).Draw(t, "lines"), "\n")
	return []byte(rapid.SampledFrom([]string{"", "", "\ufeff", "\n# note\n"}).Draw(t, "start") + text +
		rapid.SampledFrom([]string{"", "\n", "\r\n"}).Draw(t, "newline"))
}

// minimalRepository makes what git takes for a repository, without running git.
func minimalRepository(t interface{ Fatal(...any) }, dir string) {
	for _, d := range []string{".git/objects", ".git/refs"} {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(dir, ".git/HEAD"), []byte("ref: refs/heads/main\n"), 0o644))
}

func must(t interface{ Fatal(...any) }, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func compareWithGit(t interface {
	Fatal(...any)
	Fatalf(string, ...any)
}, dir string, paths []string) {
	sort.Strings(paths)
	want := gitVerdicts(t, dir, paths)
	config := &gitConfig{env: gitEnv(dir)}
	entries, err := readDir(dir)
	must(t, err)
	for _, p := range paths {
		fi, err := os.Lstat(filepath.Join(dir, p))
		must(t, err)
		r := newRules(dir, Filter{}, func(path string, err error) { t.Fatalf("%s: %v", path, err) })
		r.git = config
		v, err := r.explain(dir, entries, p, fi.IsDir())
		must(t, err)
		if v.Source == builtinSrc {
			v = Verdict{}
		}
		if diff := cmp.Diff(want[p], v); diff != "" {
			t.Fatalf("%q (git -, ours +):\n%s%s", p, diff, dump(dir))
		}
	}
}

func gitVerdicts(t interface {
	Fatal(...any)
	Fatalf(string, ...any)
}, dir string, paths []string) map[string]Verdict {
	cmd := exec.Command("git", "check-ignore", "--stdin", "-z", "-v", "-n", "--no-index")
	cmd.Dir = dir
	cmd.Env = gitEnv(dir)
	cmd.Stdin = strings.NewReader(strings.Join(paths, "\x00"))
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() > 1 {
		t.Fatalf("git check-ignore: %v: %s", err, stderr.String())
	}
	fields := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	verdicts := map[string]Verdict{}
	for ; len(fields) >= 4; fields = fields[4:] {
		line, _ := strconv.Atoi(fields[1])
		source := fields[0]
		if source == ".git/users list" { // as it was configured
			source = filepath.Join(dir, source)
		}
		verdicts[fields[3]] = Verdict{Ignored: fields[2] != "" && fields[2][0] != '!', Source: source, Line: line, Pattern: fields[2]}
	}
	return verdicts
}

func dump(dir string) string {
	var b strings.Builder
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if slices.Contains([]string{".gitignore", "exclude", "users list", "ignore", "config", "some"}, d.Name()) {
			data, _ := os.ReadFile(path)
			fmt.Fprintf(&b, "%s: %q\n", path, data)
		}
		return nil
	})
	return b.String()
}

// TestIgnoreSemantics lists what the manual of gitignore promises, each line
// checked against git as well.
func TestIgnoreSemantics(t *testing.T) {
	tests := []struct {
		name, rules string
		ignored     []string
		kept        []string
	}{
		{"base name at any depth", "foo", []string{"foo", "x/foo", "x/y/foo"}, []string{"food"}},
		{"anchored", "/foo", []string{"foo"}, []string{"x/foo"}},
		{"a slash inside anchors", "x/foo", []string{"x/foo"}, []string{"y/x/foo"}},
		{"directory only", "foo/", []string{"foo/bar"}, []string{"x/foo"}},
		{"negation", "*.o\n!keep.o", []string{"a.o"}, []string{"keep.o"}},
		{"no way back into an ignored directory", "x\n!x/foo", []string{"x/foo"}, nil},
		{"way back below a star", "x/*\n!x/foo", []string{"x/bar"}, []string{"x/foo"}},
		{"leading double star", "**/foo", []string{"foo", "x/y/foo"}, nil},
		{"trailing double star", "x/**", []string{"x/foo", "x/y/z"}, []string{"y/x"}},
		{"middle double star", "x/**/z", []string{"x/z", "x/y/z", "x/y/y/z"}, []string{"x/yz"}},
		{"star stops at a slash", "x/*z", []string{"x/yz"}, []string{"x/y/z2"}},
		{"escaped hash and bang", "\\#a\n\\!b", []string{"#a", "!b"}, []string{"a", "b"}},
		{"comment", "#a", nil, []string{"#a"}},
		{"trailing space dropped", "a ", []string{"a"}, []string{"a "}},
		{"trailing space kept", "a\\ ", []string{"a "}, []string{"a"}},
		{"class", "[a-c]x[!0-9]", []string{"bx_"}, []string{"bx1", "dx_"}},
		{"a class is never a slash", "/x[!a]foo", []string{"x_foo"}, []string{"x/foo"}},
		{"windows line ends", "a\r\nb\r\n", []string{"a", "b"}, nil},
		{"bytes, not letters", "caf?\nna??", []string{"caf1", "na\u00ef"}, []string{"caf\u00e9"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			minimalRepository(t, dir)
			write(t, dir, ".gitignore", tt.rules)
			for _, p := range append(tt.ignored, tt.kept...) {
				write(t, dir, p, "")
			}
			for _, p := range tt.ignored {
				expectIgnored(t, dir, p, Filter{}, true)
			}
			for _, p := range tt.kept {
				expectIgnored(t, dir, p, Filter{}, false)
			}
			compareWithGit(t, dir, append(tt.ignored, tt.kept...))
		})
	}
}

func write(t testing.TB, dir, path, content string) {
	t.Helper()
	full := filepath.Join(dir, path)
	must(t, os.MkdirAll(filepath.Dir(full), 0o755))
	must(t, os.WriteFile(full, []byte(content), 0o644))
}

func expectIgnored(t *testing.T, dir, path string, f Filter, want bool) {
	t.Helper()
	v, err := Explain(dir, EscapePath(path), false, f)
	if err != nil {
		t.Fatal(err)
	}
	if v.Ignored != want {
		t.Errorf("%q: ignored %v by %q, want %v", path, v.Ignored, v, want)
	}
}

func TestRulePrecedence(t *testing.T) {
	dir := t.TempDir()
	minimalRepository(t, dir)
	write(t, dir, ".git/info/exclude", "*.exclude\n*.both\n")
	write(t, dir, ".gitignore", "*.log\n!*.both\nout/\n")
	write(t, dir, ".htdagignore", "!keep.log\n*.own\n!node_modules/\n!b.set\n!.git\n")
	write(t, dir, "sub/.htdagignore", "!a.own\nkeep.log\n")
	write(t, dir, "sub/.gitignore", "!*.log\n")
	f := Filter{IgnorePatterns: []string{"*.set", "!x.own"}}
	for path, want := range map[string]bool{
		"a.log":             true,  // .gitignore
		"keep.log":          false, // .htdagignore overrides it
		"sub/other.log":     false, // deeper .gitignore
		"sub/keep.log":      true,  // deeper .htdagignore
		"a.own":             true,
		"sub/a.own":         false,
		"x.own":             false, // settings override .htdagignore
		"b.set":             true,
		"a.exclude":         true,
		"a.both":            false, // .gitignore before info/exclude
		"out/a.go":          true,
		"node_modules/a.js": false, // included again
		".git/HEAD":         true,  // never
		"x/.git/HEAD":       true,
	} {
		expectIgnored(t, dir, path, f, want)
	}
}

func TestBuiltinList(t *testing.T) {
	dir := t.TempDir()
	for _, p := range []string{"rust/Cargo.toml", "js/package.json", "ex/mix.exs", "py/venv/pyvenv.cfg", "py/env/settings.py", "g/build.gradle"} {
		write(t, dir, p, "")
	}
	for path, want := range map[string]bool{
		"rust/target/debug/x.rs":       true,
		"go/target/x.go":               false,
		"js/dist/x.js":                 true,
		"js/build/x.js":                true,
		"go/build/build.go":            false,
		"dist/x.go":                    false,
		"g/build/x.class":              true,
		"ex/_build/x.ex":               true,
		"ex/deps/x.ex":                 true,
		"go/deps/x.go":                 false,
		"py/venv/lib/x.py":             true,
		"py/env/settings.py":           false,
		"a/node_modules/x.js":          true,
		"a/__pycache__/x.pyc":          true,
		"cmd/vendor/a/a.go":            false,
		"testdata/x.go":                false,
		"a/.svn/entries":               true,
		"a/main.go~":                   true,
		"a/.main.go.swp":               true,
		"a/.#main.go":                  true,
		"a/#main.go#":                  true,
		"a/x.go___jb_tmp___":           true,
		"a/.gitignore":                 false,
		"a/.github/workflows/test.yml": false,
	} {
		expectIgnored(t, dir, path, Filter{}, want)
	}
}

func TestIncludeExtensions(t *testing.T) {
	dir := t.TempDir()
	f := Filter{IncludeExtensions: []string{".go", "PY", "Makefile"}}
	for path, want := range map[string]bool{
		"a.go": false, "b/c.py": false, "Makefile": false, "b/makefile": false,
		"a.txt": true, "go": false, "README": true, "a.go.orig": true,
	} {
		expectIgnored(t, dir, path, f, want)
	}
}

// A root inside a repository obeys the rules above it, unless they ignore the
// root itself.
func TestRulesAboveTheRoot(t *testing.T) {
	repo := t.TempDir()
	minimalRepository(t, repo)
	write(t, repo, ".gitignore", "*.log\n/services/api/gen/\n/scratch/\n")
	write(t, repo, "services/.gitignore", "!keep.log\n")
	write(t, repo, "services/api/a.go", "")
	write(t, repo, "scratch/a.log", "")
	api := filepath.Join(repo, "services/api")
	expectIgnored(t, api, "a.log", Filter{}, true)
	expectIgnored(t, api, "keep.log", Filter{}, false)
	expectIgnored(t, api, "gen/x.go", Filter{}, true)
	expectIgnored(t, api, "x/gen/x.go", Filter{}, false)
	expectIgnored(t, filepath.Join(repo, "scratch"), "a.log", Filter{}, false)
}

// A repository inside another is not under the outer one's .gitignore.
func TestNestedRepository(t *testing.T) {
	dir := t.TempDir()
	minimalRepository(t, dir)
	write(t, dir, ".gitignore", "*.log\n")
	write(t, dir, ".htdagignore", "*.tmp\n")
	write(t, dir, "inner/a.log", "")
	minimalRepository(t, filepath.Join(dir, "inner"))
	write(t, dir, "inner/.git/info/exclude", "*.mine\n")
	expectIgnored(t, dir, "a.log", Filter{}, true)
	expectIgnored(t, dir, "inner/a.log", Filter{}, false)
	expectIgnored(t, dir, "inner/a.tmp", Filter{}, true)
	expectIgnored(t, dir, "inner/a.mine", Filter{}, true)
	expectIgnored(t, dir, "a.mine", Filter{}, false)

	// A work tree whose .git is a file that points elsewhere.
	write(t, dir, "store/HEAD", "x")
	write(t, dir, "store/commondir", "../common\n")
	write(t, dir, "common/info/exclude", "*.linked\n")
	write(t, dir, "linked/.git", "gitdir: ../store\n")
	expectIgnored(t, dir, "linked/a.linked", Filter{}, true)
	expectIgnored(t, dir, "linked/a.log", Filter{}, false)
}

// TestPatternTime feeds patterns that make a backtracking matcher run for ever.
func TestPatternTime(t *testing.T) {
	p := parsePattern(strings.Repeat("*a", 60) + "b/**/" + strings.Repeat("**/*x", 30))
	name := strings.Repeat("a", 4000)
	if p.match(name, name, false) {
		t.Error("matched")
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("a/**/b[!x-z]*\\?", "a/c/bq?")
	f.Add("[[:alpha:]]*", "x")
	f.Fuzz(func(t *testing.T, text, name string) {
		if text == "" {
			return
		}
		p := parsePattern(text)
		base := name[strings.LastIndex(name, "/")+1:]
		p.match(name, base, true) // must not panic
	})
}

func TestEscapePath(t *testing.T) {
	for name, want := range map[string]string{
		"a/b c.go":     "a/b c.go",
		"é/日本":         "é/日本",
		"a\nb":         `a\x0ab`,
		`a\b`:          `a\x5cb`,
		`a\x41`:        `a\x5cx41`,
		"a\xff\xfeb":   `a\xff\xfeb`,
		"\x7f":         `\x7f`,
		"\xed\xa0\x80": `\xed\xa0\x80`,
	} {
		if got := EscapePath(name); got != want {
			t.Errorf("EscapePath(%q) = %q, want %q", name, got, want)
		}
	}
	for _, bad := range []string{`\`, `a\b`, `\x4`, `\xZZ`, `\x4G`, `\xAA`} {
		if got, err := UnescapePath(bad); err == nil {
			t.Errorf("UnescapePath(%q) = %q, want an error", bad, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		name := strings.ReplaceAll(string(rapid.SliceOf(rapid.Byte()).Draw(t, "name")), "\x00", "")
		escaped := EscapePath(name)
		back, err := UnescapePath(escaped)
		if err != nil || back != name {
			t.Fatalf("%q -> %q -> %q, %v", name, escaped, back, err)
		}
		for _, r := range escaped {
			if r < 0x20 || r == 0x7f || r == '\ufffd' && !strings.ContainsRune(name, r) {
				t.Fatalf("%q escaped to %q", name, escaped)
			}
		}
	})
}
