package localpg

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// OldestMajor is the oldest major version of PostgreSQL that htdag works with.
const OldestMajor = 14

// adviceMajor is the version that is fetched and recommended where none is found.
const adviceMajor = 17

// Binaries are the programs of one PostgreSQL installation.
type Binaries struct {
	Dir     string // holds postgres, initdb and pg_ctl
	Version string // such as 17.5 or 18beta1
	Major   int
	Minor   int    // -1 for a version that is not released
	PSQL    string // path of psql, empty where the installation has none
}

func (b Binaries) path(program string) string { return filepath.Join(b.Dir, program) }

// Find returns the newest installed server of at least [OldestMajor], or the one in binDir
// when that is not empty. It never fetches. Its errors are [ErrNoBinaries] and
// [ErrTooOld], with what was found and what to install.
func Find(ctx context.Context, binDir string) (Binaries, error) {
	who, err := serverAccount(0)
	if err != nil {
		return Binaries{}, err
	}
	all, err := newFinder(binDir, who).all(ctx)
	if err != nil {
		return Binaries{}, err
	}
	return all[0], nil
}

// finder knows the places where servers are installed.
type finder struct {
	binDir string // when set, the only place
	globs  []string
	look   func(program string) (string, error) // as exec.LookPath
	who    account                              // must be able to run what is found
}

func newFinder(binDir string, who account) finder {
	return finder{
		binDir: binDir,
		globs: []string{
			"/usr/lib/postgresql/*/bin",                          // Debian, Ubuntu
			"/usr/pgsql-*/bin",                                   // packages of the PostgreSQL project for Fedora, RHEL
			"/opt/homebrew/opt/postgresql@*/bin",                 // Homebrew on Apple silicon
			"/opt/homebrew/opt/postgresql/bin",                   //
			"/usr/local/opt/postgresql@*/bin",                    // Homebrew on Intel
			"/usr/local/opt/postgresql/bin",                      //
			"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",    // Homebrew on Linux
			"/usr/libexec/postgresql*",                           // Alpine
			"/usr/lib/postgresql*/bin",                           // SUSE
			"/usr/lib64/postgresql-*/bin",                        // Gentoo
			"/Applications/Postgres.app/Contents/Versions/*/bin", //
			"/opt/local/lib/postgresql*/bin",                     // MacPorts
			"/usr/local/pgsql/bin",                               // built from source
			"/Library/PostgreSQL/*/bin", "/opt/PostgreSQL/*/bin", // EDB's installers
			"/usr/bin", "/usr/local/bin", "/opt/homebrew/bin", // Fedora, Arch, BSD
			"/run/current-system/sw/bin", "/nix/var/nix/profiles/*/bin", // Nix
		},
		look: exec.LookPath,
		who:  who,
	}
}

// all returns the servers that are new enough, newest first and at least one.
func (f finder) all(ctx context.Context) ([]Binaries, error) {
	var found, old []Binaries
	var broken []string
	for _, dir := range f.places(ctx) {
		b, err := f.inspect(ctx, dir)
		switch {
		case ctx.Err() != nil:
			return nil, fmt.Errorf("look for PostgreSQL: %w", context.Cause(ctx))
		case err != nil:
			broken = append(broken, err.Error())
		case b.Major < OldestMajor:
			old = append(old, b)
		default:
			found = append(found, b)
		}
	}
	newestFirst(found)
	newestFirst(old)

	switch {
	case len(found) > 0:
		return found, nil
	case len(old) > 0:
		return nil, fmt.Errorf("%w: %s holds version %s, and htdag needs %d or newer; %s",
			ErrTooOld, old[0].Dir, old[0].Version, OldestMajor, installAdvice(adviceMajor))
	case len(broken) > 0:
		return nil, fmt.Errorf("%w that works: %s; %s", ErrNoBinaries, strings.Join(broken, "; "), installAdvice(adviceMajor))
	case f.binDir != "":
		return nil, fmt.Errorf("%w: %s lacks %s; name the directory that holds postgres, initdb and pg_ctl, or none to have it looked for",
			ErrNoBinaries, f.binDir, strings.Join(lacking(f.binDir), ", "))
	default:
		return nil, fmt.Errorf("%w; %s", ErrNoBinaries, installAdvice(adviceMajor))
	}
}

