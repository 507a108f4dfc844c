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

// goSources is where the sources of the installed Go lie; empty without one.
func goSources() string {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return ""
	}
	return filepath.Join(strings.TrimSpace(string(root)), "src")
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
