package watcher

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Filter says which files of a root are of interest. The zero value leaves out
// what ignore files and the built-in list leave out.
type Filter struct {
	// IgnorePatterns are lines in the syntax of gitignore(5), anchored at the root.
	// They override every ignore file.
	IgnorePatterns []string
	// IncludeExtensions, where not empty, are the only files of interest: an
	// extension with or without its dot, or a whole file name for files that have
	// none ("Makefile"). Letter case is ignored.
	IncludeExtensions []string
	// Exclude are absolute directories that belong to someone else: roots inside
	// this root, which are codebases of their own.
	Exclude []string
}

// Verdict says whether a path is ignored, and which rule decided it.
type Verdict struct {
	Ignored bool
	Source  string // "settings", "built in" or the path of an ignore file; empty when no rule matched
	Line    int    // 1-based line in the ignore file or number of the setting; 0 for the built-in list
	Pattern string // the rule as written
}

// An entry of the built-in list names a directory that is ignored unless a
// pattern includes it again (!name in .htdagignore). It is kept to names that
// cannot be anything else, or that stand beside or hold proof of what they are.
type builtin struct {
	beside []string // one of these names must be in the same directory
	holds  string   // this name must be inside
}

// Names of version control are never entered, and no pattern can change that.
func versionControl(name string) bool {
	switch name {
	case ".git", ".hg", ".svn", ".jj", ".htdag":
		return true
	}
	return false
}

func builtins(name string) (b builtin, ok bool) {
	switch name {
	case "node_modules", "__pycache__", ".venv", ".tox", ".nox", ".mypy_cache", ".pytest_cache",
		".ruff_cache", ".elixir_ls", ".gradle", ".terraform", ".direnv", ".next", ".nuxt":
		return builtin{}, true
	case "venv", "env":
		return builtin{holds: "pyvenv.cfg"}, true
	case "target":
		return builtin{beside: []string{"Cargo.toml", "pom.xml"}}, true
	case "_build":
		return builtin{beside: []string{"mix.exs", "rebar.config", "dune-project"}}, true
	case "deps":
		return builtin{beside: []string{"mix.exs"}}, true
	case "dist":
		return builtin{beside: []string{"package.json"}}, true
	case "build":
		return builtin{beside: []string{"package.json", "build.gradle", "build.gradle.kts"}}, true
	}
	return builtin{}, false
}

// manifest reports whether a file of this name can prove a built-in directory.
func manifest(name string) bool {
	switch name {
	case "Cargo.toml", "pom.xml", "mix.exs", "rebar.config", "dune-project", "package.json",
		"build.gradle", "build.gradle.kts", "pyvenv.cfg":
		return true
	}
	return false
}

// builtinFiles are leftovers of editors and desktops.
const builtinFiles = "*~\n.*.sw?\n\\#*\\#\n.\\#*\n*___jb_tmp___\n*___jb_old___\n.DS_Store\n"

const (
	gitIgnore  = ".gitignore"
	ownIgnore  = ".htdagignore"
	builtinSrc = "built in"
)

// decidesRules reports whether a change to an entry of this name may change what
// is ignored around it.
func decidesRules(name string) bool {
	return name == gitIgnore || name == ownIgnore || name == ".git" || manifest(name)
}

// ruleFile is a loaded list of patterns and where they apply.
type ruleFile struct {
	source   string
	text     string
	base     int // bytes of a full path before what the patterns see
	patterns []pattern
}

// find returns the last pattern that covers the entry.
func (r *ruleFile) find(full, base string, isDir bool) *pattern {
	if r == nil {
		return nil
	}
	for i := range slices.Backward(r.patterns) {
		if r.patterns[i].match(full[r.base:], base, isDir) {
			return &r.patterns[i]
		}
	}
	return nil
}

// rules are what holds in every directory of one root.
type rules struct {
	root       string // absolute, canonical
	above      string // path of the root inside the repository that contains it; usually empty
	filter     Filter
	settings   *ruleFile
	editors    *ruleFile
	extensions map[string]bool
	problem    func(path string, err error)
	git        *gitConfig
	readFile   func(path string) ([]byte, error) // an ignore file, by its absolute path
	exists     func(path string) bool
}

