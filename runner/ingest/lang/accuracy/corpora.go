package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// corpus is a directory with files of a language.
type corpus struct{ language, dir string }

// defaultCorpora are found on many development machines.
var defaultCorpora = []corpus{
	{"Go", goSources()},
	{"Python", output("python3", "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))")},
	{"JavaScript", output("npm", "root", "--global")},
	{"JavaScript", nodeModules},
	{"TypeScript", nodeModules},
	{"TSX", nodeModules},
	{"C", "/usr/include"},
	{"C", goSources()},
	{"C++", "/usr/include/c++"},
	{"C++", "/usr/include"},
	{"Java", "/usr/lib/jvm/src"},
	{"Ruby", "/usr/lib/ruby"},
	{"Ruby", "/usr/share/ruby"},
	{"PHP", "/usr/share/php"},
	{"Lua", "/usr/share/lua"},
	{"Lua", "/usr/share/nmap"},
	{"Shell", "/usr/share"},
	{"Shell", "/usr/lib"},
	{"C#", "/usr/src/csharp"},
	{"Kotlin", "/usr/src/kotlin"},
}

// nodeModules is where the packages of node/package-lock.json are installed.
const nodeModules = "runner/ingest/lang/accuracy/node/node_modules"

// chosen reads the arguments; without any, the default corpora are meant.
func chosen(args []string) ([]corpus, error) {
	if len(args) == 0 {
		return defaultCorpora, nil
	}
	var corpora []corpus
	for _, arg := range args {
		language, dir, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, fmt.Errorf("argument %q: write it language=directory", arg)
		}
		corpora = append(corpora, corpus{language, dir})
	}
	return corpora, nil
}

// named says whether there is a corpus for a language.
func named(corpora []corpus, language string) bool {
	return slices.ContainsFunc(corpora, func(c corpus) bool { return strings.EqualFold(c.language, language) })
}

// corpus returns the files of the oracle's language, and what is missing.
func (o *oracle) corpus(corpora []corpus) (files, missing []string) {
	for _, c := range corpora {
		if !strings.EqualFold(c.language, o.language) || c.dir == "" {
			continue
		}
		found, err := o.files(c.dir)
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s: %s is skipped: %v", o.language, c.dir, err))
		}
		files = append(files, found...)
	}
	return files, missing
}

// goSources is where the sources of the installed Go lie; empty without one.
func goSources() string {
	if root := output("go", "env", "GOROOT"); root != "" {
		return filepath.Join(root, "src")
	}
	return ""
}

// output returns what a program prints; empty where it is not there or fails.
func output(program string, args ...string) string {
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// files returns the files of a directory that are in the oracle's language.
func (o *oracle) files(dir string) ([]string, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("no such corpus here: %w", err)
	}
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("follow links: %w", err)
	}
	var files []string
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil // what cannot be read is no part of the corpus
		}
		if slices.Contains(o.extensions, strings.ToLower(filepath.Ext(path))) {
			if info, err := e.Info(); err == nil && info.Size() < 1<<20 {
				files = append(files, path)
			}
		}
		return nil
	})
	return files, err
}