func newestFirst(list []Binaries) {
	slices.SortStableFunc(list, func(a, b Binaries) int {
		if (a.Minor < 0) != (b.Minor < 0) {
			return cmp.Compare(b.Minor, a.Minor) // a release before any beta
		}
		return cmp.Or(cmp.Compare(b.Major, a.Major), cmp.Compare(b.Minor, a.Minor))
	})
}

// places lists the directories that hold a whole server, each once.
func (f finder) places(ctx context.Context) []string {
	var dirs []string
	if f.binDir != "" {
		dirs = []string{f.binDir}
	} else {
		if config, err := f.look("pg_config"); err == nil {
			if out, err := f.who.run(ctx, "/", config, "--bindir"); err == nil {
				dirs = append(dirs, strings.TrimSpace(out))
			}
		}
		for _, pattern := range f.globs {
			matches, _ := filepath.Glob(pattern) // fails on a bad pattern only
			dirs = append(dirs, matches...)
		}
		if postgres, err := f.look("postgres"); err == nil {
			dirs = append(dirs, filepath.Dir(postgres))
		}
	}

	var places []string
	seen := map[string]bool{}
	for _, dir := range dirs {
		if len(lacking(dir)) > 0 {
			continue
		}
		// A directory of links stands for the installation that they lead to, which
		// has psql beside the server.
		dir, key := resolve(dir)
		if !seen[key] {
			seen[key] = true
			places = append(places, dir)
		}
	}
	return places
}

func resolve(dir string) (place, key string) {
	if abs, err := filepath.Abs(dir); err == nil {
		dir = abs
	}
	postgres, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err != nil {
		return dir, dir
	}
	if home := filepath.Dir(postgres); len(lacking(home)) == 0 {
		return home, postgres
	}
	return dir, postgres
}

// lacking returns which of the needed programs dir has not.
func lacking(dir string) []string {
	var missing []string
	for _, program := range []string{"postgres", "initdb", "pg_ctl"} {
		info, err := os.Stat(filepath.Join(dir, program))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			missing = append(missing, program)
		}
	}
	return missing
}

func (f finder) inspect(ctx context.Context, dir string) (Binaries, error) {
	b := Binaries{Dir: dir}
	out, err := f.who.run(ctx, "/", b.path("postgres"), "--version")
	if err != nil {
		return b, fmt.Errorf("%s --version as user %s: %w: %s", b.path("postgres"), f.who.name, err, lastLines(out, 1))
	}
	if err := b.parse(out); err != nil {
		return b, err
	}
	if info, err := os.Stat(b.path("psql")); err == nil && !info.IsDir() {
		b.PSQL = b.path("psql")
	} else if psql, err := f.look("psql"); err == nil {
		b.PSQL = psql
	}
	return b, nil
}

// versionLine matches what postgres --version prints, with or without a
// distribution's remark after it.
var versionLine = regexp.MustCompile(`\(PostgreSQL\) ((\d+)(?:\.(\d+))?[^\s]*)`)

func (b *Binaries) parse(line string) error {
	m := versionLine.FindStringSubmatch(line)
	if m == nil {
		return fmt.Errorf("%s --version printed %q, which names no version", b.path("postgres"), lastLines(line, 1))
	}
	major, err := strconv.Atoi(m[2])
	if err != nil {
		return fmt.Errorf("%s --version printed %q: %w", b.path("postgres"), lastLines(line, 1), err)
	}
	b.Version, b.Major, b.Minor = m[1], major, -1
	if m[3] != "" {
		if b.Minor, err = strconv.Atoi(m[3]); err != nil {
			return fmt.Errorf("%s --version printed %q: %w", b.path("postgres"), lastLines(line, 1), err)
		}
	}
	return nil
}

func installAdvice(major int) string {
	suffix := ""
	if major != adviceMajor {
		suffix = "-" + strconv.Itoa(major)
	}
	return fmt.Sprintf("install it with: apt install postgresql%s (Debian, Ubuntu), dnf install postgresql%s-server (Fedora, RHEL), brew install postgresql@%d (macOS)",
		suffix, strings.TrimPrefix(suffix, "-"), major)
}