// level is one directory with the rules that its own files add. Levels are made
// while a walk enters directories and never change; a change makes new ones.
type level struct {
	*rules
	parent    *level
	full      string // path in the coordinates of the patterns: above + path below the root
	git, own  *ruleFile
	repo      *repository
	repoTop   bool            // .gitignore files further up belong to another repository
	manifests map[string]bool // those present in this directory
}

// newRules prepares the rules of a root. problem is told of ignore files that
// could not be read; nil drops that.
func newRules(root string, f Filter, problem func(path string, err error)) *rules {
	r := &rules{root: root, filter: f, problem: problem, git: new(gitConfig), readFile: readRuleFile, exists: onDisk}
	if problem == nil {
		r.problem = func(string, error) {}
	}
	if len(f.IncludeExtensions) > 0 {
		r.extensions = map[string]bool{}
		for _, e := range f.IncludeExtensions {
			r.extensions[strings.ToLower(strings.TrimPrefix(e, "."))] = true
		}
	}
	r.editors = &ruleFile{source: builtinSrc, patterns: parsePatterns([]byte(builtinFiles))}
	return r
}

func onDisk(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// top makes the level of the root from its directory entries. A root inside a
// repository is under the rules of the directories above it too, unless they
// ignore the root itself: who asks for a directory by name means it.
func (r *rules) top(entries []fs.DirEntry) *level {
	outer := r.climb()
	if outer != nil {
		r.above = outer.full
		if base := filepath.Base(r.root); outer.full == "" {
			r.above = base
		} else {
			r.above = outer.full + "/" + base
		}
	}
	r.set()
	return r.load(outer, r.root, r.above, entries)
}

// set reads the patterns of the settings, which are anchored at the root.
func (r *rules) set() {
	text := strings.Join(r.filter.IgnorePatterns, "\n")
	r.settings = &ruleFile{source: "settings", text: text, base: offset(r.above), patterns: parsePatterns([]byte(text))}
}

// climb returns the levels above the root, up to the top of its repository.
func (r *rules) climb() *level {
	var chain []string
	for dir := r.root; !isRepository(dir); {
		up := filepath.Dir(dir)
		if up == dir {
			return nil
		}
		chain = append(chain, filepath.Base(dir))
		dir = up
	}
	slices.Reverse(chain)
	dir := r.root
	for range chain {
		dir = filepath.Dir(dir)
	}
	var l *level
	for _, name := range chain {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil
		}
		full := ""
		if l != nil {
			full = joinSlash(l.full, filepath.Base(dir))
		}
		l = r.load(l, dir, full, entries)
		if v := l.fromFiles(joinSlash(full, name), name, true); v.Ignored {
			return nil
		}
		dir = filepath.Join(dir, name)
	}
	return l
}

// enter makes the level of a directory inside l from its entries.
func (l *level) enter(name string, entries []fs.DirEntry) *level {
	full := joinSlash(l.full, name)
	return l.load(l, filepath.Join(l.root, filepath.FromSlash(full[offset(l.above):])), full, entries)
}

func (r *rules) load(parent *level, dir, full string, entries []fs.DirEntry) *level {
	l := &level{rules: r, parent: parent, full: full}
	if parent != nil {
		l.repo = parent.repo
	}
	for _, e := range entries {
		name := e.Name()
		switch {
		case name == gitIgnore:
			l.git = r.read(dir, gitIgnore, full)
		case name == ownIgnore:
			l.own = r.read(dir, ownIgnore, full)
		case name == ".git" && isRepository(dir):
			l.repo, l.repoTop = openRepository(dir, full, r.git, r.problem), true
		case manifest(name):
			if l.manifests == nil {
				l.manifests = map[string]bool{}
			}
			l.manifests[name] = true
		}
	}
	return l
}

func (r *rules) read(dir, name, full string) *ruleFile {
	path := filepath.Join(dir, name)
	data, err := r.readFile(path)
	if err != nil {
		r.problem(path, err)
		return nil
	}
	source := path
	if rel, err := filepath.Rel(r.root, path); err == nil && filepath.IsLocal(rel) {
		source = filepath.ToSlash(rel)
	}
	return &ruleFile{source: source, text: string(data), base: offset(full), patterns: parsePatterns(data)}
}

// verdict judges an entry of the directory.
func (l *level) verdict(name string, isDir bool) Verdict {
	if versionControl(name) {
		return Verdict{Ignored: true, Source: builtinSrc, Pattern: name}
	}
	full := joinSlash(l.full, name)
	if isDir && len(l.filter.Exclude) > 0 {
		abs := filepath.Join(l.root, filepath.FromSlash(full[offset(l.above):]))
		if slices.Contains(l.filter.Exclude, abs) {
			return Verdict{Ignored: true, Source: "settings", Pattern: "another root: " + abs}
		}
	}
	v := l.fromFiles(full, name, isDir)
	if v.Source == "" {
		v = l.fromBuiltins(full, name, isDir)
	}
	if !isDir && !v.Ignored && l.extensions != nil && !l.included(name) {
		return Verdict{Ignored: true, Source: "settings", Pattern: "not in include_extensions"}
	}
	return v
}

// fromFiles asks the settings, then the .htdagignore files, then git's files.
func (l *level) fromFiles(full, name string, isDir bool) Verdict {
	if v := l.settings.judge(full, name, isDir); v.Source != "" {
		return v
	}
	for at := l; at != nil; at = at.parent {
		if v := at.own.judge(full, name, isDir); v.Source != "" {
			return v
		}
	}
	for at := l; at != nil; at = at.parent {
		if v := at.git.judge(full, name, isDir); v.Source != "" {
			return v
		}
		if at.repoTop {
			break
		}
	}
	if l.repo != nil {
		return l.repo.judge(full, name, isDir)
	}
	return Verdict{}
}

func (l *level) fromBuiltins(full, name string, isDir bool) Verdict {
	if !isDir {
		return l.editors.judge(full, name, false)
	}
	b, ok := builtins(name)
	if !ok {
		return Verdict{}
	}
	why := name
	if len(b.beside) > 0 {
		i := slices.IndexFunc(b.beside, func(m string) bool { return l.manifests[m] })
		if i < 0 {
			return Verdict{}
		}
		why = name + " beside " + b.beside[i]
	}
	if b.holds != "" {
		dir := filepath.Join(l.root, filepath.FromSlash(full[offset(l.above):]))
		if !l.exists(filepath.Join(dir, b.holds)) {
			return Verdict{}
		}
		why = name + " with " + b.holds
	}
	return Verdict{Ignored: true, Source: builtinSrc, Pattern: why}
}

func (r *ruleFile) judge(full, name string, isDir bool) Verdict {
	p := r.find(full, name, isDir)
	if p == nil {
		return Verdict{}
	}
	return Verdict{Ignored: !p.negated, Source: r.source, Line: p.line, Pattern: p.text}
}

func (r *rules) included(name string) bool {
	name = strings.ToLower(name)
	return r.extensions[name] || r.extensions[strings.TrimPrefix(filepath.Ext(name), ".")] && filepath.Ext(name) != ""
}

// sameRules reports whether two levels of one directory rule alike.
func (l *level) sameRules(o *level) bool {
	if !l.git.same(o.git) || !l.own.same(o.own) || l.repoTop != o.repoTop || len(l.manifests) != len(o.manifests) {
		return false
	}
	for name := range l.manifests {
		if !o.manifests[name] {
			return false
		}
	}
	return !l.repoTop || l.repo.same(o.repo)
}

func (r *ruleFile) same(o *ruleFile) bool {
	return (r == nil) == (o == nil) && (r == nil || r.text == o.text)
}

// offset is how many bytes a directory takes at the start of paths inside it.
func offset(dir string) int {
	if dir == "" {
		return 0
	}
	return len(dir) + 1
}

func joinSlash(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
